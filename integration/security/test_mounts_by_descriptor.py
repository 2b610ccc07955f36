"""A process that shares an image's files exchanges names while the container is made: a later change of a mount
applies to that mount and to no other."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import Box

RENAME_EXCHANGE, AT_FDCWD = 2, -100
RUNS = 40


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """A process that exchanges two names as fast as it can."""
    pid = os.fork()
    if pid == 0:
        libc = ctypes.CDLL(None)
        while True:
            libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    try:
        yield
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def volume(box: Box, config: dict[str, Any], options: list[str]) -> tuple[Path, Path]:
    """Makes a volume with two directories, on one of which a tmpfs is mounted."""
    shared = box.directory / "shared"
    for name in ("a", "b"):
        (shared / name).mkdir(parents=True, exist_ok=True)
    config["mounts"] += [
        {"destination": "/shared", "type": "bind", "source": str(shared), "options": ["rbind"]},
        {"destination": "/shared/b", "type": "tmpfs", "source": "other", "options": ["nosuid"]},
        {"destination": "/shared/a", "type": "tmpfs", "source": "made", "options": options},
    ]
    return shared / "a", shared / "b"


@pytest.mark.parametrize(
    ("option", "shown"), [("ro", "ro"), ("rro", "ro"), ("rnoexec", "noexec")], ids=["late", "recursive", "attribute"]
)
def test_attributes_reach_the_mount_that_was_made_and_no_other(box: Box, option: str, shown: str) -> None:
    attributes = ["grep", "-E", " (made|other) ", "/proc/self/mountinfo"]
    made = 0
    for _ in range(RUNS):
        names: list[Path] = []
        bundle = box.bundle(attributes, lambda c, names=names: names.extend(volume(box, c, [option])))
        with swapping(*names):
            done = box.call("run", "-b", str(bundle), box.new_id())
        if done.returncode != 0:
            continue  # may fail if the swapper wins every time
        made += 1
        found = {line.split(" - ")[1].split()[1]: line.split()[5].split(",") for line in done.stdout.splitlines()}
        assert shown in found["made"] and shown not in found.get("other", ()), done.stdout
    assert made > RUNS // 4


def test_propagation_reaches_the_mount_that_was_made_and_no_other(box: Box) -> None:
    for _ in range(RUNS):
        names: list[Path] = []
        bundle = box.bundle(
            ["grep", "-E", " (made|other) ", "/proc/self/mountinfo"],
            lambda c, names=names: names.extend(volume(box, c, ["shared"])),
        )
        with swapping(*names):
            done = box.call("run", "-b", str(bundle), box.new_id())
        for line in done.stdout.splitlines():
            assert ("shared:" in line) == (" made " in line), done.stdout
