"""`create` and `delete --force` with --systemd-cgroup, of pyrunc beside runc and crun, in turn in one run.

    python3 integration/guest once 13 --cwd /srv/pyrunc -- .venv/bin/python integration/cgroups/bench_systemd.py

or on any host that systemd runs. Each round has each runtime once, in another order; a ratio is the median of those of the
rounds, so that what else the machine does in a round falls on both.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from bench_runtime import Runtime, samples, timed, write_bundle

from harness import PYRUNC

PROGRAMS = {"pyrunc": PYRUNC, "runc": "/usr/sbin/runc", "crun": "/usr/bin/crun"}
VERBS = ("create", "delete")
WITHOUT = "no limits", {}
LIMITED = (
    "limits",
    {
        "memory": {"limit": 64 << 20, "reservation": 32 << 20},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000},
        "pids": {"limit": 100},
    },
)
Spent = dict[tuple[str, str], list[float]]
"""{(runtime, verb): milliseconds by round}"""


class Systemd(Runtime):
    """Asks systemd for a scope."""

    def __init__(self, name: str, program: str, directory: Path) -> None:
        super().__init__(name, program, directory)
        self.command.append("--systemd-cgroup")


def life(runtime: Runtime, bundle: Path) -> dict[str, float]:
    """Milliseconds of each verb, of one container."""
    name = runtime.new_id()
    create = timed(lambda: runtime.ok("create", "-b", str(bundle), name))
    return {"create": create, "delete": timed(lambda: runtime.ok("delete", "--force", name))}


def measure(runtimes: list[Runtime], bundle: Path, rounds: int) -> Spent:
    lives = samples(runtimes, lambda runtime: life(runtime, bundle), rounds)
    return {(name, verb): [each[verb] for each in found] for name, found in lives.items() for verb in VERBS}


def rows(said: str, spent: Spent, names: list[str]) -> list[str]:
    made = []
    for verb in VERBS:
        medians = {name: statistics.median(spent[name, verb]) for name in names}
        ours = spent["pyrunc", verb]
        ratios = {
            name: statistics.median(a / b for a, b in zip(ours, spent[name, verb], strict=True)) for name in names[1:]
        }
        cells = [*(f"{medians[name]:10.1f}" for name in names), *(f"{ratios[name]:9.2f}" for name in names[1:])]
        made.append(f"{verb + ', ' + said:22}" + "".join(cells))
    return made


def host() -> str:
    systemd = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True).stdout
    return f"systemd {systemd.split()[1]}, Linux {Path('/proc/sys/kernel/osrelease').read_text().strip()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pyrunc-bench-") as place:
        runtimes: list[Runtime] = [
            Systemd(name, path, Path(place)) for name, path in PROGRAMS.items() if shutil.which(path)
        ]
        names = [runtime.name for runtime in runtimes]
        lines = []
        for said, resources in (WITHOUT, LIMITED):

            def change(config: dict[str, Any], asked: dict[str, Any] = resources) -> None:
                config["linux"]["resources"] = {**config["linux"].get("resources", {}), **asked}

            bundle = Path(place) / said.replace(" ", "-")
            write_bundle(bundle, ["true"], change)
            lines += rows(said, measure(runtimes, bundle, given.rounds), names)
    print(f"{host()}: medians of {given.rounds} rounds; after them pyrunc's ratio to each peer, paired")
    print(f"{'ms':22}" + "".join(f"{name:>10}" for name in names) + "".join(f"   / {name:4}" for name in names[1:]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
