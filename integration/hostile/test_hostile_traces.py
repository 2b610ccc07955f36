"""Other changes by loading a library, none of which reaches the container's program.

Each counter-measure is taken out once (integration/hostile/mutated.py), to show that its test fails without it.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hostile_box import AT, Stage, running, status
from scene import build_changed_helper

from harness import PYRUNC, cgroups_of, wait_for


def changed_helper(stage: Stage, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]) -> None:
    """Makes the mutation `helper` execute helpers whose C text has ``changes`` {text: other text}."""
    directory = stage.box.directory / "helper"
    build_changed_helper(directory, changes)
    monkeypatch.setenv("PYRUNC_TEST_HELPER", str(directory))


both = pytest.mark.parametrize("at", AT)


@both
def test_descriptors_are_closed(stage: Stage, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "ls -l /proc/self/fd"
    assert "passwd" not in stage.run("descriptors", at, script)
    changed_helper(stage, monkeypatch, {"close_all_but(3, &channel, 1);": ""})
    assert "passwd" in stage.run("descriptors", at, script, without="descriptors,helper")


@both
def test_descriptors_do_not_reach_hooks(stage: Stage, at: str) -> None:
    out = stage.box.directory / "hook"

    def hook(config: dict[str, Any]) -> None:
        command = ["sh", "-c", f"ls -l /proc/self/fd > {out}"]
        config["hooks"] = {"createContainer": [{"path": "/bin/sh", "args": command}]}

    stage.run("descriptors", at, "true", change=hook)
    assert "passwd" not in out.read_text()


@both
def test_environment_is_the_plans(stage: Stage, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "LD_" not in stage.run("environment", at, "env")
    inheriting = {
        "char *env[] = {NULL};": "extern char **environ; char **env = environ;",
        "execve(program, program_arguments, environment)": "execve(program, program_arguments, environ)",
    }
    changed_helper(stage, monkeypatch, inheriting)
    assert "LD_PRELOAD=" in stage.run("environment", at, "/bin/busybox env", without="program,helper")


@both
@pytest.mark.parametrize(
    ("script", "expected", "without"),
    [
        ("umask", "0022\n", "umask"),
        ("ulimit -Sn", "1024\n", "limits"),
        ("cut -d' ' -f19 /proc/self/stat", "0\n", "scheduling,settle"),
    ],
)
def test_settings_are_as_before(stage: Stage, at: str, script: str, expected: str, without: str) -> None:
    def no_limit_of_its_own(config: dict[str, Any]) -> None:
        config["process"].pop("rlimits", None)

    found = stage.run("settings", at, script, change=no_limit_of_its_own)
    if without == "limits":
        import resource

        expected = f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]}\n"
    if without.startswith("scheduling"):
        expected = f"{os.nice(0)}\n"
    assert found == expected
    assert stage.run("settings", at, script, without=without, change=no_limit_of_its_own) != expected


@both
def test_working_directory_is_the_plans(stage: Stage, at: str) -> None:
    def in_bin(config: dict[str, Any]) -> None:
        config["process"]["cwd"] = "/bin"

    assert stage.run("settings", at, "pwd", change=in_bin) == "/bin\n"
    assert stage.run("settings", at, "pwd", without="directory", change=in_bin) != "/bin\n"


@both
def test_oom_score_is_as_before(stage: Stage, at: str) -> None:
    own = Path("/proc/self/oom_score_adj").read_text()
    script = "cat /proc/self/oom_score_adj"
    assert stage.run("settings", at, script) == own
    assert stage.run("settings", at, script, without="oom") == "777\n"
    # A value of config.json is not mistaken for a change by the library.
    assert stage.run("settings", at, script, change=lambda c: c["process"].update(oomScoreAdj=55)) == "55\n"


def test_signals_reach_a_created_init(stage: Stage) -> None:
    """The library blocks and ignores SIGTERM, which must end a container that waits for `start` all the same."""
    for without in ("", "settle"):
        name = stage.create(*stage.preload("settings", "--preload-at", "init"), without=without)
        pid = stage.box.state(name)["pid"]
        stage.box.ok("kill", name, "TERM")
        if not without:
            stage.box.await_status(name, "stopped")
        else:
            wait_for(lambda pid=pid: int(status(pid)["ShdPnd"], 16), "the blocked signal")
            assert stage.box.state(name)["status"] == "created"


@both
def test_the_program_has_no_signal_blocked_or_ignored(stage: Stage, at: str) -> None:
    found = status(stage.started("settings", at))
    assert int(found["SigBlk"], 16) == 0 and int(found["SigIgn"], 16) == 0


@both
def test_raised_capabilities_are_dropped(stage: Stage, at: str) -> None:
    for without in ("", "capabilities"):
        found = status(stage.started("raises", at, without=without))
        raised = int(found["CapInh"], 16) | int(found["CapAmb"], 16)
        assert bool(raised) == bool(without)


@both
def test_dropped_capabilities_stop_the_container(stage: Stage, at: str) -> None:
    words = ["-b", str(stage.box.bundle("true")), *stage.preload("drops", "--preload-at", at)]
    done = stage.pyrunc("run", *words, stage.box.new_id())
    assert done.returncode == 1 and "changed what cannot be undone: " in done.stderr and "CapBnd is " in done.stderr
    assert not stage.box.leftovers()
    assert stage.pyrunc("run", *words, stage.box.new_id(), without="lost").returncode == 0


@both
def test_children_are_killed(stage: Stage, at: str) -> None:
    assert stage.run("forks", at, "echo ran; ls /proc | grep -c '^[0-9]'") == "ran\n3\n"
    assert not running(stage.scene.library("forks"))
    words = ["-b", str(stage.box.bundle("sleep 100")), *stage.preload("forks", "--preload-at", at)]
    quiet = {"capture_output": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    stage.pyrunc("run", "-d", *words, stage.box.new_id(), without="children", **quiet)
    left = running(stage.scene.library("forks"))
    assert left
    for child in left:
        os.kill(child, 9)


@both
def test_what_it_prints_is_not_the_containers(stage: Stage, at: str) -> None:
    assert stage.run("prints", at, "echo mine") == "mine\n"
    assert "written by the library" in stage.run("prints", at, "echo mine", without="output")


@both
@pytest.mark.parametrize(
    ("library", "words"),
    [("crashes", "signal 11 (Segmentation fault)"), ("exits", "was ended by exit status 0")],
)
def test_one_that_ends_the_process_is_named(stage: Stage, library: str, at: str, words: str) -> None:
    command = ["-b", str(stage.box.bundle("echo started")), *stage.preload(library, "--preload-at", at)]
    done = stage.pyrunc("run", *command, stage.box.new_id())
    assert done.returncode == 1 and words in done.stderr and f"{library}.so" in done.stderr
    assert not stage.box.leftovers() and not running(stage.scene.library(library))
    silent = stage.pyrunc("run", *command, stage.box.new_id(), without="end")
    assert words not in silent.stderr and "started" not in silent.stdout


@both
def test_one_that_hangs_is_killed_after_its_time_and_named(stage: Stage, at: str) -> None:
    words = stage.preload("hangs", "--preload-at", at, "--preload-timeout", "0.3")
    command = ["run", "-b", str(stage.box.bundle("true")), *words]
    done = stage.pyrunc(*command, stage.box.new_id())
    assert done.returncode == 1 and "hangs.so: loading did not end within 0.3 s" in done.stderr
    assert not stage.box.leftovers() and not running(stage.scene.library("hangs"))
    with pytest.raises(subprocess.TimeoutExpired):
        stage.pyrunc(*command, stage.box.new_id(), without="limit", timeout=2)
    for pid in running(stage.scene.library("hangs")):
        os.kill(pid, 9)


def test_with_the_daemon_stopped_loading_hangs_and_is_ended(stage: Stage) -> None:
    daemon = stage.scene.daemon
    daemon.send_signal(19)
    try:
        words = stage.preload("lxc2", "--preload-timeout", "0.3")
        done = stage.pyrunc("run", "-b", str(stage.box.bundle("true")), *words, stage.box.new_id())
        assert done.returncode == 1 and "loading did not end within 0.3 s" in done.stderr
        assert not stage.box.leftovers()
    finally:
        daemon.send_signal(18)


def test_the_time_limit_is_for_loading_alone(stage: Stage) -> None:
    def slow_hook(config: dict[str, Any]) -> None:
        config["hooks"] = {"createContainer": [{"path": "/bin/sleep", "args": ["sleep", "1"]}]}

    words = stage.preload("files", "--preload-timeout", "0.3")
    done = stage.pyrunc("run", "-b", str(stage.box.bundle("echo ran", slow_hook)), *words, stage.box.new_id())
    assert done.stdout == "ran\n", done.stderr


def test_exec_that_cannot_load_leaves_the_container_as_it_is(stage: Stage) -> None:
    name = stage.box.start()
    before = [sorted(str(path) for path in Path(top).rglob("*")) for top in cgroups_of(name)]
    for library in ("crashes", "exits", "drops"):
        done = stage.pyrunc("exec", *stage.preload(library), name, "true")
        assert done.returncode == 255 and f"{library}.so" in done.stderr
    assert stage.box.state(name)["status"] == "running" and not running(stage.scene.library("drops"))
    assert before == [sorted(str(path) for path in Path(top).rglob("*")) for top in cgroups_of(name)]


def compiled(stage: Stage, source: str, *flags: str) -> str:
    file = stage.box.directory / "made.so"
    subprocess.run(["gcc", "-x", "c", "-", "-o", file, *flags], input=source, text=True, check=True)
    return str(file)


def test_what_is_no_library_for_here_is_refused_in_one_line(stage: Stage) -> None:
    plain = stage.box.directory / "text"
    plain.write_text("no ELF at all")
    other = stage.box.directory / "other.so"
    head = bytearray(Path(stage.scene.library("lxc1")).read_bytes())
    head[18:20] = b"\xf3\x00" if os.uname().machine != "riscv64" else b"\x3e\x00"
    other.write_bytes(head)
    program = compiled(stage, "int main(void) { return 0; }", "-no-pie")
    cases = {
        "/nowhere.so": "no such file or directory",
        str(plain): "not an ELF file",
        str(other): "made for another architecture",
        program: "not a shared object",
        "/etc": "is a directory",
    }
    for path, words in cases.items():
        bundle = str(stage.box.bundle("true"))
        done = stage.pyrunc("run", "-b", bundle, "--preload-lib", path, stage.box.new_id())
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert path in done.stderr and words in done.stderr
    assert not stage.box.leftovers()


@both
def test_unresolved_symbols_are_named(stage: Stage, at: str) -> None:
    library = compiled(stage, "void missing(void); void call(void) { missing(); }", "-shared", "-fPIC")
    words = ["--preload-lib", library, "--preload-at", at]
    done = stage.pyrunc("run", "-b", str(stage.box.bundle("true")), *words, stage.box.new_id())
    assert done.returncode == 1 and "undefined symbol: missing" in done.stderr and library in done.stderr
    assert "/proc/self/fd" not in done.stderr and not stage.box.leftovers()


def test_what_does_not_go_together_is_refused(stage: Stage) -> None:
    name = stage.box.start()
    lxc1 = stage.preload("lxc1")
    cases = {
        ("--placement", "legacy"): "--placement legacy is for --preload-lib only",
        (*lxc1, "--preload-timeout", "0"): "the time limit 0 is not between 0 and 86400 seconds",
        (*lxc1 * 9,): "at most 8 libraries",
    }
    for words, said in cases.items():
        for command in (["run", "-b", str(stage.box.bundle("true"))], ["exec"]):
            rest = [name, "true"] if command[0] == "exec" else [stage.box.new_id()]
            done = stage.pyrunc(*command, *words, *rest)
            assert done.returncode in (1, 255) and said in done.stderr, (command, words)


def test_several_libraries_are_loaded(stage: Stage) -> None:
    words = [*stage.preload("settings"), *stage.preload("lxc1"), "--preload-at", "init"]
    done = stage.pyrunc("run", "-b", str(stage.box.bundle("echo ran", host_pids)), *words, stage.box.new_id())
    assert done.stdout == "ran\n" and "undone: " in done.stderr and "is moved back" in done.stderr


@both
def test_preserved_descriptors_come_through(stage: Stage, at: str) -> None:
    """Descriptors that the library opens follow the preserved ones, and pyrunc's follow those."""
    kept = stage.box.directory / "kept"
    bundle = str(stage.box.bundle("echo through >&3; ls /proc/self/fd | wc -l"))
    words = [*stage.preload("descriptors", "--preload-at", at), "--preserve-fds", "1", stage.box.new_id()]
    command = [
        "sh",
        "-c",
        'exec 3>"$0" && exec "$@"',
        kept,
        PYRUNC,
        "--root",
        stage.box.root,
        "run",
        "-b",
        bundle,
        *words,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "5\n", done.stderr
    assert kept.read_text() == "through\n"


HIDDEN = """
#define _GNU_SOURCE
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
__attribute__((constructor)) static void load(void) {
    personality(ADDR_NO_RANDOMIZE);
    prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    syscall(SYS_ioprio_set, 1, 0, 3 << 13);
    alarm(1);
}
"""


@both
def test_what_is_hidden_from_others_the_process_puts_back_itself(stage: Stage, at: str) -> None:
    library = compiled(stage, HIDDEN, "-shared", "-fPIC")
    script = "cat /proc/self/personality /proc/self/timerslack_ns; grep THP_enabled /proc/self/status; ionice"

    def look(without: str = "") -> str:
        words = ["--preload-lib", library, "--preload-at", at, stage.box.new_id()]
        return str(stage.pyrunc("run", "-b", str(stage.box.bundle(script)), *words, without=without).stdout)

    kept = look()
    assert kept.split()[:4] == ["00000000", "50000", "THP_enabled:", "1"] and "idle" not in kept
    lost = look(without="settle")
    assert lost.split()[:4] == ["00040000", "123456", "THP_enabled:", "0"] and "idle" in lost


def test_an_alarm_does_not_outlive_loading(stage: Stage) -> None:
    library = compiled(stage, HIDDEN, "-shared", "-fPIC")
    words = ["--preload-lib", library, "--preload-at", "init"]
    for placement in ("hardened", "legacy"):
        bundle = str(stage.box.bundle(["sleep", "1.5"], host_pids))
        done = stage.pyrunc("run", "-b", bundle, *words, "--placement", placement, stage.box.new_id())
        assert done.returncode == (128 + 14 if placement == "legacy" else 0), done.stderr


def host_pids(config: dict[str, Any]) -> None:
    """Removes the pid namespace, whose init would not receive signals without a handler."""
    config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != "pid"]


