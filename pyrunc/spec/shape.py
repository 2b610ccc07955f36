"""The fast path of reading a config: light nodes, checked against the table that is derived from the pydantic models.

It only accepts or rejects. For rejected data the models make the error message (``load.py``).
"""

from pyrunc.spec.table import SHAPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Unfit(Exception):
    """The data does not have the shape of the spec."""


class Node:
    """A part of a config, with the attributes of its model. ``_model`` is the model's name."""

    __slots__ = ("__dict__", "_model")

    def __init__(self, model: str, values: "dict[str, Any]") -> None:
        self._model = model
        self.__dict__ = values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]


def build(model: str, data: "Any") -> "Any":
    """Returns ``data`` (parsed JSON) as a node of ``model``. Raises Unfit. A null property counts as absent."""
    if type(data) is not dict:
        raise Unfit
    values: dict[str, Any] = {}
    given = data.get
    for name, (attribute, kind, default) in SHAPE[model].items():
        value = given(name)
        if value is not None:
            values[attribute] = checked(kind, value)
        elif default is ...:
            raise Unfit
        elif type(default) is dict:  # a new one, because callers (`exec`) change it
            values[attribute] = {}
        elif default and default == kind:  # an object that always exists, such as ``linux``
            values[attribute] = build(kind, {})
        else:
            values[attribute] = default
    return Node(model, values)


def checked(kind: "Any", value: "Any") -> "Any":
    """Returns ``value`` with nodes for its objects. Raises Unfit unless it fits ``kind``, an entry of the table."""
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
            return [checked(kind[1], item) for item in value]
    elif kind[0] == "dict":
        if type(value) is dict:
            return {key: checked(kind[1], item) for key, item in value.items()}
    elif type(value) is str and value in kind[1:]:  # enum
        return value
    raise Unfit


def plain(node: "Any") -> "dict[str, Any]":
    """Returns the JSON object of a node or a model. Omits properties that equal an absent one."""
    made = {}
    for name, (attribute, kind, default) in SHAPE[getattr(node, "_model", type(node).__name__)].items():
        value = getattr(node, attribute)
        # If an absent property is None, an empty list means something else.
        if default is ... or (value != default and (default is None or value not in ([], {}))):
            made[name] = _plain(kind, value)
    return made


def _plain(kind: "Any", value: "Any") -> "Any":
    if type(kind) is str:
        return plain(value) if kind in SHAPE else value
    if kind[0] == "list":
        return [_plain(kind[1], item) for item in value]
    if kind[0] == "dict":
        return {key: _plain(kind[1], item) for key, item in value.items()}
    return value
