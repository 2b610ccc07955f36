"""The C headers that the build generates from the Python definitions (nsenter/generate.py)."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pyrunc.plan import protocol
from pyrunc.plan.steps import KINDS, OPCODES

NSENTER = Path(__file__).resolve().parents[2] / "nsenter"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", NSENTER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_number_of_the_protocol_reaches_c(generate: ModuleType) -> None:
    lines = generate.header({kind: KINDS[kind] for kind in OPCODES}).splitlines()
    assert f"#define SLOT_DIRECTORY {protocol.SLOT_DIRECTORY}" in lines
    assert "#define MESSAGE_GO 'G'" in lines
    assert f"#define MESSAGE_SIZE {protocol.MESSAGE_SIZE}" in lines


def test_an_argument_is_a_field_of_its_steps_struct(generate: ModuleType) -> None:
    text = generate.header({"map-tree": KINDS["map-tree"]})
    assert "struct step_map_tree { int slot; int namespace; int64_t recursive; };" in text


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ("use(step->path.data, step->mode);", []),
        ("if (step->path.size) {\n        use(1);\n    }\n    use(step->mode);", []),
        ("use(step->path.data);", ["directory.mode"]),
        ("use(step->path.data); /* step->mode */", ["directory.mode"]),
        ("use(step->path.data, step->mode_t);", ["directory.mode"]),
        ("use(step->path.data); (void)step->mode;", ["directory.mode"]),
        (
            "return 0;\n}\nint other(struct step_mask *step) {\n    use(step->path, step->mode);",
            ["directory.path", "directory.mode"],
        ),
    ],
)
def test_an_argument_that_no_function_reads_ends_the_build(generate: ModuleType, body: str, missing: list[str]) -> None:
    source = f"int step_directory(struct context *context, const struct step_directory *step) {{\n    {body}\n    return 0;\n}}\n"
    assert generate.unread({"directory": KINDS["directory"]}, source) == missing


def test_a_function_that_is_given_the_step_reads_for_it(generate: ModuleType) -> None:
    source = "static int make(const struct step_directory *wanted) {\n    return wanted->mode;\n}\n"
    source += "int step_directory(struct context *c, const struct step_directory *step) { return step->path.size; }\n"
    assert generate.unread({"directory": KINDS["directory"]}, source) == []
