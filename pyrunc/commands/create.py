"""`pyrunc create`, and what `run` shares with it."""

from pyrunc.commands.preserve import notify_socket, preserved
from pyrunc.container.container import absolute
from pyrunc.container.create import Creation
from pyrunc.container.options import CreateOptions
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import Config


def cgroup_manager(options: "Any") -> str:
    """Of the global options: ``cgroupfs``, ``systemd`` or ``disabled``."""
    return "systemd" if options.systemd_cgroup else str(options.cgroup_manager or "cgroupfs")


def prepare(options: "Any") -> "tuple[Config, CreateOptions]":
    """The config and the choices that the command line asks for. Raises SpecError and PyruncError."""
    from pyrunc.spec.load import load

    bundle = absolute(options.bundle or ".")
    file = options.config or "config.json"
    spec = load(file if file.startswith("/") else f"{bundle}/{file}")
    chosen = CreateOptions(
        root=absolute(options.root),
        bundle=bundle,
        pid_file=absolute(options.pid_file) if options.pid_file else "",
        no_pivot=bool(options.no_pivot),
        no_new_keyring=bool(options.no_new_keyring),
        trace=options.trace or "",
        cgroup_manager=cgroup_manager(options),
        notify_socket=notify_socket(),
    )
    chosen.preserve_fds, chosen.extra_env = preserved(options.preserve_fds)
    if options.preload_lib or options.placement == "legacy":
        from pyrunc.hostile import preload

        preload.choose(chosen, options)
    return spec, chosen


def connect_console(spec: "Config", chosen: CreateOptions, path: "str | None") -> None:
    """With a terminal and nobody in the foreground, somebody must take its master; without one, nobody can."""
    terminal = spec.process is not None and spec.process.terminal
    if terminal and not path:
        raise PyruncError("process.terminal: cannot allocate tty if pyrunc will detach without setting console socket")
    if path and not terminal:
        raise PyruncError("--console-socket: cannot use console socket if pyrunc will not detach or allocate tty")
    if path:
        from pyrunc.container.terminal import connect

        chosen.console = connect(path)


def run(options: "Any") -> int:
    """Creates the container; its init waits for `start`."""
    spec, chosen = prepare(options)
    connect_console(spec, chosen, options.console_socket)
    send_pidfd(options, Creation(options.container_id, spec, chosen).make())
    return 0


def send_pidfd(options: "Any", pid: int) -> None:
    """--pidfd-socket."""
    if options.pidfd_socket:
        from pyrunc.container import terminal

        terminal.send_pidfd(options.pidfd_socket, pid)
