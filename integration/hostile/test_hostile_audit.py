"""`audit-lib`: the actions of merely loading a library."""

import glob
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hostile_box import HOSTILE, Stage, running

from harness import NOBODY, PYRUNC, skip_unless_a_user_may_run_it

MULTIARCH = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=False).stdout.strip()
HARMLESS = (
    *("liblxc.so.1", "libc.so.6", "libm.so.6", "libpthread.so.0", "libresolv.so.2", "libz.so.1", "libcap.so.2"),
    *("libselinux.so.1", "libpcre2-8.so.0", "liblzma.so.5", "libsystemd.so.0", "libgcrypt.so.20", "libblkid.so.1"),
)


def left_cgroups() -> set[str]:
    """Returns cgroups of audits that have ended: others may run one at the same time."""
    found = glob.glob("/sys/fs/cgroup/**/pyrunc-audit-*", recursive=True)
    return {path for path in found if not Path("/proc", path.rpartition("-")[2]).exists()}


def audit(stage: Stage, path: str, *words: str) -> dict[str, Any]:
    before = left_cgroups()
    done = stage.box.call("audit-lib", "--format", "json", *words, path)
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["harmless"] else 1), done.stderr
    assert not left_cgroups() - before
    assert not (path.startswith(str(stage.scene.directory)) and running(path))
    return found


def findings(found: dict[str, Any]) -> dict[str, str]:
    """Returns {subject: verdict} of the actions; several cgroups, files or descriptors count as one subject."""
    rows = [row for row in found["rows"] if row["verdict"] != "unchanged"]
    return {row["subject"].partition(":")[0]: row["verdict"] for row in rows}


@pytest.mark.parametrize("name", HARMLESS)
def test_ordinary_libraries_are_harmless(stage: Stage, name: str) -> None:
    places = [Path("/usr/lib") / MULTIARCH / name, Path("/lib") / MULTIARCH / name]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        pytest.skip(f"{name} is not installed")
    found = audit(stage, str(path))
    assert found["outcome"] == "loaded" and found["harmless"] and not findings(found)
    assert found["milliseconds"] > 0


LXC = {"cgroup": "moved", "socket connected": "connected"}
OWN = {"cgroup": "moved", "file": "opened for writing"}
FINDINGS: dict[str, dict[str, str]] = {
    "crashes": {"loading": "does not come back"},
    "descriptors": {"descriptor": "left open"},
    "drops": {"capabilities": "changed"},
    "environment": {"environment": "changed"},
    "exits": {"loading": "does not come back"},
    "files": {"file": "created or written"},
    "forks": {"processes forked": "left running", "session": "done (setsid)"},
    "hangs": {"loading": "does not come back"},
    "late_thread": {"cgroup": "moved", "threads started": "started", "file": "opened for writing"},
    "lxc1": LXC,
    "lxc2": {**LXC, "cgroups created": "not removed"},
    "own_write": OWN,
    "prints": {"output": "printed"},
    "raises": {"capabilities": "changed"},
    "settings": {
        **dict.fromkeys(("umask", "signal mask", "ignored signals", "working directory", "limit", "nice"), "changed"),
        "oom score": "changed",
        "file": "opened for writing",
    },
    "unified_too": OWN,
}


def test_every_stand_in_has_its_findings_here() -> None:
    from build import LIBRARIES

    assert sorted(FINDINGS) == LIBRARIES


@pytest.mark.parametrize("name", FINDINGS)
def test_every_finding_of_a_stand_in_is_named_and_no_other(stage: Stage, name: str) -> None:
    found = audit(stage, stage.scene.library(name), "--timeout", "0.5")
    expected = dict(FINDINGS[name])
    said = findings(found)
    said.pop("signal handlers", None)
    assert said == expected
    if name in ("lxc1", "lxc2", "own_write", "unified_too", "late_thread"):
        moved = {row["subject"] for row in found["rows"] if row["verdict"] == "moved"}
        assert len(moved) >= 9 and ("cgroup: cgroup2" in moved) == (not name.startswith("lxc"))
        assert all(row["after"] == "/" for row in found["rows"] if row["verdict"] == "moved")


def test_how_it_ended_is_reported(stage: Stage) -> None:
    outcomes = {name: audit(stage, stage.scene.library(name), "--timeout", "0.5")["outcome"] for name in FINDINGS}
    assert outcomes["crashes"] == "crashed: signal 11 (Segmentation fault)"
    assert outcomes["exits"] == "ended the process: exit status 0"
    assert outcomes["hangs"] == "did not come back within 0.5 s"
    assert set(outcomes.values()) - {outcomes[name] for name in ("crashes", "exits", "hangs")} == {"loaded"}


