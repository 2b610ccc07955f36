"""Fuzzes the reader of plans under ASan and UBSan: python nsenter/fuzz/run.py [SECONDS] (600 unless given).

The corpus begins with real plans and grows in build/fuzz/corpus; an input that fails stays in build/fuzz.
"""

import copy
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = TOP / "build" / "fuzz"
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]
SANITIZERS = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]


def build() -> Path:
    """The fuzz target."""
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, HERE.parent / "generate.py", BUILD / "steps.h"], check=True)
    output = BUILD / "target"
    sources = [HERE / "target.c", HERE.parent / "plan.c"]
    includes = [f"-I{BUILD}", f"-I{HERE.parent}"]
    subprocess.run(["clang", *FLAGS, *SANITIZERS, *includes, "-o", output, *sources], check=True)
    return output


def seed(corpus: Path) -> None:
    """Plans of every kind of config, so that no mutation has to invent the format."""
    sys.path[:0] = [str(TOP), str(TOP / "tests")]
    from pyrunc.plan.compile import compile_create
    from pyrunc.plan.settings import Settings
    from pyrunc.plan.steps import HELPER, KINDS, Step
    from pyrunc.plan.wire import encode
    from pyrunc.spec.default import config
    from pyrunc.spec.json_text import dumps
    from pyrunc.spec.load import parse

    corpus.mkdir(exist_ok=True)
    made = copy.deepcopy(config())
    made["mounts"] = [mount for mount in made["mounts"] if mount["type"] != "cgroup"]
    plan = compile_create(parse(dumps(made).encode()), Settings("fuzz", "/bundle"))
    (corpus / "default").write_bytes(encode(plan))
    values = {"i": -1, "d": 7, "s": "text", "b": b"\0bytes", "l": ["one", "", "three"]}
    for kind, (actor, signature, _) in KINDS.items():
        if actor == HELPER:
            (corpus / kind).write_bytes(encode([Step(kind, "", *(values[letter] for letter in signature))]))


def main() -> int:
    target, corpus = build(), BUILD / "corpus"
    seed(corpus)
    seconds = sys.argv[1] if len(sys.argv) > 1 else "600"
    words = [
        f"-max_total_time={seconds}",
        "-max_len=65536",
        "-timeout=10",
        f"-artifact_prefix={BUILD}/",
        "-print_final_stats=1",
    ]
    return subprocess.run([target, *words, corpus], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
