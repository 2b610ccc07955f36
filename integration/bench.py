"""`make bench`: pyrunc beside Debian's runc and crun, in turn in one run, with the same bundle.

Machines are noisy: what counts are the ratios of the medians, not the milliseconds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from chart import bars
from legacy_host import legacy_host

from harness import PYRUNC, ROOTFS

RUNTIMES = {"pyrunc": PYRUNC, "runc": "/usr/sbin/runc", "crun": "/usr/bin/crun"}
AT_ONCE = 50
KIB = 1024
LIMITS = [64, 96, 128, 160, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384]
"""KiB of memory limit that are tried, from the smallest on."""


class Runtime:
    """One runtime with a state directory of its own."""

    def __init__(self, name: str, program: str, directory: Path) -> None:
        self.name = name
        self.command = [program, "--root", str(directory / name)]
        self.bundle = directory / "true"
        self.sleeping = directory / "sleep"
        self.count = 0

    def new_id(self) -> str:
        self.count += 1
        return f"bench-{os.getpid()}-{self.name}-{self.count}"

    def popen(self, *words: str) -> "subprocess.Popen[bytes]":
        # crun tells on standard error that the host is hybrid; nobody reads what containers print.
        null = subprocess.DEVNULL
        return subprocess.Popen([*self.command, *words], stdin=null, stdout=null, stderr=null)

    def status(self, *words: str) -> int:
        """Runs to the end."""
        return self.popen(*words).wait()

    def ok(self, *words: str) -> None:
        status = self.status(*words)
        assert status == 0, f"{self.name} {' '.join(words)}: exit status {status}"


def write_bundle(path: Path, args: list[str], memory: int = 0) -> None:
    """The bundle of all: what `runc spec` writes, without a terminal."""
    from pyrunc.spec.default import config

    made: dict[str, Any] = config()
    made["ociVersion"] = "1.0.2"  # what the peers of Debian 12 know
    made["process"].update(terminal=False, args=args)
    made["root"] = {"path": str(ROOTFS), "readonly": True}
    if memory:
        made["linux"]["resources"]["memory"] = {"limit": memory * KIB}
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(made))


def run(runtime: Runtime) -> float:
    """`run` of /bin/true, to its end."""
    name = runtime.new_id()
    return timed(lambda: runtime.ok("run", "-b", str(runtime.bundle), name))


def create_start_delete(runtime: Runtime) -> float:
    """The three commands that an engine calls; what the container does in between is not counted."""
    name = runtime.new_id()
    spent = timed(lambda: runtime.ok("create", "-b", str(runtime.bundle), name))
    spent += timed(lambda: runtime.ok("start", name))
    while state(runtime, name) != "stopped":
        time.sleep(0.001)
    return spent + timed(lambda: runtime.ok("delete", name))


def state(runtime: Runtime, name: str) -> str:
    done = subprocess.run([*runtime.command, "state", name], capture_output=True, check=True)
    return str(json.loads(done.stdout)["status"])


class Sleeping:
    """Operations on a container that runs meanwhile."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.name = runtime.new_id()

    def __enter__(self) -> "Sleeping":
        self.runtime.ok("run", "-d", "-b", str(self.runtime.sleeping), self.name)
        return self

    def __exit__(self, *_: object) -> None:
        self.runtime.status("delete", "--force", self.name)

    def timed(self, *words: str) -> float:
        command = [word.replace("ID", self.name) for word in words]
        return timed(lambda: self.runtime.ok(*command))


def at_once(runtime: Runtime) -> float:
    """Containers started side by side, until the last one runs."""
    names = [runtime.new_id() for _ in range(AT_ONCE)]
    try:
        begun = time.monotonic()
        processes = [runtime.popen("run", "-d", "-b", str(runtime.sleeping), name) for name in names]
        statuses = [process.wait() for process in processes]
        spent = time.monotonic() - begun
    finally:
        for name in names:
            runtime.status("delete", "--force", name)
    assert not any(statuses), f"{runtime.name}: {sum(map(bool, statuses))} of {AT_ONCE} failed"
    return spent * 1000


def peak(runtime: Runtime) -> float:
    """KiB that the runtime itself has resident at its peak, in `run`. A small program starts it: the size that we have
    would count as its own (getrusage(2), ru_maxrss)."""
    command = ["/usr/bin/time", "-f", "%M", *runtime.command, "run", "-b", str(runtime.bundle), runtime.new_id()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stderr.split()[-1])


