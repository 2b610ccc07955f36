"""Encodes a plan for the helper (``nsenter/helper/plan.c``).

Native byte order, everything aligned to 8 bytes. A plan has a header (magic, steps, size in bytes) and the steps. A
step has a header (opcode, number in the whole plan, size in bytes with this header) and its arguments. An integer is 8
bytes. A string or bytes is a length, the bytes, a NUL, and padding. A list is a count, then strings.
"""

import sys

from pyrunc.plan.protocol import HEADER, MAGIC
from pyrunc.plan.steps import HELPER, KINDS, OPCODES, WAITING, ahead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.steps import Step

SIZE = 1 << 14
"""The first buffer size in bytes, enough for most plans. A plan that does not fit is encoded again with a larger
one."""
_HEADER = HEADER // 8
"""Integers of a header. The first integer consists of two halves."""
_HALVES = (1, 1 << 32) if sys.byteorder == "little" else (1 << 32, 1)
"""The factors that put a number into the half of an integer that comes first in memory, and into the other half."""


def encode(steps: "Sequence[Step]") -> bytes:
    """Encodes the helper's part of ``steps``. Where the runtime acts in between, a ``sync`` makes the helper wait."""
    size = SIZE
    while True:
        try:
            return _encoded(steps, bytearray(size))
        except (BufferError, IndexError):  # a string or an integer exceeds the buffer
            size *= 4


def _encoded(steps: "Sequence[Step]", data: bytearray) -> bytes:
    """Writes numbers into ``data`` through a view of integers, which is faster than converting each to bytes."""
    words = memoryview(data).cast("q")
    low, high = _HALVES
    at, count, waiting, first = _HEADER, 0, False, ahead(steps)
    for number, step in enumerate(steps):
        if number < first:
            continue
        kind, args = step.kind, step.args
        if KINDS[kind][0] == HELPER:
            waiting = kind in WAITING
        elif waiting:
            continue  # one sync for consecutive runtime steps: the helper does nothing between them
        else:
            kind, args, waiting = "sync", (), True
        begun, at = at, at + _HEADER
        for letter, value in zip(KINDS[kind][1], args, strict=True):
            if letter in "id":
                words[at] = value  # type: ignore[assignment]
                at += 1
            elif letter == "l":
                words[at] = len(value)  # type: ignore[arg-type]
                at += 1
                for item in value:  # type: ignore[union-attr]
                    at = _put(data, words, at, item)  # type: ignore[arg-type]
            else:
                at = _put(data, words, at, value)  # type: ignore[arg-type]
        words[begun], words[begun + 1] = OPCODES[kind] * low + number * high, 8 * (at - begun)
        count += 1
    words[0], words[1] = MAGIC * low + count * high, 8 * at
    if at > len(words):  # the last NUL exceeds the buffer
        raise IndexError
    return bytes(words[:at])


def _put(data: bytearray, words: "memoryview", at: int, value: "str | bytes") -> int:
    """Writes a string at integer ``at``. Returns where the next argument begins, after at least one NUL."""
    text = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    length = len(text)
    words[at] = length
    begin = 8 * at + 8
    data[begin : begin + length] = text
    return at + 2 + length // 8
