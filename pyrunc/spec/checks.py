"""Checks of a config beyond its shape (runtime-spec config.md). ``checks_linux.py`` has those of config-linux.md."""

from pyrunc.errors import SpecError
from pyrunc.spec import checks_linux
from pyrunc.spec.checks_linux import ID_END, absolute, below, check_mapping, ranges
from pyrunc.spec.table import SHAPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.spec.types import Config, Hooks, Process, Scheduler

NEWEST = (1, 3)
MOUNT_OWNERS = (
    *("uid", "gid", "user_id", "group_id", "fsuid", "fsgid"),
    *("resuid", "resgid", "dfltuid", "dfltgid", "rootuid"),
)
"""Options that take one id: of tmpfs, devpts and vfat; fuse; 9p; ext4; orangefs and similar file systems."""
LARGEST_TERMINAL = 65535
"""The largest number of rows or columns. struct winsize has 16 bits for each."""


def check(config: "Config") -> None:
    """Raises SpecError for the first rule that ``config`` breaks."""
    check_version(config.oci_version)
    if not config.root.path:
        raise SpecError("root.path", "required")
    for index, mount in enumerate(config.mounts):
        where = f"mounts[{index}]"
        _check_destination(f"{where}.destination", mount.destination)
        _check_owners(f"{where}.options", mount.options)
        check_mapping(f"{where}.uidMappings", mount.uid_mappings)
        check_mapping(f"{where}.gidMappings", mount.gid_mappings)
    if config.process is not None:
        check_process(config.process)
    if config.hooks is not None:
        _check_hooks(config.hooks)
    if "" in config.annotations:
        raise SpecError("annotations", "a key must not be empty")
    checks_linux.check(config)


def _check_owners(where: str, options: "Sequence[str]") -> None:
    """Checks ``uid=`` and similar options. Some file systems take (uid_t) -1 or a larger number for another id."""
    for entry in options:
        for option in entry.split(",") if "id=" in entry else ():
            name, _, value = option.partition("=")
            if name in MOUNT_OWNERS and not _is_kernel_id(value.strip('"')):
                raise SpecError(where, f"{option[:40]} is not an id between 0 and {ID_END - 1}")


def _is_kernel_id(text: str) -> bool:
    """Whether ``text`` is an id by the kernel's rules for numbers in mount options: base 0 (fs_parser.c)."""
    if not text.isascii() or not text.isalnum() or len(text) > 32:
        return False
    octal = text[:1] == "0" and text.isdigit()
    try:
        return 0 <= int(text, 8 if octal else 0) < ID_END
    except ValueError:
        return False


def _check_destination(where: str, path: str) -> None:
    """Allows a relative path, which begins at ``/`` (runtime-spec 1.3, config.md "Mounts"). Refuses a Windows path."""
    if path[1:2] == ":" or path.startswith("\\"):
        raise SpecError(where, f"{path[:80]!r} is a path of Windows")
    absolute(where, path if path.startswith("/") or not path else f"/{path}")


def check_version(version: str) -> None:
    """Accepts semver 1.x with any suffix, such as ``-dev``.

    A later minor version only adds to the spec (config.md "Specification version"). It is accepted with a warning that
    the additions are ignored. Engines write the newest version they know, even if the config uses nothing of it.
    """
    numbers = version.partition("-")[0].partition("+")[0].split(".")
    if len(numbers) != 3 or not all(_is_number(part) for part in numbers):
        raise SpecError("ociVersion", f"{version[:40]!r} is not a semantic version such as 1.3.0")
    major, minor = int(numbers[0]), int(numbers[1])
    if major != NEWEST[0]:
        raise SpecError("ociVersion", f"{'.'.join(numbers)} is not supported ({NEWEST[0]}.x is)")
    if minor > NEWEST[1]:
        from pyrunc import log

        newest = f"{NEWEST[0]}.{NEWEST[1]}"
        log.warning(f"ociVersion: {'.'.join(numbers)} is newer than {newest}: what it adds to the spec is ignored")


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 10 and (part == "0" or part[0] != "0")


