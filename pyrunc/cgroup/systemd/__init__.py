"""--systemd-cgroup: systemd makes the cgroup, as a transient scope (systemd.scope(5)), and keeps its limits.

Loaded only when it is asked for. ``unit`` starts, changes and stops a unit; ``properties``, ``devices`` and
``annotations`` say in systemd's words what config.json asks for, purely; ``manager`` finds the systemd to be asked.
"""

from pyrunc.cgroup.systemd.unit import attach, set_properties, start, stop

__all__ = ["attach", "set_properties", "start", "stop"]
