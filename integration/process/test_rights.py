"""Privileges and descriptors at the set-up of a process: its hooks, its program, its directory, its streams."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import PYRUNC, Box

STATUS = "grep -E '^(NoNewPrivs|Seccomp|CapEff|CapPrm|Uid):' /proc/self/status > /tmp/hook; cat > /tmp/state"
SECCOMP = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]}


def tmp(config: dict[str, Any]) -> None:
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]})


def status_of(text: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@pytest.mark.parametrize("unprivileged", [True, False])
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_start_container_hook_has_no_more_rights_than_the_program(box: Box, unprivileged: bool, uid: int) -> None:
    def change(config: dict[str, Any]) -> None:
        tmp(config)
        config["process"]["noNewPrivileges"] = unprivileged
        config["process"]["user"] = {"uid": uid, "gid": uid}
        config["linux"]["seccomp"] = SECCOMP
        hook = {"path": "/bin/sh", "args": ["sh", "-c", STATUS]}
        config["hooks"] = {"startContainer": [hook, {"path": "/bin/sh", "args": ["sh", "-c", "echo x >> /tmp/second"]}]}

    own = "grep -E '^(NoNewPrivs|Seccomp|CapEff|CapPrm|Uid):' /proc/self/status"
    out = box.out(f"cat /tmp/hook; echo --; {own}; echo --; cat /tmp/second; cat /tmp/state", change)
    hook, program, rest = out.split("--\n")
    assert status_of(hook) == status_of(program)
    assert (status_of(hook)["NoNewPrivs"], status_of(hook)["Seccomp"]) == (str(int(unprivileged)), "2")
    second, state = rest.split("\n", 1)
    assert second == "x" and json.loads(state)["status"] == "created"


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ({"path": "/missing"}, "hook /missing: exec: no such file or directory"),
        ({"path": "/bin/sh", "args": ["sh", "-c", "echo why >&2; exit 3"]}, "hook /bin/sh: exit status 3: why"),
        ({"path": "/bin/sh", "args": ["sh", "-c", "sleep 100"], "timeout": 1}, "hook /bin/sh: timed out after 1 s"),
    ],
)
def test_a_start_container_hook_that_fails_is_told(box: Box, hook: dict[str, Any], told: str) -> None:
    done = box.run("echo started", lambda c: c.update(hooks={"startContainer": [hook]}))
    assert done.returncode != 0 and told in done.stderr and "startContainer" in done.stderr
    assert "started" not in done.stdout


def test_a_user_owns_its_terminal(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["terminal"] = True
        config["process"]["user"] = {"uid": 1000, "gid": 1000}

    script = ["script", "-qec"]
    if shutil.which("script") is None:
        pytest.skip("script(1) is not installed")
    bundle = box.bundle("echo written >/dev/stdout; stat -Lc %u /dev/stdin", change)
    words = f"{PYRUNC} --root {box.root} run -b {bundle} {box.new_id()}"
    done = subprocess.run([*script, words, "/dev/null"], capture_output=True, text=True, timeout=60)
    # script(1) echoes the end of file.
    assert done.stdout.replace("^@", "").split() == ["written", "1000"], done.stdout


def test_a_user_owns_the_terminal_of_exec(box: Box) -> None:
    if shutil.which("script") is None:
        pytest.skip("script(1) is not installed")
    name = box.start()
    words = f"{PYRUNC} --root {box.root} exec -t -u 1000 {name} sh -c 'echo written >/dev/stdout'"
    done = subprocess.run(["script", "-qec", words, "/dev/null"], capture_output=True, text=True, timeout=60)
    assert done.stdout.replace("^@", "").split() == ["written"], done.stdout


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_null_streams_are_the_containers_and_can_be_written(box: Box, verb: str) -> None:
    """As with `ctr run --null-io`, whose standard output is the host's /dev/null opened for reading."""
    check = (
        'for n in 0 1 2; do test "$(stat -Lc %d:%i /proc/$$/fd/$n)" = "$(stat -c %d:%i /dev/null)" || exit 9; done;'
        "echo hi && echo hi >&2 && cat"
    )
    with open(os.devnull) as null:
        streams = {"stdin": null, "stdout": null, "stderr": null, "capture_output": False}
        if verb == "run":
            done = box.run(check, **streams)
        else:
            done = box.call("exec", box.start(), "sh", "-c", check, **streams)
    assert done.returncode == 0


