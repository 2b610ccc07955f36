"""The standard descriptors of a process, from what a caller of the library has: descriptors, files, or nothing."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    Stream = int | IO[str] | IO[bytes] | None


def descriptors(stdin: "Stream", stdout: "Stream", stderr: "Stream", more: "Sequence[int]" = ()) -> "Sequence[int]":
    """What become 0, 1, 2 and, from 3 on, ``more``; None stands for our own. Nothing when all are our own."""
    given = (stdin, stdout, stderr)
    if not more and all(stream is None for stream in given):
        return ()
    standard = (_descriptor(stream, number) for number, stream in enumerate(given))
    return (*standard, *more)


def _descriptor(stream: "Stream", own: int) -> int:
    if stream is None:
        return own
    return stream if isinstance(stream, int) else stream.fileno()
