"""Encodes and decodes protocol buffers by tables of the messages' fields (protobuf.dev, "Encoding").

CRIU's requests and containerd's task service are a few dozen small messages. The ``protobuf`` package would read them,
too, but it needs the whole interpreter, and costs memory in every resident shim (figures: docs/performance.md). The
tests compare this module with that package.

A table is ``{message: {field: (number, kind)}}``. Kinds: ``int`` and ``uint`` (of 64 bits), ``int32``, ``uint32``,
``bool``, ``text`` (str), ``bytes``, ``map`` (str to str), or the name of another message. A kind that ends in ``[]`` is
a repeated field, whose value is a list. When decoding, text that is not UTF-8 becomes surrogates, as in paths.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Fields = dict[str, tuple[int, str]]
    Raw = int | bytes

VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)
"""Wire types."""
NUMBERS = ("int", "uint", "int32", "uint32", "bool")
MASK = (1 << 64) - 1
PAIR: "Fields" = {"key": (1, "text"), "value": (2, "text")}
"""An entry of a map."""
DEPTH = 100
"""The maximum nesting of groups: a legacy kind of field, which is skipped."""


class Codec:
    """Encodes and decodes the messages of one table. ``sparse``: proto3, in which a field with its default value (0,
    "", false) is not written."""

    def __init__(self, messages: "dict[str, Fields]", sparse: bool = True) -> None:
        self.messages = messages
        self.sparse = sparse
        self._numbered: dict[str, dict[int, tuple[str, str, bool]]] = {}

    def encode(self, message: str, values: "dict[str, Any]") -> bytes:
        """Returns the bytes of ``message``. None is an absent field. KeyError for a field that is not in the table."""
        return self._encode(self.messages[message], values)

    def _encode(self, fields: "Fields", values: "dict[str, Any]") -> bytes:
        out = bytearray()
        for name, value in values.items():
            number, kind = fields[name]
            if value is None or (self.sparse and not value and kind not in self.messages):
                continue
            if kind == "map":
                for item in value.items():
                    _put(out, number, self._encode(PAIR, dict(zip(PAIR, item, strict=True))))
            elif kind.endswith("[]") and kind[:-2] in NUMBERS:
                _put(out, number, b"".join(varint(int(item)) for item in value))  # packed, as in proto3
            else:
                for item in value if isinstance(value, list) else (value,):
                    self._put_one(out, number, kind.removesuffix("[]"), item)
        return bytes(out)

    def _put_one(self, out: bytearray, number: int, kind: str, item: "Any") -> None:
        if kind in NUMBERS:
            out += varint(number << 3 | VARINT) + varint(int(item))
        elif kind == "text":
            _put(out, number, item.encode("utf-8", "surrogateescape"))
        else:
            _put(out, number, item if kind == "bytes" else self._encode(self.messages[kind], item))

    def decode(self, message: str, data: bytes) -> "dict[str, Any]":
        """Returns the known fields that ``data`` contains. ValueError if it is not a protocol buffer."""
        names = self._numbered.get(message)
        if names is None:
            fields = PAIR if message == "map" else self.messages[message]
            names = {number: (name, k.removesuffix("[]"), k[-2:] == "[]") for name, (number, k) in fields.items()}
            self._numbered[message] = names
        found: dict[str, Any] = {}
        parts: dict[str, bytes] = {}  # of messages that are not repeated: several occurrences are merged into one
        for number, raw in _fields(data):
            if number not in names:
                continue
            name, kind, repeated = names[number]
            if isinstance(raw, int) and kind not in NUMBERS:
                continue  # the wire type does not match the table: the field counts as unknown
            if kind == "map":
                pair = self.decode("map", _bytes(raw))
                found.setdefault(name, {})[pair.get("key", "")] = pair.get("value", "")
            elif repeated:
                found.setdefault(name, []).extend(self._several(kind, raw))
            elif kind in self.messages:
                parts[name] = parts.get(name, b"") + _bytes(raw)
                found[name] = kind
            elif isinstance(raw, int) or kind not in NUMBERS:
                found[name] = _value(kind, raw)
        for name, part in parts.items():
            found[name] = self.decode(found[name], part)
        return found

    def _several(self, kind: str, raw: "Raw") -> "list[Any]":
        if kind in NUMBERS and not isinstance(raw, int):
            values, at = [], 0
            while at < len(raw):
                value, at = _read(raw, at)
                values.append(_value(kind, value))
            return values
        return [self.decode(kind, _bytes(raw)) if kind in self.messages else _value(kind, raw)]


def varint(value: int) -> bytes:
    """Encodes a number with seven bits per byte, lowest first. A negative number takes 64 bits."""
    value &= MASK
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _put(out: bytearray, number: int, data: bytes) -> None:
    out += varint(number << 3 | LENGTH) + varint(len(data)) + data


def _bytes(raw: "Raw") -> bytes:
    assert not isinstance(raw, int)
    return raw


def _value(kind: str, raw: "Raw") -> "Any":
    if isinstance(raw, int):
        bits = 32 if kind[-2:] == "32" else 64
        raw &= (1 << bits) - 1
        if kind[:3] == "int":
            return raw - (1 << bits) if raw >> bits - 1 else raw
        return bool(raw) if kind == "bool" else raw
    return raw.decode("utf-8", "surrogateescape") if kind == "text" else raw


def _fields(data: bytes) -> "Iterator[tuple[int, Raw]]":
    """Yields (number, value) of every field with a varint or a length. Skips the others."""
    at, end = 0, len(data)
    while at < end:
        key, at = _read(data, at)
        number, wire = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise ValueError("no such field number")
        if wire == VARINT:
            value, at = _read(data, at)
            yield number, value
        elif wire == LENGTH:
            size, at = _read(data, at)
            if size > end - at:
                raise ValueError("truncated")
            yield number, data[at : at + size]
            at += size
        else:
            at = _skip(data, at, key, DEPTH)


def _skip(data: bytes, at: int, key: int, depth: int) -> int:
    """Returns the position after the value that follows ``key``: a value of fixed size, or a group (a legacy kind of
    message)."""
    number, wire = key >> 3, key & 7
    if wire == VARINT:
        return _read(data, at)[1]
    if wire == LENGTH:
        size, at = _read(data, at)
        at += size
    elif wire in (FIXED64, FIXED32):
        at += 8 if wire == FIXED64 else 4
    elif wire == START_GROUP and depth:
        while True:
            key, at = _read(data, at)
            if not 0 < key >> 3 < 1 << 29:
                raise ValueError("no such field number")
            if key & 7 == END_GROUP:
                if key >> 3 != number:
                    raise ValueError("a group ends that did not begin")
                return at
            at = _skip(data, at, key, depth - 1)
    else:
        raise ValueError("no such wire type")
    if at > len(data):
        raise ValueError("truncated")
    return at


def _read(data: bytes, at: int) -> "tuple[int, int]":
    """Reads a varint; returns (number, position after it)."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & MASK, at
        shift += 7
        if shift > 63:
            break
    raise ValueError("a number does not end")
