"""Checks of ``linux`` beyond its shape (runtime-spec config-linux.md), such as ids and namespaces that must fit each
other."""

import posix

from pyrunc.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.spec.types import Config, IdMapping, Linux, MemoryPolicy, Resources, Seccomp, User

ID_END = (1 << 32) - 1
"""(uid_t) -1 is not a valid id."""
MAPPINGS = 340
"""The largest number of lines in uid_map (user_namespaces(7), Linux 4.15)."""
MAJOR_END, MINOR_END = 1 << 12, 1 << 20
"""linux/kdev_t.h. mknod(2) would truncate larger numbers, and create another device."""
SECOND = 1_000_000_000
NUMBERS_END = 4096
"""The bound of CPU and memory node numbers, larger than in any kernel."""
INTERFACE_NAME = 15
"""Bytes of the longest name: IFNAMSIZ without the NUL."""
LAST_ARGUMENT = 5
"""The last argument of a system call."""
IPC_SYSCTLS = (
    *("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax"),
    *("kernel.shmmni", "kernel.shm_rmid_forced"),
)


def check(config: "Config") -> None:
    """Raises SpecError for the first rule that ``config.linux`` breaks."""
    linux = config.linux
    spaces = _namespaces(linux)
    _check_users(linux, spaces, config.process.user if config.process is not None else None)
    for name in ("hostname", "domainname"):
        if getattr(config, name) and "uts" not in spaces:
            raise SpecError(name, "needs a uts namespace of the container's own")
    _check_time(linux, spaces)
    _check_net_devices(linux, spaces)
    _check_sysctl(linux.sysctl, spaces)
    _check_paths(linux, spaces)
    _check_devices(linux)
    if linux.resources is not None:
        check_resources(linux.resources)
    if linux.seccomp is not None:
        _check_seccomp(linux.seccomp)
    if linux.memory_policy is not None:
        _check_memory_policy(linux.memory_policy)
    if linux.intel_rdt is not None:
        schema = linux.intel_rdt.mem_bw_schema
        if schema and (not schema.startswith("MB:") or "\n" in schema):
            raise SpecError("linux.intelRdt.memBwSchema", f"{schema[:40]!r} is not one line that begins with MB:")
    if linux.personality is not None and linux.personality.flags:
        raise SpecError("linux.personality.flags", "no flag is known to the runtime-spec")


def _namespaces(linux: "Linux") -> "dict[str, str]":
    """Returns {type: path, empty for a new namespace}."""
    paths: dict[str, str] = {}
    for index, namespace in enumerate(linux.namespaces):
        where = f"linux.namespaces[{index}]"
        if namespace.type in paths:
            raise SpecError(f"{where}.type", f"{namespace.type} is given twice")
        if namespace.path:
            absolute(f"{where}.path", namespace.path)
        paths[namespace.type] = namespace.path
    return paths


def _check_users(linux: "Linux", spaces: "dict[str, str]", user: "User | None") -> None:
    """Mappings are also allowed with a path, because containerd and CRI-O give both."""
    new = spaces.get("user") == ""
    for name, entries in (("uidMappings", linux.uid_mappings), ("gidMappings", linux.gid_mappings)):
        if new and not entries:
            raise SpecError(f"linux.{name}", "required for a new user namespace")
        if entries and "user" not in spaces:
            raise SpecError(f"linux.{name}", "given, but there is no user namespace in linux.namespaces")
        check_mapping(f"linux.{name}", entries)
    if new and user is not None:
        _mapped("process.user.uid", user.uid, linux.uid_mappings)
        _mapped("process.user.gid", user.gid, linux.gid_mappings)
        for index, gid in enumerate(user.additional_gids):
            _mapped(f"process.user.additionalGids[{index}]", gid, linux.gid_mappings)


def check_mapping(where: str, entries: "Sequence[IdMapping]") -> None:
    """Raises SpecError for mappings that the kernel would refuse in uid_map (user_namespaces(7)) with EINVAL only."""
    if len(entries) > MAPPINGS:
        raise SpecError(where, f"more than {MAPPINGS} mappings")
    for index, entry in enumerate(entries):
        place = f"{where}[{index}]"
        if entry.size == 0:
            raise SpecError(f"{place}.size", "must be greater than zero")
        for name, attribute in (("containerID", "container_id"), ("hostID", "host_id")):
            first = getattr(entry, attribute)
            if first + entry.size > ID_END:
                raise SpecError(f"{place}.size", f"goes beyond the last id from {name} {first} on")
            for other in entries[:index]:
                start = getattr(other, attribute)
                if first < start + other.size and start < first + entry.size:
                    raise SpecError(f"{place}.{name}", "overlaps an earlier mapping")


