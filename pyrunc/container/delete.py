"""`delete`: removes a container. It can be repeated after a crash at any moment, because the state is removed last."""

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
"""Exceptions of a part that do not prevent the other parts: the kernel's errors, and those that a damaged state may
cause in this code."""
LIMIT, GRACE = 10.0, 1.0
"""Seconds for all waits together (as runc), and seconds for a cgroup to become empty after its last process ended."""


class Parts:
    """The parts of a removal. Each is done even if another fails, and ``check`` reports the failures. ``until``: the
    common deadline of the parts that wait for processes and cgroups (seconds of the monotonic clock)."""

    def __init__(self) -> None:
        from time import monotonic

        self.failed: list[str] = []
        self.until = monotonic() + LIMIT

    def do(self, part: "Callable[..., object]", container: "Record", *words: float) -> None:
        """Calls ``part``, and records a failure."""
        try:
            part(container, *words)
            log.debug(f"container {container.id}: {part.__name__.strip('_').replace('_', ' ')}: done")
        except FAILURES as error:
            self.failed.append(_words(error))

    def check(self) -> None:
        """Raises PyruncError with every recorded failure."""
        if self.failed:
            raise PyruncError("; ".join(dict.fromkeys(self.failed)))


def delete(container: "Record", force: bool) -> None:
    """Removes the container. WrongStatus if it is running and ``force`` is not given. PyruncError names what could not
    be removed; the state then stays for the next call."""
    with container.locked(lambda: _end_init(container) if force else None):
        if not force:
            container.require("delete")
        end(container)


def end(container: "Record") -> None:
    """Kills the container if it is running, and removes it. The caller holds the lock."""
    parts = Parts()
    parts.do(_kill_running, container, parts.until)
    _remove(container, parts)
    parts.check()


def _end_init(container: "Record") -> None:
    """Kills init if another command holds the lock, because one that waits for init (`start`) then ends."""
    try:
        container.reload()
        pidfd.send(container.state.pid, container.state.start_time, SIGKILL)
        if container.freezer.frozen:
            container.freezer.thaw()
    except (PyruncError, OSError):
        pass  # the caller tries again when it has the lock


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
    """Removes the container ``container_id``, even if it is running or incomplete. Ignores one that does not exist."""
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
    """Removes a directory without state.json. The command that made it was killed before it made anything else."""
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
    """Removes the cgroups. Usually they are already empty, and no processes have to be searched for."""
    cgroups, unit = Groups(container.state.cgroups), container.state.systemd_unit
    if not container.state.cgroups:
        return
    if not unit and (cgroups.remove_empty() or cgroups.remove_unused()):
        return
    from time import monotonic

    cgroups.kill_all(SIGKILL, until)
    if unit and (_keeps_unit(container) or not cgroups.await_removal()):
        from pyrunc.cgroup.systemd import stop

        stop(unit)
    cgroups.remove(max(until, monotonic() + GRACE))


def _keeps_unit(container: "Record") -> bool:
    """Whether systemd keeps the unit when its last process has ended: a slice, and possibly one whose config sets
    CollectMode= (systemd.unit(5))."""
    annotations = container.state.config.get("annotations") or {}
    return container.state.systemd_unit.endswith(".slice") or "org.systemd.property.CollectMode" in annotations


def destroy(container: "Record") -> None:
    """Removes the cgroups, runs the poststop hooks, and removes the state. The caller holds the lock. PyruncError names
    what could not be removed; everything else is, and the state stays for the next call."""
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
    finally:  # also after a signal that interrupts a hook, which might otherwise run forever
        _forget(container, parts)


def _forget(container: "Record", parts: Parts) -> None:
    """Removes the state, but only if nothing has failed. Otherwise saves that the poststop hooks have run."""
    if not parts.failed:
        parts.do(Record.remove, container)
    elif container.state.poststop_done:
        try:
            container.save()
        except PyruncError:
            pass  # then the hooks run again at the next call


def _end_processes(container: "Record", until: float) -> None:
    """Kills the processes that remain after init has ended, if the container does not have its own pid namespace."""
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
    """Runs the poststop hooks, once. Errors are only logged (runtime.md "Lifecycle", step 13)."""
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
