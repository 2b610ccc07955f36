"""Compiles namespaces: which are joined or created, in which order, and by which process (namespaces(7),
user_namespaces(7))."""

from pyrunc.errors import SpecError
from pyrunc.plan.protocol import SLOT_TARGET
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.facts import Facts
    from pyrunc.plan.slots import Slots
    from pyrunc.spec.types import Config

FLAGS: "dict[str, int]" = {
    # runtime-spec name: CLONE_NEW* of linux/sched.h
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "network": 0x40000000,
    "time": 0x00000080,
}
USER, TIME, MOUNT, CGROUP, IPC = (FLAGS[name] for name in ("user", "time", "mount", "cgroup", "ipc"))

PROC_NAMES: "dict[str, str]" = {name: {"mount": "mnt", "network": "net"}.get(name, name) for name in FLAGS}
"""{runtime-spec name: name below /proc/PID/ns}."""


class Namespaces:
    """The namespaces of a config: ``paths`` {name: path to join} and ``new`` {name}, by runtime-spec names.

    ``slots``: {name: slot} of the namespaces to join, filled by ``joining``.
    """

    __slots__ = ("new", "paths", "places", "slots")

    def __init__(self, spec: "Config") -> None:
        self.paths: dict[str, str] = {}
        self.new: set[str] = set()
        self.places: dict[str, str] = {}
        self.slots: dict[str, int] = {}
        for index, namespace in enumerate(spec.linux.namespaces):
            self.places[namespace.type] = f"linux.namespaces[{index}]"
            if namespace.path:
                self.paths[namespace.type] = namespace.path
            else:
                self.new.add(namespace.type)

    def __contains__(self, name: str) -> bool:
        return name in self.new or name in self.paths

    @property
    def flags(self) -> int:
        """The CLONE_NEW* bits of all namespaces in the config."""
        return sum(FLAGS[name] for name in (*self.new, *self.paths))


def joining(namespaces: Namespaces, facts: "Facts", slots: "Slots") -> "tuple[list[Step], list[Step]]":
    """Returns (steps that open the namespaces to join, steps that join them). All paths are opened before the first
    join, because paths differ in a joined mount namespace."""
    opening, joins = [], []
    for name, path in namespaces.paths.items():
        place = f"{namespaces.places[name]}.path"
        slot = namespaces.slots[name] = slots.new(place)
        opening.append(Step("open-namespace", place, path, FLAGS[name], slot))
        joins.append(Step("join", place, slot, FLAGS[name]))
    # Root joins the user namespace last, because its privileges over the others come from its own user namespace. An
    # unprivileged user joins it first, because the privileges come from the joined one.
    joins.sort(key=lambda step: (step.args[1] == USER) == facts.privileged)
    return opening, joins


def joining_process(flags: int, facts: "Facts") -> "list[Step]":
    """Returns the steps of exec that join the namespaces of the running init by its pidfd (setns(2), Linux 5.8)."""
    others, user = flags & ~USER, flags & USER
    steps = [Step("join", "linux.namespaces", SLOT_TARGET, part) for part in (others, user) if part]
    return steps if facts.privileged else steps[::-1]


def creating(namespaces: Namespaces, spec: "Config", facts: "Facts", placement: "list[Step]") -> "list[Step]":
    """Returns the clone (two for an unprivileged time namespace), the id maps, ``placement`` in the cgroups, and the
    change to root in the user namespace.

    The placement follows the first clone, so that the kernel's memory for the new namespaces, about 200 KiB, is not
    charged to the container. Otherwise small memory limits and a pids limit of 1 would fail. It precedes the cgroup
    namespace, whose root is the current cgroup of the process that creates it (cgroup_namespaces(7)).
    """
    new = sum(FLAGS[name] for name in namespaces.new)
    offsets = _time(spec) if "time" in namespaces.new else []
    place = "linux.namespaces"
    steps: list[Step] = []
    # clone(2) has no flag for time: unshare(2) makes it effective for the child processes.
    new &= ~(TIME | CGROUP)
    later = CGROUP if "cgroup" in namespaces.new else 0
    if "user" in namespaces and new & IPC:
        # Its mqueue file system belongs to the user that makes the namespace (mq_overview(7); Linux, ipc/mqueue.c), who
        # is root in the user namespace only after `become-root`.
        new &= ~IPC
        later |= IPC
    if offsets and (facts.privileged or "user" not in namespaces.new):
        steps += [*offsets, Step("clone", place, new)]
        offsets = []
    elif offsets:
        # Only a process in the new user namespace may unshare; the next clone puts the processes into both.
        steps.append(Step("clone", place, USER))
    else:
        steps.append(Step("clone", place, new))
    if "user" in namespaces.new:
        steps += mapping(spec)
    steps += placement
    if "user" in namespaces:
        steps.append(
            Step("become-root", "linux.uidMappings" if "user" in namespaces.new else namespaces.places["user"])
        )
    if offsets:
        steps += [*offsets, Step("clone", place, new & ~USER)]
    if later:
        steps.append(Step("unshare", place, later))
    return steps


def mapping(spec: "Config") -> "list[Step]":
    """Returns the steps by which the runtime writes the id maps, while the first process of the user namespace
    waits."""
    users = [f"{m.container_id} {m.host_id} {m.size}" for m in spec.linux.uid_mappings]
    groups = [f"{m.container_id} {m.host_id} {m.size}" for m in spec.linux.gid_mappings]
    return [Step("map-users", "linux.uidMappings", users), Step("map-groups", "linux.gidMappings", groups)]


def _time(spec: "Config") -> "list[Step]":
    steps = [Step("unshare", "linux.namespaces", TIME)]
    for clock, offset in spec.linux.time_offsets.items():
        place = f"linux.timeOffsets.{clock}"
        if clock not in ("monotonic", "boottime"):
            raise SpecError(place, "only monotonic and boottime have an offset")
        steps.append(Step("time-offset", place, clock, offset.secs or 0, offset.nanosecs or 0))
    return steps
