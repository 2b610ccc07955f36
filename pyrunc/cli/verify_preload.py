"""`pyrunc verify-preload`."""

import click

from pyrunc.cli.command import Command, choice, flag, option

command = Command(
    "verify-preload",
    "Start containers with LIBRARY in the init path, and show in which cgroups they end up.",
    click.Argument(["library"]),
    option("--bundle", "-b", metavar="DIR", help="The bundle to start; a plain one of busybox unless given."),
    option("--runs", type=click.IntRange(1), default=50, metavar="N", help="Containers each way."),
    option("--placement", default="legacy,hardened", metavar="LIST", help="Which orders of placing to try."),
    option("--preload-at", default="exec", metavar="LIST", help="When to load: exec, init or both."),
    option("--delay", default="0-0", metavar="MS-MS", help="Spreads the moment at which the parent places init."),
    choice("--format", of=["text", "json"], default="text", help="How to print the result."),
    option("--report", metavar="FILE", help="Write the grid as a page; as a picture when FILE ends in .svg."),
    option("--preload-timeout", type=float, default=10.0, metavar="SECONDS", help="How long loading may take."),
    flag("--expect-escape", help="Fail unless legacy showed an escape."),
)
