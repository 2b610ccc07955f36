"""pyrunc with one of its counter-measures taken out: python integration/hostile/mutated.py NAME[,NAME] ARGUMENTS...

A test that passes with this, too, would not see its counter-measure gone. The product has no such switch: a plan is a
list from which a step can be left out, and the rest are functions that do nothing here.
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
    """Plans lack every step of these kinds."""

    def mutate() -> None:
        for name in ("compile_create", "compile_exec"):
            original = getattr(plans, name)

            def left(*given: Any, original: Any = original) -> Any:
                return [step for step in original(*given) if step.kind not in kinds]

            setattr(plans, name, left)

    return mutate


def without_its_own_clone() -> None:
    """The process that loaded the library is the one that goes on."""
    from pyrunc.plan import preload

    original = preload.at_exec
    preload.at_exec = lambda settings: [s for s in original(settings) if s.kind != "clone"]


def doing(module: Any, name: str, result: Any = None) -> Callable[[], None]:
    """A function that only returns ``result``."""
    return lambda: setattr(module, name, lambda *_, **__: result)


def unchecked_placement() -> None:
    """Where the process is is not read back."""
    for module in (actions, create, exec_, observer, start):
        module.verify_placement = lambda *_: None


def unchecked_at_start() -> None:
    """`create` looks, `start` does not."""
    start.verify_placement = lambda *_: None


def killing_by_cgroup_alone() -> None:
    """A process that left its cgroups is not looked for."""
    kill.members = lambda container: {pid: procfs.stat(pid)[1] for pid in container.cgroups.pids()}


def printing() -> None:
    """What a library prints goes where the container's output goes."""
    original = posix.memfd_create
    observer.posix.memfd_create = lambda name, flags=0: posix.dup(1) if name == "capture" else original(name, flags)
    observer.Loading.said = lambda _: ""


def changed_helper() -> None:
    """Test builds of the helper (scene.build_changed_helper); their directory is in the environment."""
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
