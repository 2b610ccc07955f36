"""Runs pyrunc without some of its counter-measures: python integration/hostile/mutated.py NAME[,NAME] ARGUMENTS...

A test that also passes with this would not notice that its counter-measure is missing. The product has no such switch:
this module leaves steps out of the plan, and replaces functions by functions that do nothing.
"""

import posix
import sys
from collections.abc import Callable
from typing import Any

from pyrunc.cli import dispatch
from pyrunc.container import create, kill, start
from pyrunc.container import exec as exec_
from pyrunc.hostile import changes, handover, limits, observer, streams, surroundings
from pyrunc.launch import actions, conversation, helper
from pyrunc.linux import procfs
from pyrunc.plan import compile as plans


def without_steps(*kinds: str) -> Callable[[], None]:
    """Leaves every step of these kinds out of plans."""

    def mutate() -> None:
        for name in ("compile_create", "compile_exec"):
            original = getattr(plans, name)

            def left(*given: Any, original: Any = original) -> Any:
                return [step for step in original(*given) if step.kind not in kinds]

            setattr(plans, name, left)

    return mutate


def without_its_own_clone() -> None:
    """The process that loaded the library goes on itself, instead of its child."""
    from pyrunc.plan import preload

    original = preload.at_exec
    preload.at_exec = lambda settings: [s for s in original(settings) if s.kind != "clone"]


def doing(module: Any, name: str, result: Any = None) -> Callable[[], None]:
    """Replaces a function by one that only returns ``result``."""
    return lambda: setattr(module, name, lambda *_, **__: result)


def unchecked_placement() -> None:
    """The placement is not read back."""
    for module in (actions, create, exec_, observer, start):
        module.verify_placement = lambda *_: None


def unchecked_at_start() -> None:
    """`create` checks the placement, `start` does not."""
    start.verify_placement = lambda *_: None


def killing_by_cgroup_alone() -> None:
    """Processes that left their cgroups are not searched for."""
    kill.members = lambda container: {pid: procfs.stat(pid)[1] for pid in container.cgroups.pids()}


def printing() -> None:
    """A library's output goes to the container's output."""
    original = posix.memfd_create
    observer.posix.memfd_create = lambda name, flags=0: posix.dup(1) if name == "capture" else original(name, flags)
    observer.Loading.said = lambda _: ""


def changed_helper() -> None:
    """Uses test builds of the helper (scene.build_changed_helper); the environment names their directory."""
    directory = posix.environ[b"PYRUNC_TEST_HELPER"].decode()
    helper.STATIC, helper.DYNAMIC = f"{directory}/static", f"{directory}/dynamic"


MUTATIONS: dict[str, Callable[[], None]] = {
    "placement": unchecked_placement,
    "start": unchecked_at_start,
    "clone": without_its_own_clone,
    "settle": without_steps("settle"),
    "descriptors": without_steps("close-descriptors"),
    "umask": without_steps("settle", "umask"),
    "directory": without_steps("settle", "working-directory"),
    "capabilities": without_steps("settle", "capabilities"),
    "children": doing(changes.Baseline, "kill_children", []),
    "limits": doing(changes.Baseline, "_restore_limits", []),
    "scheduling": doing(changes.Baseline, "_restore_scheduling", []),
    "oom": doing(changes, "write"),
    "lost": doing(changes.Baseline, "_refuse_lost"),
    "cgroup limits": doing(limits.Limits, "restore", []),
    "mounts": doing(surroundings.Surroundings, "unmount", []),
    "streams": doing(streams.Streams, "restore", []),
    "files": doing(changes.Baseline, "_restore_files", []),
    "cgroups": doing(observer.Loading, "remove_cgroups", []),
    "limit": doing(conversation.Launch, "limit"),
    "end": doing(conversation.Launch, "_check_end"),
    "output": printing,
    "members": killing_by_cgroup_alone,
    "helper": changed_helper,
    "program": doing(handover, "check_program"),
}

if __name__ == "__main__":
    for mutation in sys.argv.pop(1).split(","):
        MUTATIONS[mutation]()
    sys.exit(dispatch.run(sys.argv[1:]))
