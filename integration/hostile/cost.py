"""What `hardened` costs over `legacy`: python integration/hostile/cost.py [RUNS]. Both in turns, in the same run."""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scene import TOP, own_cgroups, scene

from pyrunc import log
from pyrunc.container.create import Creation
from pyrunc.container.options import CreateOptions
from pyrunc.hostile.library import open_checked
from pyrunc.spec.load import load

BUNDLE = str(TOP / "bundles" / "plain")


def once(root: str, library: str, placement: str, number: int) -> float:
    """Milliseconds that `create` takes with ``library`` in the init path; without one when it is empty."""
    libraries = [open_checked(library)] if library else []
    options = CreateOptions(
        root=root, bundle=BUNDLE, libraries=libraries, library_names=[library] * len(libraries), placement=placement
    )
    creation = Creation(f"cost-{os.getpid()}-{number}", load(f"{BUNDLE}/config.json"), options)
    begun = time.perf_counter()
    creation.make()
    taken = (time.perf_counter() - begun) * 1000
    creation.remove()
    for descriptor in libraries:
        os.close(descriptor)
    return taken


def measure(library: str, runs: int) -> dict[str, float]:
    """{way: lower quartile in milliseconds}: what other processes take is in the upper ones."""
    taken: dict[str, list[float]] = {"none": [], "legacy": [], "hardened": []}
    with tempfile.TemporaryDirectory() as root:
        for number in range(runs):
            for way, times in taken.items():
                placement = "legacy" if way == "legacy" else "hardened"
                times.append(once(root, "" if way == "none" else library, placement, number * 3 + len(times)))
    return {way: statistics.quantiles(times, n=4)[0] for way, times in taken.items()}


def report(found: dict[str, float]) -> None:
    """Prints the times, and the difference."""
    for way, quartile in found.items():
        print(f"create, {way:<9} {quartile:6.2f} ms (lower quartile)")
    print(f"hardened - legacy {found['hardened'] - found['legacy']:6.2f} ms")


def main() -> None:
    """With a library that does next to nothing: what is left is what the placement costs."""
    log.only("error")
    with own_cgroups(f"pyrunc-cost-{os.getpid()}"), scene() as at:
        report(measure(at.library("environment"), int(sys.argv[1]) if len(sys.argv) > 1 else 100))


if __name__ == "__main__":
    main()
