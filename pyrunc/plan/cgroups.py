"""Compiles the steps that create a container's cgroups, set their limits, and place its process in them."""

from pyrunc.cgroup.paths import entries
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.facts import Facts
    from pyrunc.spec.types import Process

PLACE = "linux.cgroupsPath"


def making(facts: "Facts") -> "list[Step]":
    """Returns the steps before the helper's first one: the cgroups are created and limited before any process is in
    them. With systemd there are none, because it creates a scope around a process (``placing``)."""
    return [] if facts.systemd is not None else _making(facts)


def _making(facts: "Facts") -> "list[Step]":
    if not facts.cgroups:
        return []
    steps = [Step("cgroup-create", PLACE, entries(facts.cgroups))]
    steps += [
        Step("cgroup-limit", w.where, f"{facts.cgroups[w.hierarchy]}/{w.file}", w.value, int(w.optional))
        for w in facts.limits
    ]
    directory, rules = device_rules(facts)
    if directory:
        steps.append(Step("cgroup-devices", "linux.resources.devices", directory, rules))
    return steps


def device_rules(facts: "Facts") -> "tuple[str, Sequence[str]]":
    """Returns (HIERARCHY:DIRECTORY, the rules as text). The first is empty if there are no rules."""
    if facts.devices is None:
        return "", ()
    from pyrunc.cgroup.devices import describe
    from pyrunc.cgroup.manager import devices_hierarchy

    name = devices_hierarchy(facts.cgroups)
    return ("", ()) if name is None else (f"{name}:{facts.cgroups[name]}", describe(facts.devices))


def placing(process: "Process | None", facts: "Facts", where: str = PLACE) -> "list[Step]":
    """Returns the steps that place the container's process while it waits, so that nothing it does or allocates is
    outside of its cgroups. systemd creates the scope now. The runtime creates the other hierarchies, and sets what
    systemd does not support."""
    steps = []
    if facts.systemd is not None:
        unit, slice_, properties = facts.systemd
        steps = [Step("systemd-scope", where, unit, slice_, properties), *_making(facts)]
    steps.append(Step("cgroup-place", where, entries(facts.cgroups), facts.init, facts.unit))
    if process is not None and process.oom_score_adj is not None:
        steps.append(Step("oom-score-adj", "process.oomScoreAdj", process.oom_score_adj))
    return steps


def verifying(facts: "Facts", where: str = PLACE) -> Step:
    """Returns the step that reads back the process's cgroups, after everything that could have moved it."""
    return Step("cgroup-verify", where, entries(facts.cgroups))
