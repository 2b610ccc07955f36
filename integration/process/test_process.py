"""The user's process: its privileges, resources and working directory, checked from inside."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from peers import also_on, is_peer

from harness import PYRUNC, Box, user_namespace

STATUS = "cat /proc/self/status"


def status(text: str) -> dict[str, str]:
    """Parses /proc/self/status."""
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def test_user_groups_and_umask(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [7, 8], "umask": 0o77}

    found = status(box.out(STATUS, change))
    assert found["Uid"].split() == ["1000"] * 4
    assert found["Gid"].split() == ["1001"] * 4
    assert found["Groups"].split() == ["7", "8"]
    assert found["Umask"] == "0077"


def test_capability_sets(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["user"] = {"uid": 1000, "gid": 1000}
        config["process"]["capabilities"] = {
            "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"],
            "permitted": ["CAP_KILL", "CAP_CHOWN"],
            "inheritable": ["CAP_KILL"],
            "effective": ["CAP_KILL"],
            "ambient": ["CAP_KILL"],
        }

    found = status(box.out(STATUS, change))
    assert int(found["CapBnd"], 16) == 1 << 5 | 1 << 0 | 1 << 13
    assert int(found["CapInh"], 16) == 1 << 5
    assert int(found["CapAmb"], 16) == 1 << 5
    # After execve a user other than root keeps only ambient capabilities (capabilities(7)).
    assert int(found["CapPrm"], 16) == int(found["CapEff"], 16) == 1 << 5


def test_no_capabilities_means_none(box: Box) -> None:
    found = status(box.out(STATUS, lambda c: c["process"].pop("capabilities")))
    assert all(int(found[name], 16) == 0 for name in ("CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"))


def test_unknown_capability_is_left_out(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        for names in config["process"]["capabilities"].values():
            names.append("CAP_OF_TOMORROW")

    done = box.run("true", change)
    assert done.returncode == 0 and "CAP_OF_TOMORROW" in done.stderr


def test_an_unknown_capability_is_named_once(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        for names in config["process"]["capabilities"].values():
            names.append("CAP_OF_TOMORROW")

    assert box.run("true", change).stderr.count("CAP_OF_TOMORROW") == 1


@also_on("runc>=1.5")
def test_an_effective_capability_must_be_permitted(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        sets = {"bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL"]}
        config["process"]["capabilities"] = {**sets, "effective": ["CAP_KILL", "CAP_CHOWN"]}

    done = box.run("true", change)
    assert done.returncode != 0 and "capabilities" in done.stderr
    if not is_peer(box):
        assert done.stderr == "pyrunc: process.capabilities.effective[1]: CAP_CHOWN is not in permitted\n"


@also_on("runc>=1.5")
@pytest.mark.parametrize("other", ["permitted", "inheritable"])
def test_an_ambient_capability_that_cannot_be_raised_is_left_out(box: Box, other: str) -> None:
    """runc warns, and buildah passes such a config with each RUN, whose output the line would be part of."""

    def change(config: dict[str, Any]) -> None:
        config["process"]["user"] = {"uid": 1000, "gid": 1000}
        sets = {
            "bounding": ["CAP_KILL"],
            "permitted": ["CAP_KILL"],
            "ambient": ["CAP_KILL"],
            "inheritable": ["CAP_KILL"],
        }
        del sets[other]
        if other == "permitted":
            sets["inheritable"] = []  # the kernel takes none that is not permitted
        config["process"]["capabilities"] = sets

    done = box.run(STATUS, change)
    assert done.returncode == 0 and int(status(done.stdout)["CapAmb"], 16) == 0
    assert ("can't raise" in done.stderr) if is_peer(box) else done.stderr == ""


@pytest.mark.parametrize("wanted", [True, False])
def test_no_new_privileges(box: Box, wanted: bool) -> None:
    found = status(box.out(STATUS, lambda c: c["process"].update(noNewPrivileges=wanted)))
    assert found["NoNewPrivs"] == str(int(wanted))


def test_rlimits(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["rlimits"] = [
            {"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_FSIZE", "soft": 2**64 - 1, "hard": 2**64 - 1},
        ]

    rows = {line[:25].strip(): line[25:].split() for line in box.out("cat /proc/self/limits", change).splitlines()}
    assert rows["Max open files"][:2] == ["99", "100"]
    assert rows["Max core file size"][:2] == ["0", "0"]
    assert rows["Max file size"][:2] == ["unlimited", "unlimited"]


def may_raise_limits() -> bool:
    """True with CAP_SYS_RESOURCE, which root lacks in many virtual machines."""
    (effective,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    return bool(int(effective.split()[1], 16) & 1 << 24)


@pytest.mark.skipif(not may_raise_limits(), reason="without CAP_SYS_RESOURCE no hard limit is raised")
@also_on("runc")
def test_a_hard_limit_is_raised(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        user_namespace(config)
        box.own_rootfs(config)
        config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 4000, "hard": 5000}]

    box.open_to_all()
    words = [*box.command, "run", "-b", str(box.bundle("ulimit -Sn; ulimit -Hn", change)), box.new_id()]
    lowered = ["sh", "-c", 'ulimit -n 500; exec "$@"', "sh", *words]
    done = subprocess.run(lowered, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["4000", "5000"], done.stderr


def test_a_tiny_limit_does_not_stop_the_set_up(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 4, "hard": 4}]

    assert box.out("ulimit -n", change) == "4\n"


def test_oom_score_adj(box: Box) -> None:
    assert box.out("cat /proc/self/oom_score_adj", lambda c: c["process"].update(oomScoreAdj=500)) == "500\n"


def test_cwd_is_made(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        box.own_rootfs(config)
        config["process"]["cwd"] = "/not/yet/there"

    assert box.out("pwd", change) == "/not/yet/there\n"


def test_environment_and_home(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["env"] = ["PATH=/bin", "A=1", "A=2", "B=x y"]
        config["process"]["user"] = {"uid": 1000, "gid": 1000}

    lines = box.out(["/bin/env"], change).splitlines()
    assert sorted(lines) == ["A=2", "B=x y", "HOME=/home/user", "PATH=/bin"]


def test_home_of_a_user_without_an_entry(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["user"] = {"uid": 4242, "gid": 1}

    assert box.out("echo $HOME", change) == "/\n"


def test_nothing_of_our_environment_gets_in(box: Box) -> None:
    done = box.run(["/bin/env"], None, env={**os.environ, "SECRET": "of the host"})
    assert done.returncode == 0 and "SECRET" not in done.stdout


def test_no_descriptor_of_the_host_gets_in(box: Box) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        done = box.run(["ls", "/proc/self/fd"], None, pass_fds=(writing,))
        # 3 is ls's descriptor of the directory it reads.
        assert done.stdout.split() == ["0", "1", "2", "3"]
    finally:
        os.close(reading)
        os.close(writing)


def test_preserved_descriptors_do(box: Box) -> None:
    reading, writing = os.pipe()
    bundle = box.bundle("echo through >&3; ls /proc/self/fd")
    words = [PYRUNC, "--root", str(box.root), "run", "--preserve-fds", "1", "-b", str(bundle), box.new_id()]
    done = subprocess.run(
        words, preexec_fn=lambda: os.dup2(writing, 3), pass_fds=(3,), capture_output=True, text=True, check=False
    )
    os.close(writing)
    with os.fdopen(reading) as file:
        assert file.read() == "through\n"
    assert done.stdout.split() == ["0", "1", "2", "3", "4"], done.stderr


def test_missing_descriptor_to_preserve(box: Box) -> None:
    done = box.run("true", None, "--preserve-fds", "5")
    assert done.returncode == 1 and "not open" in done.stderr


def test_signals_are_as_new(box: Box) -> None:
    """Python ignores SIGPIPE, and pyrunc blocks signals while it starts: the program must inherit neither."""
    found = status(box.out(["cat", "/proc/self/status"]))
    assert int(found["SigIgn"], 16) == int(found["SigBlk"], 16) == 0


def test_session_keyring_is_new(box: Box) -> None:
    ours = open("/proc/keys").read() if os.path.exists("/proc/keys") else ""
    inside = box.out("cat /proc/keys", lambda c: c["linux"].update(maskedPaths=[]))
    assert "_ses.pyrunc-test" in inside or "_ses.pyrunc-test" not in ours


def test_user_namespace_keeps_ids_and_limits(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        user_namespace(config, 200000, 2000)
        config["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5]}
        config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]

    out = box.out(f"{STATUS}; cat /proc/self/uid_map; ulimit -n", change)
    found = status(out)
    assert found["Uid"].split() == ["1000"] * 4 and found["Groups"] == "5"
    assert out.split()[-4:] == ["0", "200000", "2000", "50"]


def test_scheduler_io_priority_and_personality(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["process"]["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
        config["process"]["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 0}
        config["linux"]["personality"] = {"domain": "LINUX32"}

    # Fields 19 and 41 of /proc/self/stat: nice, policy.
    out = box.out("cut -d' ' -f19,41 /proc/self/stat; ionice; uname -m", change).splitlines()
    assert out[0] == "5 3"
    assert "idle" in out[1]
    assert out[2] in ("i686", "i386", "armv8l")


def test_exec_takes_its_own_process(box: Box) -> None:
    name = box.start("sleep 100")
    found = status(
        box.ok(
            "exec", "-u", "1000:1001", "-g", "33", "-e", "X=y", "--cap", "CAP_NET_RAW", name, "cat", "/proc/self/status"
        )
    )
    assert found["Uid"].split()[0] == "1000" and found["Gid"].split()[0] == "1001" and found["Groups"] == "33"
    assert int(found["CapBnd"], 16) >> 13 & 1
    assert box.ok("exec", "-e", "X=y", "--cwd", "/bin", name, "sh", "-c", "echo $X; pwd") == "y\n/bin\n"


def test_exec_returns_the_status(box: Box) -> None:
    name = box.start("sleep 100")
    assert box.call("exec", name, "sh", "-c", "exit 42").returncode == 42
    assert box.call("exec", name, "sh", "-c", "kill -9 $$").returncode == 137


def test_exec_is_in_all_namespaces_and_cgroups(box: Box) -> None:
    name = box.start("sleep 100", user_namespace)
    pid = box.state(name)["pid"]
    out = box.ok(
        "exec",
        name,
        "sh",
        "-c",
        "for p in self 1; do for n in /proc/$p/ns/*; do readlink $n; done; done; cat /proc/self/cgroup",
    )
    lines = [line for line in out.splitlines() if "[" in line]
    half = len(lines) // 2
    assert lines[:half] == lines[half:]
    assert os.readlink(f"/proc/{pid}/ns/net") in lines
    inside = [line for line in out.splitlines() if ":" in line and "[" not in line]
    assert inside and all(line.endswith(":/") for line in inside)  # as seen in the container's cgroup namespace


def test_exec_of_nothing_says_why(box: Box) -> None:
    name = box.start("sleep 100")
    for program, words in (
        ("nosuch", "executable file not found in $PATH"),
        ("/no/such", "no such file or directory"),
        ("/etc/passwd", "permission denied"),
    ):
        done = box.call("exec", name, program)
        assert done.returncode == 255 and words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("nosuch", "executable file not found in $PATH"),
        ("/no/such", "no such file or directory"),
        ("/etc/passwd", "permission denied"),
        ("/bin", "is a directory: permission denied"),
    ],
)
def test_program_that_cannot_be_executed(box: Box, program: str, words: str) -> None:
    done = box.run([program])
    assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1
    assert not box.leftovers()


def test_exec_detached(box: Box) -> None:
    name = box.start("sleep 100")
    file = box.directory / "pid"
    quiet = {"capture_output": False, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    assert box.call("exec", "-d", "--pid-file", str(file), name, "sleep", "50", **quiet).returncode == 0
    assert int(file.read_text()) in map(int, box.ok("ps", "-f", "json", name).strip("[]\n").split(","))


def test_init_cannot_be_looked_into_while_it_starts(box: Box) -> None:
    """CVE-2016-9962: the runtime's process in the container is not dumpable before its execve."""
    name = box.create()
    done = box.call("exec", name, "sh", "-c", "ls /proc/1/fd; cat /proc/1/environ")
    assert "denied" in done.stderr.lower()
