"""Converts what a caller of the library passes as standard streams (descriptors, files, or None) to descriptors."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    Stream = int | IO[str] | IO[bytes] | None


def descriptors(stdin: "Stream", stdout: "Stream", stderr: "Stream", more: "Sequence[int]" = ()) -> "Sequence[int]":
    """Returns the descriptors that become 0, 1 and 2, and then ``more``, which become 3 and up. None stands for this
    process's own. Returns () if all are this process's own."""
    given = (stdin, stdout, stderr)
    if not more and all(stream is None for stream in given):
        return ()
    standard = (_descriptor(stream, number) for number, stream in enumerate(given))
    return (*standard, *more)


def _descriptor(stream: "Stream", own: int) -> int:
    if stream is None:
        return own
    return stream if isinstance(stream, int) else stream.fileno()
