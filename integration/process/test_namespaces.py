"""Namespaces: new and joined ones, and their owners."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness import Box, namespace, user_namespace

KINDS = {"mount": "mnt", "network": "net", "uts": "uts", "ipc": "ipc", "pid": "pid", "cgroup": "cgroup", "time": "time"}


@contextmanager
def bystander(*flags: str) -> Iterator[int]:
    """A process in new namespaces, made by unshare(1); yields its pid."""
    command = ["unshare", *flags, "sh", "-c", "echo ready; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        try:
            yield process.pid
        finally:
            process.kill()


def links(text: str) -> set[str]:
    return {line for line in text.splitlines() if ":[" in line}


ALL = "for n in /proc/self/ns/*; do readlink $n; done"


def test_every_kind_is_new(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        namespace(config, "time")
        user_namespace(config)

    inside = links(box.out(ALL, change))
    ours = {os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")}
    assert len(inside) >= 8 and not inside & ours


@pytest.mark.parametrize(
    ("kind", "flag"),
    [("network", "-n"), ("uts", "-u"), ("ipc", "-i"), ("cgroup", "-C"), ("time", "-T"), ("mount", "-m")],
)
def test_joining_by_path(box: Box, kind: str, flag: str) -> None:
    with bystander(flag) as pid:
        path = f"/proc/{pid}/ns/{KINDS[kind]}"

        def change(config: dict[str, Any]) -> None:
            namespace(config, kind, path)
            if kind == "uts":
                config.pop("hostname")

        inside = links(box.out(ALL, change))
        assert os.readlink(path) in inside


def test_joining_a_pid_namespace(box: Box) -> None:
    name = box.start("sleep 100")
    path = f"/proc/{box.state(name)['pid']}/ns/pid"
    out = box.out(f"{ALL}; ps", lambda c: namespace(c, "pid", path))
    assert os.readlink(path) in links(out) and "sleep 100" in out


def test_joining_a_user_namespace_that_owns_the_others(box: Box) -> None:
    """A pod's second container: it joins the user, network and ipc namespaces of the first."""
    first = box.start("sleep 100", user_namespace)
    pid = box.state(first)["pid"]

    def change(config: dict[str, Any]) -> None:
        for kind in ("user", "network", "ipc"):
            namespace(config, kind, f"/proc/{pid}/ns/{KINDS.get(kind, kind)}")

    out = box.out(f"{ALL}; id -u; cat /proc/self/uid_map", change)
    assert {os.readlink(f"/proc/{pid}/ns/{name}") for name in ("user", "net", "ipc")} <= links(out)
    assert out.split()[-4:] == ["0", "0", "100000", "65536"]


@pytest.mark.parametrize("kind", ["new", "joined"])
def test_the_posix_queues_belong_to_the_root_of_the_user_namespace(box: Box, kind: str) -> None:
    """Their file system is made with the ipc namespace, by whom it then belongs to."""

    def change(config: dict[str, Any]) -> None:
        user_namespace(config)
        if kind == "joined":
            namespace(config, "user", path=f"/proc/{box.state(first)['pid']}/ns/user")
            del config["linux"]["uidMappings"], config["linux"]["gidMappings"]

    first = box.start("sleep 100", user_namespace) if kind == "joined" else ""
    assert box.out("stat -c '%u %g' /dev/mqueue; chmod 1770 /dev/mqueue", change) == "0 0\n"


def test_new_user_namespace_in_a_joined_network(box: Box) -> None:
    with bystander("-n") as pid:
        path = f"/proc/{pid}/ns/net"

        def change(config: dict[str, Any]) -> None:
            user_namespace(config)
            namespace(config, "network", path)
            # Only the owner of the network namespace can mount sysfs; engines bind the host's.
            next(m for m in config["mounts"] if m["destination"] == "/sys").update(
                type="none", source="/sys", options=["rbind", "nosuid", "noexec", "nodev", "ro"]
            )
            config["mounts"] = [m for m in config["mounts"] if m["destination"] != "/sys/fs/cgroup"]

        assert os.readlink(path) in links(box.out(ALL, change))


def test_several_mappings(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        user_namespace(config)
        for kind in ("uidMappings", "gidMappings"):
            config["linux"][kind] = [
                {"containerID": 0, "hostID": 100000, "size": 1000},
                {"containerID": 1000, "hostID": 300000, "size": 1},
                {"containerID": 2000, "hostID": 400000, "size": 500},
            ]

    rows = [line.split() for line in box.out("cat /proc/self/uid_map", change).splitlines()]
    assert rows == [["0", "100000", "1000"], ["1000", "300000", "1"], ["2000", "400000", "500"]]


def test_a_root_that_its_own_root_user_cannot_walk_to(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        user_namespace(config)
        root = box.own_rootfs(config)
        closed = root.parent / f"closed-{root.name}"
        closed.mkdir(mode=0o700)
        config["root"] = {"path": str(root.rename(closed / "rootfs"))}

    assert box.out("stat -c %u:%a / && cat /proc/self/uid_map && ls /..", change).startswith("65534:755\n")
    done = box.run("true", change, "--no-pivot")
    assert done.stderr == "pyrunc: root.path: without pivot_root the container's root user must reach the root\n"


def test_time_offsets(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        namespace(config, "time")
        config["linux"]["timeOffsets"] = {"boottime": {"secs": 864000}, "monotonic": {"secs": 10, "nanosecs": 5}}

    inside = float(box.out("cat /proc/uptime", change).split()[0])
    assert 863000 < inside - float(open("/proc/uptime").read().split()[0]) < 865000


def test_names(box: Box) -> None:
    out = box.out("hostname; cat /proc/sys/kernel/domainname", lambda c: c.update(hostname="h1", domainname="d1"))
    assert out == "h1\nd1\n"


def test_loopback_is_up(box: Box) -> None:
    assert "127.0.0.1" in box.out("ip addr show lo")
    assert "UP" in box.out("ip link show lo")


def test_a_path_of_another_kind(box: Box) -> None:
    done = box.run("true", lambda c: namespace(c, "ipc", "/proc/self/ns/net"))
    assert done.returncode == 1 and "namespaces" in done.stderr and "another kind" in done.stderr
    done = box.run("true", lambda c: namespace(c, "ipc", "/etc/passwd"))
    assert done.returncode == 1 and "not a namespace" in done.stderr
    assert not box.leftovers()


def test_shared_with_the_host_when_not_listed(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"] = [{"type": "mount"}]
        config.pop("hostname")

    inside = links(box.out(ALL, change))
    assert {os.readlink(f"/proc/self/ns/{name}") for name in ("net", "ipc", "uts", "pid")} <= inside
