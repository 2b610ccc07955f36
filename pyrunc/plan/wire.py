"""The bytes of a plan, as the helper reads them (``nsenter/helper/plan.c``).

Native byte order, everything aligned to 8 bytes: a header (magic, steps, size in bytes), then each step
(opcode, number in the whole plan, size in bytes with this header), then its arguments:
an integer is 8 bytes; a string or bytes a length, the bytes, a NUL, padding; a list a count, then strings.
"""

from pyrunc.plan.protocol import HEADER, MAGIC
from pyrunc.plan.steps import HELPER, KINDS, OPCODES, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.steps import Arg, Step

_ORDER = __import__("sys").byteorder


def _integer(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, _ORDER, signed=size == 8)


def _blob(value: "str | bytes") -> bytes:
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return _integer(len(data)) + data + b"\0" * (8 - len(data) % 8)


def _argument(kind: str, value: "Arg") -> bytes:
    if kind in "id":
        return _integer(value)  # type: ignore[arg-type]
    if kind == "l":
        items: Sequence[str | bytes] = value  # type: ignore[assignment]
        return _integer(len(items)) + b"".join([_blob(item) for item in items])
    return _blob(value)  # type: ignore[arg-type]


def encode_step(number: int, step: "Step") -> bytes:
    """The bytes of one helper step that is number ``number`` of the whole plan."""
    body = b"".join(map(_argument, KINDS[step.kind][1], step.args))
    return _integer(OPCODES[step.kind], 4) + _integer(number, 4) + _integer(HEADER + len(body)) + body


def encode(steps: "Sequence[Step]") -> bytes:
    """The helper's part of ``steps``; where the runtime acts in between, a ``sync`` makes the helper wait."""
    from pyrunc.plan.steps import Step, ahead

    out: list[bytes] = []
    waiting = False
    first = ahead(steps)
    for number, step in enumerate(steps):
        if number < first:
            continue
        if step.actor == HELPER:
            out.append(encode_step(number, step))
            waiting = step.kind in WAITING
        elif not waiting:
            # One message for a whole run of runtime steps: the helper has nothing to do between them.
            out.append(encode_step(number, Step("sync", step.where)))
            waiting = True
    body = b"".join(out)
    return _integer(MAGIC, 4) + _integer(len(out), 4) + _integer(HEADER + len(body)) + body
