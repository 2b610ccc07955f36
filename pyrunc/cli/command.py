"""What the definitions of the commands are made of."""

from difflib import get_close_matches
from typing import Any

import click
from click.shell_completion import CompletionItem

from pyrunc.cli import words


class Command(click.Command):
    """`pyrunc NAME`: its help, arguments and options. What it does is ``pyrunc.commands.NAME.run(options)``."""

    def __init__(self, name: str, text: str, *params: click.Parameter, stops: bool = False) -> None:
        """``stops``: everything behind the first argument belongs to another program."""
        super().__init__(name, params=list(params), help=text, context_settings={"allow_interspersed_args": not stops})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options, rest = canonical(self, ctx, args)
        return super().parse_args(ctx, [*options, "--", *rest])

    def invoke(self, ctx: click.Context) -> int:
        from pyrunc.main import act

        assert self.name is not None
        return act(self.name, {**ctx.obj, **ctx.params})


def canonical(command: click.Command, ctx: click.Context, args: list[str]) -> tuple[list[str], list[str]]:
    """(options, arguments) of words in Go's manner, each option in the one spelling that click reads the same way:
    ``--name=value``, or ``--flag``."""
    options = {name: p for p in command.get_params(ctx) if isinstance(p, click.Option) for name in p.opts}
    table = {name: (None, "flag" if option.is_flag else "") for name, option in options.items()}
    given, rest = words.read(args, table, not ctx.allow_interspersed_args)
    out: list[str] = []
    for name, value in given:
        if name not in options:
            if not ctx.resilient_parsing:  # completion sees unfinished words
                unknown = name.partition("=")[0]
                raise click.NoSuchOption(unknown, possibilities=get_close_matches(unknown, options), ctx=ctx)
        elif options[name].is_flag:
            # The last one counts; click has no word for "off".
            out = [word for word in out if word != options[name].opts[0]]
            if value is None or value in words.TRUE:
                out.append(options[name].opts[0])
            elif value not in words.FALSE:
                raise click.BadOptionUsage(name, f"Option '{name}': '{value}' is neither true nor false.", ctx)
        elif value is not None:
            out.append(f"{options[name].opts[0]}={value}")
        elif not ctx.resilient_parsing:
            raise click.BadOptionUsage(name, f"Option '{name}' requires an argument.", ctx)
    return out, rest


def option(*names: str, **settings: Any) -> click.Option:
    """An option with a value; the long name is the first, and the attribute's."""
    return click.Option([*names, names[0][2:].replace("-", "_")], **settings)


def flag(*names: str, help: str) -> click.Option:
    """An option that is on or off."""
    return option(*names, is_flag=True, help=help)


def choice(*names: str, of: list[str], default: str | None, help: str) -> click.Option:
    """An option that takes one of a few words."""
    return option(*names, type=click.Choice(of), default=default, show_default=default is not None, help=help)


def _ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The containers that there are, for completion."""
    from pyrunc.container.state import ids
    from pyrunc.main import default_root

    root = ctx.parent.params.get("root") if ctx.parent else None
    return [CompletionItem(name) for name in ids(root or default_root()) if name.startswith(incomplete)]


ID = click.Argument(["container_id"], metavar="ID", shell_complete=_ids)
NEW_ID = click.Argument(["container_id"], metavar="ID")
WORDS = click.Argument(["args"], nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
BUNDLE = option("--bundle", "-b", metavar="DIR", help="The bundle's directory; the current one unless given.")
CONFIG = option("--config", "-f", metavar="FILE", help="The config; config.json in the bundle unless given.")
CONSOLE_SOCKET = option("--console-socket", metavar="SOCKET", help="Unix socket that gets the terminal's master.")
PID_FILE = option("--pid-file", metavar="FILE", help="Where to write the pid of the process.")
PIDFD_SOCKET = option("--pidfd-socket", metavar="SOCKET", help="Unix socket that gets a pidfd of the process.")
PRESERVE_FDS = option("--preserve-fds", type=int, default=0, metavar="N", help="Pass N descriptors from 3 on.")
DETACH = flag("--detach", "-d", help="Leave it running in the background.")
NO_PIVOT = flag("--no-pivot", help="Move the root instead of pivot_root (for a ramdisk; insecure otherwise).")
NO_SUBREAPER = flag("--no-subreaper", help="Do not become the reaper of what the container leaves behind.")
TRACE = option("--trace", metavar="FILE", help="Write every step and the time that it took.")

PRELOAD = (
    option(
        "--preload-lib",
        multiple=True,
        metavar="PATH",
        help="Load this library into the init path, to see what it does. Repeatable. NOT for production.",
    ),
    choice(
        "--preload-at",
        of=["exec", "init"],
        default="exec",
        help="When: as the loader maps it at the helper's exec, or with dlopen inside the namespaces.",
    ),
    choice(
        "--placement",
        of=["hardened", "legacy"],
        default="hardened",
        help="Order of placing init in its cgroups; legacy is the race of old, with --preload-lib only.",
    ),
    option("--preload-timeout", type=float, default=10.0, metavar="SECONDS", help="How long loading may take."),
)
"""The hostile-library mode."""

CREATING = (
    *(BUNDLE, CONFIG, CONSOLE_SOCKET, PID_FILE, PIDFD_SOCKET, NO_PIVOT),
    flag("--no-new-keyring", help="Keep the caller's session keyring."),
    *(PRESERVE_FDS, TRACE, *PRELOAD),
)
"""What create and run share."""

CRIU = (
    option("--image-path", metavar="DIR", help="Where the image is."),
    option("--work-path", metavar="DIR", help="Where CRIU's logs go."),
    flag("--tcp-established", help="Also established TCP connections."),
    flag("--ext-unix-sk", help="Also external unix sockets."),
    flag("--shell-job", help="Also a shell's job."),
    flag("--lazy-pages", help="Memory is moved on demand."),
    flag("--file-locks", help="Also file locks."),
    choice(
        "--manage-cgroups-mode", of=["soft", "full", "strict", "ignore"], default=None, help="CRIU's way with cgroups."
    ),
    option("--empty-ns", multiple=True, metavar="NAMESPACE", help="A namespace not to look into (network)."),
    flag("--auto-dedup", help="Deduplicate the image."),
    flag("--link-remap", help="Also unlinked files."),
)
"""What checkpoint and restore share."""