def _mapped(where: str, number: int, entries: "Sequence[IdMapping]") -> None:
    if not any(entry.container_id <= number < entry.container_id + entry.size for entry in entries):
        raise SpecError(where, f"{number} is not mapped in the user namespace")


def _check_time(linux: "Linux", spaces: "dict[str, str]") -> None:
    if linux.time_offsets and spaces.get("time") != "":
        raise SpecError("linux.timeOffsets", "needs a new time namespace")
    for clock, offset in linux.time_offsets.items():
        if offset.nanosecs >= SECOND:
            where = below("linux.timeOffsets", clock)
            raise SpecError(f"{where}.nanosecs", f"{offset.nanosecs} is a second or more")


def _check_net_devices(linux: "Linux", spaces: "dict[str, str]") -> None:
    if linux.net_devices and "network" not in spaces:
        raise SpecError("linux.netDevices", "needs a network namespace of the container's own")
    taken = set()
    for name, device in linux.net_devices.items():
        where = below("linux.netDevices", name)
        _interface(where, name)
        if device.name:
            _interface(f"{where}.name", device.name)
        new = device.name or name
        if new in taken:
            raise SpecError(f"{where}.name", f"{new} is given twice")
        taken.add(new)


def _interface(where: str, name: str) -> None:
    """Checks a name as dev_valid_name() in net/core/dev.c does. ``%`` is refused because the kernel would make up a
    name."""
    if (
        not 0 < len(name.encode()) <= INTERFACE_NAME
        or name in (".", "..")
        or any(c in "/:%" or c.isspace() for c in name)
    ):
        raise SpecError(where, f"{name[:40]!r} is not the name of a network interface")


def _check_sysctl(sysctl: "dict[str, str]", spaces: "dict[str, str]") -> None:
    """Allows only parameters that belong to a namespace of the container's own. Others would change the host."""
    for name in sysctl:
        where = below("linux.sysctl", name)
        slash, dot = name.find("/"), name.find(".")
        dotted = name.replace("/", ".") if slash >= 0 and (dot < 0 or slash < dot) else name
        # Empty parts, and parts of dots alone, would lead to another path than the name's beginning suggests.
        if not name.isprintable() or not all(dotted.replace("/", ".").split(".")):
            raise SpecError(where, "not the name of a kernel parameter")
        if dotted in ("kernel.hostname", "kernel.domainname"):
            needed = "uts"
            if dotted == "kernel.hostname":
                raise SpecError(where, 'not allowed, as it conflicts with the OCI "hostname" field')
        elif dotted in IPC_SYSCTLS or dotted.startswith("fs.mqueue."):
            needed = "ipc"
        elif dotted.startswith("net."):
            needed = "network"
        elif dotted.startswith("user."):
            needed = "user"
        else:
            raise SpecError(where, "is of the whole host: no namespace has one of its own")
        if needed not in spaces or _is_ours(needed, spaces[needed]):
            raise SpecError(where, f"needs a {needed} namespace of the container's own")


def _is_ours(kind: str, path: str) -> bool:
    """Whether the namespace to join is the runtime's own."""
    if not path:
        return False
    try:
        theirs, ours = posix.stat(path), posix.stat(f"/proc/self/ns/{'net' if kind == 'network' else kind}")
    except OSError:
        return False  # joining it will report the reason
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def _check_paths(linux: "Linux", spaces: "dict[str, str]") -> None:
    for name, paths in (("maskedPaths", linux.masked_paths), ("readonlyPaths", linux.readonly_paths)):
        if paths and "mount" not in spaces:
            raise SpecError(f"linux.{name}", "needs a mount namespace of the container's own")
        for index, path in enumerate(paths):
            absolute(f"linux.{name}[{index}]", path)


