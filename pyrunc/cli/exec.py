"""`pyrunc exec`."""

import click

from pyrunc.cli.command import OPTIONS_FIRST, command, container_id, flag, option, with_preload


@command("exec", context_settings=OPTIONS_FIRST)
@container_id
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@option("--process", "-p", metavar="FILE", help="JSON of the process (runtime-spec `process`).")
@flag("--tty", "-t", help="Give it a terminal.")
@option("--console-socket", metavar="SOCKET", help="Unix socket that gets the terminal's master.")
@option("--pid-file", metavar="FILE", help="Where to write the pid of the process.")
@option("--pidfd-socket", metavar="SOCKET", help="Unix socket that gets a pidfd of the process.")
@flag("--detach", "-d", help="Leave it running in the background.")
@option("--user", "-u", metavar="UID[:GID]", help="Whose process it is.")
@option("--additional-gids", "-g", multiple=True, metavar="GID", help="One more group. Repeatable.")
@option("--env", "-e", multiple=True, metavar="NAME=VALUE", help="One more variable. Repeatable.")
@option("--cwd", metavar="DIR", help="Where it starts.")
@option("--cap", "-c", multiple=True, metavar="CAP_NAME", help="One more capability. Repeatable.")
@flag("--no-new-privs", help="It can gain no privileges by execve.")
@option("--preserve-fds", type=int, default=0, metavar="N", help="Pass N descriptors from 3 on.")
@option("--process-label", metavar="LABEL", help="Its SELinux label.")
@option("--apparmor", metavar="PROFILE", help="Its AppArmor profile.")
@option("--cgroup", multiple=True, metavar="[CTRL:]PATH", help="A cgroup below the container's, to run in.")
@flag("--ignore-paused", help="Allow it in a paused container (it waits until resume).")
@option("--trace", metavar="FILE", help="Write every step and the time that it took.")
@with_preload
def exec_() -> None:
    """Execute another process in a running container; exits with its status."""
