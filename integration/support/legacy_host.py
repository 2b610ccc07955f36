"""A host that crun 1.8 accepts: every controller in a v1 hierarchy, none on v2 (crun refuses hybrid hosts).

To be used in a separate mount namespace (`unshare --mount`). A hierarchy ends with its last mount.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

TOP = Path("/sys/fs/cgroup")


def missing() -> list[str]:
    """Returns the kernel's controllers that are in no v1 hierarchy."""
    rows = [line.split() for line in Path("/proc/cgroups").read_text().splitlines()[1:]]
    return [name for name, hierarchy, _, enabled in rows if hierarchy == "0" and enabled == "1"]


@contextmanager
def legacy_host() -> Iterator[list[str]]:
    """Mounts the missing controllers, and unmounts them at the end. Yields a line for each that cannot be mounted:
    it is in use on v2, or its mount point is in use."""
    notes: list[str] = []
    with ExitStack() as mounted:
        for controller in missing() if (TOP / "unified").is_dir() else []:
            place = TOP / controller
            try:
                place.mkdir()
                mounted.callback(_remove, place)
            except FileExistsError:  # another program made it, so it must stay
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
    """Waits until the hierarchy is gone. It outlives its last mount for a moment, and for ever if a cgroup was then
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
