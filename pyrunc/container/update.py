"""Changes the limits of a container, and the stored config."""

from pyrunc import log
from pyrunc.cgroup.devices import rules
from pyrunc.cgroup.host import UNIFIED, discover
from pyrunc.cgroup.limits import limits
from pyrunc.cgroup.rollback import previous, put_back
from pyrunc.errors import PyruncError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.cgroup.devices import Rules
    from pyrunc.cgroup.manager import Cgroups
    from pyrunc.container.record import Record
    from pyrunc.spec.types import Resources

TOGETHER = (
    *(("cpu", "quota", "period"), ("cpu", "period", "quota"), ("cpu", "idle", "shares")),
    *(("memory", "swap", "limit"), ("memory", "limit", "swap")),
)
"""(section, property, other property that is needed with it): v2 combines the two in one file or one number."""
LIMITS_AT_ZERO = {"cpu": ("idle", "burst"), "pids": ("limit",)}
"""Properties for which 0 is a value. For all others it means "do not change"."""


def update(container: "Record", changes: "dict[str, Any]") -> None:
    """Changes the limits. ``changes``: linux.resources as a JSON object, and ``intelRdt``. An absent limit, or 0, is
    not changed; -1 removes a limit. SpecError names a refused change; all limits then have their previous values.
    """
    from pyrunc.spec.load import shaped_resources

    schema = changes.get("intelRdt")
    changes = {section: values for section, values in changes.items() if section != "intelRdt"}
    resources = shaped_resources(changes)
    with container.locked():
        container.require("update")
        if not container.state.cgroups:
            raise PyruncError("the container has no cgroups to update")
        stored = container.state.config.setdefault("linux", {}).setdefault("resources", {})
        _check_usage(container.cgroups, resources)
        rules_ = rules(resources) if resources.devices else None
        undo = _apply(container, shaped_resources(_completed(changes, stored)), rules_, stored)
        try:
            if schema:
                _update_rdt(container, schema)
        except PyruncError:
            undo()
            raise
        _store(stored, changes)
        container.save()


def _apply(
    container: "Record", asked: "Resources", rules_: "Rules | None", stored: "dict[str, Any]"
) -> "Callable[[], None]":
    """Changes the limits and the device rules; returns a function that undoes this. If a change is refused, restores
    the previous values and raises PyruncError."""
    cgroups, unit = container.cgroups, container.state.systemd_unit
    writes = limits(discover(), asked)
    files = previous(cgroups, writes)
    told: list[str] = []

    def undo() -> None:
        if told:
            set_properties(unit, told)
        put_back(cgroups, files)

    try:
        # The kernel first, because it refuses a wrong value, while systemd only logs that it could not write it.
        cgroups.apply(writes)
        for write in writes:
            log.debug(f"{write.where}: {write.file} is {write.value}")
        if unit:
            from pyrunc.cgroup.systemd.changes import changed, set_properties

            told = changed(cgroups, unit, asked, rules_, stored)
            # systemd has written its values, rounded. Write again for the limits that it does not have.
            cgroups.apply(writes)
        if rules_ is not None:
            cgroups.apply_devices(rules_)
    except PyruncError:
        undo()
        raise
    return undo


def _completed(changes: "dict[str, Any]", stored: "dict[str, Any]") -> "dict[str, Any]":
    """Returns ``changes`` with the stored value of each property that can only be written together with a change."""
    completed = {section: dict(v) if isinstance(v, dict) else v for section, v in changes.items()}
    for section, given, needed in TOGETHER:
        values, kept = completed.get(section) or {}, stored.get(section) or {}
        zero = given in LIMITS_AT_ZERO.get(section, ())
        asked = values.get(given) is not None if zero else values.get(given)
        if given == "limit" and asked == -1:
            continue  # removing the memory limit removes the swap limit, too
        if asked and not values.get(needed) and kept.get(needed):
            values[needed] = kept[needed]
    return completed


def _check_usage(cgroups: "Cgroups", resources: "Resources") -> None:
    """Checks memory.checkBeforeUpdate: SpecError if a limit is not above the usage. v2 would kill processes; v1 refuses
    such a limit anyway."""
    memory = resources.memory
    if memory is None or not memory.check_before_update:
        return
    name = next((name for name in cgroups.dirs if "memory" in name.split(",")), UNIFIED)
    usage = cgroups.usage(name)
    for where, limit in (("swap", memory.swap), ("limit", memory.limit)):
        if limit and limit > 0 and usage.isdigit() and limit <= int(usage):
            raise SpecError(f"linux.resources.memory.{where}", f"rejecting {limit}: {usage} bytes are used")


def _store(stored: "dict[str, Any]", changes: "dict[str, Any]") -> None:
    """Updates the stored config, so that `exec`, `state` and a later update see the current limits."""
    for section, values in changes.items():
        if isinstance(values, dict):
            kept = stored.setdefault(section, {})
            kept.update({key: value for key, value in values.items() if value not in (None, 0, "")})
            kept.update({key: values[key] for key in LIMITS_AT_ZERO.get(section, ()) if values.get(key) is not None})
        elif values:
            stored[section] = values
    memory = stored.get("memory", {})
    memory.pop("checkBeforeUpdate", None)
    given = changes.get("memory") or {}
    if given.get("limit") == -1 and not given.get("swap"):
        memory["swap"] = -1  # removed together with the memory limit


def _update_rdt(container: "Record", schema: "dict[str, Any]") -> None:
    """Applies --l3-cache-schema and --mem-bw-schema. As in runc, a container without an Intel RDT group gets one."""
    from pyrunc.resources import resctrl

    root, linux = container.state.resctrl, container.state.config["linux"]
    new = "intelRdt" not in linux
    linux.setdefault("intelRdt", {}).update(schema)
    wanted = container.config.linux.intel_rdt
    assert wanted is not None
    if not new:
        resctrl.write_schemata(root, container.id, wanted)
        return
    resctrl.check(root, container.id, wanted)
    # Recorded before it is made, so that `delete` finds it.
    container.state.intel_rdt = resctrl.owned(root, container.id, wanted)
    container.save()
    try:
        resctrl.create(root, container.id, wanted, container.pid)
    except PyruncError:
        del linux["intelRdt"]
        resctrl.remove(container.state.intel_rdt)
        container.state.intel_rdt = []
        container.save()
        raise
