"""`pyrunc kill`."""

import _signal

from pyrunc.commands.delete import matching
from pyrunc.container.container import Container
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def number(text: str) -> int:
    """A signal's number from ``9``, ``KILL``, ``SIGKILL``, ``RTMIN+3``; PyruncError for anything else."""
    if text.isascii() and text.isdigit():
        if 0 <= int(text) <= _signal.NSIG - 1:
            return int(text)
        raise PyruncError(f"unknown signal {text!r}")
    name = text.upper().removeprefix("SIG")
    for base, sign in (("RTMIN", "+"), ("RTMAX", "-")):
        offset = name.removeprefix(base)
        if name.startswith(base) and offset[:1] in ("", sign) and (not offset or offset[1:].isdigit()):
            found = int(getattr(_signal, f"SIG{base}")) + int(offset or 0)
            if _signal.SIGRTMIN <= found <= _signal.SIGRTMAX:
                return found
    value = getattr(_signal, f"SIG{name}", None)
    if not isinstance(value, int) or name.startswith("_"):  # SIG_DFL and its like are no signals
        raise PyruncError(f"unknown signal {text!r}")
    return int(value)


def run(options: "Any") -> int:
    """Sends a signal (SIGTERM unless told) to init, or with --all to every process."""
    signal = number(options.signal or "SIGTERM")
    chosen = matching(options.container_id, options.root) if options.regex else [options.container_id]
    for container_id in chosen:
        Container.load(container_id, options.root).signal(signal, bool(options.all))
    return 0
