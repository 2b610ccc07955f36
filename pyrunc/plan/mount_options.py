"""The table of mount options (runtime-spec config-linux.md "Linux mount options", mount_setattr(2)).

The compiler reads this table, and ``features`` prints its names. The numbers are those of linux/mount.h, which are the
same on every architecture.
"""

from pyrunc.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RDONLY, NOSUID, NODEV, NOEXEC = 0x1, 0x2, 0x4, 0x8
NOATIME, STRICTATIME, ATIME_MASK, NODIRATIME = 0x10, 0x20, 0x70, 0x80
IDMAP, NOSYMFOLLOW = 0x100000, 0x200000

MS_RDONLY, MS_SYNCHRONOUS, MS_MANDLOCK, MS_DIRSYNC, MS_LAZYTIME = 1, 16, 64, 128, 1 << 25
MS_REC, MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 14, 1 << 17, 1 << 18, 1 << 19, 1 << 20

ATTRIBUTES: "dict[str, tuple[int, int]]" = {
    # name: (MOUNT_ATTR_* that it sets, that it clears). With a leading `r` it applies to the whole tree.
    "ro": (RDONLY, 0),
    "rw": (0, RDONLY),
    "nosuid": (NOSUID, 0),
    "suid": (0, NOSUID),
    "nodev": (NODEV, 0),
    "dev": (0, NODEV),
    "noexec": (NOEXEC, 0),
    "exec": (0, NOEXEC),
    "nodiratime": (NODIRATIME, 0),
    "diratime": (0, NODIRATIME),
    # The atime modes are a field, not bits: the whole field is cleared before one is set.
    "relatime": (0, ATIME_MASK),
    "norelatime": (0, ATIME_MASK),
    "noatime": (NOATIME, ATIME_MASK),
    "atime": (0, ATIME_MASK),
    "strictatime": (STRICTATIME, ATIME_MASK),
    "nostrictatime": (0, ATIME_MASK),
    "nosymfollow": (NOSYMFOLLOW, 0),
    "symfollow": (0, NOSYMFOLLOW),
}

RELATIME = 1 << 24
"""Requested by name. It is not an attribute: a mount has relatime if no other atime mode is requested."""

ATIME: "dict[str, tuple[int, int]]" = {
    # name: (bit that it requests, bit whose request it cancels), as mount(2)'s flags
    "noatime": (NOATIME, 0),
    "atime": (0, NOATIME),
    "relatime": (RELATIME, 0),
    "norelatime": (0, RELATIME),
    "strictatime": (STRICTATIME, 0),
    "nostrictatime": (0, STRICTATIME),
}
"""If several modes are requested, mount(2) prefers strictatime to noatime to relatime, in any order of the options. If
none is left, a bind mount keeps its source's mode, because the kernel's remount does not change it (runc 1.5)."""

UNMENTIONED = RDONLY | NOSUID | NODEV | NOEXEC | NOSYMFOLLOW
"""Attributes that a bind mount with any flag does not inherit from its source, unless they are requested (runc 1.5)."""

SUPERBLOCK: "dict[str, tuple[int, int]]" = {
    "ro": (MS_RDONLY, 0),
    "rw": (0, MS_RDONLY),
    "sync": (MS_SYNCHRONOUS, 0),
    "async": (0, MS_SYNCHRONOUS),
    "dirsync": (MS_DIRSYNC, 0),
    "mand": (MS_MANDLOCK, 0),
    "nomand": (0, MS_MANDLOCK),
    "lazytime": (MS_LAZYTIME, 0),
    "nolazytime": (0, MS_LAZYTIME),
}

PROPAGATION: "dict[str, int]" = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}

WITHOUT_EFFECT = ("loud", "silent", "iversion", "noiversion")
"""Flags of mount(2) that do not exist in the mount API. They count as flags, so a bind mount loses UNMENTIONED."""

IGNORED = (*WITHOUT_EFFECT, "defaults", "quiet", "acl", "noacl")
"""Accepted for compatibility: these are the kernel's defaults, or have no effect through the mount API."""

SPECIAL = ("bind", "rbind", "remount", "tmpcopyup", "copy-symlink", "idmap", "ridmap")


