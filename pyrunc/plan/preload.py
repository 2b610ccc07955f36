"""Compiles the steps that load libraries into the init path (--preload-lib). Without that option there are none."""

from pyrunc.plan import cgroups
from pyrunc.plan.namespaces import FLAGS
from pyrunc.plan.protocol import (
    PLACE_SLOTS,
    SLOT_HELPER,
    SLOT_IPC_NAMESPACE,
    SLOT_LIBRARY,
    SLOT_MOUNT_NAMESPACE,
    SLOT_NETWORK_NAMESPACE,
    SLOT_UTS_NAMESPACE,
)
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.facts import Facts
    from pyrunc.plan.namespaces import Namespaces

MOUNT, IPC, UTS, NETWORK = FLAGS["mount"], FLAGS["ipc"], FLAGS["uts"], FLAGS["network"]
MS_REC, MS_PRIVATE = 1 << 14, 1 << 18
PLACE = "--preload-lib"
FIRST_SLOT = 3 + PLACE_SLOTS
"""The descriptor of slot 0 if no descriptors are preserved."""


def environment(libraries: int, preserve_fds: int) -> "list[str]":
    """Returns the variables for the loader (ld.so(8)). The libraries are named by descriptor, so that the checked files
    are the ones that are mapped. Symbols are bound at once: a missing symbol fails the load, not the running
    container."""
    paths = [library_path(number, preserve_fds) for number in range(libraries)]
    return [f"LD_PRELOAD={':'.join(paths)}", "LD_BIND_NOW=1"]


def library_path(number: int, preserve_fds: int) -> str:
    """Returns the path by which the loader opens library ``number``."""
    return f"/proc/self/fd/{FIRST_SLOT + preserve_fds + SLOT_LIBRARY + number}"


def before_placement(facts: "Facts") -> "list[Step]":
    """Returns the helper's steps at ``exec`` before its placement. The helper does them while the runtime creates the
    cgroups. What the kernel allocates for the namespaces is then not charged to the container."""
    if facts.options.placement == "legacy" or facts.options.preload_at == "init":
        return []
    return [Step("snapshot", PLACE), *_leaving(_fresh_at_exec(facts))]


def at_exec(facts: "Facts") -> "list[Step]":
    """Returns the steps after the placement. The static helper executes the dynamic one, which can load, so that
    constructors run in a process that already is in its cgroups. ``legacy`` has no such steps: there the parent process
    races with the constructors."""
    if not facts.options.libraries or facts.options.placement == "legacy" or facts.options.preload_at == "init":
        return []
    env = environment(len(facts.options.libraries), facts.options.preserve_fds)
    return [
        Step("preload-baseline", PLACE),
        *_loading(facts, [Step("exec-helper", PLACE, SLOT_HELPER, env)], _fresh_at_exec(facts)),
        _settle(facts),
        # The process that loaded ends here: its timers end, too, and a daemon that noted its pid can no longer use it.
        Step("clone", PLACE, 0),
        # Read back here as well, so that the runtime receives both clones in order: the next one follows at once.
        cgroups.verifying(facts, PLACE),
    ]


def in_init(facts: "Facts", fresh: int) -> "list[Step]":
    """Returns the steps for dlopen(3) in the namespaces, before pivot_root. ``fresh``: CLONE_NEW* bits of
    ``fresh_namespaces``."""
    if not facts.options.libraries or facts.options.preload_at != "init":
        return []
    steps = [Step("load-library", PLACE, SLOT_LIBRARY + number) for number in range(len(facts.options.libraries))]
    if facts.options.placement == "legacy":
        return steps
    return [
        Step("preload-baseline", PLACE),
        *_leaving(fresh),
        *_loading(facts, [*steps, Step("exec-static", PLACE)], fresh),
        _settle(facts),
    ]


def _fresh_at_exec(facts: "Facts") -> int:
    return MOUNT | IPC | UTS if facts.privileged else 0


def fresh_namespaces(spaces: "Namespaces") -> int:
    """Returns CLONE_NEW* of the namespaces that a process in ``spaces`` may replace by a copy and enter again: those of
    its own user namespace. This includes the container's network namespace, but not the host's, in which a library may
    look for daemons."""
    fresh = sum(FLAGS[name] for name in ("mount", "ipc", "uts") if "user" not in spaces or name in spaces)
    own_network = "network" in (spaces.new if "user" in spaces else spaces)
    return fresh | (NETWORK if own_network else 0)


def _leaving(fresh: int) -> "list[Step]":
    """Returns the steps that enter temporary namespaces, which end with loading. Mounts, System V IPC, POSIX queues and
    the host name that a library sets then reach neither the host nor the container. With ``init`` this also holds for
    interfaces, routes and sysctls of the network."""
    steps = [Step("unshare", PLACE, fresh)] if fresh else []
    return steps + ([Step("propagation", PLACE, MS_REC | MS_PRIVATE)] if fresh & MOUNT else [])


def _loading(facts: "Facts", loading: "list[Step]", fresh: int) -> "list[Step]":
    """Returns ``loading`` followed by the steps that re-enter the former namespaces."""
    after = [Step("join", PLACE, SLOT_MOUNT_NAMESPACE, MOUNT)] if fresh & MOUNT else []
    after += [Step("join", PLACE, SLOT_IPC_NAMESPACE, IPC)] if fresh & IPC else []
    after += [Step("join", PLACE, SLOT_UTS_NAMESPACE, UTS)] if fresh & UTS else []
    after += [Step("join", PLACE, SLOT_NETWORK_NAMESPACE, NETWORK)] if fresh & NETWORK else []
    return [
        Step("hand-over", PLACE),
        *loading,
        Step("preload-check", PLACE),
        # The helper continues meanwhile, but the runtime does not answer it before this step is done.
        Step("preload-settings", PLACE, *cgroups.device_rules(facts), int(facts.init > 0)),
        *after,
    ]


def _settle(facts: "Facts") -> Step:
    return Step("settle", PLACE, int(not facts.options.no_new_keyring))