def check_process(process: "Process") -> None:
    """Checks ``process`` of a config or of `exec`."""
    if not process.args:
        raise SpecError("process.args", "must not be empty")
    for index, entry in enumerate(process.env):
        if "=" not in entry or entry.startswith("="):
            raise SpecError(f"process.env[{index}]", f"{entry[:40]!r} is not NAME=value")
    absolute("process.cwd", process.cwd)
    seen = set()
    for index, limit in enumerate(process.rlimits):
        if limit.type in seen:
            raise SpecError(f"process.rlimits[{index}].type", f"{limit.type} is given twice")
        seen.add(limit.type)
        if limit.soft > limit.hard:
            raise SpecError(f"process.rlimits[{index}].soft", f"{limit.soft} is above hard, {limit.hard}")
    score, io, size = process.oom_score_adj, process.io_priority, process.console_size
    if score is not None and not -1000 <= score <= 1000:
        raise SpecError("process.oomScoreAdj", f"{score} is not between -1000 and 1000")
    if io is not None and not 0 <= io.priority <= 7:
        raise SpecError("process.ioPriority.priority", f"{io.priority} is not between 0 and 7")
    if size is not None:
        for name, value in (("height", size.height), ("width", size.width)):
            if value > LARGEST_TERMINAL:
                raise SpecError(f"process.consoleSize.{name}", f"{value} is above {LARGEST_TERMINAL}")
    if process.exec_cpu_affinity is not None:
        for name in ("initial", "final"):
            cpus = getattr(process.exec_cpu_affinity, name)
            if cpus:
                ranges(f"process.execCPUAffinity.{name}", cpus)
    if process.scheduler is not None:
        _check_scheduler(process.scheduler)


def _check_scheduler(scheduler: "Scheduler") -> None:
    """sched_setattr(2). Values that the kernel would silently ignore are errors, as with runc."""
    where, policy = "process.scheduler", scheduler.policy
    if not -20 <= scheduler.nice <= 19:
        raise SpecError(f"{where}.nice", f"{scheduler.nice} is not between -20 and 19")
    if scheduler.priority and policy not in ("SCHED_FIFO", "SCHED_RR"):
        raise SpecError(f"{where}.priority", f"{policy} has none, only SCHED_FIFO and SCHED_RR have")
    for name in ("runtime", "deadline", "period"):
        if getattr(scheduler, name) and policy != "SCHED_DEADLINE":
            raise SpecError(f"{where}.{name}", f"{policy} has none, only SCHED_DEADLINE has")


def _check_hooks(hooks: "Hooks") -> None:
    for point, (attribute, _, _) in SHAPE["Hooks"].items():
        for index, hook in enumerate(getattr(hooks, attribute)):
            where = f"hooks.{point}[{index}]"
            absolute(f"{where}.path", hook.path)
            if hook.timeout is not None and hook.timeout <= 0:
                raise SpecError(f"{where}.timeout", "must be greater than zero")


def check_texts(kind: "Any", value: "Any", where: str = "") -> None:
    """Raises SpecError if a string in ``value`` (a node, by its model's name, or another kind of the table) contains
    NUL or half of a surrogate pair. The kernel would truncate it at NUL. Python would encode the surrogate as another
    byte.

    In JSON both need a ``\\u`` escape, so data without such escapes need not be checked.
    """
    if kind in SHAPE:
        for name, (attribute, inner, _) in SHAPE[kind].items():
            part = getattr(value, attribute)
            if part:
                check_texts(inner, part, f"{where}.{name}" if where else name)
    elif type(value) is str:
        _check_text(where, value)
    elif kind[0] == "list":
        for index, item in enumerate(value):
            check_texts(kind[1], item, f"{where}[{index}]")
    elif kind[0] == "dict":
        for key, item in value.items():
            _check_text(below(where, key), key)
            check_texts(kind[1], item, below(where, key))


def _check_text(where: str, text: str) -> None:
    if "\0" in text:
        raise SpecError(where, "holds a NUL byte")
    # Not checked by encoding it, because the half-started interpreter has no codec that could raise an error.
    if not text.isascii() and any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise SpecError(where, "holds half of a surrogate pair, which is not a character")
