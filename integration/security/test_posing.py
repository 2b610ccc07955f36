"""Claims of a container about itself are not trusted: its arguments, its names, the files of its state directory."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import Box, static_program, wait_for

POSER = "int pause(void); int main(void) { for (;;) pause(); }"


@pytest.fixture(scope="module")
def poser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static program with the helper's name."""
    return static_program(tmp_path_factory.mktemp("poser"), "pyrunc-init", POSER)


def test_a_running_container_does_not_pose_as_created(box: Box, poser: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the socket still exists, as after a `start` that was killed."""

    def change(config: dict[str, Any]) -> None:
        shutil.copy(poser, box.own_rootfs(config) / "bin" / "pyrunc-init")

    name = box.start(["pyrunc-init"], change)
    left = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    monkeypatch.chdir(box.root / name)
    left.bind("start.sock")
    left.close()
    assert Path(f"/proc/{box.state(name)['pid']}/cmdline").read_bytes() == b"pyrunc-init\0"
    assert box.state(name)["status"] == "running"
    refused = box.call("delete", name)
    assert refused.returncode == 1 and "that is not stopped: running" in refused.stderr


def test_a_created_one_is_created_however_often_it_is_asked(box: Box) -> None:
    """More queries than init's queue is long, also while init is stopped and accepts no connection."""
    name = box.create()
    pid = box.state(name)["pid"]
    os.kill(pid, 19)
    wait_for(lambda: "\nState:\tT" in Path(f"/proc/{pid}/status").read_text(), "init to be stopped")
    assert {box.state(name)["status"] for _ in range(20)} == {"created"}
    os.kill(pid, 18)
    box.ok("start", name)
    assert box.state(name)["status"] == "running"


@pytest.mark.parametrize("interface", [b"\xff\xfe", "a\u2028b".encode(), b"x\x1cy", b"\x85", b"a.b-c_d"])
def test_an_interface_of_any_name(box: Box, interface: bytes) -> None:
    name = box.start()
    inside = ["nsenter", "--net", "--target", str(box.state(name)["pid"]), "ip", "link", "add"]
    made = subprocess.run([*inside, "name", interface, "type", "veth", "peer", "name", "peer"], capture_output=True)
    if made.returncode:
        pytest.skip(f"ip makes no such interface: {made.stderr.decode()}")
    found = json.loads(box.ok("events", "--stats", name))["data"]["network_interfaces"]
    assert sorted(entry["Name"] for entry in found) == sorted([interface.decode("utf-8", "replace"), "peer"])


def test_what_a_container_makes_in_its_notify_directory(box: Box, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").touch()

    def change(config: dict[str, Any]) -> None:
        for kind in ("bounding", "effective", "permitted"):
            config["process"]["capabilities"][kind].append("CAP_SYS_ADMIN")

    script = f"""
        mount -o remount,bind,rw /run/notify && cd /run/notify && ln -s {victim} link && mkdir deep && ln -s {victim} deep/link
        mkdir -p "$(printf 'deep/%.0s' $(seq 100))" && touch ready; sleep 100
    """
    os.environ["NOTIFY_SOCKET"] = "@nobody"
    try:
        name = box.create(script, change)
        box.call("start", name, env={k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"})
    finally:
        del os.environ["NOTIFY_SOCKET"]
    wait_for((box.root / name / "notify" / "ready").exists, "the container to have made its directories")
    box.ok("delete", "--force", name)
    assert not (box.root / name).exists() and (victim / "file").exists()


def test_list_hides_no_id(box: Box) -> None:
    name = "." + box.new_id()
    box.ids.append(name)
    quiet = {"capture_output": False, "stdout": subprocess.DEVNULL}
    box.ok("run", "-d", "-b", str(box.bundle("sleep 100")), name, **quiet)
    assert box.ok("list", "-q").split() == [name]
