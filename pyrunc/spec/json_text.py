"""JSON through CPython's own C scanner and encoder, without the ``json`` package (which imports ``re``)."""

import _json

from pyrunc.interpreter import Namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_scan = _json.make_scanner(  # the attributes that the scanner reads from a decoder
    Namespace(
        strict=True,
        object_hook=None,
        object_pairs_hook=None,
        parse_float=float,
        parse_int=int,
        parse_constant=_constant,
    )
)
_WHITE = " \t\n\r"


def loads(data: bytes) -> "Any":
    """Parses ``data`` (UTF-8). Raises ValueError with a one-line message that has line and column."""
    # surrogateescape instead of strict: the half-started interpreter has no codec that could raise an error.
    text = data.decode("utf-8", "surrogateescape")
    if not text.isascii() and (wrong := next((c for c in text if 0xDC80 <= ord(c) <= 0xDCFF), "")):
        at = len(text[: text.index(wrong)].encode())
        raise ValueError(f"not UTF-8 at byte {at}")
    begin = len(text) - len(text.lstrip(_WHITE))
    if begin == len(text):
        raise ValueError("empty")
    try:
        value, end = _scan(text, begin)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (StopIteration, ValueError, SystemError):
        # SystemError: while the package `json` is not imported, the scanner has no exception type to raise.
        raise ValueError(_reason(text)) from None
    if text[end:].strip(_WHITE):
        raise ValueError(_reason(text))
    return value


def _reason(text: str) -> str:
    """Returns why ``text`` is not JSON, with the standard library's message."""
    import json

    try:
        json.loads(text, parse_constant=_constant)
    except json.JSONDecodeError as error:
        to_the_end = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        cut = ", cut short" if to_the_end else ""
        return f"not JSON: {error.msg} at line {error.lineno} column {error.colno}{cut}"
    except ValueError as error:
        return f"not JSON: {error}"
    return "not JSON"


def _foreign(value: object) -> object:
    raise TypeError(f"not for JSON: {value!r}")


def dumps(value: "Any", indent: "int | None" = None) -> str:
    """Returns JSON text in ASCII on one line, or indented by ``indent`` spaces per level in the layout of Go's
    MarshalIndent.

    Raises ValueError for NaN and infinity, TypeError for types that JSON does not have.
    """
    if indent:
        return _pretty(value, indent, "\n")
    encoder = _json.make_encoder({}, _foreign, _json.encode_basestring_ascii, None, ":", ",", False, False, False)
    return "".join(encoder(value, 0))


def _pretty(value: "Any", indent: int, newline: str) -> str:
    inner = newline + " " * indent
    if isinstance(value, dict) and value:
        items = [f"{dumps(str(key))}: {_pretty(item, indent, inner)}" for key, item in value.items()]
        return "{" + inner + f",{inner}".join(items) + newline + "}"
    if isinstance(value, (list, tuple)) and value:
        return "[" + inner + f",{inner}".join([_pretty(item, indent, inner) for item in value]) + newline + "]"
    return dumps(value)
