"""Whether the interpreter is only half started.

The launcher runs only the first phase of its initialization (nsenter/launcher/interpreter.c): built-in modules, no
codecs, no streams, no import of files, no signals. This module imports nothing, because it is on every hot path.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

Namespace: "Any" = type(sys.implementation)
"""types.SimpleNamespace. Used for single objects, because making a class takes Python 64,000 instructions."""
PACKAGES: "list[str]" = []
"""The directories of packages, set by the loader of archives."""
_asked: "list[bool]" = []
_loaders: "list[Callable[[str], object]]" = []
"""The loader of archives of modules, if the launcher has executed one; else empty."""


def half_started() -> bool:
    """Whether only the first phase has run, and ``complete`` has not been called yet."""
    return not _asked and not hasattr(sys, "stdout")


def complete() -> None:
    """Runs the second phase. Does nothing if it has already run."""
    if half_started():
        import _launcher

        # Before the second phase: it imports modules, and their finder calls this function again.
        _asked.append(True)
        arguments = sys.argv
        _launcher.complete()
        sys.argv = arguments
        sys.path[:0] = PACKAGES


def load(archive: str) -> None:
    """Loads the modules of another archive if this process was started from one. Otherwise does nothing: the modules
    are then imported from their files."""
    for loader in _loaders:
        loader(archive)
