"""What every command's definition uses: from click's parameters to the action behind the command."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from pyrunc.options import Options

OPTIONS_FIRST = {"allow_interspersed_args": False, "ignore_unknown_options": True}
"""Everything behind the container's id belongs to the program that is executed."""


def command(name: str, **settings: Any) -> "Callable[[Callable[..., None]], click.Command]":
    """A click command that runs ``pyrunc.commands.<name>.run(options)``; the function is only its documentation."""

    def make(function: "Callable[..., None]") -> click.Command:
        @click.pass_context
        def callback(context: click.Context, /, **parameters: Any) -> Any:
            options = Options({**context.obj, **parameters})
            return import_module(f"pyrunc.commands.{name.replace('-', '_')}").run(options)

        made: click.Command = click.command(name=name, help=function.__doc__, **settings)(callback)  # type: ignore[no-untyped-call]
        made.params = getattr(function, "__click_params__", [])[::-1]
        return made

    return make


def option(*names: str, **settings: Any) -> "Callable[[Any], Any]":
    """click.option without its guesses: the parameter's name is the long option's."""
    long = next(name for name in names if name.startswith("--"))
    return click.option(*names, long[2:].replace("-", "_"), **settings)


def flag(*names: str, help: str) -> "Callable[[Any], Any]":
    """An option that is on or off."""
    return option(*names, is_flag=True, help=help)


container_id = click.argument("container_id", metavar="ID")

preload = (
    option(
        "--preload-lib",
        multiple=True,
        metavar="PATH",
        help="Load this library into the init path, to see what it does. Repeatable. NOT for production.",
    ),
    option(
        "--preload-at",
        type=click.Choice(["exec", "init"]),
        default="exec",
        help="When: as the loader maps it at the helper's exec, or with dlopen inside the namespaces.",
    ),
    option(
        "--placement",
        type=click.Choice(["hardened", "legacy"]),
        default="hardened",
        help="Order of placing init in its cgroups; legacy is the race of old, with --preload-lib only.",
    ),
    option("--preload-timeout", type=float, default=10.0, metavar="SECONDS", help="How long loading may take."),
)


def with_preload(function: Any) -> Any:
    """Adds the options of the hostile-library mode."""
    for decorator in reversed(preload):
        function = decorator(function)
    return function


def creating(function: Any) -> Any:
    """Adds the options that create and run share."""
    decorators = [
        option("--bundle", "-b", metavar="DIR", help="The bundle's directory; the current one unless given."),
        option("--config", "-f", metavar="FILE", help="The config; config.json in the bundle unless given."),
        option("--console-socket", metavar="SOCKET", help="Unix socket that gets the terminal's master."),
        option("--pid-file", metavar="FILE", help="Where to write the pid of the container's process."),
        option("--pidfd-socket", metavar="SOCKET", help="Unix socket that gets a pidfd of the process."),
        flag("--no-pivot", help="Move the root instead of pivot_root (for a ramdisk; insecure otherwise)."),
        flag("--no-new-keyring", help="Keep the caller's session keyring."),
        option("--preserve-fds", type=int, default=0, metavar="N", help="Pass N descriptors from 3 on."),
        option("--trace", metavar="FILE", help="Write every step and the time that it took."),
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return with_preload(function)
