"""Two names are exchanged just before each look-up of the helper in turn (exchange_at.py): all actions at a path
apply to the same file, whatever the name means a moment later."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import PYRUNC, TOP, Box

EXCHANGER = str(TOP / "integration" / "support" / "exchange_at.py")
EVERY = int(os.environ.get("EXCHANGE_EVERY", "6"))
"""Every how many look-ups."""
SHOW = "cat /proc/self/mountinfo"


def sweep(box: Box, names: tuple[Path, Path], change: Callable[[dict[str, Any]], None], *words: str) -> list[list[str]]:
    """Returns the lines of the container's mountinfo, for each run that started. Each run reports at most one line."""
    shown = []

    def small(config: dict[str, Any]) -> None:
        # With its own /dev: other tests would copy devices in the shared rootfs endlessly.
        config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] in ("/proc", "/dev")]
        config["linux"].update(maskedPaths=[], readonlyPaths=[])
        change(config)

    bundle = str(box.bundle(SHOW, small))
    for number in range(1, 100_000, EVERY):
        command = [sys.executable, EXCHANGER, "init", str(number), *map(str, names), PYRUNC, "--root", str(box.root)]
        done = subprocess.run(
            [*command, "run", *words, "-b", bundle, box.new_id()], capture_output=True, text=True, timeout=60
        )
        said, _, told = done.stderr.rpartition('{"effects"')
        result = json.loads('{"effects"' + told)
        if result["status"] == 0:
            shown.append(done.stdout.splitlines())
        else:
            assert said.startswith("pyrunc: ") and said.count("\n") == 1, said
        if not result["at"]:
            break
    assert len(shown) > number // EVERY // 3, f"{len(shown)} runs of {number // EVERY}"
    return shown


def attributes(lines: list[str], source: str) -> tuple[set[str], bool]:
    """Returns (attributes, True if it is shared) of the mount from ``source``; an empty set without a mount."""
    found = next((line for line in lines if line.split(" - ")[1].split()[1] == source), "")
    return (set(found.split()[5].split(",")), "shared:" in found) if found else (set(), False)


def volume(box: Box, *mounts: dict[str, Any]) -> tuple[tuple[Path, Path], Callable[[dict[str, Any]], None]]:
    """Returns the names to exchange, and a change of a config: one has a tmpfs, the other is for ``mounts``."""
    shared = box.directory / "shared"
    for name in ("a", "b"):
        (shared / name).mkdir(parents=True)

    def change(config: dict[str, Any]) -> None:
        config["mounts"] += [
            {"destination": "/shared", "type": "bind", "source": str(shared), "options": ["rbind"]},
            {"destination": "/shared/b", "type": "tmpfs", "source": "other", "options": ["nosuid"]},
            *mounts,
        ]

    return (shared / "a", shared / "b"), change


@pytest.mark.parametrize(("option", "attribute"), [("ro", "ro"), ("rnoexec", "noexec")])
def test_a_new_mount(box: Box, option: str, attribute: str) -> None:
    names, change = volume(
        box, {"destination": "/shared/a", "type": "tmpfs", "source": "made", "options": [option, "shared"]}
    )
    for lines in sweep(box, names, change):
        found, shared = attributes(lines, "made")
        assert not found or (attribute in found and shared), lines
        found, shared = attributes(lines, "other")
        assert attribute not in found and not shared, lines


def test_a_remount(box: Box) -> None:
    """Attributes and propagation are set on the same mount."""
    names, change = volume(
        box,
        {"destination": "/shared/a", "type": "tmpfs", "source": "made", "options": ["nosuid"]},
        {"destination": "/shared/a", "options": ["remount", "bind", "ro", "shared"]},
    )
    for lines in sweep(box, names, change):
        for source in ("made", "other"):
            found, shared = attributes(lines, source)
            assert ("ro" in found) == shared, lines


def test_a_mount_whose_options_are_too_long_for_fsconfig(box: Box) -> None:
    lower = [box.directory / (letter * 150) for letter in "lm"]
    for each in lower:
        each.mkdir()
    options = [f"lowerdir={lower[0]}:{lower[1]}", "rnoexec", "shared"]
    names, change = volume(box, {"destination": "/shared/a", "type": "overlay", "source": "made", "options": options})
    for lines in sweep(box, names, change):
        found, shared = attributes(lines, "made")
        assert not found or ("noexec" in found and shared), lines
        found, shared = attributes(lines, "other")
        assert "noexec" not in found and not shared, lines


def mounted(directory: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {directory}" in line]


def test_the_root_of_a_container_whose_mounts_are_shared(box: Box) -> None:
    """The root is mounted over the directory whose mount was made private, and never on the host."""
    places = [box.directory / name for name in ("one", "other")]
    links = box.directory / "link", box.directory / "link2"
    try:
        for place, link in zip(places, links, strict=True):
            place.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "--make-shared", "pyrunc-test", place], check=True)
            root: dict[str, Any] = {}
            os.rename(box.own_rootfs(root), box.directory / "moved")
            subprocess.run(["cp", "-a", box.directory / "moved", place / "root"], check=True)
            subprocess.run(["rm", "-r", box.directory / "moved"], check=True)
            link.symlink_to(place)

        def change(config: dict[str, Any]) -> None:
            config["root"] = {"path": str(links[0] / "root")}
            config["linux"]["rootfsPropagation"] = "shared"

        sweep(box, links, change)
        assert len(mounted(box.directory)) == len(places), mounted(box.directory)
    finally:
        for place in places:
            while subprocess.run(["umount", "-R", place], capture_output=True).returncode == 0:
                pass


def test_a_procfs_of_the_host_where_there_is_no_pivot_root(box: Box) -> None:
    """None is left, even if its name has changed since the list of mounts was read."""
    names = box.directory / "x", box.directory / "y"
    (names[0] / "proc").mkdir(parents=True)
    names[1].mkdir()
    subprocess.run(["mount", "-t", "proc", "proc", names[0] / "proc"], check=True)
    try:
        for lines in sweep(box, names, lambda _: None, "--no-pivot"):
            left = [line.split()[4] for line in lines if " - proc " in line and line.split()[3] == "/"]
            assert left == ["/proc"], lines
    finally:
        for name in names:
            subprocess.run(["umount", name / "proc"], capture_output=True)
