"""`pyrunc checkpoint`."""

import click

from pyrunc.cli.command import command, container_id, flag, option


@command("checkpoint")
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
@option("--parent-path", metavar="DIR", help="The image before, of a pre-dump.")
@flag("--leave-running", help="The container goes on.")
@option("--page-server", metavar="ADDRESS:PORT", help="CRIU's page server.")
@flag("--pre-dump", help="Memory only, the container goes on.")
@option("--status-fd", type=int, metavar="FD", help="Told when lazy pages can be asked for.")
def checkpoint() -> None:
    """Write a running container to disk with CRIU."""