def names() -> "list[str]":
    """Returns every option that pyrunc itself interprets, for the ``features`` document."""
    recursive = [f"r{name}" for name in ATTRIBUTES]
    known = {*ATTRIBUTES, *recursive, *SUPERBLOCK, *PROPAGATION, *IGNORED, *SPECIAL}
    return sorted(known - {"copy-symlink", "quiet"})


def split(options: "Iterable[str]") -> "Iterator[str]":
    """Yields single options. An entry is split at commas as mount(8) does: not within quotes or after ``\\``."""
    for entry in options:
        if "," not in entry:
            yield entry
            continue
        begin, quoted = 0, False
        for at, character in enumerate(entry):
            quoted ^= character == '"'
            if character == "," and not quoted and entry[at - 1 : at] != "\\":
                yield entry[begin:at]
                begin = at + 1
        yield entry[begin:]


class Options:
    """The parsed options of one mount. A later option overrides an earlier one.

    ``set``/``clear`` (and ``recursive_*``) are MOUNT_ATTR_* bits, ``superblock`` MS_* bits, ``propagation`` a list of
    MS_* values in order, ``data`` the options for the file system itself. ``mentioned``: whether any flag is given.
    """

    __slots__ = (
        "atime",
        "bind",
        "clear",
        "copy_up",
        "data",
        "idmap",
        "mentioned",
        "propagation",
        "recursive",
        "recursive_clear",
        "recursive_idmap",
        "recursive_set",
        "remount",
        "set",
        "superblock",
    )

    def __init__(self, options: "Iterable[str]", where: str = "") -> None:
        self.set = self.clear = self.recursive_set = self.recursive_clear = self.superblock = self.atime = 0
        self.bind = self.recursive = self.remount = self.copy_up = self.idmap = self.recursive_idmap = False
        self.mentioned = False
        self.propagation: list[int] = []
        self.data: list[str] = []
        for option in split(options):
            if option and not self._take(option) and option not in IGNORED:
                if option in ("copy-symlink",):
                    raise SpecError(where, f"mount option {option} is not supported")
                self.data.append(option)
        if self.atime and not self.set & NODIRATIME:
            self.clear |= NODIRATIME  # with any atime mode mount(2) changes all of them (path_mount, MNT_ATIME_MASK)

    def _take(self, option: str) -> bool:
        taken = option in ATTRIBUTES or option in SUPERBLOCK or option in WITHOUT_EFFECT
        self.mentioned |= taken
        if option in ATIME:
            self._take_atime(*ATIME[option])
        elif option == "diratime":  # as with atime modes: the source's nodiratime stays
            self.set &= ~NODIRATIME
        elif option in ATTRIBUTES:
            on, off = ATTRIBUTES[option]
            self.set, self.clear = self.set & ~off | on, self.clear & ~on | off
        if option in SUPERBLOCK:
            on, off = SUPERBLOCK[option]
            self.superblock = self.superblock & ~off | on
        if taken:
            return True
        if option in PROPAGATION:
            self.propagation.append(PROPAGATION[option])
            return True
        if option[0] == "r" and option[1:] in ATTRIBUTES:
            on, off = ATTRIBUTES[option[1:]]
            self.recursive_set = self.recursive_set & ~off | on
            self.recursive_clear = self.recursive_clear & ~on | off
            return True
        return self._take_special(option)

    def _take_atime(self, on: int, off: int) -> None:
        self.atime = self.atime & ~off | on
        kind = STRICTATIME if self.atime & STRICTATIME else self.atime & NOATIME
        self.set = self.set & ~ATIME_MASK | kind
        self.clear = self.clear | ATIME_MASK if self.atime else self.clear & ~ATIME_MASK

    def _take_special(self, option: str) -> bool:
        if option in ("bind", "rbind"):
            self.bind, self.recursive = True, self.recursive or option == "rbind"
        elif option == "remount":
            self.remount = True
        elif option == "tmpcopyup":
            self.copy_up = True
        elif option in ("idmap", "ridmap"):
            self.idmap, self.recursive_idmap = True, option == "ridmap"
        else:
            return False
        return True
