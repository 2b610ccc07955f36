"""The mounts of a plan while it is compiled: trees of the host that are opened early, and new file systems."""

from pyrunc.errors import SpecError
from pyrunc.plan import mount_options
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.facts import Facts
    from pyrunc.plan.namespaces import Namespaces
    from pyrunc.plan.slots import Slots
    from pyrunc.spec.types import Config

FSCONFIG_LIMIT = 255
"""Bytes of one string of fsconfig(2) (Linux 5.2 to date); a longer overlay ``lowerdir`` goes through mount(2)."""

UNLABELLED = ("proc", "sysfs", "mqueue")
"""File systems of the kernel that have labels of their own (as with runc)."""

DEFAULT_PROPAGATION = mount_options.MS_SLAVE | mount_options.MS_REC


def destination(path: str) -> str:
    """``path`` in the container: relative ones begin at ``/`` (runtime-spec config.md "Mounts"), and what ends in ``/``
    or ``/.`` is the same as without, also where it is a file."""
    path = path if path.startswith("/") else f"/{path}"
    while len(path) > 1 and path.endswith(("/", "/.")):
        path = path[: -1 if path.endswith("/") else -2]
    return path or "/"


def absolute(path: str, base: str) -> str:
    """``path``, relative to the bundle unless absolute."""
    return path if path.startswith("/") else f"{base}/{path}"


class Mounts:
    """Compiles mounts into ``before`` (the clone: opening with the host's privileges), ``inside``, and ``late``
    (what has to wait until devices and mount points are made)."""

    def __init__(self, spec: "Config", facts: "Facts", namespaces: "Namespaces", slots: "Slots") -> None:
        self.spec, self.facts, self.namespaces, self.slots = spec, facts, namespaces, slots
        self.before: list[Step] = []
        self.inside: list[Step] = []
        self.late: list[Step] = []
        propagation = spec.linux.rootfs_propagation  # of the root, once it is the root
        self.propagation = mount_options.PROPAGATION[propagation] if propagation else DEFAULT_PROPAGATION
        self.shared = bool(self.propagation & mount_options.MS_SHARED)
        self.label: list[str] = []
        if spec.linux.mount_label:
            from pyrunc.plan.labels import mount_option

            self.label = mount_option(spec.linux.mount_label)

    @property
    def early(self) -> bool:
        """Whether sources are opened before the clone: where afterwards the paths, or the rights to them, are others.

        Otherwise each is opened when its mount's turn has come. It may lie in what an earlier mount provides, and the
        descriptors do not grow with the config.
        """
        return self.facts.privileged and ("user" in self.namespaces or "mount" in self.namespaces.paths)

    @property
    def opening(self) -> "list[Step]":
        """Where sources are opened."""
        return self.before if self.early else self.inside

    def tree(self, source: str, recursive: bool, where: str, again: bool = True) -> int:
        """Opens ``source`` of the host as a detached tree; returns its slot.

        ``again``: what cannot be opened early is opened when its turn has come.
        """
        slot = self.slots.new(where)
        if self.early:
            self.open(self.before, source, recursive, slot, where, again)
        if again or not self.early:
            self.open(self.inside, source, recursive, slot, where)
        return slot

    def open(
        self, steps: "list[Step]", source: str, recursive: bool, slot: int, where: str, optional: bool = False
    ) -> None:
        """Opens ``source``, unless the slot is open already; ``optional``: an error is left for the next try."""
        # In the host's peer group, what is mounted below it inside would appear on the host.
        propagation = 0 if self.shared else mount_options.MS_SLAVE
        steps.append(Step("open-tree", where, source, int(recursive), slot, propagation, int(optional)))

    def propagate(self, options: "mount_options.Options", target: str, where: str) -> None:
        """The propagation that ``options`` ask for, of the mount just compiled."""
        steps = [Step("mount-propagation", f"{where}.options", target, flags) for flags in options.propagation]
        self.inside += steps

    def read_only_later(self, target: str, where: str) -> Step:
        """The step that makes the mount just compiled read-only, once everything in it is made."""
        slot = self.slots.new(where)
        self.inside.append(Step("mount-note", where, slot))
        return Step("mount-read-only", where, target, slot)

    def filesystem(self, kind: str, source: str, target: str, options: "mount_options.Options", where: str) -> None:
        """A new mount of filesystem ``kind``."""
        set_, superblock = options.set, options.superblock
        # Devices and mount points are yet to be made in it.
        late = bool(kind == "tmpfs" and (set_ & mount_options.RDONLY) and not options.copy_up)
        if late:
            set_, superblock = set_ & ~mount_options.RDONLY, superblock & ~mount_options.MS_RDONLY
        data = [_unquoted(option) for option in options.data]
        if kind not in UNLABELLED:
            data += self.label
        if options.copy_up:
            if kind != "tmpfs":
                raise SpecError(f"{where}.options", "tmpcopyup is for tmpfs only")
            self.inside.append(Step("copy-up", where, target, source, data, set_, superblock))
        elif any(len(option.partition("=")[2].encode()) > FSCONFIG_LIMIT for option in data):
            legacy = (
                superblock | set_ & 0xF | (set_ & mount_options.NOATIME) << 6 | (set_ & mount_options.NODIRATIME) << 4
            )
            self.inside.append(Step("mount-legacy", where, kind, source or kind, target, legacy, ",".join(data)))
        else:
            on_proc = int(kind in ("proc", "binfmt_misc"))
            # Nothing to clear: a new filesystem has no attribute but those that it is given.
            self.inside.append(Step("mount", where, kind, source or kind, target, data, set_, superblock, on_proc))
        if late:
            self.late.append(self.read_only_later(target, where))
        if options.recursive_set or options.recursive_clear:
            recursive = (options.recursive_set, options.recursive_clear)
            self.inside.append(Step("mount-attributes", where, target, *recursive, 1))


def _unquoted(option: str) -> str:
    """``context="a,b"`` as fsconfig wants it: mount(2) takes the quotes off, fsconfig(2) would keep them."""
    key, _, value = option.partition("=")
    return f"{key}={value[1:-1]}" if len(value) > 1 and value[0] == value[-1] == '"' else option
