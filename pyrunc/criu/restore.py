"""`restore`: prepares the cgroups, the root and the namespaces, in which CRIU then restores the processes of an
image."""

import os
import socket
from typing import Any

from pyrunc.cgroup.host import paths_of
from pyrunc.container.create import Creation
from pyrunc.criu import external
from pyrunc.criu.checkpoint import OLDEST, config_file, explained, forget
from pyrunc.criu.directories import Directories
from pyrunc.criu.messages import RESTORE
from pyrunc.criu.mountpoints import make_mount_points
from pyrunc.criu.options import CriuOptions
from pyrunc.criu.swrk import FIRST_EXTRA, Criu, version
from pyrunc.errors import PyruncError
from pyrunc.launch.actions import ACTIONS
from pyrunc.launch.hooks import run as run_hooks
from pyrunc.linux.files import read
from pyrunc.plan import cgroups
from pyrunc.plan.options import CreateOptions
from pyrunc.plan.steps import Step
from pyrunc.resources.root_mount import Root
from pyrunc.spec.json_text import loads
from pyrunc.spec.types import Config

LOG = "restore.log"
LSM_CHANGES, TIME_NAMESPACES = 31600, 31400
"""The first versions of CRIU that accept another LSM profile, and that make a time namespace."""


class Restoration:
    """A container that is being restored. ``options``: as for creating it."""

    def __init__(self, container_id: str, spec: Config, options: CreateOptions, chosen: CriuOptions) -> None:
        options.run = True
        self.creation = Creation(container_id, spec, options)
        self.spec = spec
        self.options = options
        self.chosen = chosen
        self.pid = 0

    def make(self) -> int:
        """Restores the container; returns the pid of init, which is a child process of this process. On failure removes
        everything that was made."""
        installed = version()
        self._check(installed)
        directories = Directories(self.chosen, make=False)
        try:
            self.creation.begin()
            return self._with_state(directories, installed)
        finally:
            directories.close()

    def _check(self, installed: int) -> None:
        if installed < OLDEST:
            raise PyruncError(f"criu is too old: version {installed} must be {OLDEST} or higher")
        for name in ("lsm_profile", "lsm_mount_context"):
            if getattr(self.chosen, name) and installed < LSM_CHANGES:
                raise PyruncError(f"--{name.replace('_', '-')} requires at least CRIU 3.16")

    def _with_state(self, directories: Directories, installed: int) -> int:
        creation = self.creation
        root = Root(creation.record.directory)
        joined = None
        try:
            if installed >= TIME_NAMESPACES:
                self._expect_time_namespace()
            steps = external.plan(self.spec, creation.facts)
            joined = external.Joined(self.spec, installed, FIRST_EXTRA)
            request = self._request(directories, joined, root, steps)
            self._converse(request, joined, root, steps, directories.log)
            return self.pid
        except BaseException:
            self._kill()
            root.remove()
            creation.undo()
            raise
        finally:
            if joined is not None:
                joined.close()
            creation.record.release()

    def _expect_time_namespace(self) -> None:
        """Adds a time namespace to the stored config, so that `exec` joins it. CRIU makes one to keep the clocks of the
        image."""
        stored = self.creation.record.state.config.setdefault("linux", {}).setdefault("namespaces", [])
        if not any(namespace["type"] == "time" for namespace in stored):
            stored.append({"type": "time"})

    def _request(
        self, directories: Directories, joined: external.Joined, root: Root, steps: list[Step]
    ) -> dict[str, Any]:
        inherit = [*joined.inherit, *external.pipes(_descriptors(self.chosen.image_path))]
        asked = {
            **directories.options(),
            **self.chosen.shared(),
            **config_file(self.spec.annotations),
            "log_file": LOG,
            "root": root.path,
            "rst_sibling": True,
            "evasive_devices": True,
            "lsm_profile": self.chosen.lsm_profile or None,
            "lsm_mount_context": self.chosen.lsm_mount_context or None,
            "ext_mnt": external.restored_mounts(self.spec, steps),
            "inherit_fd": inherit,
            "join_ns": joined.join,
        }
        return {"type": RESTORE, "opts": asked}

    def _converse(
        self, request: dict[str, Any], joined: external.Joined, root: Root, steps: list[Step], directory: str
    ) -> None:
        criu = Criu(self.options.stdio or (0, 1, 2), joined.descriptors)
        try:
            if self.creation.facts.cgroups:
                self._place(criu.pid)
                paths = paths_of(criu.pid)
                request["opts"]["cg_root"] = [{"ctrl": name, "path": path} for name, path in paths.items()]
            # After the cgroups, which are also sources of mounts.
            make_mount_points(steps)
            root.mount(self.creation.record.state.rootfs)
        except BaseException:
            criu.kill()
            raise
        forget(directory, LOG)
        try:
            answer = criu.ask(request, self._notified)
        except PyruncError as error:
            raise explained(error, directory, LOG) from None
        root.remove()
        if not self.pid:
            self._record(answer.get("restore", {}).get("pid", 0))

    def _place(self, pid: int) -> None:
        """Makes the container's cgroups and places CRIU in them. The processes that CRIU restores start in its cgroups,
        and the cgroups of the image are made below them."""
        launch, facts = self.creation.launch, self.creation.facts
        launch.pid = pid
        for step in [*cgroups.making(facts), *cgroups.placing(None, facts)]:
            ACTIONS[step.kind](launch, step)

    def _notified(self, script: str, pid: int, descriptor: int) -> None:
        hooks = self.spec.hooks
        if script == "setup-namespaces" and hooks is not None:
            head, tail = self.creation.facts.state_of("creating")
            for point, found in (("prestart", hooks.prestart), ("createRuntime", hooks.create_runtime)):
                run_hooks(point, found, f"{head}{pid}{tail}".encode(), self.options.bundle)
        elif script == "post-restore":
            self._record(pid)
        elif script == "orphan-pts-master":
            self._hand_over(descriptor)

    def _record(self, pid: int) -> None:
        if pid <= 0:
            raise PyruncError("criu restore: no pid of the restored process was told")
        self.pid = pid
        self.creation.record_pid(pid)

    def _hand_over(self, descriptor: int) -> None:
        """Sends the terminal's master to the console socket, as the helper does (docs/architecture.md)."""
        if self.options.console < 0:
            raise PyruncError("the container has a terminal: --console-socket is needed to hand its master over")
        if descriptor < 0:
            raise PyruncError("criu restore: the terminal's master did not arrive")
        connection = socket.socket(fileno=os.dup(self.options.console))
        with connection:
            socket.send_fds(connection, [b"/dev/ptmx"], [descriptor])

    def _kill(self) -> None:
        if self.pid:
            try:
                os.kill(self.pid, 9)
                os.waitpid(self.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
            self.pid = 0


def _descriptors(directory: str) -> list[str]:
    """Reads what `checkpoint` recorded about init's standard descriptors. PyruncError if the image has no such file."""
    path = f"{directory}/{external.DESCRIPTORS}"
    try:
        found = loads(read(path))
    except OSError as error:
        raise PyruncError(f"{path}: {(error.strerror or '').lower()}") from None
    except ValueError as error:
        raise PyruncError(f"{path}: {error}") from None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise PyruncError(f"{path}: is not a list of names")
    return found
