"""Explains in one line why the models refuse a config. Imported only if there is an error."""

from typing import Any

from pydantic import ValidationError

from pyrunc.errors import SpecError
from pyrunc.spec import types
from pyrunc.spec.checks_linux import below
from pyrunc.spec.shape import Unfit, checked
from pyrunc.spec.table import SHAPE

TYPES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def refusal(model: str, source: Any, where: str = "") -> SpecError:
    """Returns the SpecError for ``source``, which does not fit ``model``."""
    left_out: dict[tuple[int | str, ...], int] = {}
    try:
        getattr(types, model).model_validate(_narrowed(model, source, (), left_out))
    except ValidationError as error:
        first = error.errors()[0]
        return SpecError(_place(first["loc"], left_out, where), _words(first))
    return SpecError(where, "does not have the shape of the runtime-spec")


def _narrowed(kind: Any, value: Any, at: "tuple[int | str, ...]", left_out: "dict[Any, int]") -> Any:
    """Returns ``value`` in which each list and map that does not fit is reduced to its first wrong item.

    pydantic collects every error: for five million wrong arguments that would take minutes and gigabytes. ``left_out``
    gets the number of items before the remaining one, by the list's place.
    """
    if isinstance(kind, str):
        if kind in SHAPE and isinstance(value, dict):
            fields = {name: kind for name, (_, kind, _) in SHAPE[kind].items()}
            return {k: _narrowed(fields[k], v, (*at, k), left_out) for k, v in value.items() if k in fields}
    elif kind[0] == "list" and isinstance(value, list):
        for index, item in enumerate(value):
            if not _fits(kind[1], item):
                left_out[at] = index
                return [_narrowed(kind[1], item, (*at, 0), left_out)]
    elif kind[0] == "dict" and isinstance(value, dict):
        for key, item in value.items():
            if not _fits(kind[1], item):
                return {key: _narrowed(kind[1], item, (*at, key), left_out)}
    return value


def _fits(kind: Any, value: Any) -> bool:
    try:
        checked(kind, value)
    except Unfit:
        return False
    return True


def _place(location: "tuple[int | str, ...]", left_out: "dict[Any, int]", where: str) -> str:
    """Formats ``("process", "rlimits", 2, "type")`` as ``process.rlimits[2].type``."""
    for index, part in enumerate(location):
        if isinstance(part, int):
            where += f"[{part + left_out.get(location[:index], 0)}]"
        else:
            where = below(where, part) if where else part
    return where


def _words(error: "Any") -> str:
    kind, value = error["type"], error.get("input")
    got = "null" if value is None else TYPES.get(type(value), "something else")
    if kind == "missing":
        return "required"
    if kind == "literal_error":
        shown = repr(value) if isinstance(value, str) else got
        return f"{shown[:80]} is not one of {error['ctx']['expected'].replace(' or ', ', ')}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"must be an object, not {got}"
    if kind in ("greater_than_equal", "less_than_equal", "int_parsing_size"):
        return f"{str(value)[:40]} is out of range"
    wanted = {"string_type": "a string", "int_type": "an integer", "bool_type": "a boolean", "list_type": "an array"}
    if kind in wanted:
        shown = f" ({value})" if isinstance(value, float) else ""
        return f"must be {wanted[kind]}, not {got}{shown}"
    return str(error["msg"])
