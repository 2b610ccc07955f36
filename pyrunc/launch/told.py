"""Logs a launch for --debug (conversation.py): the plan and each step that was done. Of variables only the names are
logged, because an environment contains secrets."""

from pyrunc import log
from pyrunc.plan.explain import text
from pyrunc.plan.steps import KINDS, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def plan(steps: "Sequence[Step]") -> None:
    """Logs one line for each step, in the format of `pyrunc plan`."""
    for line in text(list(map(_without_values, steps))).split("\n"):
        log.debug(f"plan: {line.strip()}")


def _without_values(step: Step) -> Step:
    names = KINDS[step.kind][2]
    if "env" not in names:
        return step
    args = list(step.args)
    env: Sequence[str] = args[names.index("env")]  # type: ignore[assignment]
    args[names.index("env")] = [str(entry).partition("=")[0] for entry in env]
    return Step(step.kind, step.where, *args)


def done(launch: "Any", number: int) -> None:
    """Logs that the runtime has done a step."""
    step = launch.steps[number]
    log.debug(f"step {number}: {step.kind} done{f' ({step.where})' if step.where else ''}")


def reached(launch: "Any") -> None:
    """Logs that the helper waits at a step of the runtime, after all of the helper's steps before it."""
    log.debug(
        f"helper {launch.process}: steps before {launch.reached} done, waits for {launch.steps[launch.reached].kind}"
    )


def cloned(launch: "Any") -> None:
    """Logs the pid of the process that executes the next steps."""
    log.debug(f"helper {launch.helper}: cloned process {launch.pid}")


def ended(launch: "Any") -> None:
    """Logs that the helper has closed the channel."""
    what = "waits for start" if any(step.kind == "await-start" for step in launch.steps) else "executed the program"
    log.debug(f"process {launch.pid}: {what}")
