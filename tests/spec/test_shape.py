"""The fast path of reading a config, compared with the pydantic models from which it is derived."""

import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError
from spec_sample import dotted, full, mutants

from pyrunc.errors import SpecError
from pyrunc.spec import table_generate
from pyrunc.spec.config import Config
from pyrunc.spec.default import config as default_config
from pyrunc.spec.load import parse, raw, restore
from pyrunc.spec.shape import Node, Unfit, build
from pyrunc.spec.table import SHAPE

CONFIGS = [full(), default_config(), default_config(rootless=True), {"ociVersion": "1.0.0", "root": {"path": "r"}}]


def same(node: Any, model: Any) -> bool:
    """True if a light node and a model have equal attributes at all levels."""
    if isinstance(node, Node):
        names = type(model).model_fields
        return vars(node).keys() == names.keys() and all(same(getattr(node, n), getattr(model, n)) for n in names)
    if isinstance(node, (list, tuple)):
        return isinstance(model, list) and len(node) == len(model) and all(map(same, node, model))
    if isinstance(node, dict):
        return node.keys() == model.keys() and all(same(node[key], model[key]) for key in node)
    return type(node) is type(model) and bool(node == model)


def test_derived_table_is_what_the_models_say() -> None:
    assert table_generate.OUTPUT.read_text() == table_generate.source(), "run: python -m pyrunc.spec.table_generate"
    assert table_generate.tables() == SHAPE


@pytest.mark.parametrize("config", CONFIGS)
def test_both_paths_read_the_same(config: dict[str, Any]) -> None:
    assert same(build("Config", config), Config.model_validate(config))


def test_both_paths_refuse_the_same() -> None:
    """A wrong value at any place is refused by both; accepted values are the same, too."""
    count = 0
    for path, value, config in mutants(full()):
        try:
            node: Any = build("Config", config)
        except Unfit:
            node = None
        try:
            model: Any = Config.model_validate(config)
        except ValidationError:
            model = None
        assert (node is None) == (model is None), (path, value)
        assert node is None or same(node, model), (path, value)
        count += 1
    assert count > 5000


def test_a_refusal_names_the_place_in_one_line() -> None:
    """The error names the changed place, or a missing or wrong property below it."""
    for path, value, config in mutants(full()):
        try:
            build("Config", config)
        except Unfit:
            with pytest.raises(SpecError) as caught:
                parse(json.dumps(config).encode())
            assert caught.value.where.startswith(dotted(path)), (path, value, str(caught.value))
            assert "shape" not in caught.value.why and "\n" not in str(caught.value), (path, value, str(caught.value))


def test_the_sample_uses_every_property() -> None:
    used: set[tuple[str, str]] = set()

    def walk(kind: Any, value: Any) -> None:
        if kind in SHAPE:
            for name, item in value.items():
                used.add((kind, name))
                walk(SHAPE[kind][name][1], item)
        elif kind[0] in ("list", "dict"):
            for item in value if kind[0] == "list" else value.values():
                walk(kind[1], item)

    walk("Config", full())
    assert used == {(model, name) for model, fields in SHAPE.items() for name in fields}


@pytest.mark.parametrize("config", CONFIGS)
def test_what_is_stored_reads_the_same_again(config: dict[str, Any]) -> None:
    node = parse(json.dumps(config).encode())
    stored = raw(node)
    assert same(restore(json.loads(json.dumps(stored))), Config.model_validate(config))
    assert raw(Config.model_validate(config)) == stored


def test_everything_given_is_stored_and_nothing_else() -> None:
    """Except values that mean the same as their absence: empty lists, and numbers whose default is 0."""
    config = full()
    assert config["linux"]["personality"].pop("flags") == [] and config["process"]["scheduler"].pop("priority") == 0
    config["linux"]["resources"]["devices"][0]["allow"] = False
    stored = raw(parse(json.dumps({**config, "of tomorrow": [1]}).encode()))
    assert stored == config


def test_nodes_share_nothing_that_can_be_changed() -> None:
    """`exec` changes the process of the container's config; other configs of the program must not change with it."""
    minimal = {"ociVersion": "1.0.0", "root": {"path": "r"}, "process": {"args": ["a"], "cwd": "/"}}
    first: Any = build("Config", minimal)
    first.process.user.uid = 5
    first.linux.cgroups_path = "/x"
    first.annotations["a"] = "b"
    first.linux.sysctl["a"] = "b"
    second: Any = build("Config", minimal)
    assert (second.process.user.uid, second.linux.cgroups_path) == (0, "")
    assert second.annotations == {} and second.linux.sysctl == {}


def imported(code: str) -> set[str]:
    """Returns the modules that ``code`` imports in a bare interpreter."""
    before = "import sys; had = set(sys.modules); sys.path.insert(0, sys.argv[1]);"
    root = str(table_generate.OUTPUT.parents[2])
    after = "\nprint(*set(sys.modules) - had)"
    command = [sys.executable, "-I", "-S", "-c", before + code + after, root]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_reading_a_config_imports_next_to_nothing() -> None:
    text = json.dumps(full())
    code = f"from pyrunc.spec.load import parse, raw\nfrom pyrunc.spec.json_text import dumps\ndumps(raw(parse({text!r}.encode())))"
    loaded = imported(code)
    assert "pyrunc.spec.table" in loaded
    assert {name for name in loaded if not name.startswith("pyrunc")} <= {"_json", "_stat"}
    modules = ("table", "json_text", "load", "checks", "checks_linux", "shape")
    assert {name for name in loaded if name.startswith("pyrunc.spec.")} == {f"pyrunc.spec.{name}" for name in modules}
