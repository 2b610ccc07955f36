"""The steps that make a container's cgroups, limit them, and put its process into them."""

from pyrunc.cgroup.paths import entries
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.facts import Facts
    from pyrunc.spec.types import Process

PLACE = "linux.cgroupsPath"


def making(facts: "Facts") -> "list[Step]":
    """Before the helper's first step: made, and limited, before any process is in them. None where systemd makes the
    scope, for it does so around a process (``placing``)."""
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
    """(HIERARCHY:DIRECTORY, the rules in words); the first is empty where there are none."""
    if facts.devices is None:
        return "", ()
    from pyrunc.cgroup.devices import describe
    from pyrunc.cgroup.manager import devices_hierarchy

    name = devices_hierarchy(facts.cgroups)
    return ("", ()) if name is None else (f"{name}:{facts.cgroups[name]}", describe(facts.devices))


def placing(process: "Process | None", facts: "Facts", where: str = PLACE) -> "list[Step]":
    """Of the process that becomes the container's, while it waits: nothing that it does or allocates is outside of its
    cgroups. systemd makes the scope now; the other hierarchies, and what systemd knows nothing of, are ours."""
    steps = []
    if facts.systemd is not None:
        unit, slice_, properties = facts.systemd
        steps = [Step("systemd-scope", where, unit, slice_, properties), *_making(facts)]
    steps.append(Step("cgroup-place", where, entries(facts.cgroups), facts.init, facts.unit))
    if process is not None and process.oom_score_adj is not None:
        steps.append(Step("oom-score-adj", "process.oomScoreAdj", process.oom_score_adj))
    return steps


def verifying(facts: "Facts", where: str = PLACE) -> Step:
    """Reads back where the process is, after everything that could have moved it."""
    return Step("cgroup-verify", where, entries(facts.cgroups))
