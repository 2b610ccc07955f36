"""Runs the integration tests of SUITES with both builds of the helper under ASan and UBSan (`make sanitized`).

The sanitized builds replace the checkout's while the tests run. A report ends the helper by SIGABRT, so that the
test fails; the output of the tests is searched for reports as well. Arguments are pytest's.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PROGRAMS, HELPER = TOP / "pyrunc" / "_bin", TOP / "nsenter" / "helper"
SUITES = ("filesystem", "process", "security", "lifecycle")
BUILDS = {"pyrunc-nsenter": [], "pyrunc-nsenter-dynamic": ["-DPYRUNC_DYNAMIC", "-ldl"]}
FLAGS = (
    *("-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"),
    *("-fno-sanitize-recover=all", "-static-libasan", "-static-libubsan"),
)
REPORTS = ("AddressSanitizer", "runtime error:", "UndefinedBehaviorSanitizer")
UNFIT = {
    "lifecycle/test_step_times.py::test_times_of_loading_are_the_runtimes": (
        "ASan's programs are never static, and after the loading of a library every other file that is mapped executable "
        "counts as code that the library left (hostile/handover.py)"
    )
}
"""{test: why it cannot run with the sanitizers}."""


def build(directory: Path) -> None:
    """Compiles both builds into ``directory``."""
    subprocess.run([sys.executable, TOP / "nsenter" / "generate.py", directory], check=True)
    sources = [*sorted(HELPER.glob("*.c")), TOP / "nsenter" / "fuzz" / "sanitizers.c"]
    for name, flags in BUILDS.items():
        subprocess.run(
            ["gcc", *FLAGS, f"-I{directory}", f"-I{HELPER}", "-o", directory / name, *sources, *flags], check=True
        )


def test(words: list[str]) -> int:
    """Runs pytest. Returns its exit status, or 1 if its output has a report."""
    suites = [str(TOP / "integration" / suite) for suite in SUITES]
    left_out = [word for name in UNFIT for word in ("--deselect", f"integration/{name}")]
    command = [sys.executable, "-m", "pytest", "-q", "-rfEs", *left_out, *(words or suites)]
    done = subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True, errors="replace")
    assert done.stdout is not None
    reported = False
    for line in done.stdout:
        print(line, end="", flush=True)
        reported |= any(report in line for report in REPORTS)
    return done.wait() or int(reported)


def main() -> int:
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory(dir=PROGRAMS.parent) as kept:
        build(Path(made))
        for name in BUILDS:
            shutil.copy2(PROGRAMS / name, kept)
        try:
            for name in BUILDS:
                # Written under another name first: a process that executes it meanwhile keeps the old file.
                shutil.copy2(Path(made) / name, PROGRAMS / f"{name}.new")
                os.replace(PROGRAMS / f"{name}.new", PROGRAMS / name)
            return test(sys.argv[1:])
        finally:
            for name in BUILDS:
                os.replace(Path(kept) / name, PROGRAMS / name)


if __name__ == "__main__":
    sys.exit(main())