def _check_devices(linux: "Linux") -> None:
    for index, device in enumerate(linux.devices):
        where = f"linux.devices[{index}]"
        absolute(f"{where}.path", device.path)
        for name, end in (("major", MAJOR_END), ("minor", MINOR_END)):
            number = getattr(device, name)
            if number is None and device.type != "p":
                raise SpecError(f"{where}.{name}", f"required for a device of type {device.type}")
            if number is not None and not 0 <= number < end:
                raise SpecError(f"{where}.{name}", f"{number} is not between 0 and {end - 1}")


def check_resources(resources: "Resources") -> None:
    """Checks ``linux.resources`` of a config or of `update`."""
    for index, limit in enumerate(resources.hugepage_limits):
        number, unit = limit.page_size[:-2], limit.page_size[-2:]
        if unit not in ("KB", "MB", "GB") or not number.isascii() or not number.isdigit() or number.startswith("0"):
            where = f"linux.resources.hugepageLimits[{index}].pageSize"
            raise SpecError(where, f"{limit.page_size[:40]!r} is not a size such as 2MB")
    for index, rule in enumerate(resources.devices):
        where = f"linux.resources.devices[{index}]"
        if rule.access.strip("rwm"):
            raise SpecError(f"{where}.access", f"{rule.access[:20]!r} is not made of r, w, m")
        for name, wanted in (("major", rule.major), ("minor", rule.minor)):
            if wanted is not None and wanted < -1:
                raise SpecError(f"{where}.{name}", f"{wanted} is neither a number of a device nor -1, for all")


def _check_seccomp(seccomp: "Seccomp") -> None:
    where = "linux.seccomp"
    if seccomp.default_action == "SCMP_ACT_NOTIFY":
        # The runtime's own next system call would wait for an answer before any agent listens.
        raise SpecError(f"{where}.defaultAction", "SCMP_ACT_NOTIFY cannot be used as default action")
    if seccomp.listener_metadata and not seccomp.listener_path:
        raise SpecError(f"{where}.listenerMetadata", "given, but there is no listenerPath")
    for index, rule in enumerate(seccomp.syscalls):
        place = f"{where}.syscalls[{index}]"
        if not rule.names:
            raise SpecError(f"{place}.names", "must not be empty")
        if rule.action == "SCMP_ACT_NOTIFY" and not seccomp.listener_path:
            raise SpecError(f"{where}.listenerPath", f"required for SCMP_ACT_NOTIFY of syscalls[{index}]")
        for number, argument in enumerate(rule.args):
            if argument.index > LAST_ARGUMENT:
                where = f"{place}.args[{number}].index"
                raise SpecError(where, f"{argument.index} is not between 0 and {LAST_ARGUMENT}")


def _check_memory_policy(policy: "MemoryPolicy") -> None:
    """Checks which modes take nodes (set_mempolicy(2))."""
    where = "linux.memoryPolicy.nodes"
    if policy.mode in ("MPOL_DEFAULT", "MPOL_LOCAL"):
        if policy.nodes:
            raise SpecError(where, f"{policy.mode} takes none")
    elif not policy.nodes and policy.mode != "MPOL_PREFERRED":
        raise SpecError(where, f"required for {policy.mode}")
    if policy.nodes:
        ranges(where, policy.nodes)


def ranges(where: str, text: str) -> "list[range]":
    """Parses a list of CPUs or memory nodes such as ``0-3,7`` into ranges. Raises SpecError if it is not such a
    list."""
    found = []
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not _is_decimal(first) or (dash and not _is_decimal(last)) or int(last or first) < int(first):
            raise SpecError(where, f"{text[:40]!r} is not a list such as 0-3,7")
        if int(last or first) >= NUMBERS_END:
            raise SpecError(where, f"{last or first} is beyond any kernel's limit")
        found.append(range(int(first), int(last or first) + 1))
    return found


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def absolute(where: str, path: str) -> None:
    """Raises SpecError unless ``path`` is absolute."""
    if not path:
        raise SpecError(where, "required")
    if not path.startswith("/"):
        raise SpecError(where, f"{path[:80]!r} is not an absolute path")


def below(where: str, key: str) -> str:
    """Returns the place of an object's entry, on one line for any key."""
    return f"{where}.{key}" if key.isprintable() and len(key) <= 80 else f"{where}[{key[:40]!r}]"
