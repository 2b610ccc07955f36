"""Writes ``table.py``, the table that ``shape.py`` reads, from the pydantic models.

Run as ``python -m pyrunc.spec.table_generate``.
"""

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic_core import PydanticUndefined

from pyrunc.spec.base import Model, camel
from pyrunc.spec.config import Config

OUTPUT = Path(__file__).with_name("table.py")


def kind(annotation: Any, metadata: "tuple[Any, ...]", found: "dict[str, type[Model]]") -> Any:
    """Returns a field's type in the form of shape.py. Adds nested models to ``found``."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        (annotation,) = (part for part in get_args(annotation) if part is not type(None))
        return kind(annotation, metadata, found)
    if origin is Annotated:
        return kind(annotation.__origin__, annotation.__metadata__, found)
    if origin is Literal:
        return ("enum", *get_args(annotation))
    if origin is list:
        return ("list", kind(get_args(annotation)[0], (), found))
    if origin is dict:
        return ("dict", kind(get_args(annotation)[1], (), found))
    if isinstance(annotation, type) and issubclass(annotation, Model):
        found[annotation.__name__] = annotation
        return annotation.__name__
    if annotation is int:
        return ("int", *_bounds(metadata))
    return {str: "str", bool: "bool"}[annotation]


def _bounds(metadata: "tuple[Any, ...]") -> "tuple[int, int]":
    constraints = [part for item in metadata for part in getattr(item, "metadata", [item])]
    lowest = next(c.ge for c in constraints if hasattr(c, "ge"))
    highest = next(c.le for c in constraints if hasattr(c, "le"))
    return lowest, highest


def default(field: Any) -> Any:
    """Returns the value of an absent property, as in the model. Lists become tuples, because defaults are shared."""
    value = field.default
    if value is PydanticUndefined:
        return ...
    if isinstance(value, Model):
        return type(value).__name__
    return () if value == [] else value


def tables() -> "dict[str, Any]":
    """Returns {model: {JSON name: (attribute, kind, default)}}. ``...`` as default means required, a model's name an
    empty object."""
    found: dict[str, type[Model]] = {"Config": Config}
    done: dict[str, Any] = {}
    while missing := [name for name in found if name not in done]:
        for name in missing:
            done[name] = {
                field.alias or camel(attribute): (
                    attribute,
                    kind(field.annotation, tuple(field.metadata), found),
                    default(field),
                )
                for attribute, field in found[name].model_fields.items()
            }
    return done


def source() -> str:
    """Returns the text of table.py."""
    lines = [
        '"""The shape of config.json. Made by ``python -m pyrunc.spec.table_generate``; do not edit."""',
        "",
        "# fmt: off",
        "# ruff: noqa: E501",
        "TYPE_CHECKING = False",
        "if TYPE_CHECKING:",
        "    from typing import Any",
        "",
        'SHAPE: "dict[str, dict[str, tuple[str, Any, Any]]]" = {',
    ]
    for model, fields in tables().items():
        lines.append(f"    {model!r}: {{")
        lines += [f"        {name!r}: {field!r}," for name, field in fields.items()]
        lines.append("    },")
    return "\n".join([*lines, "}", ""]).replace("Ellipsis", "...").replace("'", '"')


if __name__ == "__main__":
    OUTPUT.write_text(source())
