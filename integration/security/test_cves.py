"""Known attacks on other runtimes, tried on this one. docs/security.md lists all of them, with the other tests."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from harness import ROOTFS, Box, namespace, user_namespace

F_GET_SEALS, ALL_SEALS = 1034, 0xF


def test_2019_5736_the_program_in_the_container_is_a_sealed_copy(box: Box) -> None:
    pid = box.state(box.create())["pid"]
    program = f"/proc/{pid}/exe"
    assert os.readlink(program).startswith("/memfd:")
    with pytest.raises(OSError) as refused:
        os.open(program, os.O_WRONLY)
    assert refused.value.errno == errno.ETXTBSY
    reading = os.open(program, os.O_RDONLY)
    try:
        # Also if no process executes it any more.
        assert fcntl.fcntl(reading, F_GET_SEALS) & ALL_SEALS == ALL_SEALS
    finally:
        os.close(reading)


def test_2022_29162_nothing_becomes_inheritable(box: Box) -> None:
    name = box.start()
    for words in (("exec", name), ("exec", "--cap", "CAP_SYS_CHROOT", name)):
        status = dict(line.split(":\t") for line in box.ok(*words, "cat", "/proc/self/status").splitlines())
        assert status["CapInh"] == status["CapAmb"] == "0" * 16


def test_2023_25809_cgroups_are_read_only_when_asked(box: Box) -> None:
    """Without a cgroup namespace, and with a user namespace."""

    def change(config: dict[str, Any]) -> None:
        user_namespace(config)
        config["linux"]["namespaces"] = [s for s in config["linux"]["namespaces"] if s["type"] != "cgroup"]

    out = box.out(
        "cat /proc/self/mountinfo; for d in /sys/fs/cgroup/*; do mkdir $d/x && echo made $d/x; done; true", change
    )
    below = [line.split()[5] for line in out.splitlines() if "/sys/fs/cgroup" in line and "made" not in line]
    assert below and all("ro" in options.split(",") for options in below)
    assert "made" not in out


@pytest.mark.parametrize("descriptor", [3, 4, 5, 6, 7, 8, 9, 10, 20])
def test_2024_21626_the_working_directory_is_no_descriptor_of_the_host(box: Box, descriptor: int) -> None:
    path = f"/proc/self/fd/{descriptor}"
    done = box.run(
        "cat /proc/self/cwd/../../etc/hostname ../../../../etc/debian_version", lambda c: c["process"].update(cwd=path)
    )
    assert done.returncode == 1 and "process.cwd" in done.stderr and not done.stdout
    name = box.start()
    done = box.call("exec", "--cwd", path, name, "cat", "../../../../etc/debian_version")
    assert done.returncode == 255 and "process.cwd" in done.stderr and not done.stdout


@pytest.mark.parametrize("kind", ["absolute", "relative", "parents"])
def test_2026_41579_dev_as_a_link_makes_and_removes_nothing_on_the_host(box: Box, kind: str) -> None:
    outside = box.directory / "outside"
    outside.mkdir()
    (outside / "ptmx").write_text("the host's")
    target = {"absolute": str(outside), "relative": "../outside", "parents": "../../../../../../../.." + str(outside)}

    def change(config: dict[str, Any]) -> None:
        root = box.own_rootfs(config)
        (root / "dev").rmdir()
        (root / "dev").symlink_to(target[kind])
        config["mounts"] = [mount for mount in config["mounts"] if not mount["destination"].startswith("/dev")]

    box.run("true", change)
    assert [path.name for path in outside.iterdir()] == ["ptmx"]
    assert (outside / "ptmx").read_text() == "the host's"


def test_nothing_of_the_host_is_open_in_an_execd_process(box: Box) -> None:
    name = box.start()
    with open("/etc/passwd") as leaked:
        os.set_inheritable(leaked.fileno(), True)
        out = box.ok("exec", name, "ls", "-l", "/proc/self/fd", close_fds=False)
    assert "/etc/passwd" not in out and str(Path(ROOTFS)) not in out


def test_a_joined_pid_namespace_sees_no_descriptor_of_ours(box: Box) -> None:
    """CVE-2016-9962, CVE-2024-21626: init of a container that joins another's pid namespace, waiting for `start`."""
    first = box.start()
    pid = box.state(first)["pid"]
    second = box.create("sleep 1", lambda c: namespace(c, "pid", f"/proc/{pid}/ns/pid"))
    inner = _inner_pid(box.state(second)["pid"])
    done = box.call("exec", first, "ls", "-l", f"/proc/{inner}/fd", f"/proc/{inner}/cwd/", f"/proc/{inner}/exe")
    assert done.returncode and "->" not in done.stdout and "Permission denied" in done.stderr


def _inner_pid(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:"))
