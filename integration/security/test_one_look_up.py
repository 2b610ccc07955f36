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
from helper_plan import CHAR, Image, step

from harness import PYRUNC, TOP, Box
from pyrunc.errors import StepError

EXCHANGER = str(TOP / "integration" / "support" / "exchange_at.py")
EVERY = int(os.environ.get("EXCHANGE_EVERY", "6"))
"""Names are exchanged at every Nth look-up."""
SHOW = "cat /proc/self/mountinfo"
REVEAL = "unshare -U -r -m -p -f sh -c 'mount -t proc proc /tmp 2>/dev/null && echo revealed'; true"


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
    """None is left, also where its name has changed since the list of mounts was read: else the kernel would let a user
    namespace inside mount one without masks (test_revealed.py). The container's list of mounts would not show it."""

    def nested(config: dict[str, Any]) -> None:
        config["process"].update(args=["sh", "-c", REVEAL], user={"uid": 1000, "gid": 1000})
        config["linux"]["maskedPaths"] = ["/proc/version"]

    names = box.directory / "x", box.directory / "y"
    (names[0] / "proc").mkdir(parents=True)
    names[1].mkdir()
    subprocess.run(["mount", "-t", "proc", "proc", names[0] / "proc"], check=True)
    try:
        for lines in sweep(box, names, nested, "--no-pivot"):
            assert lines == []
    finally:
        for name in names:
            subprocess.run(["umount", name / "proc"], capture_output=True)


def test_a_file_that_is_copied_to_a_tmpfs(tmp_path: Path) -> None:
    """It is looked at, then opened. A device that has its name by then is not read, for it has no end."""
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    told = []
    for run, number in enumerate([*range(25, 60)] * 2):  # where the copy is, by far
        data = tmp_path / str(run) / "root" / "data"
        exchange = [sys.executable, EXCHANGER, "init", str(number), str(data / "file"), str(data / "endless")]
        command = [*exchange, sys.executable, __file__, str(tmp_path / str(run))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
        told.append(done.stdout)
        if "stale file handle" in done.stdout:
            break
        assert "no space left" not in done.stdout, told
    assert "stale file handle" in told[-1], told


def copy(directory: Path) -> None:
    image = Image(directory)
    (image.root / "data").mkdir()
    (image.root / "data" / "file").write_text("x")
    os.mknod(image.root / "data" / "endless", CHAR | 0o644, os.makedev(1, 5))
    try:
        image.run([step("copy-up", "/data", "tmpfs", ("size=1m",), 0, 0)])
    except StepError as error:
        print(error)


if __name__ == "__main__":
    copy(Path(sys.argv[1]))
