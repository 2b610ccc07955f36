"""Signals by number or by name."""

from pyrunc.errors import PyruncError

SIGKILL = 9
"""signal(7). Defined here because the hot path does not import ``_signal``, which takes time to initialise."""
LAST = 64
"""The last signal number (signal(7)), on every architecture but MIPS."""


def number(signal: "int | str") -> int:
    """Returns the number of a signal given as ``9``, ``KILL``, ``SIGKILL`` or ``RTMIN+3`` (a signal.Signals is a
    number). Raises PyruncError for anything else."""
    if isinstance(signal, int) or _is_number(signal.removeprefix("+")):
        if 0 <= int(signal) <= LAST:
            return int(signal)
        raise PyruncError(f"unknown signal {str(signal)[:40]!r}")
    import _signal  # not imported for numbers, which engines pass

    name = signal.upper().removeprefix("SIG")
    for base, sign in (("RTMIN", "+"), ("RTMAX", "-")):
        offset = name.removeprefix(base)
        if name.startswith(base) and offset[:1] in ("", sign) and (not offset or _is_number(offset[1:])):
            found = int(getattr(_signal, f"SIG{base}")) + int(offset or 0)
            if _signal.SIGRTMIN <= found <= _signal.SIGRTMAX:
                return found
    value = getattr(_signal, f"SIG{name}", None)
    if not isinstance(value, int) or name.startswith("_"):  # SIG_DFL and similar names are not signals
        raise PyruncError(f"unknown signal {signal[:40]!r}")
    return int(value)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
