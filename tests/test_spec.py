"""The models, held against the official schemas and examples; the fast path, held against the models."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from pyrunc.errors import SpecError
from pyrunc.spec import derive
from pyrunc.spec.config import Config
from pyrunc.spec.default import config as default_config
from pyrunc.spec.load import parse
from pyrunc.spec.shape import Node, Unfit, build

SCHEMA = Path(__file__).resolve().parents[2] / "shared" / "oci" / "schema"
needs_schema = pytest.mark.skipif(not SCHEMA.exists(), reason=f"no official schemas in {SCHEMA}")
OTHER_SYSTEMS = ("freebsd", "solaris", "vm", "windows", "zos")


def full() -> dict[str, Any]:
    """A config that uses about every property."""
    made = copy.deepcopy(default_config())
    made["annotations"] = {"a": "b"}
    made["domainname"] = "d"
    made["hooks"] = {"createRuntime": [{"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 5}]}
    made["process"].update(
        consoleSize={"height": 24, "width": 80},
        scheduler={"policy": "SCHED_OTHER", "nice": 1, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
        ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 3},
        execCPUAffinity={"initial": "0", "final": "0-1"},
        oomScoreAdj=10,
    )
    made["linux"]["namespaces"] += [{"type": "user"}, {"type": "time"}]
    made["linux"].update(
        uidMappings=[{"containerID": 0, "hostID": 1000, "size": 65536}],
        gidMappings=[{"containerID": 0, "hostID": 1000, "size": 65536}],
        sysctl={"net.ipv4.ip_forward": "1"},
        devices=[{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}],
        netDevices={"eth0": {"name": "c0"}},
        timeOffsets={"monotonic": {"secs": 1, "nanosecs": 2}},
        personality={"domain": "LINUX"},
        memoryPolicy={"mode": "MPOL_BIND", "nodes": "0", "flags": []},
        intelRdt={"closID": "c", "schemata": ["L3:0=f"], "enableMonitoring": True},
        seccomp={
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {
                    "names": ["mkdir"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 1,
                    "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"}],
                }
            ],
        },
    )
    made["linux"]["resources"].update(
        memory={"limit": 1 << 20, "swap": -1, "disableOOMKiller": False},
        cpu={"shares": 2, "quota": 1, "period": 2, "cpus": "0"},
        pids={"limit": 3},
        blockIO={"weight": 10, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]},
        hugepageLimits=[{"pageSize": "2MB", "limit": 0}],
        network={"classID": 1, "priorities": [{"name": "eth0", "priority": 1}]},
        rdma={"mlx": {"hcaHandles": 1}},
        unified={"memory.high": "1"},
    )
    return made


def same(node: Any, model: Any) -> bool:
    """A light node and a model with equal attributes, all the way down."""
    if isinstance(node, Node):
        return all(same(getattr(node, name), getattr(model, name)) for name in type(model).model_fields)
    if isinstance(node, (list, tuple)):
        return len(node) == len(model) and all(map(same, node, model))
    if isinstance(node, dict):
        return node.keys() == model.keys() and all(same(node[key], model[key]) for key in node)
    return type(node) is type(model) and bool(node == model)


def test_derived_table_is_what_the_models_say() -> None:
    from pyrunc.spec import derived

    assert derive.tables() == derived.SHAPE, "run: python -m pyrunc.spec.derive"


@pytest.mark.parametrize("config", [full(), default_config(), default_config(rootless=True)])
def test_both_paths_read_the_same(config: dict[str, Any]) -> None:
    assert same(build("Config", config), Config.model_validate(config))


def mutations(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every place of a config, with everything that may stand there wrongly."""
    for wrong in ("text", 1, -1, 2**65, 1.5, True, None, [], {}, ["x"], {"x": 1}, [1]):
        yield path, wrong
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from mutations(item, (*path, key))


def changed(config: dict[str, Any], path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    made = copy.deepcopy(config)
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return made


def test_both_paths_refuse_the_same() -> None:
    config = full()
    count = 0
    for path, value in mutations(config):
        mutant = changed(config, path, value)
        try:
            node: Any = build("Config", mutant)
        except Unfit:
            node = None
        try:
            model: Any = Config.model_validate(mutant)
        except ValidationError:
            model = None
        assert (node is None) == (model is None), (path, value)
        assert node is None or same(node, model), (path, value)
        count += 1
    assert count > 2000


@needs_schema
def test_what_the_schema_refuses_is_refused() -> None:
    """But for what Go's parser, and so every runtime, takes."""
    validator = schema_validator("config-schema.json")
    config = full()
    more_tolerant = set()
    for path, value in mutations(config):
        mutant = changed(config, path, value)
        if validator.is_valid(mutant) or value is None:
            continue
        try:
            parse(json.dumps(mutant).encode())
        except SpecError:
            continue
        more_tolerant.add(".".join(key for key in path if isinstance(key, str)))
    assert more_tolerant <= {
        # Ranges and forms that the schema alone knows; each is the kernel's or the engine's to refuse.
        "process.ioPriority.priority",
        "linux.resources.memory.limit",
        "linux.netDevices.eth0.name",
        "linux.memoryPolicy.nodes",
        "linux.intelRdt.schemata",
        "linux.resources.devices",
        "linux.resources.pids",
        "linux.resources.blockIO.weight",
        "linux.resources.memory.swap",
        "process.capabilities.bounding",
        "process.capabilities.effective",
        "process.capabilities.permitted",
        "process.execCPUAffinity.initial",
        "process.execCPUAffinity.final",
        "process.env",
        "process.cwd",
        "linux.seccomp.syscalls.names",
        "linux.resources.devices.type",
        "linux.resources.devices.access",
        "linux.timeOffsets.monotonic.nanosecs",
        "linux.timeOffsets",
        "linux.devices.fileMode",
        "linux.resources.hugepageLimits.limit",
        "linux.intelRdt.closID",
    }, more_tolerant


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


@needs_schema
@pytest.mark.parametrize("path", sorted((SCHEMA / "test" / "config" / "good").glob("*.json")), ids=lambda p: p.name)
def test_good_examples(path: Path) -> None:
    config = json.loads(path.read_text())
    if any(system in config for system in OTHER_SYSTEMS) or "root" not in config:
        pytest.skip("an example for another system than Linux")
    Config.model_validate(config)
    build("Config", config)


@needs_schema
@pytest.mark.parametrize(
    "path", sorted((SCHEMA / "test" / "config" / "bad").glob("linux-*.json")), ids=lambda p: p.name
)
def test_bad_examples(path: Path) -> None:
    with pytest.raises(SpecError):
        parse(path.read_bytes())


def properties(schema: dict[str, Any]) -> set[str]:
    return set(schema.get("properties", {}))


@needs_schema
def test_every_property_of_the_schema_has_a_model() -> None:
    """By the names of the JSON: what the schemas call a property, some model must, too."""
    known = {name for fields in derive.tables().values() for name in fields}
    wanted: set[str] = set()

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            wanted.update(part.get("properties", {}))
            for value in part.values():
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    walk(json.loads((SCHEMA / "config-linux.json").read_text()))
    wanted -= {"windows", "solaris", "vm", "freebsd", "zos", "commandLine", "monotonic", "boottime"}
    missing = wanted - known
    # Deprecated since 1.0 (kernelTCP's kin stay), or older spellings of what 1.3 has.
    assert missing <= {"enableCMT", "enableMBM"}, missing
