"""Changing the limits of a container, and the config that is stored with it."""

from pyrunc.cgroup.devices import rules
from pyrunc.cgroup.host import UNIFIED, discover
from pyrunc.cgroup.limits import limits
from pyrunc.errors import NotRunning, PyruncError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cgroup.manager import Cgroups
    from pyrunc.container.container import Container
    from pyrunc.container.state import State
    from pyrunc.spec.types import Resources


def update(container: "Container", state: "State", changes: "dict[str, Any]") -> None:
    """``changes``: a resources object as JSON has it. 0 or absent leaves a limit alone, -1 lifts it.

    What was written before a refused write is put back.
    """
    from pyrunc.spec.load import shaped_resources

    resources = shaped_resources(changes)
    state.take_lock()
    try:
        state.reload()
        if container.status == "stopped":
            raise NotRunning(f"container not running: {container.id}")
        if not state.data["cgroups"]:
            raise PyruncError("the container has no cgroups to update")
        cgroups = container.cgroups
        _check_usage(cgroups, resources)
        host = discover()
        writes = limits(host, resources)
        try:
            cgroups.apply(writes)
        except SpecError:
            _put_back(container, cgroups)
            raise
        if resources.devices:
            cgroups.apply_devices(rules(resources))
        _update_rdt(container, state, changes)
        _store(state, changes)
    finally:
        state.release()


def _check_usage(cgroups: "Cgroups", resources: "Resources") -> None:
    """memory.checkBeforeUpdate: v2 would kill for a limit below what is used, v1 refuses it by itself."""
    memory = resources.memory
    if memory is None or not memory.check_before_update or not memory.limit or memory.limit < 0:
        return
    name = next((name for name in cgroups.dirs if "memory" in name.split(",")), UNIFIED)
    usage = cgroups.usage(name)
    if usage.isdigit() and int(usage) > memory.limit:
        what = f"rejecting memory limit {memory.limit}: {usage} bytes are used"
        raise SpecError("linux.resources.memory.limit", what)


def _put_back(container: "Container", cgroups: "Cgroups") -> None:
    try:
        cgroups.apply(limits(discover(), container.config.linux.resources))
    except PyruncError:
        pass  # the first refusal is what the user is told


def _store(state: "State", changes: "dict[str, Any]") -> None:
    """The stored config follows, so that `exec`, `state` and a later update see what holds."""
    resources = state.data["config"].setdefault("linux", {}).setdefault("resources", {})
    for section, values in changes.items():
        if isinstance(values, dict):
            kept = resources.setdefault(section, {})
            kept.update({key: value for key, value in values.items() if value not in (None, 0, "")})
        elif values:
            resources[section] = values
    resources.get("memory", {}).pop("checkBeforeUpdate", None)
    state.save()


def _update_rdt(container: "Container", state: "State", changes: "dict[str, Any]") -> None:
    """--l3-cache-schema and --mem-bw-schema, which `update` carries under ``intelRdt``."""
    schema = changes.pop("intelRdt", None)
    if not schema:
        return
    from pyrunc.container import intel_rdt

    stored = state.data["config"].setdefault("linux", {}).setdefault("intelRdt", {})
    stored.update(schema)
    intel_rdt.write_schemata(container.id, container.config.linux.intel_rdt)
