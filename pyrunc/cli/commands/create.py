"""`pyrunc create`, and the functions that `run` shares with it."""

from pyrunc.cli.inherited import notify_socket, pidfd_sender, preserved
from pyrunc.cli.options import NEW_ID, Command
from pyrunc.cli.shared_options import CONFIG, CREATING
from pyrunc.container.create import Creation
from pyrunc.errors import PyruncError
from pyrunc.plan.options import CreateOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.spec.types import Config


COMMAND = Command(
    "create",
    "Create a container: everything but its program, which `start` executes.",
    (NEW_ID,),
    (*CREATING,),
    hot=True,
)


def cgroup_manager(options: "Any") -> str:
    """Returns the manager that the global options select: ``cgroupfs``, ``systemd`` or ``disabled``."""
    return "systemd" if options.systemd_cgroup else str(options.cgroup_manager or "cgroupfs")


def prepare(options: "Any") -> "tuple[Config, CreateOptions]":
    """Returns the config and the options from the command line. SpecError or PyruncError if one is wrong."""
    from pyrunc.spec.load import load

    file = options.config
    spec = load(file if file.startswith("/") else f"{options.bundle}/{file}", pipes=file != CONFIG.default)
    chosen = CreateOptions.of(options)
    chosen.cgroup_manager, chosen.notify_socket = cgroup_manager(options), notify_socket()
    chosen.preserve_fds, chosen.extra_env = preserved(options.preserve_fds)
    if options.preload_lib or options.placement == "legacy":
        from pyrunc.hostile import preload

        preload.choose(chosen, options)
    return spec, chosen


def connect_console(spec: "Config", chosen: CreateOptions, path: "str | None") -> None:
    """Connects to the console socket. A detached process with a terminal needs a socket, which receives the terminal's
    master; a process without a terminal cannot have one. PyruncError otherwise."""
    terminal = spec.process is not None and spec.process.terminal
    if terminal and not path:
        raise PyruncError("process.terminal: cannot allocate tty if pyrunc will detach without setting console socket")
    if path and not terminal:
        raise PyruncError("--console-socket: cannot use console socket if pyrunc will not detach or allocate tty")
    if path:
        from pyrunc.launch.console import connect

        chosen.console = connect(path)


def run(options: "Any") -> int:
    """Creates the container. Its init then waits for `start`."""
    spec, chosen = prepare(options)
    connect_console(spec, chosen, options.console_socket)
    send_pidfd = pidfd_sender(options.pidfd_socket)
    creation = Creation(options.container_id, spec, chosen)
    send(send_pidfd, creation, creation.make())
    return 0


def send(send_pidfd: "Callable[[int], None]", creation: Creation, pid: int) -> None:
    """Sends the pidfd of init to the caller (--pidfd-socket). Removes the container if that fails."""
    try:
        send_pidfd(pid)
    except BaseException:
        creation.remove()
        raise
