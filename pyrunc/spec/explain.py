"""Why the models refuse a config, in one line: imported only when there is an error to word."""

from typing import Any

from pydantic import ValidationError

from pyrunc.errors import SpecError
from pyrunc.spec import types
from pyrunc.spec.rules_linux import below

TYPES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def place(location: "tuple[int | str, ...]", where: str = "") -> str:
    """``("process", "rlimits", 2, "type")`` as ``process.rlimits[2].type``."""
    for part in location:
        where = f"{where}[{part}]" if isinstance(part, int) else below(where, part) if where else part
    return where


def refusal(model: str, source: Any, where: str = "") -> SpecError:
    """The SpecError for ``source``, which does not fit ``model``."""
    try:
        getattr(types, model).model_validate(source)
    except ValidationError as error:
        first = error.errors()[0]
        return SpecError(place(first["loc"], where), _words(first))
    except RecursionError:
        return SpecError(where, "nested too deeply")
    return SpecError(where, "does not have the shape of the runtime-spec")


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
