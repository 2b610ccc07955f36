"""`pyrunc exec`."""

from pyrunc.commands.preserve import preserved
from pyrunc.container.another import process_of
from pyrunc.container.attached import attached
from pyrunc.container.container import Container
from pyrunc.container.execute import launch
from pyrunc.container.options import ExecOptions
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
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
    if options.preload_lib or options.placement == "legacy":
        from pyrunc.hostile import preload

        preload.choose(chosen, options)
    if options.detach or options.console_socket:
        return _detached(container, process_, chosen, options)
    return attached(chosen, process_, lambda: launch(container, process_, chosen))


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
    from pyrunc.container import waiting

    return waiting.wait(pid)


def chosen_process(container: Container, options: "Any") -> "Process":
    """--process FILE as it is, or the container's own process with what the options change."""
    if options.process:
        from pyrunc.spec.load import load_process

        return load_process(options.process)
    args = list(options.args)
    if args[:1] == ["--"]:
        del args[0]
    return process_of(
        container,
        args,
        env=options.env or (),
        cwd=options.cwd or "",
        user=options.user or "",
        additional_gids=_groups(options.additional_gids or ()),
        terminal=bool(options.tty),
        capabilities=options.cap or (),
        no_new_privileges=bool(options.no_new_privs),
        selinux_label=options.process_label or "",
        apparmor_profile=options.apparmor or "",
    )


def _groups(given: "Sequence[str]") -> "list[int]":
    """--additional-gids GID,..."""
    groups = [part for entry in given for part in str(entry).split(",")]
    if not all(part.isdigit() for part in groups):
        raise PyruncError(f"--additional-gids {','.join(groups)}: not all are numbers")
    return list(map(int, groups))
