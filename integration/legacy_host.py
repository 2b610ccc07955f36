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
def legacy_host() -> Iterator[str]:
    """Mounts what is missing, and puts the host back as it was. Yields why it can't, or ""."""
    with ExitStack() as mounted:
        reason = ""
        for controller in missing() if (TOP / "unified").is_dir() else []:
            (TOP / controller).mkdir(exist_ok=True)
            mounted.callback((TOP / controller).rmdir)
            done = mount(controller)
            if done.returncode:
                reason = f"{controller} is in use on v2: {done.stderr.splitlines()[0]}"
                break
            mounted.callback(unmount, controller)
        yield reason


def mount(controller: str) -> "subprocess.CompletedProcess[str]":
    """Mounts the hierarchy of one controller."""
    command = ["mount", "-t", "cgroup", "-o", controller, "cgroup", TOP / controller]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def unmount(controller: str) -> None:
    """Until the hierarchy has gone. It outlives its last mount for a moment, and for good if just then a cgroup in it was
    still being torn down: then it is mounted and unmounted once more."""
    for _ in range(10):
        subprocess.run(["umount", TOP / controller], check=True)
        for _ in range(20):
            if controller in missing():
                return
            time.sleep(0.05)
        mount(controller)
    subprocess.run(["umount", TOP / controller], check=True)
