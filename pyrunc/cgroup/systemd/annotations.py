"""Annotations ``org.systemd.property.NAME``: properties that the caller sets on the unit, as with runc and crun.

The values are in the GVariant text format (GLib Reference Manual, "GVariant Text Format"): ``true``, ``5``,
``'text'``, ``uint64 5000000``, ``['a', 'b']``, ``('x', 1)``, ``{'k': 'v'}``, ``<1>``, ``@as []``, ``b'bytes'``.
"""

from pyrunc.cgroup.systemd.values import INTEGERS, STRINGS, element, elements, encode
from pyrunc.errors import PyruncError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyrunc.cgroup.systemd.values import Property

PREFIX = "org.systemd.property."
WORDS = ("boolean", "byte", "int16", "uint16", "int32", "uint32", "handle", "int64", "uint64", "double", "string")
NAMED = dict(zip((*WORDS, "objectpath", "signature"), "bynqiuhxtdsog", strict=True))
"""{keyword of a basic type: its letter in a signature}."""
RANGES = {"y": (0, 8), "n": (1, 16), "q": (0, 16), "i": (1, 32), "h": (1, 32), "u": (0, 32), "x": (1, 64), "t": (0, 64)}
"""{letter of an integer type: (signed, bits)}."""
SPACE = " \t\r\n"
DEPTH = 32


def properties(annotations: "Mapping[str, str]") -> "list[str]":
    """Returns the properties, encoded (values.py). SpecError names the annotation. A property ``...Sec`` in seconds is
    converted to ``...USec`` in microseconds, its name on D-Bus."""
    found: list[Property] = []
    for key, text in annotations.items():
        if not key.startswith(PREFIX):
            continue
        name = key.removeprefix(PREFIX)
        where = f"annotations[{key!r}]"
        if len(name) < 3 or not (name.isascii() and name.isalnum()):
            raise SpecError(where, f"{name!r} is not the name of a property of systemd")
        try:
            signature, value = parse(text)
        except PyruncError as error:
            raise SpecError(where, f"{text!r}: {error}") from None
        if name.endswith("Sec") and name[-4].islower():
            name, signature, value = _microseconds(where, name, signature, value)
        found.append((name, signature, value))
    return encode(found)


def _microseconds(where: str, name: str, signature: str, value: "Any") -> "Property":
    if signature not in "ynqiuxtd" or value < 0:
        raise SpecError(where, f"{value!r} is not a number of seconds")
    return name.removesuffix("Sec") + "USec", "t", int(value * 1000000)


