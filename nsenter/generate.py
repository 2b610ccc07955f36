"""Writes ``steps.h``, C's view of ``pyrunc/plan/steps.py``: python nsenter/generate.py OUTPUT."""

import importlib.util
import sys
from pathlib import Path

PLAN = Path(__file__).resolve().parent.parent / "pyrunc" / "plan"


def _module(name: str):
    # By path: the package need not be installed, nor its dependencies be there, to build its helper.
    spec = importlib.util.spec_from_file_location(name, PLAN / f"{name.rpartition('.')[2]}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def header() -> str:
    """The text of steps.h."""
    steps = _module("pyrunc.plan.steps")
    wire = _module("pyrunc.plan.wire")
    kinds = {kind: steps.KINDS[kind][1] for kind in steps.OPCODES}
    rows = [
        f'    X({kind.upper().replace("-", "_")}, {kind.replace("-", "_")}, "{kind}", "{signature}")'
        for kind, signature in kinds.items()
    ]
    return "\n".join(
        [
            "/* Generated from pyrunc/plan/steps.py by nsenter/generate.py. */",
            "#ifndef PYRUNC_STEPS_H",
            "#define PYRUNC_STEPS_H",
            f"#define PLAN_MAGIC 0x{wire.MAGIC:08x}u",
            f"#define PLAN_HEADER {wire.HEADER}",
            f"#define MAX_ARGUMENTS {max(map(len, kinds.values()))}",
            "#define STEP_LIST(X) \\",
            " \\\n".join(rows),
            "#define STEP_ENUM(KIND, name, text, signature) STEP_##KIND,",
            "enum step_kind { STEP_LIST(STEP_ENUM) STEP_COUNT };",
            "#endif",
            "",
        ]
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(header())