def smallest_limit(runtime: Runtime, directory: Path, tries: int = 5) -> int:
    """KiB of the smallest memory limit under which the container starts every time."""
    for limit in LIMITS:
        bundle = directory / f"limit-{limit}"
        write_bundle(bundle, ["/bin/true"], limit)
        names = [runtime.new_id() for _ in range(tries)]
        worked = all(runtime.status("run", "-b", str(bundle), name) == 0 for name in names)
        for name in names:
            runtime.status("delete", "--force", name)
        if worked:
            return limit
    return 0


def timed(action: Callable[[], object]) -> float:
    """Milliseconds."""
    begun = time.monotonic()
    action()
    return (time.monotonic() - begun) * 1000


def in_turn(runtimes: list[Runtime], measure: Callable[[Runtime], float], rounds: int) -> dict[str, float]:
    """{runtime: median in ms}; every round has each runtime once, in another order."""
    found: dict[str, list[float]] = {runtime.name: [] for runtime in runtimes}
    for number in range(rounds + 1):
        turn = number % len(runtimes)
        for runtime in runtimes[turn:] + runtimes[:turn]:
            spent = measure(runtime)
            if number:  # the first round warms up
                found[runtime.name].append(spent)
    return {name: statistics.median(values) for name, values in found.items()}


def times(runtimes: list[Runtime], rounds: int) -> dict[str, dict[str, float]]:
    """{operation: {runtime: median in ms}}."""
    rows = {
        "run": in_turn(runtimes, run, rounds),
        "create+start+delete": in_turn(runtimes, create_start_delete, rounds),
    }
    containers = {runtime.name: Sleeping(runtime) for runtime in runtimes}
    for container in containers.values():
        container.__enter__()
    try:
        for label, words in (
            ("exec", ("exec", "ID", "/bin/true")),
            ("state", ("state", "ID")),
            ("kill", ("kill", "ID", "18")),  # by number, as engines call it
        ):
            rows[label] = in_turn(runtimes, lambda r, words=words: containers[r.name].timed(*words), rounds)  # type: ignore[misc]
    finally:
        for container in containers.values():
            container.__exit__()
    rows[f"{AT_ONCE} at once"] = in_turn(runtimes, at_once, max(3, rounds // 10))
    return rows


def table(rows: dict[str, dict[str, float]], names: list[str], unit: str) -> str:
    """A row an operation; behind each peer how pyrunc compares to it."""
    head = f"{unit:<22}" + "".join(f"{name:>12}" for name in names)
    head += "".join(f"{'/ ' + name:>9}" for name in names[1:])
    lines = [head]
    for label, row in rows.items():
        cells = "".join(f"{row[name]:>12.1f}" for name in names)
        ratios = "".join(f"{row[names[0]] / row[name]:>9.2f}" if row[name] else f"{'-':>9}" for name in names[1:])
        lines.append(f"{label:<22}{cells}{ratios}")
    return "\n".join(lines)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=40)
    options.add_argument("--peers", default="runc,crun")
    options.add_argument("--picture", type=Path, default=Path("bench/out/bench.svg"))
    chosen = options.parse_args()
    wanted = ["pyrunc", *chosen.peers.split(",")]
    host = legacy_host() if "crun" in wanted else nullcontext("")
    with host as refusal, tempfile.TemporaryDirectory(prefix="pyrunc-bench-") as name:
        directory = Path(name)
        write_bundle(directory / "true", ["/bin/true"])
        write_bundle(directory / "sleep", ["/bin/sleep", "1000"])
        if refusal:
            print(f"without crun, which wants all controllers on v1: {refusal}\n")
            wanted.remove("crun")
        there = {name: RUNTIMES[name] for name in wanted}
        runtimes = [Runtime(name, program, directory) for name, program in there.items()]
        rows = times(runtimes, chosen.rounds)
        sizes = {
            "peak memory (KiB)": {runtime.name: peak(runtime) for runtime in runtimes},
            "smallest limit (KiB)": {r.name: float(smallest_limit(r, directory)) for r in runtimes},
        }
    names = list(there)
    print(f"medians of {chosen.rounds} rounds; behind them pyrunc's ratio to each peer\n")
    print(table(rows, names, "ms"))
    print()
    print(table(sizes, names, ""))
    chosen.picture.parent.mkdir(parents=True, exist_ok=True)
    chosen.picture.write_text(bars("Time, by operation, as a share of runc's", rows, names, "runc"))
    print(f"\npicture: {chosen.picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
