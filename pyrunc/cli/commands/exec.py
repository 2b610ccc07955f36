"""`pyrunc exec`."""

import posix

from pyrunc.cli.inherited import pidfd_sender
from pyrunc.cli.options import ID, WORDS, Command, Option, flag
from pyrunc.cli.shared_options import (
    CONSOLE_SOCKET,
    DETACH,
    PID_FILE,
    PIDFD_SOCKET,
    PRELOAD,
    PRESERVE_DIRECTORIES,
    PRESERVE_FDS,
    TRACE,
)
from pyrunc.container.exec import launch
from pyrunc.container.process_config import process_of, process_of_file
from pyrunc.container.record import Record
from pyrunc.errors import PyruncError
from pyrunc.foreground.run import attached
from pyrunc.linux.signals import SIGKILL
from pyrunc.plan.options import ExecOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.spec.types import Process


COMMAND = Command(
    "exec",
    "Execute another process in a running container; exits with its status.",
    (ID, WORDS),
    (
        Option("--process", "-p", metavar="FILE", help="JSON of the process (runtime-spec `process`)."),
        flag("--tty", "-t", help="Give it a terminal."),
        *(CONSOLE_SOCKET, PID_FILE, PIDFD_SOCKET, DETACH),
        Option("--user", "-u", metavar="UID[:GID]", help="Whose process it is."),
        Option("--additional-gids", "-g", kind="numbers", metavar="GID", help="One more group. Repeatable."),
        Option("--env", "-e", kind="several", metavar="NAME=VALUE", help="One more variable. Repeatable."),
        Option("--cwd", metavar="DIR", help="Where it starts."),
        Option("--cap", "-c", kind="several", metavar="CAP_NAME", help="One more capability. Repeatable."),
        flag(
            "--no-new-privs",
            help="It can gain no privileges by execve; as the container's own process unless given.",
            default=None,
        ),
        *(PRESERVE_FDS, PRESERVE_DIRECTORIES),
        Option("--process-label", metavar="LABEL", help="Its SELinux label."),
        Option("--apparmor", metavar="PROFILE", help="Its AppArmor profile."),
        Option("--cgroup", kind="several", metavar="[CTRL:]PATH", help="A cgroup below the container's, to run in."),
        flag("--ignore-paused", help="Allow it in a paused container (it waits until resume)."),
        *TRACE,
        flag("--no-subreaper", hidden=True, help="Accepted for old engines; of no effect, as in runc."),
        *PRELOAD,
    ),
    stops=True,
    hot=True,
)


def run(options: "Any") -> int:
    """Returns the exit status of the process, 0 if detached."""
    container = Record.load(options.root, options.container_id)
    process_ = chosen_process(container, options)
    chosen = ExecOptions.of(options)
    chosen.preserve_fds = max(options.preserve_fds, 0)
    if options.preload_lib or options.placement == "legacy":
        from pyrunc.hostile import preload

        preload.choose(chosen, options)
    send_pidfd = pidfd_sender(options.pidfd_socket)

    def make() -> int:
        pid = launch(container, process_, chosen)
        try:
            send_pidfd(pid)
        except BaseException:
            posix.kill(pid, SIGKILL)  # a child that is not reaped yet, so its pid cannot have been reused
            raise
        return pid

    if options.detach or options.console_socket:
        return _detached(process_, chosen, options, make)
    return attached(chosen, process_, make)


def _detached(process_: "Process", chosen: ExecOptions, options: "Any", make: "Callable[[], int]") -> int:
    if process_.terminal and not options.console_socket:
        raise PyruncError("process.terminal: cannot allocate tty if pyrunc will detach without setting console socket")
    if options.console_socket and not process_.terminal:
        raise PyruncError("--console-socket: cannot use console socket if pyrunc will not detach or allocate tty")
    if options.console_socket:
        from pyrunc.launch.console import connect

        chosen.console = connect(options.console_socket)
    pid = make()
    if options.detach:
        return 0
    from pyrunc.foreground import wait

    wait.block()
    return wait.wait(pid)


def chosen_process(container: Record, options: "Any") -> "Process":
    """Returns the process in --process FILE unchanged, or the container's own process with the changes of the other
    options."""
    if options.process:
        return process_of_file(container, options.process)
    return process_of(
        container,
        options.args,
        env=options.env or (),
        cwd=options.cwd or "",
        user=options.user or "",
        additional_gids=options.additional_gids,
        terminal=bool(options.tty),
        capabilities=options.cap or (),
        no_new_privileges=options.no_new_privs,
        selinux_label=options.process_label or "",
        apparmor_profile=options.apparmor or "",
    )
