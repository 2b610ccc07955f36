"""`make bench`: pyrunc, Debian's runc and crun, in turn in one run, with the same bundle.

Machines are noisy: compare the ratios of the medians, not the milliseconds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))

import bench_scale
from bench_runtime import KIB, Failed, Runtime, in_turn, run, timed, write_bundle
from chart import bars
from legacy_host import legacy_host

from harness import PYRUNC

RUNTIMES = {"pyrunc": PYRUNC, "runc": "/usr/sbin/runc", "crun": "/usr/bin/crun"}
AT_ONCE = 50
LIMITS = [64, 96, 128, 160, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384]
"""Memory limits in KiB, tried from the smallest on."""


def create_start_delete(runtime: Runtime) -> float:
    """Times the three commands that an engine calls; the container's own run time is not counted."""
    name = runtime.new_id()
    spent = timed(lambda: runtime.ok("create", "-b", str(runtime.bundle), name))
    spent += timed(lambda: runtime.ok("start", name))
    while state(runtime, name) != "stopped":
        time.sleep(0.001)
    return spent + timed(lambda: runtime.ok("delete", name))


def state(runtime: Runtime, name: str) -> str:
    done = subprocess.run([*runtime.command, "state", name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{runtime.name} state {name}: exit status {done.returncode}: {done.stderr.strip()}")
    return str(json.loads(done.stdout)["status"])


class Sleeping:
    """Operations on a running container."""

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
    """Times containers started at the same time, until the last one runs."""
    names = [runtime.new_id() for _ in range(AT_ONCE)]
    try:
        begun = time.monotonic()
        processes = [runtime.begin("run", "-d", "-b", str(runtime.sleeping), name) for name in names]
        for process in processes:
            process.status()
        spent = time.monotonic() - begun
    finally:
        for name in names:
            runtime.status("delete", "--force", name)
    if failures := [failure for failure in [process.failure() for process in processes] if failure]:
        raise Failed(f"{len(failures)} of {AT_ONCE} at once failed: {failures[0]}")
    return spent * 1000


def peak(runtime: Runtime) -> float:
    """Returns the runtime's own peak resident memory in `run`, in KiB. A small program starts it: the test's own size
    would count as its own (getrusage(2), ru_maxrss)."""
    command = ["/usr/bin/time", "-f", "%M", *runtime.command, "run", "-b", str(runtime.bundle), runtime.new_id()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command[3:])}: exit status {done.returncode}: {done.stderr.strip()}")
    return float(done.stderr.split()[-1])


def smallest_limit(runtime: Runtime, directory: Path, tries: int = 5) -> int:
    """Returns the smallest memory limit, in KiB, under which the container starts every time."""
    for limit in LIMITS:
        bundle = directory / f"limit-{limit}"
        memory = {"memory": {"limit": limit * KIB}}
        write_bundle(bundle, ["/bin/true"], lambda config, memory=memory: config["linux"]["resources"].update(memory))  # type: ignore[misc]
        names = [runtime.new_id() for _ in range(tries)]
        worked = all(runtime.status("run", "-b", str(bundle), name) == 0 for name in names)
        for name in names:
            runtime.status("delete", "--force", name)
        if worked:
            return limit
    return 0


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
    """Returns a table with a row for each operation, and the ratio of pyrunc to each peer."""
    head = f"{unit:<22}" + "".join(f"{name:>12}" for name in names)
    head += "".join(f"{'/ ' + name:>9}" for name in names[1:])
    lines = [head]
    for label, row in rows.items():
        cells = "".join(f"{row[name]:>12.1f}" for name in names)
        ratios = "".join(f"{row[names[0]] / row[name]:>9.2f}" if row[name] else f"{'-':>9}" for name in names[1:])
        lines.append(f"{label:<22}{cells}{ratios}")
    return "\n".join(lines)


def able(runtimes: list[Runtime]) -> list[Runtime]:
    """Returns the runtimes that can run a container on this host; prints why the others cannot."""
    kept = []
    for runtime in runtimes:
        refusal = runtime.refusal()
        if refusal:
            print(f"without {runtime.name}: {refusal}\n")
        else:
            kept.append(runtime)
    if not kept or kept[0].name != "pyrunc":
        raise Failed("pyrunc runs no container here")
    return kept


def programs(peers: str) -> dict[str, str]:
    """Returns {name: program} of pyrunc, ``peers`` (names of RUNTIMES) and BENCH_PEERS (``name=path,name=path``)."""
    found = {name: RUNTIMES[name] for name in ["pyrunc", *filter(None, peers.split(","))]}
    for entry in filter(None, os.environ.get("BENCH_PEERS", "").split(",")):
        name, equals, path = entry.partition("=")
        if not equals or not os.access(path, os.X_OK):
            raise Failed(f"BENCH_PEERS: {entry}: is to be name=path of a program")
        found[name] = path
    return found


def bench(chosen: argparse.Namespace) -> None:
    """Prints the tables, writes the picture."""
    wanted = programs(chosen.peers)
    host = legacy_host() if any("crun" in name for name in wanted) else nullcontext([])
    with host as notes, tempfile.TemporaryDirectory(prefix="pyrunc-bench-") as name:
        for note in notes:
            print(f"{note}\n")
        directory = Path(name)
        write_bundle(directory / "true", ["/bin/true"])
        write_bundle(directory / "sleep", ["/bin/sleep", "1000"])
        runtimes = able([Runtime(name, program, directory) for name, program in wanted.items()])
        names = [runtime.name for runtime in runtimes]
        print(f"medians of {chosen.rounds} rounds; after them pyrunc's ratio to each peer\n")
        rows = times(runtimes, chosen.rounds)
        print(table(rows, names, "ms"), flush=True)
        if chosen.scale != "none":
            scaled = bench_scale.rows(runtimes, directory, chosen.scale, max(5, chosen.rounds // 4))
            print("\n" + table(scaled, names, "ms"), flush=True)
        sizes = {
            "peak memory (KiB)": {runtime.name: peak(runtime) for runtime in runtimes},
            "smallest limit (KiB)": {r.name: float(smallest_limit(r, directory)) for r in runtimes},
        }
        print("\n" + table(sizes, names, ""))
    base = "runc" if "runc" in names else names[0]
    chosen.picture.parent.mkdir(parents=True, exist_ok=True)
    chosen.picture.write_text(bars(f"Time, by operation, as a share of {base}'s", rows, names, base))
    print(f"\npicture: {chosen.picture}")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=40)
    options.add_argument("--peers", default="runc,crun", help="besides those of BENCH_PEERS=name=path,...")
    options.add_argument("--scale", choices=("none", "short", "whole"), default=os.environ.get("BENCH_SCALE", "short"))
    options.add_argument("--picture", type=Path, default=Path("bench/out/bench.svg"))
    try:
        bench(options.parse_args())
    except Failed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
