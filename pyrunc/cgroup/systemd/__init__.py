"""--systemd-cgroup: systemd makes the cgroup, as a transient scope (systemd.scope(5)), and keeps its limits.

Imported only if the option is given. ``unit`` starts, changes and stops a unit. ``properties``, ``devices`` and
``annotations`` translate config.json to properties of the unit, without side effects. ``manager`` finds and connects to
the systemd instance that manages the unit.
"""

from pyrunc.cgroup.systemd.unit import attach, set_properties, start, stop

__all__ = ["attach", "set_properties", "start", "stop"]
