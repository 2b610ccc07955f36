"""The cost of `hardened` over `legacy`: python integration/hostile/cost.py [RUNS]. Measured in turn, in one run."""

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
from pyrunc.hostile import observer
from pyrunc.hostile.library import open_checked
from pyrunc.plan.options import CreateOptions
from pyrunc.spec.load import load

BUNDLE = str(TOP / "bundles" / "plain")


def once(root: str, library: str, placement: str, number: int) -> float:
    """Returns the milliseconds of a `create` with ``library`` in the init path; without a library if it is empty."""
    libraries = [open_checked(library)] if library else []
    options = CreateOptions(
        observer=observer.run if libraries else None,
        root=root,
        bundle=BUNDLE,
        libraries=libraries,
        library_names=[library] * len(libraries),
        placement=placement,
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
    """Returns {way: median in milliseconds}, and ``pairs``: the median of hardened minus legacy. The two of a pair run
    one after the other, so that other load affects both."""
    taken: dict[str, list[float]] = {"none": [], "legacy": [], "hardened": []}
    with tempfile.TemporaryDirectory() as root:
        for number in range(runs):
            for way, times in taken.items():
                placement = "legacy" if way == "legacy" else "hardened"
                times.append(once(root, "" if way == "none" else library, placement, number * 3 + len(times)))
    found = {way: statistics.median(times) for way, times in taken.items()}
    pairs = [after - before for before, after in zip(taken["legacy"], taken["hardened"], strict=True)]
    return {**found, "pairs": statistics.median(pairs)}


def report(found: dict[str, float]) -> None:
    """Prints the times and the difference."""
    for way in ("none", "legacy", "hardened"):
        print(f"create, {way:<9} {found[way]:6.2f} ms (median)")
    print(f"hardened - legacy {found['pairs']:6.2f} ms (median of pairs)")


def main() -> None:
    """Measures with a library that does almost nothing, so that only the placement's cost remains."""
    log.only("error")
    with own_cgroups(f"pyrunc-cost-{os.getpid()}"), scene() as at:
        report(measure(at.library("environment"), int(sys.argv[1]) if len(sys.argv) > 1 else 100))


if __name__ == "__main__":
    main()
