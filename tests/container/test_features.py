"""`features`: the document's form. It names only values that the config's models and tables accept."""

import json
from typing import Any, get_args

from test_spec import needs_schema, schema_validator

from pyrunc.cgroup.systemd import annotations
from pyrunc.container.features import features
from pyrunc.criu.checkpoint import CONFIG_ANNOTATION
from pyrunc.plan.mount_options import Options
from pyrunc.plan.namespaces import FLAGS
from pyrunc.spec import linux
from pyrunc.spec import seccomp as models
from pyrunc.spec.hooks import Hooks


@needs_schema
def test_the_schema_accepts_it() -> None:
    schema_validator("features-schema.json").validate(json.loads(json.dumps(features())))


def test_annotations_that_change_what_is_done_are_named() -> None:
    assert features()["potentiallyUnsafeConfigAnnotations"] == [CONFIG_ANNOTATION, annotations.PREFIX]


def test_every_name_is_one_that_a_config_may_have() -> None:
    found = features()
    assert set(found["hooks"]) == {field.alias or name for name, field in Hooks.model_fields.items()} | set(
        found["hooks"]
    )
    assert set(found["linux"]["namespaces"]) <= set(FLAGS)
    for option in found["mountOptions"]:
        Options([option], "")
    seccomp = found["linux"]["seccomp"]
    assert set(seccomp["actions"]) == set(literals(models.Syscall, "action"))
    assert set(seccomp["operators"]) == set(literals(models.Argument, "op"))
    assert set(seccomp["knownFlags"]) == set(literals(models.Seccomp, "flags"))
    assert set(seccomp["supportedFlags"]) <= set(seccomp["knownFlags"])
    assert set(seccomp["archs"]) <= set(literals(models.Seccomp, "architectures"))
    policy = found["linux"]["memoryPolicy"]
    assert set(policy["modes"]) == set(literals(linux.MemoryPolicy, "mode"))
    assert set(policy["flags"]) == set(literals(linux.MemoryPolicy, "flags"))


def literals(model: Any, field: str) -> tuple[str, ...]:
    """Returns the literals of a field, or of its items."""
    kinds = get_args(model.model_fields[field].annotation)
    return get_args(kinds[0]) or kinds
