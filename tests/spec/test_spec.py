"""The models, compared with the official schemas and examples."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from spec_sample import GONE, SCHEMA, full, mutants

from pyrunc.errors import SpecError
from pyrunc.spec.load import parse
from pyrunc.spec.shape import build
from pyrunc.spec.table import SHAPE

needs_schema = pytest.mark.skipif(not SCHEMA.exists(), reason=f"no official schemas in {SCHEMA}")
OTHER_SYSTEMS = {"freebsd", "solaris", "vm", "windows", "zos"}


def go_takes_it(path: "tuple[str | int, ...]", value: Any, config: Any) -> str:
    """Returns why a value is accepted that the schema refuses: engines write what Go's binding of the spec accepts."""
    if value is None:
        return "null is absent"
    if value == "" and path[-1] in ("rootfsPropagation", "memBwSchema"):
        return "an empty string is absent"
    if path[:4] == ("linux", "resources", "pids") or path == ("linux", "resources", "pids", "limit"):
        return "the binding leaves pids.limit out when it is 0"
    if path[-1:] == ("fileMode",) and isinstance(value, int) and 0 <= value < 2**32:
        return "engines pass st_mode on, with the file's type in it"
    return ""


@needs_schema
def test_what_the_schema_refuses_is_refused() -> None:
    validator = schema_validator("config-schema.json")
    config = full()
    assert not list(validator.iter_errors(config))
    parse(json.dumps(config).encode())
    tolerated, refused = set(), 0
    for path, value, mutant in mutants(config):
        try:
            parse(json.dumps(mutant).encode())
        except SpecError:
            refused += 1
            continue
        if not validator.is_valid(mutant):
            reason = go_takes_it(path, value, mutant)
            assert reason, (path, "gone" if value is GONE else value)
            tolerated.add(reason)
    assert refused > 4000
    assert len(tolerated) == 4, "an exception that no config needs"


def schema_validator(name: str) -> Any:
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT4

    resources = []
    for path in SCHEMA.glob("*.json"):
        resource = Resource(contents=json.loads(path.read_text()), specification=DRAFT4)
        resources += [(path.name, resource), (f"https://opencontainers.org/schema/{path.name}", resource)]
    registry: Any = Registry().with_resources(resources)
    schema = json.loads((SCHEMA / name).read_text())
    schema.pop("id", None)
    return jsonschema.Draft4Validator(schema, registry=registry)


def examples(kind: str) -> list[Path]:
    return sorted((SCHEMA / "test" / "config" / kind).glob("*.json"))


@needs_schema
@pytest.mark.parametrize("path", examples("good"), ids=lambda p: p.name)
def test_good_examples(path: Path) -> None:
    """Adds a root if there is none: the schema allows that for virtual machines."""
    config = json.loads(path.read_text())
    config.setdefault("root", {"path": "rootfs"})
    build("Config", config)
    if not OTHER_SYSTEMS & config.keys():
        parse(json.dumps(_runnable(config)).encode())


def _runnable(config: dict[str, Any]) -> dict[str, Any]:
    """The examples follow the schema, but not the rules: one has version 0.5.0-dev, one no network namespace."""
    if config["ociVersion"].startswith("0."):
        config["ociVersion"] = "1.0.0"
    linux = config.get("linux", {})
    kinds = [space["type"] for space in linux.get("namespaces", [])]
    if "netDevices" in linux and "network" not in kinds:
        linux["namespaces"] = [*linux.get("namespaces", []), {"type": "network"}]
    return config


@needs_schema
@pytest.mark.parametrize("path", examples("bad"), ids=lambda p: p.name)
def test_bad_examples(path: Path) -> None:
    if path.name.startswith("freebsd"):
        pytest.skip("wrong in a section for FreeBSD, which is ignored here")
    with pytest.raises(SpecError):
        parse(path.read_bytes())


def properties(file: str, schema: Any) -> Iterator[tuple[str, str, Any]]:
    """Yields (property, file, schema) of an object of the schemas, with references resolved."""
    file, schema = target(file, schema)
    for part in schema.get("allOf", []):
        yield from properties(file, part)
    for name, inner in schema.get("properties", {}).items():
        yield (name, *target(file, inner))


def target(file: str, schema: Any) -> tuple[str, Any]:
    while "$ref" in schema or "anyOf" in schema:
        if "anyOf" in schema:
            (schema,) = schema["anyOf"]
            continue
        other, _, pointer = schema["$ref"].partition("#")
        file = other or file
        schema = json.loads((SCHEMA / file).read_text())
        for key in filter(None, pointer.split("/")):
            schema = schema[key]
    return file, schema


def differences(file: str, schema: Any, kind: Any, where: str) -> Iterator[str]:
    """Yields the differences between the schema and the table of the models at ``where``."""
    file, schema = target(file, schema)
    wanted = schema.get("type")
    if isinstance(kind, str) and kind in SHAPE:
        for name, *found in properties(file, schema):
            if name in SHAPE[kind]:
                yield from differences(*found, SHAPE[kind][name][1], f"{where}.{name}")
            else:
                yield f"{where}.{name} absent"
    elif kind[0] == "list":
        yield from differences(file, schema["items"], kind[1], f"{where}[]")
    elif kind[0] == "dict":
        inner = [*schema.get("properties", {}).values(), *schema.get("patternProperties", {}).values()]
        inner += [schema["additionalProperties"]] if "additionalProperties" in schema else []
        for part in inner:
            yield from differences(file, part, kind[1], f"{where}.*")
    elif kind[0] == "int":
        if wanted != "integer" or (schema.get("minimum", kind[1]), schema.get("maximum", kind[2])) != kind[1:]:
            yield f"{where} range"
    elif kind[0] == "enum":
        if wanted != "string" or not set(schema.get("enum", kind[1:])) <= set(kind[1:]):
            yield f"{where} values"
        for value in set(kind[1:]) - set(schema.get("enum", kind[1:])):
            yield f"{where} {value} added"
    elif wanted != {"str": "string", "bool": "boolean"}[kind]:
        yield f"{where} type"


@needs_schema
def test_every_property_of_the_schema_is_in_the_models_with_its_type() -> None:
    found = set(differences("config-schema.json", {"$ref": "config-schema.json#/"}, "Config", ""))
    added = {
        f".linux.rootfsPropagation {name} added"
        for name in ("", "rprivate", "rshared", "rslave", "runbindable")  # as runc
    }
    points = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    expected = {
        *(f".{system} absent" for system in OTHER_SYSTEMS),
        ".process.commandLine absent",  # for Windows
        ".linux.devices[].fileMode range",  # any st_mode
        # Without (uid_t) -1, which is not an id.
        *(f".process.user.{name} range" for name in ("uid", "gid", "additionalGids[]")),
        *(f".linux.devices[].{name} range" for name in ("uid", "gid")),
        *(f".hooks.{point}[].timeout range" for point in points),  # from 1: checked by a rule, whose message says why
    }
    assert found - added == expected
    assert added <= found


def test_a_missing_folder_of_schemas_is_said(request: pytest.FixtureRequest) -> None:
    """The reason of the skip must name the folder."""
    assert os.fspath(SCHEMA) in needs_schema.kwargs["reason"]
