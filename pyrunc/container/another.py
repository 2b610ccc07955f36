"""What another process in a container is: the container's own process, with what the caller changes."""

from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyrunc.container.container import Container
    from pyrunc.spec.types import Process


def process_of(
    container: "Container",
    args: "Sequence[str]",
    *,
    env: "Mapping[str, str] | Sequence[str]" = (),
    cwd: str = "",
    user: "str | int" = "",
    additional_gids: "Sequence[int]" = (),
    terminal: bool = False,
    capabilities: "Sequence[str]" = (),
    no_new_privileges: bool = False,
    selinux_label: str = "",
    apparmor_profile: str = "",
) -> "Process":
    """The container's process with ``args``; what is given changes it, ``env``, groups and ``capabilities`` add to it.

    ``user``: ``UID`` or ``UID:GID``. Raises SpecError and PyruncError for what no process can be.
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
    made.no_new_privileges = no_new_privileges or made.no_new_privileges
    made.selinux_label = selinux_label or made.selinux_label
    made.apparmor_profile = apparmor_profile or made.apparmor_profile
    _user(made, str(user))
    made.user.additional_gids = [*made.user.additional_gids, *additional_gids]
    _capabilities(made, capabilities)
    from pyrunc.spec.rules import check_process

    check_process(made)
    return made


def given_process(source: "dict[str, Any] | Process") -> "Process":
    """A whole process as the spec has it (``exec --process``), checked. SpecError names what is wrong."""
    from pyrunc.spec.load import process_from, raw

    return process_from(source if isinstance(source, dict) else raw(source))


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
    if not uid.isdigit() or (colon and not gid.isdigit()):
        raise PyruncError(f"--user {user!r}: is not UID[:GID]")
    process.user.uid = int(uid)
    if colon:
        process.user.gid = int(gid)


def _capabilities(process: "Process", names: "Sequence[str]") -> None:
    """Added to all sets; ambient only where the config's inheritable set already has it (as runc)."""
    if not names or process.capabilities is None:
        return
    sets = process.capabilities
    for attribute in ("bounding", "effective", "permitted"):
        setattr(sets, attribute, [*getattr(sets, attribute), *names])
    sets.ambient = [*sets.ambient, *(name for name in names if name in sets.inheritable)]
