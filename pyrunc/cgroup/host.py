"""The host's cgroup hierarchies, and the cgroup of this process in each (cgroups(7), proc(5) mountinfo)."""

from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

UNIFIED = ""
"""The name of the v2 hierarchy, as in /proc/PID/cgroup."""


class Hierarchy:
    """One mounted hierarchy. ``name`` is the middle field of /proc/PID/cgroup: ``memory``, ``cpu,cpuacct``,
    ``name=systemd``, "" for v2. ``own``: the cgroup of this process, relative to ``mountpoint``."""

    __slots__ = ("controllers", "mountpoint", "name", "own", "root", "version")

    def __init__(self, name: str, version: int, mountpoint: str, root: str, own: str) -> None:
        self.name = name
        self.version = version
        self.mountpoint = mountpoint
        self.root = root
        self.own = own
        self.controllers: list[str] = [] if name.startswith("name=") else name.split(",")

    def directory(self, path: str) -> str:
        """Returns the directory of the cgroup ``path``, as /proc/PID/cgroup names it. ``path`` starts at the top of the
        hierarchy, but the mount may show only a part of the hierarchy (``root``)."""
        if self.root != "/" and (path == self.root or path.startswith(f"{self.root}/")):
            path = path[len(self.root) :]
        return f"{self.mountpoint}{path}".rstrip("/")

    def knows(self, file: str) -> bool:
        """Whether cgroups of this hierarchy have ``file``. Looks at the top cgroup and at one below it, because the top
        one does not have all files."""
        import posix

        try:
            below = (entry.name for entry in posix.scandir(self.mountpoint) if entry.is_dir(follow_symlinks=False))
            some = next(below, "")
        except OSError:
            return False
        for directory in ("", some):
            try:
                posix.stat(f"{self.mountpoint}/{directory}/{file}")
                return True
            except OSError:
                continue
        return False


class Host:
    """All hierarchies of the host: v1 first, in the order of their mounts."""

    __slots__ = ("hierarchies",)

    def __init__(self, hierarchies: "list[Hierarchy]") -> None:
        self.hierarchies = hierarchies

    def of(self, controller: str) -> "Hierarchy | None":
        """Returns the hierarchy that has ``controller``, or None."""
        return next((h for h in self.hierarchies if controller in h.controllers), None)

    @property
    def unified(self) -> "Hierarchy | None":
        """The v2 hierarchy, alone or beside v1."""
        return next((h for h in self.hierarchies if h.version == 2), None)

    @property
    def mode(self) -> str:
        """``legacy`` (v1 only), ``hybrid`` or ``unified``."""
        versions = {h.version for h in self.hierarchies}
        return "hybrid" if len(versions) == 2 else "unified" if versions == {2} else "legacy"


def discover() -> Host:
    """Reads the hierarchies from /proc/self/mountinfo and /proc/self/cgroup. The first mount of a hierarchy counts."""
    own = paths_of("self")
    found: dict[str, Hierarchy] = {}
    for root, mountpoint, kind, options in _mounts():
        name = UNIFIED if kind == "cgroup2" else _name(options, own)
        if name is None or name in found or name not in own:
            continue
        path = own[name]
        # In a container without a cgroup namespace the path starts at the host's top cgroup, the mount further down.
        if root != "/" and (path == root or path.startswith(f"{root}/")):
            path = path[len(root) :] or "/"
        found[name] = Hierarchy(name, 2 if kind == "cgroup2" else 1, mountpoint, root, path.rstrip("/"))
    if UNIFIED in found:
        unified = found[UNIFIED]
        text = read(f"{unified.mountpoint}/cgroup.controllers").decode()
        unified.controllers = text.split()
    return Host(sorted(found.values(), key=lambda h: h.version))


def paths_of(pid: "int | str") -> "dict[str, str]":
    """Returns {hierarchy name: path} from /proc/PID/cgroup."""
    paths = {}
    # Split at \n only: the name of a cgroup may contain other characters at which str.splitlines would split.
    for line in read(f"/proc/{pid}/cgroup").decode("utf-8", "surrogateescape").split("\n"):
        if line:
            _, name, path = line.split(":", 2)
            paths[name] = path
    return paths


def _mounts() -> "Iterator[tuple[str, str, str, str]]":
    """Yields (root, mount point, type, superblock options) of every cgroup mount."""
    for line in read("/proc/self/mountinfo").decode("utf-8", "surrogateescape").split("\n"):
        mount, separator, filesystem = line.partition(" - ")
        if not separator or not filesystem.startswith("cgroup"):
            continue
        fields, (kind, _, options) = mount.split(" "), filesystem.split(" ", 2)
        yield plain(fields[3]), plain(fields[4]), kind, options


def plain(path: str) -> str:
    """Decodes the octal escapes that mountinfo uses for space, tab, newline and backslash (proc_pid_mountinfo(5))."""
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(octal, character)
    return path


def _name(options: str, own: "dict[str, str]") -> "str | None":
    """Returns the name of the hierarchy of a v1 mount: the one in ``own`` whose controllers (or name) are all among
    the mount's options."""
    given = set(options.split(","))
    for name in own:
        if name and set(name.split(",")) <= given:
            return name
    return None
