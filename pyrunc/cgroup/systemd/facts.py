"""What a plan needs to know so that systemd makes a container's cgroup. systemd is queried once."""

from pyrunc.cgroup.systemd import annotations, devices, names, properties
from pyrunc.cgroup.systemd.manager import manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.cgroup.devices import Rules
    from pyrunc.spec.types import Resources


class Scope:
    """A unit to start. ``unit``, ``slice`` and the encoded ``properties`` are arguments of unit.start; ``path`` is the
    unit's cgroup, from the top of each hierarchy."""

    __slots__ = ("path", "properties", "slice", "unit")

    def __init__(self, unit: str, slice_: str, properties_: "list[str]", path: str) -> None:
        self.unit = unit
        self.slice = slice_
        self.properties = properties_
        self.path = path


def scope(
    cgroups_path: str,
    container_id: str,
    resources: "Resources | None",
    rules: "Rules | None",
    asked: "Mapping[str, str]",
    unified: bool,
) -> Scope:
    """Returns the unit for a container. ``asked``: its annotations, which override the other properties. PyruncError if
    no systemd answers."""
    systemd = manager()
    version, group = systemd.facts()
    slice_, unit = names.parse(cgroups_path, container_id, systemd.users)
    words = [
        *properties.scope(unit, unified),
        *properties.properties(resources, unified, version),
        *devices.properties(rules, version),
        *annotations.properties(asked),
    ]
    path = names.scope_path(cgroups_path, container_id, group if systemd.users else "", systemd.users)
    return Scope(unit, slice_, words, path)
