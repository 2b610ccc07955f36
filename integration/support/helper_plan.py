"""Plans written step by step and executed by the compiled helper, without a config.json."""

import os
import shutil
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from pyrunc.launch.conversation import Launch
from pyrunc.plan.mount_options import MS_REC, MS_SLAVE, NODEV, NOEXEC, NOSUID
from pyrunc.plan.protocol import SLOT_CONSOLE, SLOT_INHERITED
from pyrunc.plan.steps import Step

if TYPE_CHECKING:
    from pyrunc.plan.steps import Arg

BUSYBOX = shutil.which("busybox")
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = (
    0x20000,
    0x4000000,
    0x8000000,
    0x20000000,
    0x40000000,
)
NAMESPACES = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
CHAR = stat.S_IFCHR
ROOT, VOLUME, FILE, PROC, PROC_SYS = range(SLOT_INHERITED, SLOT_INHERITED + 5)


def step(kind: str, *args: "Arg") -> Step:
    return Step(kind, kind, *args)


def attach(target: str, slot: int = VOLUME, set_: int = 0) -> Step:
    return step("attach", slot, target, set_, 0, 0, 0, 0, 0)


def mount(kind: str, target: str, *options: str, on_proc: int = 0) -> Step:
    return step("mount", kind, kind, target, options, NOSUID, 0, on_proc)


def hook(script: str, timeout: int = 0) -> Step:
    return step("hook", "/bin/sh", ["sh", "-c", script], [], -1, '{"pid":', "}", timeout, "")


PROCFS = step("mount", "proc", "proc", "/proc", (), NOSUID | NODEV | NOEXEC, 0, 1)
NULL = step("device", "/dev/null", CHAR, 1, 3, 0o666, 0, 0)
DEVPTS = mount("devpts", "/dev/pts", "newinstance", "ptmxmode=0666")


class Image:
    """A rootfs with a shell, a directory and a file of the host beside it, and the plan that runs in the rootfs."""

    def __init__(self, directory: Path) -> None:
        self.root, self.volume, self.file = directory / "root", directory / "volume", directory / "file"
        for name in ("bin", "dev", "etc", "proc", "tmp"):
            (self.root / name).mkdir(parents=True)
        (self.root / "tmp").chmod(0o1777)
        assert BUSYBOX is not None
        shutil.copy(BUSYBOX, self.root / "bin" / "busybox")
        for name in ("cat", "grep", "ls", "readlink", "sh", "stat", "touch"):
            (self.root / "bin" / name).symlink_to("busybox")
        self.volume.mkdir()
        (self.volume / "inside").write_text("of the volume\n")
        self.file.write_text("of the file\n")

    def run(
        self, steps: "list[Step]", script: str = "true", *, last: str = "pivot", propagation: int = MS_SLAVE
    ) -> int:
        """Returns the exit status of ``script`` in the container; raises StepError if a step fails."""
        slots = {ROOT: self.root, VOLUME: self.volume, FILE: self.file, PROC: "/proc", PROC_SYS: "/proc/sys"}
        plan = [step("open-tree", str(path), int(slot == ROOT), slot, MS_SLAVE, 0) for slot, path in slots.items()]
        plan += [step("clone", NAMESPACES), step("propagation", propagation | MS_REC)]
        plan += [step("root", str(self.root), ROOT, 0), *steps, step(last)]
        plan += [step("find-program", "/bin/sh", ""), step("arguments", ["sh", "-c", script], ["PATH=/bin"], -1)]
        plan += [step("close-descriptors", 0, 0), step("execute")]
        launch = Launch(plan, {})
        ours, theirs = socket.socketpair()
        with ours, theirs:
            launch.run({SLOT_CONSOLE: theirs.fileno()})
        return os.waitstatus_to_exitcode(os.waitpid(launch.pid, 0)[1])
