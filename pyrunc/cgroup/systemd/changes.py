"""Changes the limits of a running unit, and prepares the properties that undo the change."""

from pyrunc.cgroup.freezer import Freezer
from pyrunc.cgroup.systemd import devices, properties
from pyrunc.cgroup.systemd.manager import manager
from pyrunc.cgroup.systemd.unit import set_properties
from pyrunc.cgroup.systemd.values import INFINITY, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cgroup.devices import Rules
    from pyrunc.cgroup.groups import Groups
    from pyrunc.cgroup.systemd.values import Property
    from pyrunc.spec.types import Resources

ZERO = ("MemoryLow", "MemoryMin")
"""Properties whose "no limit" value is 0. For other limits it is infinity, which for a weight means the default."""

__all__ = ["changed", "set_properties"]


def changed(
    groups: "Groups", unit: str, asked: "Resources", rules: "Rules | None", stored: "dict[str, Any]"
) -> "list[str]":
    """Sets the properties for ``asked`` and ``rules``; returns the properties that undo this. ``stored``: the previous
    resources."""
    from pyrunc.spec.load import shaped_resources

    version = manager().facts()[0]
    unified = list(groups.dirs) == [""]
    words = properties.properties(asked, unified, version)
    before = shaped_resources(stored)
    old = {item[0]: item for item in decode(properties.properties(before, unified, version))}
    undo = encode(old.get(name) or _none(name, kind) for name, kind, _ in decode(words) if kind in ("t", "ay", "a(st)"))
    if rules is not None:
        from pyrunc.cgroup.devices import rules as rules_of

        words += devices.properties(rules, version)
        undo += devices.properties(rules_of(before), version)
    _tell(groups, unit, words, frozen=not unified)
    return undo


def _tell(groups: "Groups", unit: str, words: "list[str]", frozen: bool) -> None:
    """Sets the properties. ``frozen``: freeze the container meanwhile, as runc does. On v1 systemd rewrites all device
    rules and starts by denying everything; a container that opens /dev/null at that moment would get an error."""
    freezer = Freezer(groups.dirs)
    frozen = frozen and bool(words) and bool(freezer.directory) and not freezer.frozen
    if frozen:
        freezer.freeze()
    try:
        set_properties(unit, words)
    finally:
        if frozen:
            freezer.thaw()


def _none(name: str, kind: str) -> "Property":
    return name, kind, [] if kind != "t" else 0 if name in ZERO else INFINITY