def test_the_table_says_before_after_and_verdict(stage: Stage) -> None:
    done = stage.box.call("audit-lib", stage.scene.library("lxc2"))
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == "SUBJECT BEFORE AFTER VERDICT"
    own = f"/pyrunc-hostile-{os.getpid()}/pyrunc-audit-"
    assert any(line.startswith(f"cgroup: pids {own}") and line.endswith(" / moved") for line in lines)
    assert any(line.startswith("cgroups created - ") and line.endswith("not removed") for line in lines)
    assert "not harmless: " in lines[-1]


def test_unresolved_symbols_are_reported(stage: Stage) -> None:
    library = stage.box.directory / "made.so"
    source = "void missing(void); void call(void) { missing(); }"
    command = ["gcc", "-x", "c", "-", "-shared", "-fPIC", "-o", library]
    subprocess.run(command, input=source, text=True, check=True)
    done = stage.box.call("audit-lib", str(library))
    assert done.returncode == 1 and "undefined symbol: missing" in done.stdout


def test_as_a_user_it_says_what_it_cannot_show(stage: Stage) -> None:
    skip_unless_a_user_may_run_it()
    directory = stage.scene.directory
    os.chmod(directory, 0o755)
    found = audit_as_nobody(stage, stage.scene.library("descriptors"))
    assert found["outcome"] == "loaded" and findings(found) == {"descriptor": "left open"}
    assert any(note.startswith("not root: ") for note in found["notes"])
    # liblxc acts only as root.
    assert "cgroup" not in findings(audit_as_nobody(stage, stage.scene.library("lxc2")))


