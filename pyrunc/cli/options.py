"""The types of a command's table: its arguments and options as plain data.

The module of a command contains its table ``COMMAND`` and its ``run()``. Both parsers use the table: ``parser.py``,
which reads what engines write, and click (``app.py``), which provides help, completion and error messages.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


REPEATABLE = ("several", "numbers")


class Option:
    """One option. ``names``: every spelling, the long one first. ``kind``: ``flag``, ``str``, ``path`` (made absolute),
    ``int`` (as Go's flag package reads it), ``positive`` (at least 1), ``float``, ``several`` (repeatable), ``numbers``
    (repeatable, each a decimal number), or the tuple of its choices."""

    __slots__ = ("default", "help", "hidden", "kind", "metavar", "names")

    def __init__(
        self,
        *names: str,
        help: str,
        kind: "Any" = "str",
        default: "Any" = None,
        metavar: str = "",
        hidden: bool = False,
    ) -> None:
        self.names, self.help, self.kind = names, help, kind
        self.default: Any = () if kind in REPEATABLE else default
        self.metavar, self.hidden = metavar, hidden

    @property
    def attribute(self) -> str:
        """The name of the attribute that holds the value."""
        return self.names[0][2:].replace("-", "_")


class Argument:
    """One argument. ``count``: ``one``, ``optional`` or ``rest``. ``container``: whether it is the id of an existing
    container."""

    __slots__ = ("attribute", "container", "count", "metavar")

    def __init__(self, attribute: str, count: str = "one", metavar: str = "", container: bool = False) -> None:
        self.attribute, self.count, self.container = attribute, count, container
        self.metavar = metavar


class Command:
    """A command. ``stops``: whether everything after the first argument belongs to another program. ``hot``: whether it
    runs in a half-started interpreter, from an archive (fastpath/commands.py)."""

    __slots__ = ("arguments", "help", "hot", "name", "options", "stops")

    def __init__(
        self,
        name: str,
        help: str,
        arguments: "Sequence[Argument]" = (),
        options: "Sequence[Option]" = (),
        stops: bool = False,
        hot: bool = False,
    ) -> None:
        self.name, self.help, self.arguments, self.options = name, help, arguments, options
        self.stops, self.hot = stops, hot


def flag(*names: str, help: str, hidden: bool = False, default: "bool | None" = False) -> Option:
    """Returns an option that is on or off. With the ``default`` None, "not given" is a third value."""
    return Option(*names, help=help, kind="flag", default=default, hidden=hidden)


ID = Argument("container_id", metavar="ID", container=True)
NEW_ID = Argument("container_id", metavar="ID")
WORDS = Argument("args", "rest", "[ARGS]...")

GLOBAL = (
    Option("--root", metavar="DIR", help="State directory: /run/pyrunc, or $XDG_RUNTIME_DIR/pyrunc when not root."),
    Option("--log", metavar="FILE", help="Where to log; standard error unless given."),
    Option("--log-format", kind=("text", "json"), default="text", help="How to log."),
    Option("--log-level", metavar="LEVEL", help="debug, info, warning or error."),
    flag("--debug", help="Log everything."),
    flag("--systemd-cgroup", help="Have systemd make the cgroups (cgroupsPath is slice:prefix:name)."),
    Option(
        "--cgroup-manager",
        kind=("cgroupfs", "systemd", "disabled"),
        default="cgroupfs",
        help="Which manager makes the cgroups.",
    ),
    Option("--rootless", default="auto", metavar="auto|true|false", help="Whether to do without root's privileges."),
    Option("--criu", metavar="PATH", hidden=True, help="Accepted for old engines; criu is found in $PATH."),
)
"""The global options, which stand before the command."""
