"""Parses a command line in the syntax of Go's flag package; values are checked by the command's table.

One dash is equivalent to two. A value follows its option or an ``=``. A flag may have a value (``--tty=false``). Short
options cannot be combined. ``--`` ends the options. If the table does not accept the line (help, completion, an unknown
option, a wrong value), the parser raises ``Unusual``, and click handles the line.
"""

from pyrunc.cli.commands import COMMANDS
from pyrunc.cli.options import GLOBAL, REPEATABLE
from pyrunc.linux.files import absolute
from pyrunc.linux.runtime_directory import runtime_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from pyrunc.cli.options import Command, Option

TRUE, FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
"""The spellings that Go's strconv.ParseBool accepts."""


LONGEST = 18
"""Characters of the longest number that always fits into 64 bits."""


class Unusual(Exception):
    """The tables do not accept the command line."""


def by_name(options: "Iterable[Option]") -> "dict[str, Option]":
    """Returns {spelling: option}, with every spelling of every option."""
    return {name: option for option in options for name in option.names}


def read(
    words: "Iterable[str]", table: "Mapping[str, Option]", stops: bool
) -> "tuple[list[tuple[str, str | None]], list[str]]":
    """Splits ``words``; returns ([(option, value)], arguments).

    ``table``: as from ``by_name``. The value is None for a flag without a value, and if a value is missing. An option
    that is not in ``table`` is returned unchanged. ``stops``: whether options end at the first argument.
    """
    given: list[tuple[str, str | None]] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            break
        if word[:1] != "-" or word == "-":
            rest.append(word)
            if stops:
                break
            continue
        spelled, equals, value = word.partition("=")
        name = _known(spelled, table)
        if not name:
            given.append((word, None))
        elif equals:
            given.append((name, value))
        else:
            given.append((name, None if table[name].kind == "flag" else next(left, None)))
    return given, rest + list(left)


def _known(spelled: str, table: "Mapping[str, Any]") -> str:
    """Returns the spelling in ``table`` for ``-name`` or ``--name``, or ""."""
    bare = spelled[2:] if spelled[:2] == "--" else spelled[1:]
    for name in ("--" + bare, "-" + bare):
        if name in table:
            return name
    return ""


def _options(words: "Sequence[str]", options: "Sequence[Option]", stops: bool) -> "tuple[dict[str, Any], list[str]]":
    """Returns (values of the options by attribute, arguments)."""
    table = by_name(options)
    given, rest = read(words, table, stops)
    values = {option.attribute: option.default for option in options}
    for name, text in given:
        if name not in table:
            raise Unusual
        option = table[name]
        value = _value(option.kind, text)
        values[option.attribute] = (*values[option.attribute], value) if option.kind in REPEATABLE else value
    return values, rest


def _value(kind: "Any", text: "str | None") -> "Any":
    if kind == "flag":
        if text is None or text in TRUE:
            return True
        if text in FALSE:
            return False
    elif text is None:
        raise Unusual
    elif kind in ("str", "path", "several") or (type(kind) is tuple and text in kind):
        return text
    elif len(text) > LONGEST:
        raise Unusual
    elif kind in ("int", "positive", "numbers") and text.isascii() and (digits := text.removeprefix("-")).isdigit():
        if (digits[0] != "0" or text == "0") and (kind != "positive" or int(text) > 0):  # 010 is octal in Go
            return int(text)
    elif kind == "float" and text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    raise Unusual


def definition(name: str) -> "Command":
    """Returns the table of the command ``name``."""
    found: Command = __import__(f"pyrunc.cli.commands.{name.replace('-', '_')}", fromlist=["COMMAND"]).COMMAND
    return found


def parse(words: "Sequence[str]") -> "tuple[str, dict[str, Any], dict[str, Any]]":
    """Parses a command line; returns (command, global options, its own options and arguments). Raises Unusual."""
    common, rest = _options(words, GLOBAL, True)
    if not rest or rest[0] not in COMMANDS:
        raise Unusual
    command = definition(rest[0])
    values, rest = _options(rest[1:], command.options, command.stops)
    for argument in command.arguments:
        if argument.count == "rest":
            values[argument.attribute], rest = tuple(rest), []
        elif rest:
            values[argument.attribute] = rest.pop(0)
        elif argument.count == "optional":
            values[argument.attribute] = None
        else:
            raise Unusual
    if rest:
        raise Unusual
    return command.name, common, resolve(command.options, values)


def resolve(options: "Iterable[Option]", values: "dict[str, Any]") -> "dict[str, Any]":
    """Makes every path in ``values`` absolute, except for empty ones; returns ``values``."""
    for option in options:
        if option.kind == "path" and values[option.attribute]:
            values[option.attribute] = absolute(values[option.attribute])
    return values


def named(words: "Sequence[str]") -> str:
    """Returns the name of the command in a line, even if the rest of the line is wrong. "" if there is none."""
    return next(iter(read(words, by_name(GLOBAL), True)[1]), "")


def default_root() -> str:
    """Returns the default state directory: ``pyrunc`` below ``runtime_directory()``."""
    return f"{runtime_directory()}/pyrunc"
