"""``python -m pyrunc``."""

from pyrunc.main import main

main()
