"""`pyrunc ps`."""

from pyrunc.cli.command import ID, WORDS, Command, choice

command = Command(
    "ps",
    "List the processes of a container; what follows ID goes to ps(1).",
    ID,
    WORDS,
    choice("--format", "-f", of=["table", "json"], default="table", help="A table, or an array of pids."),
    stops=True,
)
