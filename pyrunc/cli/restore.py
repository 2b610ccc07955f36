"""`pyrunc restore`."""

import click

from pyrunc.cli.command import command, container_id, flag, option


@command("restore")
@container_id
@option("--image-path", metavar="DIR", help="Where the image is.")
@option("--work-path", metavar="DIR", help="Where CRIU's logs go.")
@flag("--tcp-established", help="Also established TCP connections.")
@flag("--ext-unix-sk", help="Also external unix sockets.")
@flag("--shell-job", help="Also a shell's job.")
@flag("--lazy-pages", help="Memory is moved on demand.")
@flag("--file-locks", help="Also file locks.")
@option("--manage-cgroups-mode", type=click.Choice(["soft", "full", "strict", "ignore"]), help="CRIU's cgroup mode.")
@option("--empty-ns", multiple=True, metavar="NAMESPACE", help="A namespace not to look into (network).")
@flag("--auto-dedup", help="Deduplicate the image.")
@flag("--link-remap", help="Also unlinked files.")
@option("--bundle", "-b", metavar="DIR", help="The bundle's directory; the current one unless given.")
@flag("--detach", "-d", help="Leave the container running in the background.")
@option("--pid-file", metavar="FILE", help="Where to write the pid of the container's process.")
@option("--console-socket", metavar="SOCKET", help="Unix socket that gets the terminal's master.")
@flag("--no-pivot", help="Move the root instead of pivot_root.")
@flag("--no-subreaper", help="Do not become the reaper of what the container leaves behind.")
@option("--lsm-profile", metavar="TYPE:PROFILE", help="An LSM profile instead of the image's.")
@option("--lsm-mount-context", metavar="CONTEXT", help="A mount context instead of the image's.")
def restore() -> None:
    """Bring a checkpointed container back with CRIU."""
