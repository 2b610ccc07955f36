"""`pyrunc audit-lib`."""

import click

from pyrunc.cli.command import command, option


@command("audit-lib")
@click.argument("library")
@option("--timeout", type=float, default=10.0, metavar="SECONDS", help="How long loading may take.")
@option("--format", type=click.Choice(["text", "json"]), default="text", help="How to print the result.")
def audit_lib() -> None:
    """Load LIBRARY in a throwaway process, and say what merely loading it did."""
