"""`make bench-instructions`: counts the instructions of each command in user space, and checks them against limits.

callgrind counts, so the machine's speed and load do not matter. Only the command's own process is counted, not the
helper or the container. pyrunc is a copy as installed, because a checkout also checks its sources. The limits are
in instructions.json, by the interpreter's cache tag; without limits for an interpreter the counts are only printed.
``--write`` records the counts as the new limits.

The row ``interpreter`` is the launcher with an archive that exits at once: the cost of Python alone.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))

from installed import copied, installed

from harness import PYRUNC, Box

LIMITS = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.03
TAG = str(sys.implementation.cache_tag)


class Counted:
    """Runs commands under callgrind, in a separate box."""

    def __init__(self, box: Box, program: str = PYRUNC) -> None:
        self.box = box
        self.program = program

    def __call__(self, *words: str, fails: str = "") -> int:
        """Returns the instructions of ``pyrunc words``. Raises AssertionError with its output if it fails, or,
        with ``fails``, if it does not fail with that message."""
        out = self.box.directory / "callgrind"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}.%p", self.program]
        with open(self.box.directory / "said", "w+") as said:  # the container would keep a pipe open
            process = subprocess.Popen(
                [*command, "--root", str(self.box.root), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
            status = process.wait(120)
            said.seek(0)
            text = said.read()
            assert (status != 0) == bool(fails) and fails in text, f"{' '.join(words)}: exit status {status}: {text}"
        counts = re.findall(r"^(?:totals|summary): (\d+)", Path(f"{out}.{process.pid}").read_text(), re.MULTILINE)
        for file in self.box.directory.glob("callgrind.*"):  # the launcher's child process writes one as well
            file.unlink()
        return int(counts[0])


def empty(directory: Path) -> str:
    """Makes an installation that only runs the launcher and the interpreter's first phase; returns its program."""
    from pyrunc.fastpath.archive_build import write_program

    hot = copied(directory) / "pyrunc" / "_bin" / "hot"
    hot.mkdir()
    write_program(hot / "state")
    return str(directory / "bin" / "pyrunc")


def rows(box: Box) -> "dict[str, Callable[[], int]]":
    """Returns {row: function that counts it}."""
    other = "RUNTIME" in os.environ  # not this checkout's pyrunc
    count = Counted(box, PYRUNC if other else installed(box.directory / "copy"))
    nothing = Counted(box, "" if other else empty(box.directory / "empty"))
    sleep = str(box.bundle(["/bin/sleep", "1000"]))

    def created() -> str:
        return box.create(["/bin/sleep", "1000"])

    def running() -> str:
        return box.start(["/bin/sleep", "1000"])

    def stopped() -> str:
        name = box.start(["/bin/true"])
        box.await_status(name, "stopped")
        return name

    return {
        "interpreter": lambda: 0 if other else nothing("state", "nothing"),
        "state": lambda: count("state", running()),
        "create": lambda: count("create", "-b", sleep, box.new_id()),
        "start": lambda: count("start", created()),
        # callgrind does not support pidfd_open(2): counted up to that call.
        "kill (of a stopped one)": lambda: count("kill", stopped(), "18", fails="container not running"),
        "delete": lambda: count("delete", stopped()),
        "delete --force (of none)": lambda: count("delete", "--force", "nobody"),
        "exec (in a stopped one)": lambda: count("exec", stopped(), "/bin/true", fails="not running"),
        "run --detach": lambda: count("run", "--detach", "-b", sleep, box.new_id()),
    }


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--write", action="store_true", help="make the limits what is counted now")
    options.add_argument("--rounds", type=int, default=3, help="of which the least counts")
    options.add_argument("--only", default="", help="rows that begin so")
    chosen = options.parse_args()
    limits = json.loads(LIMITS.read_text())
    mine = limits.get(TAG, {})
    found, over = {}, []
    print(f"{'million instructions':<26}{'counted':>9}{'limit':>9}{'ratio':>8}   ({TAG})")
    with tempfile.TemporaryDirectory(prefix="pyrunc-instructions-") as name:
        box = Box(Path(name))
        try:
            for row, measure in rows(box).items():
                if not row.startswith(chosen.only):
                    continue
                found[row] = round(min(measure() for _ in range(chosen.rounds)) / 1e6, 2)
                limit = mine.get(row)
                ratio = f"{limit:>9.2f}{found[row] / limit:>8.3f}" if limit else ""
                print(f"{row:<26}{found[row]:>9.2f}{ratio}", flush=True)
                if limit and found[row] > limit * (1 + TOLERANCE):
                    over.append(
                        f"{row}: {found[row]:.2f} million instructions, more than {limit:.2f} + {TOLERANCE:.0%}"
                    )
        finally:
            box.close()
    if chosen.write:
        limits[TAG] = {**mine, **found}
        LIMITS.write_text(json.dumps(limits, indent=2) + "\n")
    for line in over if not chosen.write else ():
        print(f"bench-instructions: {line}", file=sys.stderr)
    return 1 if over and not chosen.write else 0


if __name__ == "__main__":
    sys.exit(main())
