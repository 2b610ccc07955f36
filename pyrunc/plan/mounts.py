"""Mounts of the config, in its order: binds, filesystems, cgroups, and what is done to the whole tree."""

from pyrunc.errors import SpecError
from pyrunc.plan import options as flags
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.namespaces import Namespaces
    from pyrunc.plan.settings import Settings
    from pyrunc.plan.slots import Slots
    from pyrunc.spec.types import Config, Mount

FSCONFIG_LIMIT = 255
"""Bytes of one string of fsconfig(2) (Linux 5.2 to date); a longer overlay ``lowerdir`` goes through mount(2)."""

UNLABELLED = ("proc", "sysfs", "mqueue")
"""File systems of the kernel that have labels of their own (as with runc)."""

DEFAULT_PROPAGATION = flags.MS_SLAVE | flags.MS_REC


def absolute(path: str, base: str) -> str:
    """``path``, relative to the bundle unless absolute."""
    return path if path.startswith("/") else f"{base}/{path}"


class Mounts:
    """Compiles mounts into ``before`` (the clone: opening with the host's privileges), ``inside``, and ``late``
    (what has to wait until devices and mount points are made)."""

    def __init__(self, spec: "Config", settings: "Settings", namespaces: "Namespaces", slots: "Slots") -> None:
        self.spec, self.settings, self.namespaces, self.slots = spec, settings, namespaces, slots
        self.before: list[Step] = []
        self.inside: list[Step] = []
        self.late: list[Step] = []
        propagation = spec.linux.rootfs_propagation
        self.propagation = flags.PROPAGATION[propagation] if propagation else DEFAULT_PROPAGATION
        self.shared = bool(self.propagation & flags.MS_SHARED)
        self.label: list[str] = []
        if spec.linux.mount_label:
            from pyrunc.plan.labels import mount_option

            self.label = mount_option(spec.linux.mount_label)

    @property
    def opening(self) -> "list[Step]":
        """Where sources are opened. Without root's privileges the helper may clone no tree before its clone."""
        return self.before if self.settings.privileged else self.inside

    def tree(self, source: str, recursive: bool, where: str, opening: "list[Step] | None" = None) -> int:
        """Opens ``source`` of the host as a detached tree; returns its slot."""
        slot = self.slots.new(where)
        opening = self.opening if opening is None else opening
        opening.append(Step("open-tree", where, source, int(recursive), slot))
        if not self.shared:
            # Still in the host's peer group: what is mounted below it inside would appear on the host.
            opening.append(Step("tree-propagation", where, slot, flags.MS_SLAVE))
        return slot

    def root(self, path: str) -> None:
        """The root itself: everything else is attached below it."""
        slot = self.tree(path, True, "root.path")
        self.inside.append(Step("propagation", "linux.rootfsPropagation", self.propagation))
        self.inside.append(Step("parent-private", "root.path", path))
        self.inside.append(Step("root", "root.path", path, slot))

    def add(self, index: int, mount: "Mount") -> None:
        """One entry of ``mounts``."""
        where = f"mounts[{index}]"
        options = flags.Options(mount.options, f"{where}.options")
        if options.remount:
            self._remount(mount, options, where)
        elif options.bind or mount.type == "bind":
            self._bind(mount, options, where)
        elif mount.type in ("cgroup", "cgroup2"):
            from pyrunc.plan import cgroup_mounts

            cgroup_mounts.add(self, mount, options, where)
        elif not mount.type:
            raise SpecError(f"{where}.type", "required for a mount that is not a bind")
        else:
            self.filesystem(mount.type, mount.source, mount.destination, options, where)
        for propagation in options.propagation:
            self.inside.append(Step("mount-propagation", f"{where}.options", mount.destination, propagation))

    def _remount(self, mount: "Mount", options: "flags.Options", where: str) -> None:
        self.inside.append(
            Step("mount-attributes", where, mount.destination, options.set, options.clear, int(options.recursive))
        )

    def _bind(self, mount: "Mount", options: "flags.Options", where: str) -> None:
        if not mount.source:
            raise SpecError(f"{where}.source", "required for a bind mount")
        if options.data:
            raise SpecError(
                f"{where}.options", f"a bind mount has no filesystem of its own to take {options.data[0]!r}"
            )
        slot = self.tree(absolute(mount.source, self.settings.bundle), options.recursive, f"{where}.source")
        if options.idmap or mount.uid_mappings or mount.gid_mappings:
            from pyrunc.plan import idmap

            idmap.add(self, mount, options, slot, where)
        attributes = (options.set, options.clear, options.recursive_set, options.recursive_clear)
        self.inside.append(Step("attach", where, slot, mount.destination, *attributes))

    def filesystem(self, kind: str, source: str, target: str, options: "flags.Options", where: str) -> None:
        """A new mount of filesystem ``kind``."""
        set_, superblock = options.set, options.superblock
        if kind == "tmpfs" and (set_ & flags.RDONLY) and not options.copy_up:
            # Devices and mount points are yet to be made in it.
            self.late.append(Step("mount-attributes", where, target, flags.RDONLY, 0, 0))
            set_, superblock = set_ & ~flags.RDONLY, superblock & ~flags.MS_RDONLY
        data = [_unquoted(option) for option in options.data]
        if kind not in UNLABELLED:
            data += self.label
        if options.copy_up:
            if kind != "tmpfs":
                raise SpecError(f"{where}.options", "tmpcopyup is for tmpfs only")
            self.inside.append(Step("copy-up", where, target, source, data, set_, options.clear, superblock))
        elif any(len(option.partition("=")[2].encode()) > FSCONFIG_LIMIT for option in data):
            legacy = superblock | set_ & 0xF | (set_ & flags.NOATIME) << 6 | (set_ & flags.NODIRATIME) << 4
            self.inside.append(Step("mount-legacy", where, kind, source or kind, target, legacy, ",".join(data)))
        else:
            on_proc = int(kind in ("proc", "binfmt_misc"))
            self.inside.append(
                Step("mount", where, kind, source or kind, target, data, set_, options.clear, superblock, on_proc)
            )
        if options.recursive_set or options.recursive_clear:
            recursive = (options.recursive_set, options.recursive_clear)
            self.inside.append(Step("mount-attributes", where, target, *recursive, 1))


def _unquoted(option: str) -> str:
    """``context="a,b"`` as fsconfig wants it: mount(2) takes the quotes off, fsconfig(2) would keep them."""
    key, _, value = option.partition("=")
    return f"{key}={value[1:-1]}" if len(value) > 1 and value[0] == value[-1] == '"' else option
