"""The host that crun 1.8 wants: every controller in a v1 hierarchy, none left on v2 (it refuses hybrid hosts).

To be used in a mount namespace of one's own (`unshare --mount`); the hierarchies vanish with the last mount of them.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

TOP = Path("/sys/fs/cgroup")


def missing() -> list[str]:
    """Controllers that the kernel has and no v1 hierarchy took."""
    rows = [line.split() for line in Path("/proc/cgroups").read_text().splitlines()[1:]]
    return [name for name, hierarchy, _, enabled in rows if hierarchy == "0" and enabled == "1"]


@contextmanager
def legacy_host() -> Iterator[list[str]]:
    """Mounts what is missing, and puts the host back as it was. Yields a line for each controller that can't be mounted:
    it is in use on v2, or its place is taken."""
    notes: list[str] = []
    with ExitStack() as mounted:
        for controller in missing() if (TOP / "unified").is_dir() else []:
            place = TOP / controller
            try:
                place.mkdir()
                mounted.callback(_remove, place)
            except FileExistsError:  # left by another program: not ours to remove
                pass
            except OSError as error:
                notes.append(f"without the v1 controller {controller}: {error}")
                continue
            done = mount(controller)
            if done.returncode:
                said = (done.stderr.splitlines() or [f"exit status {done.returncode}"])[0]
                notes.append(f"without the v1 controller {controller}: {said}")
            else:
                mounted.callback(unmount, controller)
        yield notes


def _remove(place: Path) -> None:
    try:
        place.rmdir()
    except OSError as error:
        print(f"{place} stays: {error}")


def mount(controller: str) -> "subprocess.CompletedProcess[str]":
    """Mounts the hierarchy of one controller."""
    command = ["mount", "-t", "cgroup", "-o", controller, "cgroup", TOP / controller]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def unmount(controller: str) -> None:
    """Until the hierarchy has gone. It outlives its last mount for a moment, and for good if just then a cgroup in it was
    still being torn down: then it is mounted and unmounted once more."""
    for _ in range(10):
        if not _umount(controller):
            return
        for _ in range(20):
            if controller in missing():
                return
            time.sleep(0.05)
        mount(controller)
    _umount(controller)


def _umount(controller: str) -> bool:
    done = subprocess.run(["umount", TOP / controller], check=False, capture_output=True, text=True)
    if done.returncode:
        print(f"the v1 controller {controller} stays mounted: {done.stderr.strip()}")
    return done.returncode == 0
