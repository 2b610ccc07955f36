"""`make hostile`: both experiments of docs/hostile-libraries.md, then every stand-in many times in each combination.

python integration/hostile/experiments.py [RUNS]: 200 containers for each combination by default.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import cost
from scene import PYRUNC, TOP, Scene, own_cgroups, scene, without_pid_namespace

import build
from pyrunc import log

REFUSING = ("crashes", "drops", "exits", "forks", "hangs")
"""Stand-ins with which legacy starts no container, or never ends because a child process holds the channel."""
FAMOUS = ("lxc1", "lxc2")
REPORTS = TOP / "build" / "hostile"


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


def container(*words: str) -> str:
    """Returns the output of the container of bundles/plain: its cgroups."""
    command = [PYRUNC, "run", "-b", str(TOP / "bundles" / "plain"), *words, f"plain-{os.getpid()}"]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout


def first(at: Scene) -> None:
    """Runs a program that is merely linked to the library."""
    title("experiment 1: a plain program prints its cgroups")
    for words, name in (("as it is", "show_cgroups"), ("linked to the library", "show_cgroups_linked")):
        print(f"-- {words}")
        print(subprocess.run([at.directory / name], stdout=subprocess.PIPE, text=True, check=True).stdout, end="")


def second(at: Scene) -> None:
    """Runs a container without a cgroup namespace, which prints the host's paths."""
    title("experiment 2: a container prints its cgroups")
    library = at.library("lxc2")
    print(f"-- without the library\n{container()}", end="")
    print(
        f"-- with it, placed in the legacy order\n{container('--preload-lib', library, '--placement', 'legacy')}",
        end="",
    )
    print(f"-- with it, hardened\n{container('--preload-lib', library)}", end="")


def grid(at: Scene, name: str, runs: int) -> bool:
    """Prints the grid of verify-preload, legacy and hardened."""
    title(f"{name}: {runs} containers each way, placed 0 to 12 ms after the helper's start")
    REPORTS.mkdir(parents=True, exist_ok=True)
    report = REPORTS / f"{name}.html"
    words = ["--runs", str(runs), "--delay", "0-12", "--expect-escape", "--report", str(report)]
    print(f"(the picture: {report})", flush=True)
    return subprocess.run([PYRUNC, "verify-preload", at.library(name), *words], check=False).returncode == 0


def summary(at: Scene, name: str, runs: int) -> bool:
    """Prints one line for a stand-in: how many containers left their cgroups in each combination."""
    placements = "hardened" if name in REFUSING else "legacy,hardened"
    words = ["--runs", str(runs), "--delay", "0-12", "--placement", placements, "--preload-at", "exec,init"]
    words += ["--bundle", str(at.bundle)]
    words += ["--format", "json", "--preload-timeout", "0.1" if name == "hangs" else "10"]
    begun = time.monotonic()
    done = subprocess.run([PYRUNC, "verify-preload", at.library(name), *words], stdout=subprocess.PIPE, check=False)
    cells = []
    for series in json.loads(done.stdout)["series"]:
        refused = sum(bool(run["reason"]) for run in series["runs"])
        more = f" ({refused} refused)" if refused else ""
        cells.append(f"{series['placement']}/{series['preloadAt']} {series['escaped']}{more}")
    print(f"{name:<13} {', '.join(cells)}  [{time.monotonic() - begun:.0f} s]", flush=True)
    return done.returncode == 0


def measure_cost(at: Scene, runs: int) -> dict[str, float]:
    """Measures with a library that does almost nothing, so that only the placement's cost remains."""
    log.only("error")
    return cost.measure(at.library("environment"), runs)


def main() -> int:
    """Returns 0 if containers escaped with legacy, and none did with hardened."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    if os.geteuid() != 0:
        print("make hostile needs root: without it a library can move no process out of a cgroup", file=sys.stderr)
        return 1
    with own_cgroups(f"pyrunc-hostile-{os.getpid()}"), scene() as at:
        at.bundle = without_pid_namespace(at.directory)
        first(at)
        second(at)
        good = [grid(at, name, runs) for name in FAMOUS]
        title(f"every stand-in, {runs} containers each way: how many left a cgroup")
        good += [summary(at, name, runs) for name in build.LIBRARIES]
        title("each library: what audit-lib names, and what a container's program has of it")
        command = [sys.executable, str(Path(__file__).parent / "findings.py")]
        good.append(subprocess.run(command, check=False).returncode == 0)
        title("what it costs")
        cost.report(measure_cost(at, min(runs, 100)))
    title("hardened held every time" if all(good) else "NOT as it should be: see above")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