KEYRING = """
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>
__attribute__((constructor)) static void load(void) { syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "theirs"); }
"""


@both
def test_a_session_keyring_is_replaced_or_refused(stage: Stage, at: str) -> None:
    library = compiled(stage, KEYRING, "-shared", "-fPIC")
    words = ["--preload-lib", library, "--preload-at", at]
    bundle = str(stage.box.bundle("echo ran"))
    assert stage.pyrunc("run", "-b", bundle, *words, stage.box.new_id()).stdout == "ran\n"
    kept = ["run", "--no-new-keyring", "-b", bundle, *words]
    done = stage.pyrunc(*kept, stage.box.new_id())
    assert done.returncode == 1 and "the session keyring was changed by loading" in done.stderr
    assert not stage.box.leftovers()
    assert stage.pyrunc(*kept, stage.box.new_id(), without="settle").stdout == "ran\n"


@both
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)", "NoNewPrivs is 1, was 0"),
        ("setresuid(1, 1, 0)", "Uid is 1"),
        ("unshare(CLONE_NEWCGROUP)", "namespace cgroup changed"),
        ("syscall(SYS_close_range, 3, ~0U, 0)", "was ended by exit status 1"),
    ],
)
def test_what_cannot_be_undone_stops_the_container(stage: Stage, at: str, code: str, said: str) -> None:
    heads = "#define _GNU_SOURCE\n#include <sched.h>\n#include <sys/prctl.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n"
    library = compiled(stage, f"{heads}__attribute__((constructor)) void load(void) {{ {code}; }}", "-shared", "-fPIC")
    words = ["--preload-lib", library, "--preload-at", at, stage.box.new_id()]
    done = stage.pyrunc("run", "-b", str(stage.box.bundle("echo ran")), *words)
    assert done.returncode == 1 and said in done.stderr and not done.stdout, done.stderr
    assert not stage.box.leftovers()
