"""Configs made from the official JSON schemas: a hypothesis strategy for each part, and ways to break its results."""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from spec_sample import SCHEMA

TEXT = st.text(max_size=12) | st.sampled_from(["/", "/a", "..", "a\x00", "\ud800", "\u2028", "x" * 5000, "none", "1"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


class Schemas:
    """The files of the schema directory, with references between them."""

    def __init__(self, directory: Path = SCHEMA) -> None:
        self.files = {path.name: json.loads(path.read_text()) for path in directory.glob("*.json")}
        self.made: dict[str, st.SearchStrategy[Any]] = {}

    def config(self) -> st.SearchStrategy[Any]:
        """Returns a strategy for objects of config-schema.json, for Linux."""
        return self.strategy(self.files["config-schema.json"], "config-schema.json")

    def reference(self, target: str, file: str) -> st.SearchStrategy[Any]:
        name, _, pointer = target.partition("#")
        name = name or file
        key = f"{name}#{pointer}"
        if key not in self.made:
            node = self.files[name]
            for part in filter(None, pointer.split("/")):
                node = node[part]
            self.made[key] = st.deferred(lambda: self.strategy(node, name))
        return self.made[key]

    def strategy(self, schema: dict[str, Any], file: str) -> st.SearchStrategy[Any]:
        """Returns a strategy for values that ``schema`` of ``file`` allows, and for some that it forbids."""
        if "$ref" in schema:
            return self.reference(schema["$ref"], file)
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return st.one_of([self.strategy(each, file) for each in schema[key]])
        if "allOf" in schema:
            return self.strategy(schema["allOf"][0], file)
        kind = schema.get("type")
        if isinstance(kind, list):
            return st.one_of([self.strategy({**schema, "type": each}, file) for each in kind])
        if kind == "object" or "properties" in schema:
            return self.object(schema, file)
        return self.plain(kind, schema, file)

    def object(self, schema: dict[str, Any], file: str) -> st.SearchStrategy[Any]:
        foreign = ("solaris", "windows", "vm", "zos", "freebsd")
        parts = {n: self.strategy(s, file) for n, s in schema.get("properties", {}).items() if n not in foreign}
        required = {name: part for name, part in parts.items() if name in schema.get("required", ())}
        optional = {name: part for name, part in parts.items() if name not in required}
        if not parts:
            patterns = [self.strategy(each, file) for each in schema.get("patternProperties", {}).values()]
            return st.dictionaries(TEXT, st.one_of(patterns) if patterns else TEXT, max_size=3)
        return st.fixed_dictionaries(required, optional=optional)

    def plain(self, kind: Any, schema: dict[str, Any], file: str) -> st.SearchStrategy[Any]:
        if kind == "array":
            items = schema.get("items", {})
            least = min(schema.get("minItems", 0), 2)
            return st.lists(self.strategy(items, file) if items else ANYTHING, min_size=least, max_size=3)
        if kind == "integer" or kind == "number":
            return st.integers(schema.get("minimum", -(1 << 63)), schema.get("maximum", (1 << 64) - 1))
        if kind == "boolean":
            return st.booleans()
        if kind == "string":
            pattern = schema.get("pattern")
            return st.from_regex(pattern, fullmatch=True) if pattern else TEXT
        return st.none() if kind == "null" else ANYTHING


def places(value: Any) -> "list[tuple[Any, Any]]":
    """Returns (parent, key) of every item in ``value``."""
    found = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each)) if isinstance(each, list) else ()
        for key in keys:
            found.append((each, key))
            waiting.append(each[key])
    return found


@st.composite
def broken(draw: Any, config: st.SearchStrategy[Any]) -> Any:
    """Draws a config and replaces values at some places."""
    made = json.loads(json.dumps(draw(config)))
    for _ in range(draw(st.integers(1, 3))):
        if found := places(made):
            container, key = draw(st.sampled_from(found))
            container[key] = draw(ANYTHING)
    return made
