"""`delete`: the end of a container; repeatable after a crash at any moment, for the state goes last."""

from pyrunc import log
from pyrunc.cgroup.existing import Existing
from pyrunc.container import process
from pyrunc.container.state import State
from pyrunc.errors import NoSuchContainer, PyruncError, WrongStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.container import Container

SIGKILL = 9


def delete(container: "Container", state: "State", force: bool) -> None:
    """Raises WrongStatus when it still runs and ``force`` is not given."""
    state.take_lock()
    try:
        state.reload()
        status = container.status
        if status == "created" or (force and status != "stopped"):
            # As runc: what never started needs no force, and there is nobody to be asked.
            _kill(container)
        elif status not in ("stopped", "creating"):
            raise WrongStatus(f"cannot delete container {container.id} that is not stopped: {status}")
        destroy(container, state)
    finally:
        state.release()


def _kill(container: "Container") -> None:
    freezer = container.freezer
    if freezer.frozen:
        freezer.thaw()
    _kill_everyone(container)


def _kill_everyone(container: "Container") -> None:
    from pyrunc.container import kill

    kill.kill_everyone(container, SIGKILL)


def remove_leftover(root: str, container_id: str) -> None:
    """A directory without state.json: its creator was killed before it had made anything."""
    state = State(root, container_id)
    try:
        state.take_lock()
    except NoSuchContainer:
        return
    try:
        state.remove()
    finally:
        state.release()


def _remove_cgroups(container: "Container") -> None:
    """Mostly nobody is in them any more, and nothing has to be looked for."""
    cgroups, unit = Existing(container._state.data["cgroups"]), container._state.data["systemd_unit"]
    if not unit and cgroups.remove_empty():
        return
    cgroups.kill_all(SIGKILL)
    if unit:
        from pyrunc.cgroup.systemd import stop

        stop(unit)
    cgroups.remove()


def destroy(container: "Container", state: "State") -> None:
    """Cgroups, then poststop hooks, then the state. The lock is held."""
    data = state.data
    # A container without a pid namespace leaves its children behind when init ends.
    if data.get("mount_namespace"):
        _kill_everyone(container)
    if data["cgroups"]:
        _remove_cgroups(container)
    if data.get("intel_rdt"):
        from pyrunc.container import intel_rdt

        intel_rdt.remove(data["intel_rdt"])
    for executed in container._executed:
        executed.poll()
    process.reap(data["pid"], data["start_time"])
    if "hooks" in data["config"] and data["pid"]:
        config = container.config
        if config.hooks is not None and config.hooks.poststop:
            from pyrunc.container import hooks
            from pyrunc.container.state_text import state_text

            text = state_text(container, "stopped", 0)
            for index, hook in enumerate(config.hooks.poststop):
                try:
                    hooks.run_one(f"hooks.poststop[{index}]", hook, text.encode())
                except PyruncError as error:
                    # The end of a container, and the hooks behind it, are not stopped by one (runtime.md, step 12).
                    log.warning(str(error))
    state.remove()
