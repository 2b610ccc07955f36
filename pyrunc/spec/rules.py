"""What the shape of a config cannot say: versions, paths, ids and namespaces that must fit each other."""

from pyrunc.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyrunc.spec.types import Config, Hook, IdMapping, Process

NEWEST = (1, 3)
ID_END = 1 << 32
IPC_SYSCTLS = (
    *("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax"),
    *("kernel.shmmni", "kernel.shm_rmid_forced"),
)


def check(config: "Config") -> None:
    """Raises SpecError for the first rule that ``config`` breaks."""
    check_version(config.oci_version)
    if not config.root.path:
        raise SpecError("root.path", "required")
    _no_nul("root.path", config.root.path)
    for index, mount in enumerate(config.mounts):
        where = f"mounts[{index}]"
        for name in ("destination", "source", "type"):
            _no_nul(f"{where}.{name}", getattr(mount, name))
        _absolute(f"{where}.destination", mount.destination)
        _no_nul_in(f"{where}.options", mount.options)
    if config.process is not None:
        check_process(config.process)
    _no_nul("hostname", config.hostname)
    _no_nul("domainname", config.domainname)
    _check_hooks(config)
    _check_namespaces(config)
    _check_linux(config)


def check_version(version: str) -> None:
    """semver 1.x, up to 1.3; a suffix such as ``-dev`` is of no matter (runc accepts every 1.x)."""
    numbers = version.partition("-")[0].partition("+")[0].split(".")
    if len(numbers) != 3 or not all(part.isascii() and part.isdigit() for part in numbers):
        raise SpecError("ociVersion", f"{version[:40]!r} is not a semantic version such as 1.3.0")
    major, minor = int(numbers[0]), int(numbers[1])
    if major != NEWEST[0] or minor > NEWEST[1]:
        raise SpecError("ociVersion", f"{version} is not supported (1.0.0 to {NEWEST[0]}.{NEWEST[1]}.x are)")


def check_process(process: "Process") -> None:
    """``process`` of a config or of `exec`."""
    if not process.args:
        raise SpecError("process.args", "must not be empty")
    _no_nul_in("process.args", process.args)
    _no_nul_in("process.env", process.env)
    for index, entry in enumerate(process.env):
        if "=" not in entry or entry.startswith("="):
            raise SpecError(f"process.env[{index}]", f"{entry[:40]!r} is not NAME=value")
    _absolute("process.cwd", process.cwd)
    seen = set()
    for index, limit in enumerate(process.rlimits):
        if limit.type in seen:
            raise SpecError(f"process.rlimits[{index}].type", f"{limit.type} is given twice")
        seen.add(limit.type)
        if limit.soft > limit.hard:
            raise SpecError(f"process.rlimits[{index}].soft", f"{limit.soft} is above hard, {limit.hard}")
    _no_nul("process.selinuxLabel", process.selinux_label)
    _no_nul("process.apparmorProfile", process.apparmor_profile)
    if process.oom_score_adj is not None and not -1000 <= process.oom_score_adj <= 1000:
        raise SpecError("process.oomScoreAdj", f"{process.oom_score_adj} is not between -1000 and 1000")
    if process.io_priority is not None and not 0 <= process.io_priority.priority <= 7:
        raise SpecError("process.ioPriority.priority", f"{process.io_priority.priority} is not between 0 and 7")


def _check_hooks(config: "Config") -> None:
    if config.hooks is None:
        return
    for point in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"):
        attribute = "".join(f"_{c.lower()}" if c.isupper() else c for c in point)
        hooks: Sequence[Hook] = getattr(config.hooks, attribute)
        for index, hook in enumerate(hooks):
            where = f"hooks.{point}[{index}]"
            _absolute(f"{where}.path", hook.path)
            _no_nul_in(f"{where}.args", hook.args)
            _no_nul_in(f"{where}.env", hook.env)
            if hook.timeout is not None and hook.timeout <= 0:
                raise SpecError(f"{where}.timeout", "must be greater than zero")


def _check_namespaces(config: "Config") -> None:
    linux = config.linux
    paths: dict[str, str] = {}
    for index, namespace in enumerate(linux.namespaces):
        where = f"linux.namespaces[{index}]"
        if namespace.type in paths:
            raise SpecError(f"{where}.type", f"{namespace.type} is given twice")
        if namespace.path:
            _absolute(f"{where}.path", namespace.path)
        paths[namespace.type] = namespace.path
    mappings = {"uidMappings": linux.uid_mappings, "gidMappings": linux.gid_mappings}
    new_user = paths.get("user") == ""
    for name, entries in mappings.items():
        if new_user and not entries:
            raise SpecError(f"linux.{name}", "required for a new user namespace")
        if entries and "user" not in paths:
            raise SpecError(f"linux.{name}", "given, but there is no user namespace in linux.namespaces")
        _check_mapping(f"linux.{name}", entries)
    if new_user and config.process is not None:
        user = config.process.user
        _mapped("process.user.uid", user.uid, linux.uid_mappings)
        for where, gid in [("process.user.gid", user.gid)] + [
            (f"process.user.additionalGids[{i}]", gid) for i, gid in enumerate(user.additional_gids)
        ]:
            _mapped(where, gid, linux.gid_mappings)
    for name, kind in (("hostname", "uts"), ("domainname", "uts")):
        if getattr(config, name) and kind not in paths:
            raise SpecError(name, "needs a uts namespace of the container's own")
    if linux.time_offsets and paths.get("time") != "":
        raise SpecError("linux.timeOffsets", "needs a new time namespace")
    if linux.net_devices and "network" not in paths:
        raise SpecError("linux.netDevices", "needs a network namespace of the container's own")
    _check_sysctl(linux.sysctl, paths, bool(config.hostname))