def audit_as_nobody(stage: Stage, path: str) -> dict[str, Any]:
    done = stage.box.call("audit-lib", "--format", "json", path, **NOBODY)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_in_a_pid_namespace_it_says_so(stage: Stage) -> None:
    command = ["unshare", "--pid", "--fork", "--mount-proc", PYRUNC, "audit-lib", stage.scene.library("files")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "note: in a pid namespace" in done.stdout, done.stderr


def compiled(stage: Stage, name: str, body: str, *flags: str) -> str:
    """Compiles the C text ``body`` to a library and returns its path."""
    heads = (
        "fcntl",
        "sched",
        "signal",
        "stdio",
        "stdlib",
        "string",
        "sys/resource",
        "sys/socket",
        "sys/stat",
        "unistd",
    )
    source = "#define _GNU_SOURCE\n" + "".join(f"#include <{head}.h>\n" for head in heads)
    source += "#include <sys/prctl.h>\n#include <sys/syscall.h>\n#include <sys/un.h>\n#include <sys/xattr.h>\n" + body
    path = stage.box.directory / f"{name}.so"
    command = ["gcc", "-x", "c", "-", "-shared", "-fPIC", "-pthread", "-o", path, *flags]
    subprocess.run(command, input=source, text=True, check=True)
    return str(path)


def constructor(body: str) -> str:
    return f"__attribute__((constructor)) static void load(void) {{ {body} }}"


CALLS = {
    # {action: (subject, a part of the report)}.
    "notifies": (
        'struct sockaddr_un to = {AF_UNIX, "/run/systemd/notify"}; struct iovec v = {"READY=1", 7};'
        "struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &v, .msg_iovlen = 1};"
        "sendmsg(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), &m, 0);",
        "socket connected",
        "unix:/run/systemd/notify",
    ),
    "tgkill": ("signal(SIGUSR1, SIG_IGN); tgkill(getpid(), gettid(), SIGUSR1);", "signal sent", "signal"),
    "pidfd": (
        "signal(SIGUSR1, SIG_IGN); int p = syscall(SYS_pidfd_open, getpid(), 0);"
        "syscall(SYS_pidfd_send_signal, p, SIGUSR1, 0, 0); close(p);",
        "signal sent",
        "signal 10",
    ),
    "stops": ("raise(SIGSTOP);", "process stopped", "signal 19"),
    "execveat": (
        'if (!fork()) { char *a[] = {"true", 0}; syscall(SYS_execveat, -100, "/bin/true", a, a + 1, 0); _exit(1); }'
        "sleep(1);",
        "program executed",
        "/bin/true",
    ),
    "prlimit": (
        "struct rlimit r; prlimit(getppid(), RLIMIT_CORE, 0, &r); prlimit(getppid(), RLIMIT_CORE, &r, 0);",
        "another process",
        "limit",
    ),
    "fchmod": ('int f = open("FILE", O_RDONLY | O_CLOEXEC); fchmod(f, 0600); close(f);', "file", "made.file"),
    "utimensat": ('utimensat(AT_FDCWD, "FILE", 0, 0);', "file", "made.file"),
    "xattr": ('setxattr("FILE", "user.x", "y", 1, 0);', "file", "made.file"),
    "io_uring": ("char p[120] = {0}; close(syscall(SYS_io_uring_setup, 1, p));", "io_uring", ""),
    "timer": ("timer_t t; struct sigevent e = {.sigev_notify = SIGEV_NONE}; timer_create(0, &e, &t);", "timer", ""),
    "setpgid": ("if (!fork()) { setpgid(0, 0); _exit(0); } sleep(1);", "session", ""),
    "sethostname": ('sethostname("evil", 4);', "system: sethostname", "evil"),
    "unknown": ("syscall(999);", "unknown system call", "number 999"),
    "unlinks": (
        'int f = open("FILE.x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600); close(f); unlink("FILE.x");',
        "file",
        "made.file.x",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_changes_something_is_named(stage: Stage, name: str) -> None:
    body, subject, part = CALLS[name]
    file = stage.box.directory / "made.file"
    file.write_text("")
    rows = audit(stage, compiled(stage, name, constructor(body.replace("FILE", str(file)))))["rows"]
    found = [row for row in rows if row["subject"] == subject and row["verdict"] != "unchanged"]
    assert found and any(part in row["after"] for row in found), rows
    if name == "unlinks":
        assert {row["verdict"] for row in found} == {"created or written", "done (unlink)"}
    if name == "sethostname":
        assert found[0]["after"] == "evil"


def test_another_root_directory_is_one_row(stage: Stage) -> None:
    said = findings(audit(stage, compiled(stage, "chroots", constructor('(void)!chroot("/etc");'))))
    assert said == {"root directory": "changed"}


BLINDING = {
    "truncates": "for (int i = 3; i < 64; i++) (void)!ftruncate(i, 0);",
    "closes": "for (int i = 3; i < 64; i++) close(i);",
    "shares flags": "for (int i = 3; i < 64; i++) fcntl(i, F_SETFL, O_NONBLOCK);",
    "hits the group": "signal(SIGTERM, SIG_IGN); kill(0, SIGTERM);",
    "is nice to the group": "setpriority(PRIO_PGRP, 0, 10);",
}


@pytest.mark.parametrize("name", BLINDING)
def test_it_is_not_blinded(stage: Stage, name: str) -> None:
    body = constructor(BLINDING[name] + ' mkdir("/tmp/pyrunc-blinding", 0700); rmdir("/tmp/pyrunc-blinding");')
    before = os.getpriority(os.PRIO_PROCESS, 0)
    found = audit(stage, compiled(stage, name.replace(" ", "_"), body))
    files = [row["after"] for row in found["rows"] if row["subject"] == "file"]
    assert "/tmp/pyrunc-blinding" in files and not found["harmless"] and found["outcome"] == "loaded"
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_what_ends_its_tracer_is_not_harmless(stage: Stage) -> None:
    for body in ("kill(getppid(), SIGKILL);", "kill(getppid(), SIGKILL); pause();"):
        found = audit(stage, compiled(stage, "kills", constructor(body)), "--timeout", "2")
        assert not found["harmless"] and "ended the process that watched it" in found["outcome"], found["outcome"]


def test_what_it_does_at_the_end_is_marked(stage: Stage) -> None:
    body = (
        'static void end(void) { mkdir("/tmp/pyrunc-atexit", 0700); rmdir("/tmp/pyrunc-atexit"); }'
        '__attribute__((destructor)) static void gone(void) { unlink("/tmp/pyrunc-destructor"); }'
        '__attribute__((constructor)) static void load(void) { atexit(end); mkdir("/tmp/pyrunc-begin", 0700); rmdir("/tmp/pyrunc-begin"); }'
    )
    rows = [row for row in audit(stage, compiled(stage, "ends", body))["rows"] if row["subject"] == "file"]
    verdicts = {(row["after"], row["verdict"]) for row in rows}
    assert ("/tmp/pyrunc-begin", "done (mkdir)") in verdicts
    assert ("/tmp/pyrunc-atexit", "done (mkdir) at its end") in verdicts
    crashing = "__attribute__((destructor)) static void gone(void) { *(volatile int *)0 = 0; }"
    assert audit(stage, compiled(stage, "crashes_late", crashing))["outcome"].startswith("crashed: signal 11")


LATE = """
#include <pthread.h>
static void *later(void *none) {
    usleep(2500000); /* far more than what looking at the process takes on a busy host */
    mkdir("/tmp/pyrunc-late", 0700);
    rmdir("/tmp/pyrunc-late");
    return none;
}
__attribute__((constructor)) static void load(void) { pthread_t t; pthread_create(&t, 0, later, 0); }
"""


def test_a_late_thread_is_seen_for_as_long_as_it_is_watched(stage: Stage) -> None:
    library = compiled(stage, "late", LATE)
    assert findings(audit(stage, library, "--linger", "0.1")) == {
        "threads started": "started",
        "threads": "left running",
    }
    assert findings(audit(stage, library, "--linger", "6"))["file"] == "done (rmdir) later"


def test_loaded_with_the_program_it_is_seen_as_well(stage: Stage) -> None:
    for name in ("files", "settings", "environment", "own_write"):
        expected = {**FINDINGS[name]}
        said = findings(audit(stage, stage.scene.library(name), "--preload-at", "exec"))
        said.pop("signal handlers", None)
        assert said == expected, name
    big = compiled(
        stage,
        "big",
        '__attribute__((tls_model("initial-exec"))) __thread char room[1 << 16]; ' + constructor("room[0] = 1;"),
    )
    found = audit(stage, big)
    assert "static TLS block" in found["outcome"] and any("--preload-at exec" in note for note in found["notes"])
    assert audit(stage, big, "--preload-at", "exec")["harmless"]


def test_a_cgroup_that_was_renamed_is_removed(stage: Stage) -> None:
    source = HOSTILE / "libraries" / "renames_cgroup.c"
    library = compiled(stage, "renames", f'#include "{source}"')
    found = audit(stage, library)  # which also checks for leftovers
    assert findings(found)["cgroup"] == "moved" and findings(found)["file"] == "done (rename)"
    assert not glob.glob("/sys/fs/cgroup/freezer/**/*-other", recursive=True)


def test_interposed_functions_are_named(stage: Stage) -> None:
    library = compiled(
        stage, "own", "int execve(const char *p, char *const *a, char *const *e) { return p && a && e; }"
    )
    rows = [row for row in audit(stage, library)["rows"] if row["verdict"] == "interposed"]
    assert [row["after"] for row in rows] == ["execve"]


def test_several_libraries_and_directories(stage: Stage) -> None:
    directory = stage.box.directory / "several"
    directory.mkdir()
    for name in ("one", "two"):
        compiled(stage, f"several/{name}", constructor(""))
    (directory / "libtext.so").write_text("GROUP ( libc.so.6 )")
    done = stage.box.call("audit-lib", "--format", "json", str(directory))
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["harmless"] and len(found["libraries"]) == 2
    paths = [row["library"] for row in found["libraries"]]
    done = stage.box.call("audit-lib", *paths, stage.scene.library("files"))
    assert done.returncode == 1 and "3 libraries, 1 of them not harmless" in done.stdout
    assert stage.box.call("audit-lib").returncode == 1


def test_more_than_the_last_time_is_a_failure(stage: Stage) -> None:
    name = compiled(stage, "versions", constructor(""))
    expected = stage.box.directory / "expected.json"
    expected.write_text(stage.box.call("audit-lib", "--format", "json", name).stdout)
    assert stage.box.call("audit-lib", "--expect", str(expected), name).returncode == 0
    compiled(stage, "versions", constructor('mkdir("/tmp/pyrunc-more", 0700); rmdir("/tmp/pyrunc-more");'))
    done = stage.box.call("audit-lib", "--expect", str(expected), name)
    assert done.returncode == 1 and "not expected: file: /tmp/pyrunc-more (done (mkdir))" in done.stderr
    expected.write_text(stage.box.call("audit-lib", "--format", "json", name).stdout)
    assert stage.box.call("audit-lib", "--expect", str(expected), name).returncode == 0
    expected.write_text("{}")
    assert "is no output of audit-lib" in stage.box.call("audit-lib", "--expect", str(expected), name).stderr
