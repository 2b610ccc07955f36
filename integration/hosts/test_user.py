"""pyrunc for a user without root, with sub-ids. Run as such a user (`python3 integration/guest test --user user`)."""

import json
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from peers import also_on

from harness import PYRUNC, ROOTFS, Box, namespace

ME, MY_GROUP = os.geteuid(), os.getegid()


def sub_ids(kind: str) -> int:
    """Returns the first of this user's sub-ids, or 0 without any."""
    path = Path(f"/etc/sub{kind}")
    for line in path.read_text().splitlines() if path.exists() else ():
        name, first, _ = line.split(":")
        if name in (str(ME), pwd.getpwuid(ME).pw_name):
            return int(first)
    return 0


pytestmark = [
    pytest.mark.rootless,
    pytest.mark.skipif(ME == 0, reason="of a user without root"),
    pytest.mark.skipif(not shutil.which("newuidmap") or not sub_ids("uid"), reason="no newuidmap, or no sub-ids"),
]


def mapped(*ranges: tuple[int, int, int]) -> Any:
    """Returns a change: a user namespace with ranges of (container id, offset of the sub-ids or -1 for the user, size)."""

    def change(config: dict[str, Any]) -> None:
        namespace(config, "user")
        for kind, own in (("uid", ME), ("gid", MY_GROUP)):
            config["linux"][f"{kind}Mappings"] = [
                {"containerID": inside, "hostID": own if offset < 0 else sub_ids(kind) + offset, "size": size}
                for inside, offset, size in ranges
            ]

    return change


@also_on("runc", "crun")
def test_one_id(box: Box) -> None:
    out = box.out("id -u; cat /proc/self/uid_map; cat /proc/self/setgroups", mapped((0, -1, 1)))
    assert out.split() == ["0", "0", str(ME), "1", "deny"]


@also_on("crun")  # runc sets no additional groups without root
def test_several_ranges(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        mapped((0, -1, 1), (1, 0, 1000), (5000, 1000, 500))(config)
        config["process"]["user"] = {"uid": 5001, "gid": 7, "additionalGids": [8, 5002]}

    first = sub_ids("uid")
    out = box.out("id -u; id -G; cat /proc/self/uid_map", change).splitlines()
    assert out[:2] == ["5001", "7 8 5002"]
    maps = [[int(word) for word in line.split()] for line in out[2:]]
    assert maps == [[0, ME, 1], [1, first, 1000], [5000, first + 1000, 500]]


@also_on("crun")  # runc tries to chown the standard streams, and cannot if root is another id
def test_an_id_that_is_kept(box: Box) -> None:
    """As Podman's --userns keep-id: the user has the same number inside, and root is a sub-id."""

    def change(config: dict[str, Any]) -> None:
        mapped((0, 0, ME), (ME, -1, 1), (ME + 1, ME, 1000))(config)
        config["process"]["user"] = {"uid": ME, "gid": MY_GROUP}
        config["mounts"].append({"destination": "/home", "type": "bind", "source": str(mine), "options": ["rbind"]})

    mine = box.directory / "mine"
    mine.mkdir()
    box.open_to_all()
    assert box.out("id -u; touch /home/made; stat -c %u /home/made", change).split() == [str(ME)] * 2
    assert (mine / "made").stat().st_uid == ME


def test_an_id_that_is_not_given_to_the_user_is_refused_in_one_line(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        mapped((0, -1, 1))(config)
        config["linux"]["uidMappings"].append({"containerID": 1, "hostID": 1, "size": 10})

    done = box.run("true", change)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and not box.leftovers()
    assert "uid" in done.stderr


def test_the_config_of_spec_runs_as_it_is_printed(box: Box) -> None:
    bundle = box.directory / "printed"
    bundle.mkdir()
    shutil.copytree(ROOTFS, bundle / "rootfs", symlinks=True)
    subprocess.run([PYRUNC, "spec", "--rootless"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    assert config["process"]["args"] == ["sh"] and config["process"]["terminal"]
    words = [PYRUNC, "run", box.new_id()]  # with the default state directory and a terminal
    typed = f"cd {bundle} && script --quiet --return --command '{' '.join(words)}' /dev/null"
    done = subprocess.run(["sh", "-c", typed], input="id -u; exit 5\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 5 and "\n0\n" in done.stdout, (done.stdout, done.stderr)


def test_a_life(box: Box) -> None:
    name = box.start("trap 'exit 3' TERM; while :; do sleep 0.1; done", mapped((0, -1, 1), (1, 0, 1000)))
    assert box.ok("exec", "--user", "12:13", name, "id", "-u") == "12\n"
    assert box.state(name)["status"] == "running" and name in box.ok("list", "-q").split()
    box.ok("kill", name, "TERM")
    box.await_status(name, "stopped")
    box.ok("delete", name)
    assert not box.leftovers()


def test_the_state_of_another_user_is_not_ours(box: Box) -> None:
    """Root's state directory cannot be read: the error says so, and not that the container does not exist."""
    if not Path("/run/pyrunc").exists():
        pytest.skip("root has no containers here")
    done = subprocess.run([PYRUNC, "--root", "/run/pyrunc", "list"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "ermission denied" in done.stderr and done.stderr.count("\n") == 1
