"""Formats a plan as text and as JSON: for `plan`, and for --trace, which adds the times."""

from pyrunc.plan.capabilities import BITS
from pyrunc.plan.devices import TYPES
from pyrunc.plan.mount_options import ATIME_MASK, ATTRIBUTES, MS_REC, PROPAGATION
from pyrunc.plan.namespaces import FLAGS
from pyrunc.plan.steps import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.plan.steps import Arg, Step

SHOWN = 60
"""The longest argument in the text, in characters. JSON has the whole argument."""


def plain(value: "Arg") -> "Any":
    """Converts an argument for JSON. Bytes are replaced by their length."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, (int, str)):
        return value
    return [plain(item) for item in value]


def table(steps: "Sequence[Step]") -> "list[dict[str, Any]]":
    """Returns one object for each step: number, actor, kind, where, and its arguments by name."""
    return [
        {
            "step": number,
            "actor": step.actor,
            "kind": step.kind,
            "where": step.where,
            "args": {name: plain(value) for name, value in zip(KINDS[step.kind][2], step.args, strict=True)},
        }
        for number, step in enumerate(steps)
    ]


def text(steps: "Sequence[Step]") -> str:
    """Returns one line for each step, with its place in config.json last."""
    rows = [(str(number), step.actor, step.kind, _words(step), step.where) for number, step in enumerate(steps)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for number, actor, kind, words, where in rows:
        head = f"{number:>{widths[0]}}  {actor:<{widths[1]}}  {kind:<{widths[2]}}"
        lines.append(f"{head}  {words}{'  ' if words else ''}{f'({where})' if where else ''}".rstrip())
    return "\n".join(lines)


def _bits(kind: str, name: str, value: int) -> str:
    """Returns the config.json names for a number of the kernel, "" if the argument is not such a number."""
    if name == "types":
        return ",".join(space for space, bit in FLAGS.items() if value & bit)
    if name == "flags" and kind.endswith("propagation"):
        return next(option for option, bits in PROPAGATION.items() if bits | MS_REC == value | MS_REC)
    if name in ("set", "clear", "recursive_set", "recursive_clear"):
        if value & ATIME_MASK == ATIME_MASK:  # the whole atime field is cleared
            return ",".join(filter(None, (_bits(kind, name, value & ~ATIME_MASK), "atime")))
        return ",".join(option for option, (bit, _) in ATTRIBUTES.items() if bit and value & bit == bit)
    if name == "mode" or kind == "umask":
        return f"{value:04o}"
    if kind == "device" and name == "type":
        return next(letter for letter, bits in TYPES.items() if bits == value)
    if kind in ("bounding", "capabilities"):
        return ",".join(capability for capability, bit in BITS.items() if value & bit)
    return ""


def _words(step: "Step") -> str:
    parts = []
    for name, kind, value in zip(KINDS[step.kind][2], KINDS[step.kind][1], step.args, strict=True):
        shown = (kind == "i" and _bits(step.kind, name, value)) or plain(value)  # type: ignore[arg-type]
        if isinstance(shown, list):
            shown = " ".join(map(str, shown))
        shown = str(shown)
        if len(shown) > SHOWN:
            shown = shown[: SHOWN - 3] + "..."
        if shown in ("", "0") and kind in "sidl":
            continue
        parts.append(shown if name in ("path", "target", "source", "name", "type") else f"{name}={shown}")
    return " ".join(parts)
