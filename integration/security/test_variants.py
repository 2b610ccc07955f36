"""Variants of known attacks: other kinds of files at a caller's path or in an image, other strings of a config."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import Box, cgroups_of, wait_for
from pyrunc.linux import procfs

QUIET: dict[str, Any] = {"capture_output": False, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
WITHIN = 15.0
"""Seconds within which each command must end."""


def one_line(done: "subprocess.CompletedProcess[str]") -> None:
    """Asserts that the command succeeded, or reported its failure in one line."""
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr, done.stderr
    assert done.returncode == 0 or len(done.stderr.splitlines()) == 1, done.stderr


def fifo(path: Path) -> None:
    os.mkfifo(path)


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 42)


def device(path: Path) -> None:
    os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero: it never ends


OBJECTS: dict[str, Callable[[Path], object]] = {
    "FIFO": fifo,
    "socket": bound,
    "directory": Path.mkdir,
    "sparse file": sparse,
    "endless device": device,
    "link to kmsg": lambda path: path.symlink_to("/proc/kmsg"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "long line": lambda path: path.write_bytes(b"x" * 900_000),
    "nul bytes": lambda path: path.write_bytes(b"a\0b:x:0:0:\n" * 100),
}


@pytest.mark.parametrize("file", ["passwd", "group"])
@pytest.mark.parametrize("kind", OBJECTS)
def test_an_image_s_users_are_no_ordinary_file(box: Box, kind: str, file: str) -> None:
    def change(config: dict[str, Any]) -> None:
        path = box.own_rootfs(config) / "etc" / file
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        OBJECTS[kind](path)

    name = box.create("sleep 100", change)
    one_line(box.call("start", name, timeout=WITHIN))
    for user in ("root", "nobody:nogroup", "0:0", "a"):
        one_line(box.call("exec", "--user", user, name, "true", timeout=WITHIN))


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("option", ["--pid-file", "--trace", "--log", "--console-socket", "--pidfd-socket"])
def test_a_caller_s_path_is_no_ordinary_file(box: Box, option: str, kind: str) -> None:
    path = box.directory / "path"
    OBJECTS[kind](path)
    bundle = box.bundle("true", lambda config: config["process"].update(terminal=option == "--console-socket"))
    words = ["create", "-b", str(bundle), box.new_id()]
    words[0 if option == "--log" else 1 : 0 if option == "--log" else 1] = [option, str(path)]
    with open(box.directory / "errors", "w+") as errors:
        done = box.call(*words, timeout=WITHIN, stderr=errors, **QUIET)
        errors.seek(0)
        done.stderr = errors.read()
    if kind != "endless device":
        one_line(done)


@pytest.mark.parametrize("kind", OBJECTS)
def test_a_state_that_is_no_ordinary_file(box: Box, kind: str) -> None:
    """No command waits for it. What can't be unlinked is named; the id is free again with the next call."""
    other, name = box.create(), box.start()
    pid, groups = box.state(name)["pid"], cgroups_of(name)
    file = box.root / name / "state.json"
    file.unlink()
    OBJECTS[kind](file)
    try:
        for words in (("state", name), ("exec", name, "true"), ("kill", name), ("start", name), ("delete", name)):
            done = box.call(*words, timeout=WITHIN)
            assert done.returncode != 0
            one_line(done)
        listed = box.call("list", "--quiet", timeout=WITHIN)
        assert listed.returncode == 0 and other in listed.stdout, listed.stderr
        done = box.call("delete", "--force", name, timeout=WITHIN)
        one_line(done)
        assert done.returncode == 0 or str(file) in done.stderr, done.stderr
        if file.is_dir():
            file.rmdir()
        box.ok("delete", "--force", name)
        assert not (box.root / name).exists()
    finally:
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: procfs.started(pid) is None, "init to be gone")
        for path in groups:
            os.rmdir(path)


@pytest.mark.parametrize("path", ["/dev/full", "/proc/self/comm", "/nowhere/pid", "x" * 300, "/dev/stdin/pid", ""])
def test_pid_files_that_can_not_be_written(box: Box, path: str) -> None:
    one_line(box.call("run", "--pid-file", path, "-b", str(box.bundle("true")), box.new_id(), timeout=WITHIN))


