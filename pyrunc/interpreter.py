"""How much of the interpreter has been started.

The launcher starts its first phase only (nsenter/launcher/interpreter.c): built-in modules, no codecs, no streams, no
import of files, no signals. Imports nothing: it is on every hot path.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

Namespace: "Any" = type(sys.implementation)
"""types.SimpleNamespace. For what there is one of, since a class takes Python 64,000 instructions to make."""
PACKAGES: "list[str]" = []
"""The directories of packages, as the archive's loader has them."""
_asked: "list[bool]" = []
_loaders: "list[Callable[[str], object]]" = []
"""Of archives of modules: none, or the one that the launcher has executed."""


def half_started() -> bool:
    """Whether only the first phase of the interpreter has run, and nothing has asked for the second yet."""
    return not _asked and not hasattr(sys, "stdout")


def complete() -> None:
    """Runs the second phase, once; where the interpreter was started as a whole, does nothing."""
    if half_started():
        import _launcher

        # First: the second phase imports modules, and what finds them asks again.
        _asked.append(True)
        arguments = sys.argv
        _launcher.complete()
        sys.argv = arguments
        sys.path[:0] = PACKAGES


def load(archive: str) -> None:
    """Imports the modules of one more archive, where this process was started from one; otherwise does nothing: they
    are imported as any other."""
    for loader in _loaders:
        loader(archive)
