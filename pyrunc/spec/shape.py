"""The fast path of reading a config: light nodes, checked against the table derived from the pydantic models.

It only says yes or no. Whatever it does not accept goes to the models, which word the error (``load.py``).
"""

from pyrunc.spec import derived

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


SHAPE: "dict[str, dict[str, Any]]" = derived.SHAPE  # type: ignore[assignment]
_ABSENT: "dict[str, dict[str, Any]]" = {}


class Unfit(Exception):
    """The data has not the shape of the spec."""


class Node:
    """A part of a config, with the attributes of its model; ``name`` is the model's."""

    def __init__(self, values: "dict[str, Any]") -> None:
        self.__dict__ = values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]


def _absent(model: str) -> "dict[str, Any]":
    """What each attribute is when the JSON has no such property; ``...``: that is an error."""
    absent = {}
    for attribute, kind, default in SHAPE[model].values():
        absent[attribute] = {} if default == {} else default
        if type(kind) is str and default == kind:
            absent[attribute] = build(kind, {})  # a struct that is never absent, such as ``linux``
    return absent


def build(model: str, data: "Any") -> "Any":
    """``data`` (parsed JSON) as a node of ``model``; raises Unfit."""
    if type(data) is not dict:
        raise Unfit
    fields = SHAPE[model]
    absent = _ABSENT.get(model)
    if absent is None:
        absent = _ABSENT[model] = _absent(model)
    values = absent.copy()
    for name, value in data.items():
        field = fields.get(name)
        if field is not None and value is not None:
            values[field[0]] = _value(field[1], value)
    if ... in values.values():
        raise Unfit
    return Node(values)


def _value(kind: "Any", value: "Any") -> "Any":
    if kind == "str":
        if type(value) is str:
            return value
    elif kind == "bool":
        if type(value) is bool:
            return value
    elif type(kind) is str:
        return build(kind, value)
    elif kind[0] == "int":
        if type(value) is int and kind[1] <= value <= kind[2]:
            return value
    elif kind[0] == "list":
        if type(value) is list:
            inner = kind[1]
            if inner == "str":
                for item in value:
                    if type(item) is not str:
                        raise Unfit
                return value
            return [_value(inner, item) for item in value]
    elif kind[0] == "dict":
        if type(value) is dict:
            return {key: _value(kind[1], item) for key, item in value.items()}
    elif value in kind[1:] and type(value) is str:  # enum
        return value
    raise Unfit
