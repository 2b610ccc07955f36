"""Writes ``derived.py``, the table of ``main.py``, from the click definitions: python -m pyrunc.cli.derive

The layout is left to ``ruff format``."""

from pathlib import Path
from typing import Any

import click

from pyrunc.cli.main import COMMANDS, cli, definition

OUTPUT = Path(__file__).with_name("derived.py")


def rows(command: click.Command) -> "tuple[dict[str, Any], list[str], bool]":
    """({option: (attribute, kind, default)}, arguments, whether options end at the first argument)."""
    options: dict[str, Any] = {}
    arguments = []
    for parameter in command.params:
        assert parameter.name is not None
        if isinstance(parameter, click.Argument):
            arguments.append(parameter.name + ("*" if parameter.nargs == -1 else "" if parameter.required else "?"))
            continue
        assert isinstance(parameter, click.Option)
        if not parameter.expose_value:
            continue
        for name in parameter.opts:
            options[name] = (parameter.name, kind(parameter), default(parameter))
    return options, arguments, command.context_settings.get("allow_interspersed_args") is False


def kind(option: click.Option) -> Any:
    """flag, int, float, str, several, or the tuple of choices."""
    if option.is_flag:
        return "flag"
    if option.multiple:
        return "several"
    if isinstance(option.type, click.Choice):
        return tuple(option.type.choices)
    if isinstance(option.type, click.IntRange):
        return "click"  # bounds are click's to check
    return {click.INT: "int", click.FLOAT: "float"}.get(option.type, "str")


def default(option: click.Option) -> Any:
    """What the attribute is when the option is not given."""
    if option.is_flag:
        return False
    if option.multiple:
        return ()
    value = option.default
    return value if isinstance(value, (str, int, float)) else None


def source() -> str:
    """The text of derived.py."""
    lines = ['"""The options of every command. Written by ``python -m pyrunc.cli.derive``; do not edit."""', ""]
    lines.append(f"GLOBAL = {rows(cli)[0]!r}")
    lines.append("COMMANDS = {")
    lines += [f"    {name!r}: {rows(definition(name))!r}," for name in COMMANDS]
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    OUTPUT.write_text(source())
