"""`pyrunc exec`."""

from pyrunc.commands.preserve import preserved
from pyrunc.container.attached import attached
from pyrunc.container.container import Container
from pyrunc.container.execute import ExecOptions, launch
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import Process


def run(options: "Any") -> int:
    """Returns the exit status of the process, 0 when detached."""
    container = Container.load(options.container_id, options.root)
    process_ = chosen_process(container, options)
    chosen = ExecOptions(
        pid_file=options.pid_file or "",
        cgroup=options.cgroup or (),
        ignore_paused=bool(options.ignore_paused),
        trace=options.trace or "",
    )
    chosen.preserve_fds, chosen.extra_env = preserved(options.preserve_fds)
    if options.preload_lib:
        from pyrunc.hostile import preload

        preload.choose(chosen, options)
    if options.detach or options.console_socket:
        return _detached(container, process_, chosen, options)
    return attached(chosen, bool(process_.terminal), lambda: launch(container, process_, chosen))


def _detached(container: Container, process_: "Process", chosen: ExecOptions, options: "Any") -> int:
    if process_.terminal and not options.console_socket:
        raise PyruncError("process.terminal: cannot allocate tty if pyrunc will detach without setting console socket")
    if options.console_socket and not process_.terminal:
        raise PyruncError("--console-socket: cannot use console socket if pyrunc will not detach or allocate tty")
    if options.console_socket:
        from pyrunc.container.terminal import connect

        chosen.console = connect(options.console_socket)
    pid = launch(container, process_, chosen)
    if options.pidfd_socket:
        from pyrunc.container.terminal import send_pidfd

        send_pidfd(options.pidfd_socket, pid)
    if options.detach:
        return 0
    from pyrunc.container import foreground

    return foreground.wait(pid)


def chosen_process(container: Container, options: "Any") -> "Process":
    """--process FILE as it is, or the container's own process with what the options change."""
    if options.process:
        from pyrunc.spec.load import load_process

        return load_process(options.process)
    process_ = container.config.process
    assert process_ is not None
    args = list(options.args)
    if args[:1] == ["--"]:
        del args[0]
    if not args:
        raise PyruncError("process args cannot be empty")
    process_.args = args
    process_.env = [*process_.env, *_environment(options.env)]
    process_.terminal = bool(options.tty)
    process_.console_size = None
    if options.cwd:
        process_.cwd = options.cwd
    if options.no_new_privs:
        process_.no_new_privileges = True
    if options.process_label:
        process_.selinux_label = options.process_label
    if options.apparmor:
        process_.apparmor_profile = options.apparmor
    _user(process_, options)
    _capabilities(process_, options.cap)
    from pyrunc.spec.rules import check_process

    check_process(process_)
    return process_


def _environment(entries: "Any") -> "list[str]":
    for entry in entries or ():
        if "=" not in entry or entry.startswith("="):
            raise PyruncError(f"--env {entry!r}: is not NAME=value")
    return list(entries or ())


def _user(process_: "Process", options: "Any") -> None:
    """--user UID[:GID], --additional-gids GID,..."""
    if options.user:
        uid, colon, gid = options.user.partition(":")
        if not uid.isdigit() or (colon and not gid.isdigit()):
            raise PyruncError(f"--user {options.user!r}: is not UID[:GID]")
        process_.user.uid = int(uid)
        if colon:
            process_.user.gid = int(gid)
    more = [part for entry in options.additional_gids or () for part in str(entry).split(",")]
    if not all(part.isdigit() for part in more):
        raise PyruncError(f"--additional-gids {','.join(more)}: not all are numbers")
    process_.user.additional_gids = [*process_.user.additional_gids, *map(int, more)]


def _capabilities(process_: "Process", names: "Any") -> None:
    """--cap: added to all sets; ambient only where the config's inheritable set already has it (as runc)."""
    if not names or process_.capabilities is None:
        return
    sets = process_.capabilities
    for attribute in ("bounding", "effective", "permitted"):
        setattr(sets, attribute, [*getattr(sets, attribute), *names])
    sets.ambient = [*sets.ambient, *(name for name in names if name in sets.inheritable)]
