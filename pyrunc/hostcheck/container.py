"""Runs a container, whose program reports from inside, as the final check."""

import os
import shutil
import tempfile
from pathlib import Path

from pyrunc.container.container import Container
from pyrunc.errors import PyruncError
from pyrunc.hostcheck.rows import LIMITED, NO, YES, Row
from pyrunc.launch.helper import STATIC
from pyrunc.spec.default import config

AREA = "container"
EXPECTED = 1
"""The exit status of the helper without a plan. The helper is the container's program here, because it is static."""


def rows() -> list[Row]:
    """Tries the cgroupfs manager, then without cgroups if that fails."""
    answer = _run("cgroupfs")
    if not answer:
        # Without root and limits it runs in the caller's own cgroups, because none can be created there.
        detail = "with cgroups of its own" if os.geteuid() == 0 else "as far as cgroups are delegated"
        return [Row(AREA, "run", YES, detail, required=True)]
    without = _run("disabled")
    if not without:
        return [Row(AREA, "run", LIMITED, f"without cgroups only: {answer}", "see the rows of cgroups", required=True)]
    return [Row(AREA, "run", NO, without, "see the rows above", required=True)]


def _run(manager: str) -> str:
    """Runs a container. Returns the error, "" if it ran."""
    with tempfile.TemporaryDirectory(prefix="pyrunc-check-") as directory:
        os.chmod(directory, 0o755)
        rootfs = Path(directory, "rootfs")
        for name in ("proc", "dev", "sys"):
            (rootfs / name).mkdir(parents=True)
        shutil.copy(STATIC, rootfs / "init")
        made = config(os.geteuid() != 0)
        made["process"].update(args=["/init"], terminal=False)
        made["mounts"] = [mount for mount in made["mounts"] if mount["type"] != "cgroup"]
        name, root = f"check-{os.getpid()}", f"{directory}/state"
        try:
            container = _quietly(name, directory, made, root, manager)
            status = container.wait(timeout=20)
        except (PyruncError, TimeoutError) as error:
            return str(error)
        finally:
            Container.remove(name, root)
        return "" if status == EXPECTED else f"the program ended with status {status}"


def _quietly(name: str, directory: str, made: dict[str, object], root: str, manager: str) -> Container:
    with open(os.devnull, "r+b", buffering=0) as null:
        streams = {"stdin": null, "stdout": null, "stderr": null}
        return Container.run(name, directory, config=made, root=root, cgroup_manager=manager, **streams)
