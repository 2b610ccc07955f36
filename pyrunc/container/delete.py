"""`delete`: the end of a container; repeatable after a crash at any moment, for the state goes last."""

from pyrunc import log
from pyrunc.cgroup.groups import Groups
from pyrunc.container.record import Record
from pyrunc.container.status import CREATING, STOPPED
from pyrunc.container.store import Store
from pyrunc.errors import DamagedState, NoSuchContainer, PyruncError
from pyrunc.linux import pidfd, wait_status
from pyrunc.linux.signals import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FAILURES = (PyruncError, ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError, MemoryError)
"""What a part may fail with and the others go on: the kernel's answers, and what a damaged state makes of ours."""
LIMIT, GRACE = 10.0, 1.0
"""Seconds for everything that is waited for (as runc), and that cgroups have to let go of a process that ended last."""


class Parts:
    """The parts of an end: each is done whatever becomes of the others, and what could not be is said at the end.
    ``until``: when those that wait for processes and cgroups give up, all together (seconds of the monotonic clock)."""

    def __init__(self) -> None:
        from time import monotonic

        self.failed: list[str] = []
        self.until = monotonic() + LIMIT

    def do(self, part: "Callable[..., object]", container: "Record", *words: float) -> None:
        """Calls ``part``, and notes its failure."""
        try:
            part(container, *words)
            log.debug(f"container {container.id}: {part.__name__.strip('_').replace('_', ' ')}: done")
        except FAILURES as error:
            self.failed.append(_words(error))

    def check(self) -> None:
        """Raises PyruncError with every failure noted."""
        if self.failed:
            raise PyruncError("; ".join(dict.fromkeys(self.failed)))


def delete(container: "Record", force: bool) -> None:
    """Raises WrongStatus when it still runs and ``force`` is not given; PyruncError for what could not be removed, and
    then the state stays for the next call."""
    with container.locked(lambda: _end_init(container) if force else None):
        if not force:
            container.require("delete")
        end(container)


def end(container: "Record") -> None:
    """Kills the container if it runs, and removes it. The lock is held."""
    parts = Parts()
    parts.do(_kill_running, container, parts.until)
    _remove(container, parts)
    parts.check()


def _end_init(container: "Record") -> None:
    """Another command holds the lock: one that waits for init (`start`) ends with it."""
    try:
        container.reload()
        pidfd.send(container.state.pid, container.state.start_time, SIGKILL)
        if container.freezer.frozen:
            container.freezer.thaw()
    except (PyruncError, OSError):
        pass  # what is there is found when the lock is free


def _kill_running(container: "Record", until: float) -> None:
    if container.status not in (STOPPED, CREATING):
        _kill(container, until)


def _kill(container: "Record", until: float) -> None:
    freezer = container.freezer
    if freezer.frozen:
        freezer.thaw()
    _kill_everyone(container, until)


def _kill_everyone(container: "Record", until: float) -> None:
    from pyrunc.container import kill

    kill.kill_everyone(container, SIGKILL, until)


def remove(root: str, container_id: str) -> None:
    """Removes whatever there is of ``container_id``, running or half made; nothing at all is fine."""
    container = Record(root, container_id)
    try:
        container.reload()
        delete(container, True)
    except NoSuchContainer:
        remove_leftover(root, container_id)
    except DamagedState as error:
        log.warning(f"{error}: removed by what is left of it")
        container.take_lock(None)
        try:
            container.salvage()
            end(container)
        finally:
            container.release()


def remove_leftover(root: str, container_id: str) -> None:
    """A directory without state.json: its creator was killed before it had made anything."""
    store = Store(root, container_id)
    try:
        store.take_lock()
    except NoSuchContainer:
        return
    try:
        store.remove()
    finally:
        store.release()


def _remove_cgroups(container: "Record", until: float) -> None:
    """Removes the cgroups: usually they are empty by now, and no process has to be looked for."""
    cgroups, unit = Groups(container.state.cgroups), container.state.systemd_unit
    if not container.state.cgroups:
        return
    if not unit and (cgroups.remove_empty() or cgroups.remove_unused()):
        return
    from time import monotonic

    cgroups.kill_all(SIGKILL, until)
    if unit:
        from pyrunc.cgroup.systemd import stop

        stop(unit)
    cgroups.remove(max(until, monotonic() + GRACE))


def destroy(container: "Record") -> None:
    """Cgroups, then poststop hooks, then the state. The lock is held. PyruncError names what could not be removed; all
    else is, and the state stays for the next call."""
    parts = Parts()
    _remove(container, parts)
    parts.check()


def _remove(container: "Record", parts: Parts) -> None:
    for waits in (_end_processes, _remove_cgroups):
        parts.do(waits, container, parts.until)
    for part in (_detach_root, _remove_resctrl, _reap):
        parts.do(part, container)
    try:
        _poststop(container)
    finally:  # a signal that ends a hook, which may never end by itself, is not to keep the container
        _forget(container, parts)


def _forget(container: "Record", parts: Parts) -> None:
    """The state goes last, and only when all else has gone."""
    if not parts.failed:
        parts.do(Record.remove, container)
    elif container.state.poststop_done:
        try:
            container.save()
        except PyruncError:
            pass  # then the hooks run again


def _end_processes(container: "Record", until: float) -> None:
    """A container without a pid namespace leaves its children running when init ends."""
    if container.state.mount_namespace:
        _kill_everyone(container, until)


def _detach_root(container: "Record") -> None:
    if container.state.root_mount:
        from pyrunc.resources import host_root

        host_root.detach(container.state.root_mount, container.state.root_mount_below)


def _remove_resctrl(container: "Record") -> None:
    if container.state.intel_rdt:
        from pyrunc.resources import resctrl

        resctrl.remove(container.state.intel_rdt)


def _reap(container: "Record") -> None:
    if not container.reaps:
        return
    for executed in container.executed:
        executed.poll()
    wait_status.reap(container.state.pid, container.state.start_time)


def _poststop(container: "Record") -> None:
    """The hooks, once. Whatever goes wrong is logged only (runtime.md "Lifecycle", step 13)."""
    state = container.state
    if state.poststop_done or not state.pid or "hooks" not in state.config:
        return
    try:
        config = container.config
        if container.alive or config.hooks is None or not config.hooks.poststop:
            return
        from pyrunc.container.state_json import state_text
        from pyrunc.launch import hooks

        text = state_text(container, STOPPED, 0)
        state.poststop_done = True
        hooks.run_all("poststop", config.hooks.poststop, text.encode("utf-8", "surrogateescape"), state.bundle)
    except FAILURES as error:
        log.warning(f"poststop: {_words(error)}")


def _words(error: BaseException) -> str:
    words = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
    return words or type(error).__name__
