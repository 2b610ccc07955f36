"""Fuzzes the helper's parsers under ASan and UBSan: python nsenter/fuzz/run.py [SECONDS [TARGET]].

Targets, SECONDS each (600 unless given): ``plan``, the reader of plans, whose corpus begins with real ones; ``parse``,
the parsers of scripts, passwd and mountinfo, whose corpus begins with nsenter/fuzz/corpus/parse. A corpus grows in
build/fuzz/TARGET; an input that fails stays in build/fuzz.
"""

import copy
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = TOP / "build" / "fuzz"
TARGETS = ("plan", "parse")
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]
SANITIZERS = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]


def build(name: str) -> Path:
    """Builds the fuzz target ``name`` from nsenter/fuzz/NAME.c and nsenter/helper/NAME.c; returns its path."""
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, HERE.parent / "generate.py", BUILD], check=True)
    output = BUILD / f"fuzz-{name}"
    sources = [HERE / f"{name}.c", HERE.parent / "helper" / f"{name}.c"]
    includes = [f"-I{BUILD}", f"-I{HERE.parent / 'helper'}"]
    subprocess.run(["clang", *FLAGS, *SANITIZERS, *includes, "-o", output, *sources], check=True)
    return output


def seed_plans(corpus: Path) -> None:
    """Writes the default config's plan and a plan for each kind of step, so that the fuzzer starts from the format."""
    sys.path[:0] = [str(TOP), str(TOP / "tests")]
    from pyrunc.plan.compile import compile_create
    from pyrunc.plan.facts import Facts
    from pyrunc.plan.options import CreateOptions
    from pyrunc.plan.steps import HELPER, KINDS, Step
    from pyrunc.plan.wire import encode
    from pyrunc.spec.default import config
    from pyrunc.spec.json_text import dumps
    from pyrunc.spec.load import parse

    made = copy.deepcopy(config())
    made["mounts"] = [mount for mount in made["mounts"] if mount["type"] != "cgroup"]
    plan = compile_create(parse(dumps(made).encode()), Facts("fuzz", CreateOptions(bundle="/bundle")))
    (corpus / "default").write_bytes(encode(plan))
    values = {"i": -1, "d": 7, "s": "text", "b": b"\0bytes", "l": ["one", "", "three"]}
    for kind, (actor, signature, _) in KINDS.items():
        if actor == HELPER:
            (corpus / kind).write_bytes(encode([Step(kind, "", *(values[letter] for letter in signature))]))


def fuzz(name: str, seconds: str) -> int:
    """Runs one target and returns its exit status."""
    target, corpus = build(name), BUILD / name
    corpus.mkdir(exist_ok=True)
    if name == "plan":
        seed_plans(corpus)
    for file in (HERE / "corpus" / name).glob("*"):
        shutil.copy(file, corpus)
    words = [
        f"-max_total_time={seconds}",
        "-max_len=131072",
        "-timeout=10",
        f"-artifact_prefix={BUILD}/{name}-",
        "-print_final_stats=1",
    ]
    return subprocess.run([target, *words, corpus], check=False).returncode


def main() -> int:
    seconds = sys.argv[1] if len(sys.argv) > 1 else "600"
    return max(fuzz(name, seconds) for name in sys.argv[2:] or TARGETS)


if __name__ == "__main__":
    sys.exit(main())
