"""D-Bus values for systemd, and their text form in a step's arguments: ``NAME=SIGNATURE:VALUE``.

Signatures are those of the D-Bus Specification, "Type System". In Python, numbers are int or float, ``b`` is bool,
strings are str, arrays and structures are lists, dictionaries are lists of [key, value], and a variant is [signature,
value]. In text, basic values are plain (``t:67108864``, ``b:true``, ``s:system.slice``), and all others are JSON.
"""

from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    Property = tuple[str, str, Any]

INFINITY = (1 << 64) - 1
"""systemd's ``infinity``: no limit."""
STRINGS = "sog"
INTEGERS = "ynqiuxt"


def encode(properties: "Iterable[Property]") -> "list[str]":
    """Returns ``[(name, signature, value)]`` as arguments of a step."""
    return [f"{name}={signature}:{_text(signature, value)}" for name, signature, value in properties]


def _text(signature: str, value: "Any") -> str:
    if signature == "b":
        return "true" if value else "false"
    if signature in STRINGS or signature in INTEGERS or signature == "d":
        return str(value)
    from pyrunc.spec.json_text import dumps

    return dumps(value)


def decode(words: "Sequence[str]") -> "list[Property]":
    """The reverse of ``encode``."""
    found = []
    for word in words:
        name, _, rest = word.partition("=")
        signature, _, text = rest.partition(":")
        found.append((name, signature, _value(signature, text)))
    return found


def _value(signature: str, text: str) -> "Any":
    if signature == "b":
        return text == "true"
    if signature in STRINGS:
        return text
    if signature in INTEGERS:
        return int(text)
    if signature == "d":
        return float(text)
    from pyrunc.spec.json_text import loads

    return loads(text.encode())


def element(signature: str) -> "tuple[str, str]":
    """Splits ``signature``; returns (first complete type, rest). PyruncError if it is not valid."""
    if not signature:
        raise PyruncError("a D-Bus signature ends too early")
    first = signature[0]
    if first == "a":
        inner, rest = element(signature[1:])
        return f"a{inner}", rest
    if first not in "({":
        return first, signature[1:]
    depth = 0
    for at, letter in enumerate(signature):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0:
            return signature[: at + 1], signature[at + 1 :]
    raise PyruncError(f"{signature!r}: not a D-Bus signature")


def elements(signature: str) -> "list[str]":
    """Returns every complete type in ``signature``."""
    found = []
    while signature:
        first, signature = element(signature)
        found.append(first)
    return found
