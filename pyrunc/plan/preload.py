"""Steps of loading libraries into the init path (--preload-lib), where none are without it."""

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
"""Descriptor of slot 0 where the caller has preserved none."""


def environment(libraries: int, preserve_fds: int) -> "list[str]":
    """For the loader (ld.so(8)); by descriptor, so that what was checked is what is mapped. Symbols are bound at once:
    a missing one ends the load, not the container later."""
    paths = [library_path(number, preserve_fds) for number in range(libraries)]
    return [f"LD_PRELOAD={':'.join(paths)}", "LD_BIND_NOW=1"]


def library_path(number: int, preserve_fds: int) -> str:
    """Under which name the loader knows library ``number``."""
    return f"/proc/self/fd/{FIRST_SLOT + preserve_fds + SLOT_LIBRARY + number}"


def before_placement(facts: "Facts") -> "list[Step]":
    """What the helper does at ``exec`` before it is placed: while the runtime makes the cgroups it has the time, and
    what the kernel allocates for the namespaces is not charged to the container."""
    if facts.options.placement == "legacy" or facts.options.preload_at == "init":
        return []
    return [Step("snapshot", PLACE), *_leaving(_fresh_at_exec(facts))]


def at_exec(facts: "Facts") -> "list[Step]":
    """After the placement. The helper that can load is executed by the one that can't, so that constructors run in a
    process which is in its cgroups already. ``legacy`` has none of this: there the parent races with them."""
    if not facts.options.libraries or facts.options.placement == "legacy" or facts.options.preload_at == "init":
        return []
    env = environment(len(facts.options.libraries), facts.options.preserve_fds)
    return [
        Step("preload-baseline", PLACE),
        *_loading(facts, [Step("exec-helper", PLACE, SLOT_HELPER, env)], _fresh_at_exec(facts)),
        _settle(facts),
        # The process that loaded ends here: its timers are gone, and who remembers its pid loses hold of it.
        Step("clone", PLACE, 0),
        # It is read back here, too, that both clones are told in their order: the next one follows at once.
        cgroups.verifying(facts, PLACE),
    ]


def in_init(facts: "Facts", fresh: int) -> "list[Step]":
    """dlopen(3) inside the namespaces, before pivot_root. ``fresh``: CLONE_NEW* bits of ``fresh_namespaces``."""
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
    """Which namespaces a process in ``spaces`` may leave for a copy, and enter again: those of its own user namespace.
    The container's network is left as well, but not the host's, which a library may want to find daemons in."""
    fresh = sum(FLAGS[name] for name in ("mount", "ipc", "uts") if "user" not in spaces or name in spaces)
    own_network = "network" in (spaces.new if "user" in spaces else spaces)
    return fresh | (NETWORK if own_network else 0)


def _leaving(fresh: int) -> "list[Step]":
    """Into namespaces that end with loading: mounts, System V IPC, POSIX queues and the name that a library gives the
    host reach neither the host nor the container, and at ``init`` no interface, route or sysctl of the network."""
    steps = [Step("unshare", PLACE, fresh)] if fresh else []
    return steps + ([Step("propagation", PLACE, MS_REC | MS_PRIVATE)] if fresh & MOUNT else [])


def _loading(facts: "Facts", loading: "list[Step]", fresh: int) -> "list[Step]":
    """``loading``, and back into the namespaces from before."""
    after = [Step("join", PLACE, SLOT_MOUNT_NAMESPACE, MOUNT)] if fresh & MOUNT else []
    after += [Step("join", PLACE, SLOT_IPC_NAMESPACE, IPC)] if fresh & IPC else []
    after += [Step("join", PLACE, SLOT_UTS_NAMESPACE, UTS)] if fresh & UTS else []
    after += [Step("join", PLACE, SLOT_NETWORK_NAMESPACE, NETWORK)] if fresh & NETWORK else []
    return [
        Step("hand-over", PLACE),
        *loading,
        Step("preload-check", PLACE),
        # The helper goes on meanwhile, but is not answered again before this has been done.
        Step("preload-settings", PLACE, *cgroups.device_rules(facts), int(facts.init > 0)),
        *after,
    ]


def _settle(facts: "Facts") -> Step:
    return Step("settle", PLACE, int(not facts.options.no_new_keyring))
