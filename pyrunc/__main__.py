"""``python -m pyrunc``."""

from pyrunc.cli.dispatch import main

main()
