"""The command line, as click defines it: the one definition. ``derived.py`` is the table that the fast path reads."""