STRINGS = ["\ud800", "\x00", "a\x00b", "\u2028", "\x85", "\x1c", "\x0c", "", "/" * 5000, "=", "\n"]
PLACES: dict[str, Callable[[dict[str, Any], str], object]] = {
    "args": lambda config, text: config["process"]["args"].append(text),
    "env": lambda config, text: config["process"]["env"].append(text),
    "env's value": lambda config, text: config["process"]["env"].append(f"A={text}"),
    "cwd": lambda config, text: config["process"].update(cwd=f"/{text}"),
    "hostname": lambda config, text: config.update(hostname=text),
    "annotation": lambda config, text: config.update(annotations={f"a{text}": text}),
    "mount": lambda config, text: config["mounts"].append(
        {"destination": f"/tmp/{text}", "type": "tmpfs", "source": text}
    ),
    "option": lambda config, text: config["mounts"][1].setdefault("options", []).append(text),
    "cgroup": lambda config, text: config["linux"].update(cgroupsPath=f"/pyrunc-variant/{text}x"),
    "sysctl": lambda config, text: config["linux"].update(sysctl={f"net.{text}": text}),
    "masked": lambda config, text: config["linux"]["maskedPaths"].append(f"/{text}"),
    "hook's env": lambda config, text: config.update(hooks={"poststop": [{"path": "/bin/true", "env": [text]}]}),
    "hook's args": lambda config, text: config.update(hooks={"createRuntime": [{"path": "/bin/true", "args": [text]}]}),
    "hook's path": lambda config, text: config.update(hooks={"prestart": [{"path": f"/{text}"}]}),
    "rlimit": lambda config, text: config["process"].update(rlimits=[{"type": f"RLIMIT_{text}", "soft": 1, "hard": 1}]),
    "label": lambda config, text: config["process"].update(selinuxLabel=text),
    "rootfs": lambda config, text: config["root"].update(path=f"{config['root']['path']}{text}"),
}


@pytest.mark.parametrize("place", PLACES)
def test_strings_that_break_parsers(box: Box, place: str) -> None:
    """Accepted, or refused in one line; later commands of this container and of others still work."""
    rootfs = box.own_rootfs({})  # because mount points and working directories are made in it

    def change(config: dict[str, Any], text: str) -> None:
        config["root"] = {"path": str(rootfs)}
        PLACES[place](config, text)

    for text in STRINGS:
        name, bundle = box.new_id(), box.bundle("exit 0", lambda config, text=text: change(config, text))
        one_line(box.call("run", "-b", str(bundle), name, timeout=WITHIN, stdin=subprocess.DEVNULL))
    try:
        box.out("true")
    finally:
        for above in Path("/sys/fs/cgroup").glob("**/pyrunc-variant"):
            above.rmdir()


TIMEOUTS = [-1, 0, 1 << 31, (1 << 63) - 1, 1 << 64, 1.5, "1"]


@pytest.mark.parametrize("timeout", TIMEOUTS, ids=str)
@pytest.mark.parametrize("point", ["prestart", "startContainer", "poststop"])
def test_a_hook_s_timeout(box: Box, point: str, timeout: object) -> None:
    hook = {"path": "/bin/true", "timeout": timeout}
    done = box.run("true", lambda config: config.update(hooks={point: [hook]}), timeout=WITHIN)
    one_line(done)


DAMAGED: list[Any] = [None, -1, 1 << 70, "x", [], {}, [[]], True, {"a": {"b": 1}}]


def test_each_field_of_the_state_damaged(box: Box) -> None:
    """Every command reports one line, and `delete --force` frees the id."""
    name = box.create("sleep 100")
    fields = list(json.loads((box.root / name / "state.json").read_text()))
    original = (box.root / name / "state.json").read_bytes()
    for field in fields:
        for value in DAMAGED:
            state = json.loads(original)
            state[field] = value
            (box.root / name / "state.json").write_text(json.dumps(state))
            words = (
                ["state", name],
                ["exec", name, "true"],
                ["kill", name, "0"],
                ["ps", name],
                ["list"],
                ["pause", name],
            )
            for command in words[: 6 if value in (-1, "x") else 1]:
                if command[0] == "kill" and field in ("pid", "start_time"):
                    continue
                one_line(box.call(*command, timeout=WITHIN))
    (box.root / name / "state.json").write_bytes(original)
    box.ok("delete", "--force", name)


@pytest.mark.parametrize("field", ["pid", "start_time", "owner", "root_mount_below"])
def test_a_number_of_the_state_too_large_for_the_kernel(box: Box, field: str) -> None:
    """The id is free again, and the parts of the container that are still known are removed."""
    name = box.start("sleep 100")
    path = box.root / name / "state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, field: 1 << 70}))
    refused = box.call("state", name)
    assert refused.returncode == 1 and f"the state is damaged: {field}" in refused.stderr, refused.stderr
    box.ok("delete", "--force", name)
    assert not path.parent.exists() and not cgroups_of(name)
    wait_for(lambda: procfs.started(state["pid"]) is None, "init to have ended")
