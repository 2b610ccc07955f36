"""A container without a mount namespace: its mounts are made among the host's, and end with the container."""

from pathlib import Path
from typing import Any

import pytest

from harness import Box, namespace, user_namespace


def without(box: Box, change: Any = None) -> Any:
    def changed(config: dict[str, Any]) -> None:
        box.own_rootfs(config)
        spaces = config["linux"]["namespaces"]
        spaces[:] = [space for space in spaces if space["type"] != "mount"]
        for name in ("maskedPaths", "readonlyPaths"):
            config["linux"].pop(name, None)
        if change is not None:
            change(config)

    return changed


def mounted(box: Box) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(box.directory) in line]


def everything(config: dict[str, Any]) -> None:
    config["root"]["readonly"] = True
    config["mounts"].append({"destination": "/extra", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]})
    config["linux"]["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3}]
    config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}


SHOW = """grep -c ' /extra tmpfs' /proc/mounts; test -c /dev/mine && echo device; cat /proc/sys/net/ipv4/ip_forward
touch /x 2>&1; touch /extra/x && echo written; readlink /proc/self/ns/mnt"""


def test_what_can_be_done_is_done(box: Box) -> None:
    out = box.out(SHOW, without(box, everything)).splitlines()
    assert out[:3] == ["1", "device", "1"] and "Read-only" in out[3] and out[4] == "written"
    assert out[5] == str(Path("/proc/self/ns/mnt").readlink())


def test_nothing_stays_on_the_host(box: Box) -> None:
    name = box.start("sleep 100", without(box, everything))
    assert any("/extra" in line for line in mounted(box))
    assert box.ok("exec", name, "ls", "/dev/mine") == "/dev/mine\n"
    box.ok("delete", "--force", name)
    assert not mounted(box)
    assert box.run("true", without(box)).returncode == 0
    assert not mounted(box)


@pytest.mark.parametrize("point", ["createRuntime", "createContainer"])
def test_nothing_stays_on_the_host_after_a_failure(box: Box, point: str) -> None:
    done = box.run("true", without(box, lambda c: c.update(hooks={point: [{"path": "/bin/false"}]})))
    assert done.returncode == 1 and not mounted(box)


def test_the_callers_own_mount_of_the_root_stays(box: Box) -> None:
    import subprocess

    roots = []
    change = without(box, lambda c: roots.append(c["root"]["path"]))
    bundle = box.bundle("true", change)
    subprocess.run(["mount", "--bind", roots[0], roots[0]], check=True)
    try:
        assert box.call("run", "-b", str(bundle), box.new_id()).returncode == 0
        assert len(mounted(box)) == 1
    finally:
        subprocess.run(["umount", roots[0]], check=True)


def test_the_hosts_own_root_is_not_mounted_over(box: Box) -> None:
    done = box.run("true", without(box, lambda c: c.update(root={"path": "/"})))
    assert done.returncode == 1 and "root.path: / is the host's root: it needs a mount namespace" in done.stderr


CANNOT = {
    "mounts[0]": lambda c: None,
    "root.readonly": lambda c: (c["mounts"].clear(), c["root"].update(readonly=True)),
    "linux.devices[0]": lambda c: (
        c["mounts"].clear(),
        c["linux"].update(devices=[{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]),
    ),
    "process.terminal": lambda c: (c["mounts"].clear(), c["process"].update(terminal=True)),
    "linux.rootfsPropagation": lambda c: (c["mounts"].clear(), c["linux"].update(rootfsPropagation="shared")),
}


@pytest.mark.parametrize("where", CANNOT)
def test_what_cannot_be_done_is_refused_by_name(box: Box, where: str) -> None:
    def change(config: dict[str, Any]) -> None:
        user_namespace(config)
        CANNOT[where](config)

    done = box.run("true", without(box, change))
    assert done.returncode == 1
    assert done.stderr == f"pyrunc: {where}: needs a mount namespace of the container's own\n"


@pytest.mark.parametrize("name", ["maskedPaths", "readonlyPaths"])
def test_masks_are_refused_as_with_runc(box: Box, name: str) -> None:
    done = box.run("true", without(box, lambda c: c["linux"].update({name: ["/proc/kcore"]})))
    assert done.returncode == 1 and done.stderr.startswith(f"pyrunc: linux.{name}: needs a mount namespace")


def test_a_joined_mount_namespace_is_one(box: Box) -> None:
    other = box.start()
    path = f"/proc/{box.state(other)['pid']}/ns/mnt"
    done = box.run("true", lambda c: (box.own_rootfs(c), namespace(c, "mount", path)))
    assert done.returncode in (0, 1) and not mounted(box)
