"""`pyrunc plan`."""

from pyrunc.cli.command import BUNDLE, CONFIG, Command, choice

command = Command(
    "plan",
    "Print every step that creating the container would take, in order. Touches nothing, needs no root.",
    BUNDLE,
    CONFIG,
    choice("--format", of=["text", "json"], default="text", help="How to print it."),
)
