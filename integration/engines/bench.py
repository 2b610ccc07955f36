"""`make bench-engines`: the engines' own clients with pyrunc and with runc, in turn in one run.

Machines are noisy: compare the ratios of the medians, not the milliseconds. The goal is a ratio of 1.0 or less.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import bench_shim
import podman
from ctr import Ctr
from dockerd import Docker
from ground import IMAGE, NATIVE, RUNTIMES, Ground, image

Once = Callable[[str], None]
AT_ONCE = 20


@contextmanager
def with_ctr(archive: Path) -> Iterator[tuple[Ground, Once, Once, Once]]:
    """The ground; `ctr run` of one container, and of twenty at once; `ctr task exec`."""
    with Ground("bench-ctr", private=["/etc/cni/net.d", "/var/lib/cni", "/var/lib/containerd"]) as ground:
        Ctr.prepare(ground, archive)

        def one(runtime: str) -> None:
            tool = Ctr(ground, runtime)
            tool.ok("run", "--rm", *tool.flags(), IMAGE, "c", "true")

        def many(runtime: str) -> None:
            tool = Ctr(ground, runtime)
            names = [f"c{number}" for number in range(AT_ONCE)]
            clients = [ground.popen(*tool.words(("run", "--rm", *tool.flags(), IMAGE, name, "true"))) for name in names]
            assert [client.wait(120) for client in clients] == [0] * AT_ONCE

        def execute(runtime: str) -> None:
            Ctr(ground, runtime).ok("tasks", "exec", "--exec-id", "e", f"stays-{runtime}", "true")

        yield ground, one, many, execute
        ground.settle()


@contextmanager
def with_docker(archive: Path) -> Iterator[tuple[Once, ...]]:
    """`docker run`."""
    with Ground("bench-docker") as ground:
        Docker.prepare(ground, archive)
        yield (lambda runtime: Docker(ground, runtime).out(["true"]) and None,)


@contextmanager
def with_podman(archive: Path) -> Iterator[tuple[Once, ...]]:
    """`podman run`."""
    with podman.prepared("bench-podman", archive) as ground:
        yield (lambda runtime: podman.Podman(ground, runtime).out(["true"]) and None,)


def measure(one: Once, rounds: int, names: list[str]) -> dict[str, list[float]]:
    """Returns the milliseconds of each round by runtime; the order of the runtimes changes from round to round."""
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, rounds):
        for name in names if number % 2 else reversed(names):
            before = time.monotonic()
            one(name)
            if number >= 0:  # The first round only warms the caches.
                taken[name].append((time.monotonic() - before) * 1000)
    return taken


def row(what: str, taken: dict[str, list[float]]) -> str:
    medians = {name: statistics.median(values) for name, values in taken.items()}
    base = medians["runc"]
    own = f"{medians[NATIVE]:.0f} ({medians[NATIVE] / base:.2f})" if NATIVE in medians else ""
    return f"| {what} | {own} | {medians['pyrunc']:.0f} ({medians['pyrunc'] / base:.2f}) | {base:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--shim", action="store_true", help="only what tells about pyrunc's shim")
    parser.add_argument("--picture", type=Path, default=Path("bench-shim.svg"))
    chosen = parser.parse_args()
    rounds = chosen.rounds
    version = subprocess.run(
        [RUNTIMES["runc"], "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[2]
    print(f"| medians of {rounds} rounds, ms (ratio) | pyrunc's shim | pyrunc | runc {version} |", flush=True)
    print("|---|---|---|---|", flush=True)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        archive = image(directory / "busybox.tar")
        ground, one, many, execute = stack.enter_context(with_ctr(archive))
        if not chosen.shim:
            (docker,) = stack.enter_context(with_docker(archive))
            (pod,) = stack.enter_context(with_podman(archive))
        two, three = list(RUNTIMES), [NATIVE, *RUNTIMES]
        with ExitStack() as staying:
            for runtime in three:
                staying.enter_context(bench_shim.running(Ctr(ground, runtime), f"stays-{runtime}"))
            print(row("ctr task exec", measure(execute, rounds, three)), flush=True)
        for what, call, times, names in [
            ("ctr run", one, rounds, three),
            (f"{AT_ONCE} x ctr run at once", many, max(5, rounds // 3), three),
            *((("docker run", docker, rounds, two), ("podman run", pod, rounds, two)) if not chosen.shim else ()),
        ]:
            print(row(what, measure(call, times, names)), flush=True)
        print(flush=True)
        for line in bench_shim.report(ground, three, rounds, chosen.picture):
            print(line, flush=True)


if __name__ == "__main__":
    main()
