"""Changing the limits of a container, and the config that is stored with it."""

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
"""(section, given, needed with it): v2 has one file, or one number, for two properties of the spec."""
LIMITS_AT_ZERO = {"cpu": ("idle", "burst"), "pids": ("limit",)}
"""Properties of which 0 is a value, and not "leave it"."""


def update(container: "Record", changes: "dict[str, Any]") -> None:
    """``changes``: a resources object as JSON has it, and ``intelRdt`` beside it. 0 or absent leaves a limit alone, -1
    lifts it. SpecError names what is refused; then every limit is as it was.
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
    """Changes the limits and the device rules; what undoes it. After a refusal everything is as it was."""
    cgroups, unit = container.cgroups, container.state.systemd_unit
    writes = limits(discover(), asked)
    files = previous(cgroups, writes)
    told: list[str] = []

    def undo() -> None:
        if told:
            set_properties(unit, told)
        put_back(cgroups, files)

    try:
        # The kernel first: it refuses a value, where systemd logs that it could not write it.
        cgroups.apply(writes)
        for write in writes:
            log.debug(f"{write.where}: {write.file} is {write.value}")
        if unit:
            from pyrunc.cgroup.systemd.changes import changed, set_properties

            told = changed(cgroups, unit, asked, rules_, stored)
            # systemd has written what it knows, rounded; what it cannot hold is written once more.
            cgroups.apply(writes)
        if rules_ is not None:
            cgroups.apply_devices(rules_)
    except PyruncError:
        undo()
        raise
    return undo


def _completed(changes: "dict[str, Any]", stored: "dict[str, Any]") -> "dict[str, Any]":
    """``changes`` with what is stored of a property that can only be written with one of them."""
    completed = {section: dict(v) if isinstance(v, dict) else v for section, v in changes.items()}
    for section, given, needed in TOGETHER:
        values, kept = completed.get(section) or {}, stored.get(section) or {}
        zero = given in LIMITS_AT_ZERO.get(section, ())
        asked = values.get(given) is not None if zero else values.get(given)
        if given == "limit" and asked == -1:
            continue  # a lifted limit lifts swap, too
        if asked and not values.get(needed) and kept.get(needed):
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
            kept.update({key: values[key] for key in LIMITS_AT_ZERO.get(section, ()) if values.get(key) is not None})
        elif values:
            stored[section] = values
    memory = stored.get("memory", {})
    memory.pop("checkBeforeUpdate", None)
    given = changes.get("memory") or {}
    if given.get("limit") == -1 and not given.get("swap"):
        memory["swap"] = -1  # lifted with it


def _update_rdt(container: "Record", schema: "dict[str, Any]") -> None:
    """--l3-cache-schema and --mem-bw-schema; a container without Intel RDT gets a group now, as with runc."""
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
    # Told before it is made, as all that `delete` has to remove.
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
