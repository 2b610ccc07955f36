"""`checkpoint`: writes a container to disk, and then removes it unless the options say that it continues."""

import fcntl
import os
from typing import TYPE_CHECKING, Any

from pyrunc import log
from pyrunc.container import delete
from pyrunc.container.status import PAUSED
from pyrunc.criu import external
from pyrunc.criu.directories import Directories
from pyrunc.criu.messages import DUMP, PRE_DUMP
from pyrunc.criu.options import CriuOptions
from pyrunc.criu.swrk import Criu, errors, require, version
from pyrunc.errors import PyruncError
from pyrunc.linux.files import read
from pyrunc.linux.output import write_whole
from pyrunc.plan.facts import Facts
from pyrunc.plan.options import CreateOptions
from pyrunc.spec.json_text import dumps

if TYPE_CHECKING:
    from pyrunc.container.record import Record

LOG = "dump.log"
OLDEST = 30000
"""CRIU 3.0, the first version that reports its version."""
UNIFIED_FREEZER, READY_TOLD = 31400, 31500
"""The first versions of CRIU that support cgroup.freeze, and that send a notification when lazy pages can be
requested."""
CONFIG_ANNOTATION, CONFIG_FILE = "org.criu.config", "/etc/criu/runc.conf"
"""The places where an administrator can override CRIU's options, the same as for runc."""


def checkpoint(container: "Record", options: CriuOptions) -> None:
    """Checkpoints the container. PyruncError if it is not running or CRIU fails; the container then continues."""
    with container.locked():
        status = container.require("checkpoint")
        _Dump(container, options).make(status == PAUSED)
        if not (options.leave_running or options.pre_dump):
            delete.destroy(container)


class _Dump:
    def __init__(self, container: "Record", options: CriuOptions) -> None:
        self.container = container
        self.options = options
        self.version = version()
        if self.version < OLDEST:
            raise PyruncError(f"criu is too old: version {self.version} must be {OLDEST} or higher")
        self.config = container.config

    def make(self, was_paused: bool) -> None:
        """Lets CRIU write the image."""
        directories = Directories(self.options, make=True)
        try:
            request = self._request(directories)
            if not self.options.pre_dump:
                names = self.container.state.descriptors
                write_whole(directories.image, external.DESCRIPTORS, dumps(names).encode())
            self._ask(request, directories.log, was_paused)
        finally:
            directories.close()

    def _ask(self, request: dict[str, Any], directory: str, was_paused: bool) -> None:
        forget(directory, LOG)
        try:
            Criu().ask(request, self._notified)
        except PyruncError as error:
            self._go_on(was_paused)
            raise explained(error, directory, LOG) from None

    def _go_on(self, was_paused: bool) -> None:
        """Thaws the container after a failure. CRIU does this itself, unless it was killed."""
        freezer = self.container.freezer
        if not was_paused and freezer.frozen:
            freezer.thaw()

    def _request(self, directories: Directories) -> dict[str, Any]:
        options, container = self.options, self.container
        asked = {
            **directories.options(),
            **options.shared(),
            **config_file(container.state.annotations),
            "log_file": LOG,
            "pid": container.pid,
            "root": container.state.rootfs,
            "leave_running": options.leave_running,
            "tcp_skip_in_flight": options.tcp_skip_in_flight,
            "link_remap": options.link_remap,
            "freeze_cgroup": self._freezer(),
            "ps": options.page_server_address(),
            "external": external.dumped_namespaces(self.config, container.pid, self.version),
        }
        if options.parent_path:
            asked.update(parent_img=options.parent_path, track_mem=True)
        if options.lazy_pages:
            require("lazy_pages", "--lazy-pages")
            asked["status_fd"] = self._status_descriptor()
        if options.pre_dump:
            require("mem_track", "--pre-dump")
            return {"type": PRE_DUMP, "opts": asked}
        asked["ext_mnt"] = self._mounts()
        return {"type": DUMP, "opts": asked}

    def _freezer(self) -> str | None:
        """Returns the cgroup that CRIU freezes, so that the processes cannot fork while CRIU walks the tree. With None,
        CRIU stops the processes one by one."""
        freezer = self.container.freezer
        usable = not freezer.v2 or self.version >= UNIFIED_FREEZER
        return freezer.directory or None if usable else None

    def _mounts(self) -> list[dict[str, str]]:
        container = self.container
        facts = Facts(container.id, CreateOptions(bundle=container.state.bundle))
        facts.cgroups = dict(container.state.cgroups)
        if facts.cgroups:
            from pyrunc.cgroup.host import discover

            facts.host = discover()
        root = os.open(f"/proc/{container.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return external.dumped_mounts(self.config, external.plan(self.config, facts), root)
        finally:
            os.close(root)

    def _status_descriptor(self) -> int | None:
        descriptor = self.options.status_fd
        if descriptor < 0:
            return None
        try:
            mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        except OSError as error:
            raise PyruncError(f"invalid --status-fd {descriptor}: {(error.strerror or '').lower()}") from None
        if mode == os.O_RDONLY:
            raise PyruncError(f"invalid --status-fd {descriptor}: not writable")
        return None if self.version >= READY_TOLD else descriptor

    def _notified(self, script: str, pid: int, descriptor: int) -> None:
        if script == "status-ready" and self.options.status_fd >= 0:
            try:
                os.write(self.options.status_fd, b"\0")
            except OSError as error:
                log.warning(f"--status-fd {self.options.status_fd}: {error.strerror}")
            # The reader also waits for end of file.
            os.close(self.options.status_fd)
            self.options.status_fd = -1


def config_file(annotations: dict[str, str]) -> dict[str, str]:
    """Returns CRIU's configuration file, whose settings override the request. An empty annotation disables it."""
    chosen = annotations.get(CONFIG_ANNOTATION, CONFIG_FILE)
    return {"config_file": chosen} if chosen else {}


def explained(error: PyruncError, directory: str, name: str) -> PyruncError:
    """Returns ``error`` with the errors in CRIU's log of this run, because CRIU's reply has at most an error number."""
    if not str(error).startswith("criu "):
        return error  # an error of a hook, or of the terminal
    try:
        reason = errors(read(f"{directory}/{name}").decode("utf-8", "replace"))
    except OSError:
        return error
    return PyruncError(f"{error}: {reason} (see {directory}/{name})") if reason else error


def forget(directory: str, name: str) -> None:
    """Removes the log of an earlier run, which would explain the wrong failure."""
    try:
        os.unlink(f"{directory}/{name}")
    except OSError:
        pass