def parse(text: str) -> "tuple[str, Any]":
    """Parses a GVariant text; returns (signature, value). PyruncError says what is wrong with the text."""
    reader = _Reader(text)
    found = reader.value("", 0)
    reader.skip()
    if reader.at != len(text):
        raise PyruncError(f"{text[reader.at :]!r} after the value")
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in SPACE:
            self.at += 1

    def peek(self) -> str:
        self.skip()
        return self.text[self.at : self.at + 1]

    def take(self, wanted: str) -> None:
        if self.peek() != wanted:
            raise PyruncError(f"{wanted!r} expected at {self.text[self.at :]!r}")
        self.at += 1

    def word(self) -> str:
        """Reads letters, digits and the characters ``+-._``, which numbers contain."""
        self.skip()
        begin = self.at
        while self.at < len(self.text) and (self.text[self.at].isalnum() or self.text[self.at] in "+-._"):
            self.at += 1
        return self.text[begin : self.at]

    def value(self, wanted: str, depth: int) -> "tuple[str, Any]":
        """Reads a value; returns (signature, value). ``wanted``: the signature that it must have, "" for any."""
        if depth > DEPTH:
            raise PyruncError("nested too deeply")
        first = self.peek()
        if first == "@":
            return self._typed(wanted, depth)
        if first in ("'", '"'):
            return self._string(wanted)
        if first == "[":
            return self._array(wanted, depth)
        if first == "(":
            return self._tuple(wanted, depth)
        if first == "{":
            return self._dictionary(wanted, depth)
        if first == "<":
            self.take("<")
            held = self.value("", depth + 1)
            self.take(">")
            return _checked(wanted, "v"), list(held)
        if first == "b" and self.text[self.at + 1 : self.at + 2] in ("'", '"'):
            self.at += 1
            self.skip()
            return _checked(wanted, "ay"), [*self._quoted().encode("utf-8", "surrogateescape"), 0]
        return self._plain(wanted, depth)

    def _typed(self, wanted: str, depth: int) -> "tuple[str, Any]":
        self.take("@")
        begin = self.at
        while self.at < len(self.text) and self.text[self.at] not in SPACE:
            self.at += 1
        signature = self.text[begin : self.at]
        if element(signature)[1]:
            raise PyruncError(f"{signature!r} is not one type")
        return self.value(_checked(wanted, signature), depth + 1)

    def _plain(self, wanted: str, depth: int) -> "tuple[str, Any]":
        word = self.word()
        if word in NAMED:
            return self.value(_checked(wanted, NAMED[word]), depth + 1)
        if word in ("true", "false"):
            return _checked(wanted, "b"), word == "true"
        if wanted == "d" or (not wanted and not word.lower().startswith("0x") and set(word) & set(".eE")):
            try:
                return "d", float(word)
            except ValueError:
                raise PyruncError(f"{word!r} is not a number") from None
        signature = wanted or "i"
        if signature not in INTEGERS + "h":
            raise PyruncError(f"{word!r} is not a value of type {signature!r}")
        return signature, _integer(word, signature)

    def _string(self, wanted: str) -> "tuple[str, Any]":
        text = self._quoted()
        if wanted and wanted not in STRINGS:
            raise PyruncError(f"a string where {wanted!r} is expected")
        return wanted or "s", text

    def _quoted(self) -> str:
        quote = self.text[self.at]
        self.at += 1
        out = []
        while (letter := self.text[self.at : self.at + 1]) != quote:
            if not letter:
                raise PyruncError("a string without its end")
            self.at += 1
            out.append(self._escape() if letter == "\\" else letter)
        self.at += 1
        return "".join(out)

    def _escape(self) -> str:
        letter = self.text[self.at : self.at + 1]
        self.at += 1
        for kind, digits in (("u", 4), ("U", 8)):
            if letter == kind:
                number = self.text[self.at : self.at + digits]
                self.at += digits
                try:
                    return chr(int(number, 16))
                except (ValueError, OverflowError):
                    raise PyruncError(f"\\{kind}{number} is not a character") from None
        return {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}.get(letter, letter)

    def _array(self, wanted: str, depth: int) -> "tuple[str, Any]":
        if wanted and wanted[0] != "a":
            raise PyruncError(f"an array where {wanted!r} is expected")
        self.take("[")
        inner = wanted[1:]
        values: list[Any] = []
        while self.peek() != "]":
            if values:
                self.take(",")
            inner, value = self.value(inner, depth + 1)
            values.append(value)
        self.take("]")
        if not inner:
            raise PyruncError("an empty array needs its type, such as '@as []'")
        return f"a{inner}", values

    def _tuple(self, wanted: str, depth: int) -> "tuple[str, Any]":
        if wanted and wanted[0] != "(":
            raise PyruncError(f"a tuple where {wanted!r} is expected")
        expected = elements(wanted[1:-1]) if wanted else []
        self.take("(")
        signatures: list[str] = []
        values: list[Any] = []
        while self.peek() != ")":
            if values:
                self.take(",")
                if self.peek() == ")":
                    break  # (1,)
            if wanted and len(values) == len(expected):
                raise PyruncError(f"more values than {wanted!r} has")
            signature, value = self.value(expected[len(values)] if wanted else "", depth + 1)
            signatures.append(signature)
            values.append(value)
        self.take(")")
        if not values or (wanted and len(values) != len(expected)):
            raise PyruncError(f"fewer values than {wanted or 'a tuple'} has")
        return f"({''.join(signatures)})", values

    def _dictionary(self, wanted: str, depth: int) -> "tuple[str, Any]":
        if wanted and not wanted.startswith("a{"):
            raise PyruncError(f"a dictionary where {wanted!r} is expected")
        key_type, value_type = elements(wanted[2:-1]) if wanted else ("", "")
        self.take("{")
        pairs: list[list[Any]] = []
        while self.peek() != "}":
            if pairs:
                self.take(",")
            key_type, key = self.value(key_type, depth + 1)
            self.take(":")
            value_type, value = self.value(value_type, depth + 1)
            pairs.append([key, value])
        self.take("}")
        if not value_type:
            raise PyruncError("an empty dictionary needs its type, such as '@a{ss} {}'")
        return f"a{{{key_type}{value_type}}}", pairs


def _checked(wanted: str, signature: str) -> str:
    if wanted and wanted != signature:
        raise PyruncError(f"a value of type {signature!r} where {wanted!r} is expected")
    return signature


def _integer(word: str, signature: str) -> int:
    digits = word.lstrip("+-")
    try:
        if not digits.isascii() or len(word) - len(digits) > 1 or "_" in word:
            raise ValueError
        octal = len(digits) > 1 and digits.isdigit() and digits[0] == "0"
        number = int(word, 8 if octal else 0)
    except ValueError:
        raise PyruncError(f"{word!r} is not a number") from None
    signed, bits = RANGES[signature]
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    if not low <= number < high:
        raise PyruncError(f"{word} does not fit into type {signature!r}")
    return number
