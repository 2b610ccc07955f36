"""The mounts of a plan during its compilation: trees of the host, which are opened early, and new file systems."""

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
"""The longest string for fsconfig(2) in bytes (since Linux 5.2). A longer overlay ``lowerdir`` goes through
mount(2)."""

UNLABELLED = ("proc", "sysfs", "mqueue")
"""Kernel file systems that have their own labels (as with runc)."""

DEFAULT_PROPAGATION = mount_options.MS_SLAVE | mount_options.MS_REC


def destination(path: str) -> str:
    """Returns ``path`` in the container. A relative path begins at ``/`` (runtime-spec config.md "Mounts"). A trailing
    ``/`` or ``/.`` is removed, even if the path is a file."""
    path = path if path.startswith("/") else f"/{path}"
    while len(path) > 1 and path.endswith(("/", "/.")):
        path = path[: -1 if path.endswith("/") else -2]
    return path or "/"


def absolute(path: str, base: str) -> str:
    """Returns ``path`` if it is absolute, else ``path`` below ``base``, the bundle."""
    return path if path.startswith("/") else f"{base}/{path}"


class Mounts:
    """Compiles mounts into three lists of steps: ``before`` the clone, with the host's privileges; ``inside`` the
    namespaces; and ``late``, after devices and mount points are created."""

    def __init__(self, spec: "Config", facts: "Facts", namespaces: "Namespaces", slots: "Slots") -> None:
        self.spec, self.facts, self.namespaces, self.slots = spec, facts, namespaces, slots
        self.before: list[Step] = []
        self.inside: list[Step] = []
        self.late: list[Step] = []
        propagation = spec.linux.rootfs_propagation  # applied to the root after the change of root
        self.propagation = mount_options.PROPAGATION[propagation] if propagation else DEFAULT_PROPAGATION
        self.shared = bool(self.propagation & mount_options.MS_SHARED)
        self.label: list[str] = []
        if spec.linux.mount_label:
            from pyrunc.plan.labels import mount_option

            self.label = mount_option(spec.linux.mount_label)

    @property
    def early(self) -> bool:
        """Whether sources are opened before the clone, because afterwards the paths, or the permissions for them,
        differ.

        Otherwise each source is opened when its mount is made. A source may then lie in an earlier mount, and the
        number of open descriptors does not grow with the config.
        """
        return self.facts.privileged and ("user" in self.namespaces or "mount" in self.namespaces.paths)

    @property
    def opening(self) -> "list[Step]":
        """The list of steps in which sources are opened."""
        return self.before if self.early else self.inside

    def tree(self, source: str, recursive: bool, where: str, again: bool = True) -> int:
        """Opens ``source`` of the host as a detached tree; returns its slot.

        ``again``: if it cannot be opened early, it is opened when its mount is made.
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
        """Opens ``source`` unless the slot is already open. ``optional``: ignore an error, because another step tries
        again."""
        # If the tree stayed in the host's peer group, mounts made below it in the container would appear on the host.
        propagation = 0 if self.shared else mount_options.MS_SLAVE
        steps.append(Step("open-tree", where, source, int(recursive), slot, propagation, int(optional)))

    def propagate(self, options: "mount_options.Options", target: str, where: str) -> None:
        """Adds the propagation in ``options`` to the mount just compiled."""
        steps = [Step("mount-propagation", f"{where}.options", target, flags) for flags in options.propagation]
        self.inside += steps

    def read_only_later(self, target: str, where: str) -> Step:
        """Returns the step that makes the mount just compiled read-only, after its content is created."""
        slot = self.slots.new(where)
        self.inside.append(Step("mount-note", where, slot))
        return Step("mount-read-only", where, target, slot)

    def filesystem(self, kind: str, source: str, target: str, options: "mount_options.Options", where: str) -> None:
        """Adds a new mount of a file system of type ``kind``."""
        set_, superblock = options.set, options.superblock
        # It must stay writable until devices and mount points are created in it.
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
            # Nothing to clear: a new mount has only the attributes that it is given.
            self.inside.append(Step("mount", where, kind, source or kind, target, data, set_, superblock, on_proc))
        if late:
            self.late.append(self.read_only_later(target, where))
        if options.recursive_set or options.recursive_clear:
            recursive = (options.recursive_set, options.recursive_clear)
            self.inside.append(Step("mount-attributes", where, target, *recursive, 1))


def _unquoted(option: str) -> str:
    """Removes the quotes of ``context="a,b"``. mount(2) removes them, fsconfig(2) would keep them."""
    key, _, value = option.partition("=")
    return f"{key}={value[1:-1]}" if len(value) > 1 and value[0] == value[-1] == '"' else option
