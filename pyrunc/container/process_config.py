"""The process for `exec`: the container's own process with the caller's changes, or a complete one from the caller."""

from pyrunc.errors import PyruncError
from pyrunc.spec.checks_linux import ID_END

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyrunc.container.record import Record
    from pyrunc.spec.types import Process


def process_of(
    container: "Record",
    args: "Sequence[str]",
    *,
    env: "Mapping[str, str] | Sequence[str]" = (),
    cwd: str = "",
    user: "str | int" = "",
    additional_gids: "Sequence[int | str]" = (),
    terminal: bool = False,
    capabilities: "Sequence[str]" = (),
    no_new_privileges: "bool | None" = None,
    selinux_label: str = "",
    apparmor_profile: str = "",
) -> "Process":
    """Returns the container's process with ``args``. The other arguments replace its properties; ``env``,
    ``additional_gids`` and ``capabilities`` are added to them.

    ``user``: ``UID`` or ``UID:GID``. SpecError or PyruncError if a value is not valid.
    """
    made = container.config.process
    assert made is not None
    if not args:
        raise PyruncError("process args cannot be empty")
    made.args = list(args)
    made.env = [*made.env, *_environment(env)]
    made.terminal = terminal
    made.console_size = None
    made.cwd = cwd or made.cwd
    if no_new_privileges is not None:
        made.no_new_privileges = no_new_privileges
    made.selinux_label = selinux_label or made.selinux_label
    made.apparmor_profile = apparmor_profile or made.apparmor_profile
    _user(made, str(user))
    groups = [_id(f"--additional-gids {str(gid)[:40]!r}", str(gid), "GID") for gid in additional_gids]
    made.user.additional_gids = [*made.user.additional_gids, *groups]
    _capabilities(made, capabilities)
    from pyrunc.spec.checks import check_process

    check_process(made)
    return made


INHERITED = ("capabilities", "scheduler", "io_priority", "exec_cpu_affinity", "oom_score_adj")
"""Properties that a complete process inherits from the container's process if it does not set them, as in runc: a
process in a container is restricted as much as init. The same holds for LABELS. noNewPrivileges, rlimits, user, env and
cwd are not inherited."""
LABELS = ("apparmor_profile", "selinux_label")


def given_process(container: "Record", source: "dict[str, Any] | Process") -> "Process":
    """Validates a complete process of the spec and returns it with the inherited properties. SpecError names what is
    wrong."""
    from pyrunc.spec.load import process_from, raw

    return completed(container, process_from(source if isinstance(source, dict) else raw(source)))


def process_of_file(container: "Record", path: str) -> "Process":
    """The same for a process in the file or pipe at ``path`` (``exec --process``)."""
    from pyrunc.spec.load import load_process

    return completed(container, load_process(path))


def completed(container: "Record", process: "Process") -> "Process":
    """Sets the properties that ``process`` inherits from the container's process; returns ``process``."""
    own = container.config.process
    assert own is not None
    for attribute in INHERITED:
        if getattr(process, attribute) in (None, (), []):
            setattr(process, attribute, getattr(own, attribute))
    for attribute in LABELS:
        setattr(process, attribute, getattr(process, attribute) or getattr(own, attribute))
    if process.user.umask is None:
        process.user.umask = own.user.umask
    return process


def _environment(env: "Mapping[str, str] | Sequence[str]") -> "list[str]":
    items = getattr(env, "items", None)
    entries = list(env) if items is None else [f"{name}={value}" for name, value in items()]
    for entry in entries:
        if "=" not in entry or entry.startswith("="):
            raise PyruncError(f"--env {entry!r}: is not NAME=value")
    return entries


def _user(process: "Process", user: str) -> None:
    if not user:
        return
    uid, colon, gid = user.partition(":")
    process.user.uid = _id(f"--user {user[:40]!r}", uid, "UID[:GID]")
    if colon:
        process.user.gid = _id(f"--user {user[:40]!r}", gid, "UID[:GID]")


def _id(where: str, text: str, form: str) -> int:
    """Parses a user or group id in Go's syntax of numbers. PyruncError with ``where`` and the expected ``form`` if it
    is not valid."""
    digits = text.removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        raise PyruncError(f"{where}: is not {form}")
    if len(digits.lstrip("0")) > len(str(ID_END)) or int(digits) >= ID_END:
        raise PyruncError(f"{where}: {text[:20]} is not an id between 0 and {ID_END - 1}")
    return int(digits)


def _capabilities(process: "Process", names: "Sequence[str]") -> None:
    """Adds capabilities to the sets; to the ambient set only if the config's inheritable set has them (as runc)."""
    if not names:
        return
    if process.capabilities is None:
        from pyrunc.spec.shape import build

        process.capabilities = build("Capabilities", {})
    sets = process.capabilities
    assert sets is not None
    for attribute in ("bounding", "effective", "permitted"):
        setattr(sets, attribute, [*getattr(sets, attribute), *names])
    sets.ambient = [*sets.ambient, *(name for name in names if name in sets.inheritable)]
