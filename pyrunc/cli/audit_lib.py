"""`pyrunc audit-lib`."""

import click

from pyrunc.cli.command import Command, choice, option

command = Command(
    "audit-lib",
    "Load LIBRARY in a throwaway process, and say what merely loading it did.",
    click.Argument(["library"]),
    option("--timeout", type=float, default=10.0, metavar="SECONDS", help="How long loading may take."),
    choice("--format", of=["text", "json"], default="text", help="How to print the result."),
)