def _check_mapping(where: str, entries: "Sequence[IdMapping]") -> None:
    for index, entry in enumerate(entries):
        if entry.size == 0:
            raise SpecError(f"{where}[{index}].size", "must be greater than zero")
        for name, first in (("containerID", entry.container_id), ("hostID", entry.host_id)):
            if first + entry.size > ID_END:
                raise SpecError(f"{where}[{index}].size", f"goes beyond the last id from {name} {first} on")
        for other in entries[:index]:
            if (
                entry.container_id < other.container_id + other.size
                and other.container_id < entry.container_id + entry.size
            ):
                raise SpecError(f"{where}[{index}].containerID", "overlaps an earlier mapping")


def _mapped(where: str, number: int, entries: "Sequence[IdMapping]") -> None:
    if not any(entry.container_id <= number < entry.container_id + entry.size for entry in entries):
        raise SpecError(where, f"{number} is not mapped in the user namespace")


def _check_sysctl(sysctl: "dict[str, str]", paths: "dict[str, str]", hostname: bool) -> None:
    """Only what belongs to a namespace of the container's own: the rest would change the host."""
    for name, value in sysctl.items():
        where = f"linux.sysctl.{name}"
        _no_nul(where, name)
        _no_nul(where, value)
        slash, dot = name.find("/"), name.find(".")
        dotted = name.replace("/", ".") if slash >= 0 and (dot < 0 or slash < dot) else name
        if ".." in name or name.startswith(("/", ".")):
            raise SpecError(where, "not the name of a kernel parameter")
        if dotted in ("kernel.hostname", "kernel.domainname"):
            needed = "uts"
            if dotted == "kernel.hostname" and hostname:
                raise SpecError(where, "hostname is given as well")
        elif dotted in IPC_SYSCTLS or dotted.startswith("fs.mqueue."):
            needed = "ipc"
        elif dotted.startswith("net."):
            needed = "network"
        elif dotted.startswith("user."):
            needed = "user"
        else:
            raise SpecError(where, "is of the whole host: no namespace has one of its own")
        if needed not in paths:
            raise SpecError(where, f"needs a {needed} namespace of the container's own")


def _check_linux(config: "Config") -> None:
    linux = config.linux
    _no_nul("linux.cgroupsPath", linux.cgroups_path)
    for name, entries in (("maskedPaths", linux.masked_paths), ("readonlyPaths", linux.readonly_paths)):
        for index, path in enumerate(entries):
            _absolute(f"linux.{name}[{index}]", path)
    for index, device in enumerate(linux.devices):
        where = f"linux.devices[{index}]"
        _absolute(f"{where}.path", device.path)
        if device.type != "p":
            for name in ("major", "minor"):
                if getattr(device, name) is None:
                    raise SpecError(f"{where}.{name}", f"required for a device of type {device.type}")
    if linux.resources is not None:
        for index, limit in enumerate(linux.resources.hugepage_limits):
            number, unit = limit.page_size[:-2], limit.page_size[-2:]
            if unit not in ("KB", "MB", "GB") or not number.isdigit() or number.startswith("0"):
                where = f"linux.resources.hugepageLimits[{index}].pageSize"
                raise SpecError(where, f"{limit.page_size[:40]!r} is not a size such as 2MB")
        for index, rule in enumerate(linux.resources.devices):
            if set(rule.access) - set("rwm"):
                raise SpecError(
                    f"linux.resources.devices[{index}].access", f"{rule.access[:20]!r} is not made of r, w, m"
                )
    if linux.personality is not None and linux.personality.flags:
        raise SpecError("linux.personality.flags", "no flag is known to the runtime-spec")


def _absolute(where: str, path: str) -> None:
    _no_nul(where, path)
    if not path:
        raise SpecError(where, "required")
    if not path.startswith("/"):
        raise SpecError(where, f"{path[:80]!r} is not an absolute path")


def _no_nul(where: str, text: str) -> None:
    if "\0" in text:
        raise SpecError(where, "holds a NUL byte")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise SpecError(where, "holds half of a surrogate pair, which is not a character") from None


def _no_nul_in(where: str, texts: "Iterable[str]") -> None:
    for index, text in enumerate(texts):
        _no_nul(f"{where}[{index}]", text)
