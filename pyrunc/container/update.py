"""Changing the limits of a container, and the config that is stored with it."""

from pyrunc.cgroup.devices import rules
from pyrunc.cgroup.host import UNIFIED, discover
from pyrunc.cgroup.limits import limits
from pyrunc.cgroup.previous import previous, put_back
from pyrunc.errors import NotRunning, PyruncError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cgroup.manager import Cgroups
    from pyrunc.container.container import Container
    from pyrunc.container.state import State
    from pyrunc.spec.types import Resources

TOGETHER = (("cpu", "quota", "period"), ("cpu", "period", "quota"), ("memory", "swap", "limit"))
"""(section, given, needed with it): v2 has one file, or one number, for two properties of the spec."""


def update(container: "Container", state: "State", changes: "dict[str, Any]") -> None:
    """``changes``: a resources object as JSON has it, and ``intelRdt`` beside it. 0 or absent leaves a limit alone, -1
    lifts it. SpecError names what is refused; then every limit is as it was.
    """
    from pyrunc.spec.load import shaped_resources

    schema = changes.get("intelRdt")
    changes = {section: values for section, values in changes.items() if section != "intelRdt"}
    resources = shaped_resources(changes)
    state.take_lock()
    try:
        state.reload()
        if container.status == "stopped":
            raise NotRunning(f"container not running: {container.id}")
        if not state.data["cgroups"]:
            raise PyruncError("the container has no cgroups to update")
        stored = state.data["config"].setdefault("linux", {}).setdefault("resources", {})
        cgroups = container.cgroups
        _check_usage(cgroups, resources)
        completed = shaped_resources(_completed(changes, stored))
        writes = limits(discover(), completed)
        undo = previous(cgroups, writes)
        try:
            cgroups.apply(writes)
            if state.data.get("systemd_unit"):
                from pyrunc.cgroup import systemd

                alone = UNIFIED in cgroups.dirs and len(cgroups.dirs) == 1
                systemd.change(state.data["systemd_unit"], systemd.properties(completed, alone))
            if resources.devices:
                cgroups.apply_devices(rules(resources))
            if schema:
                _update_rdt(container, state, schema)
        except PyruncError:
            put_back(cgroups, undo)
            raise
        _store(stored, changes)
        state.save()
    finally:
        state.release()


def _completed(changes: "dict[str, Any]", stored: "dict[str, Any]") -> "dict[str, Any]":
    """``changes`` with what is stored of a property that can only be written with one of them."""
    completed = {section: dict(v) if isinstance(v, dict) else v for section, v in changes.items()}
    for section, given, needed in TOGETHER:
        values, kept = completed.get(section) or {}, stored.get(section) or {}
        if values.get(given) and not values.get(needed) and kept.get(needed):
            values[needed] = kept[needed]
    return completed


def _check_usage(cgroups: "Cgroups", resources: "Resources") -> None:
    """memory.checkBeforeUpdate: v2 would kill for a limit below what is used, v1 refuses it by itself."""
    memory = resources.memory
    if memory is None or not memory.check_before_update:
        return
    name = next((name for name in cgroups.dirs if "memory" in name.split(",")), UNIFIED)
    usage = cgroups.usage(name)
    for where, limit in (("swap", memory.swap), ("limit", memory.limit)):
        if limit and limit > 0 and usage.isdigit() and limit <= int(usage):
            raise SpecError(f"linux.resources.memory.{where}", f"rejecting {limit}: {usage} bytes are used")


def _store(stored: "dict[str, Any]", changes: "dict[str, Any]") -> None:
    """The stored config follows, so that `exec`, `state` and a later update see what holds."""
    for section, values in changes.items():
        if isinstance(values, dict):
            kept = stored.setdefault(section, {})
            kept.update({key: value for key, value in values.items() if value not in (None, 0, "")})
            kept.update({key: values[key] for key in ("idle", "burst") if values.get(key) is not None})
        elif values:
            stored[section] = values
    memory = stored.get("memory", {})
    memory.pop("checkBeforeUpdate", None)
    given = changes.get("memory") or {}
    if given.get("limit") == -1 and not given.get("swap"):
        memory["swap"] = -1  # lifted with it


def _update_rdt(container: "Container", state: "State", schema: "dict[str, Any]") -> None:
    """--l3-cache-schema and --mem-bw-schema; a container without Intel RDT gets a group now, as with runc."""
    from pyrunc.container import intel_rdt

    root, linux = state.data["resctrl"], state.data["config"]["linux"]
    new = "intelRdt" not in linux
    linux.setdefault("intelRdt", {}).update(schema)
    wanted = container.config.linux.intel_rdt
    assert wanted is not None
    if not new:
        intel_rdt.write_schemata(root, container.id, wanted)
        return
    intel_rdt.check(root, container.id, wanted)
    # Told before it is made, as all that `delete` has to remove.
    state.data["intel_rdt"] = intel_rdt.owned(root, container.id, wanted)
    state.save()
    try:
        intel_rdt.create(root, container.id, wanted, container.pid)
    except PyruncError:
        del linux["intelRdt"]
        intel_rdt.remove(state.data["intel_rdt"])
        state.data["intel_rdt"] = []
        state.save()
        raise