@pytest.mark.parametrize("way", ["path", "PATH", "directory", "exec"])
def test_the_program_is_looked_up_with_the_capabilities_that_it_will_have(box: Box, way: str) -> None:
    """A program of root with mode 0740, for a user with CAP_DAC_OVERRIDE; runc executes it."""

    def change(config: dict[str, Any]) -> None:
        root = box.own_rootfs(config)
        directory = root / "opt"
        directory.mkdir()
        shutil.copy(root / "bin" / "busybox", directory / "echo")
        (directory / "echo").chmod(0o755 if way == "directory" else 0o740)
        directory.chmod(0o700 if way == "directory" else 0o755)
        config["process"]["user"] = {"uid": 1000, "gid": 1000}
        config["process"]["env"] = ["PATH=/opt:/bin"]
        names = ["CAP_DAC_OVERRIDE"]
        config["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), names)
        config["process"]["capabilities"]["inheritable"] = config["process"]["capabilities"]["ambient"] = names

    if way == "exec":
        name = box.start("sleep 100", change)
        assert box.ok("exec", name, "/opt/echo", "hi") == "hi\n"
    else:
        assert box.out(["echo" if way == "PATH" else "/opt/echo", "hi"], change) == "hi\n"


def test_a_program_that_root_could_not_execute_is_refused_at_create(box: Box) -> None:
    """The opposite case: root without CAP_DAC_OVERRIDE, and another user's program."""

    def change(config: dict[str, Any]) -> None:
        root = box.own_rootfs(config)
        shutil.copy(root / "bin" / "busybox", root / "theirs")
        os.chown(root / "theirs", 1000, 1000)
        (root / "theirs").chmod(0o700)
        config["process"]["args"] = ["/theirs", "true"]

    done = box.call("create", "-b", str(box.bundle("", change)), box.new_id())
    assert done.returncode != 0 and 'exec: "/theirs": permission denied' in done.stderr


def test_the_callers_affinity_is_not_the_containers(box: Box) -> None:
    everything = os.sched_getaffinity(0)
    if len(everything) < 2:
        pytest.skip("one processor only")
    name = box.start()
    try:
        os.sched_setaffinity(0, {min(everything)})
        run = box.out("grep Cpus_allowed_list /proc/self/status")
        executed = box.ok("exec", name, "grep", "Cpus_allowed_list", "/proc/self/status")
    finally:
        os.sched_setaffinity(0, everything)
    expected = box.out("grep Cpus_allowed_list /proc/self/status")
    assert run == executed == expected


def passwd(box: Box, text: str) -> str:
    """Returns HOME of uid 1000 with ``text`` as /etc/passwd."""

    def change(config: dict[str, Any]) -> None:
        (box.own_rootfs(config) / "etc" / "passwd").write_text(text)
        config["process"]["user"] = {"uid": 1000, "gid": 1000}

    return box.out("echo $HOME", change).strip()


@pytest.mark.parametrize(
    ("text", "home"),
    [
        ("u:x:1000:1000::/home/u:/bin/sh", "/home/u"),
        ("u:x:01000:1000::/home/u:/bin/sh\n", "/home/u"),
        (f"u:x:1000:1000:{'c' * 2000}:/home/u:/bin/sh\n", "/home/u"),
        (f"x:x:7:7:{'c' * 70000}:/home/x:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n", "/home/u"),
        ("u:x:1000:1000::/home/u", "/home/u"),
        ("u:x:10000:1000::/home/u:\n", "/"),
        ("u:x:1000:1000::relative:\n", "/"),
        ("", "/"),
        ("\n\n:::::\nu:x:1000:1000::/home/u:\n", "/home/u"),
    ],
)
def test_home_comes_from_passwd(box: Box, text: str, home: str) -> None:
    assert passwd(box, text) == home


@pytest.mark.parametrize("kind", ["sparse", "larger than memory", "fifo", "directory", "null"])
def test_a_passwd_file_that_does_not_end_holds_nothing_up(box: Box, kind: str) -> None:
    def change(config: dict[str, Any]) -> None:
        path: Path = box.own_rootfs(config) / "etc" / "passwd"
        path.unlink(missing_ok=True)
        if kind in ("sparse", "larger than memory"):  # there is no memory for the buffer, or the file is read in part
            config["linux"]["resources"] = {"memory": {"limit": 64 << 20}}
            with open(path, "w") as file:
                file.truncate(4 << 40 if kind == "sparse" else 4 << 30)
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        else:
            path.symlink_to("/dev/zero")
        config["process"]["user"] = {"uid": 1000, "gid": 1000}

    done = box.run("echo $HOME", change, timeout=20)
    assert (done.returncode, done.stdout) == (0, "/\n"), done.stderr


def test_a_directory_that_only_the_user_may_enter(box: Box) -> None:
    """The container's root may not enter without CAP_DAC_OVERRIDE over the files: here the root of a user namespace."""
    from harness import user_namespace

    def change(config: dict[str, Any]) -> None:
        root = box.own_rootfs(config)
        subprocess.run(["chown", "-R", "100000:100000", root], check=True)
        box.open_to_all()
        user_namespace(config, 100000, 1000)
        config["linux"]["uidMappings"].append({"containerID": 1000, "hostID": 200000, "size": 1})
        private = root / "home" / "private"
        private.mkdir(parents=True)
        os.chown(private, 200000, 300000)  # an unmapped group: capabilities do not apply to the file
        private.chmod(0o700)
        config["process"]["user"] = {"uid": 1000, "gid": 0}
        config["process"]["cwd"] = "/home/private"

    assert box.out("pwd", change) == "/home/private\n"
