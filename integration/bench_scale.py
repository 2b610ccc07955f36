"""How the time of a `run` scales: with containers on the host, with the size of a config, and without a v2 hierarchy.

Used by bench.py. Short: up to 10 containers and 100 mounts; whole: up to 500 and 1000.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench_runtime import Failed, Runtime, in_turn, run, write_bundle

CONTAINERS = {"short": (1, 10), "whole": (1, 10, 100, 500)}
"""Numbers of running containers of each runtime."""
MOUNTS = {"short": (10, 100), "whole": (10, 100, 1000)}
RULES = 1000
AT_ONCE = 4
UNIFIED = Path("/sys/fs/cgroup/unified")


def rows(runtimes: list[Runtime], directory: Path, scale: str, rounds: int) -> dict[str, dict[str, float]]:
    """{operation: {runtime: median in ms}}. ``scale``: ``short`` or ``whole``."""
    found = {}
    for count in MOUNTS[scale]:
        found[f"run, {count} mounts"] = with_config(runtimes, directory / f"mounts-{count}", mounts(count), rounds)
    found[f"run, {RULES} seccomp rules"] = with_config(runtimes, directory / "rules", seccomp(RULES), rounds)
    with ExitStack() as stack:
        there = 0
        for count in CONTAINERS[scale]:
            for runtime in runtimes:
                start(runtime, count - there, stack)
            there = count
            found[f"run, beside {count}"] = in_turn(runtimes, run, rounds)
    with v1_alone() as refusal:
        if refusal:
            print(f"without the row v1 alone: {refusal}\n")
        else:
            found["run, v1 alone"] = in_turn(runtimes, run, rounds)
    return found


def with_config(
    runtimes: list[Runtime], bundle: Path, change: Callable[[dict[str, Any]], None], rounds: int
) -> dict[str, float]:
    """{runtime: median in ms} of a `run` with the changed config."""
    write_bundle(bundle, ["/bin/true"], change)
    return in_turn(runtimes, lambda runtime: run(runtime, bundle), rounds)


def mounts(count: int) -> Callable[[dict[str, Any]], None]:
    """Adds ``count`` mounts, in a tmpfs, because the root is read-only and the runtime makes the mount points."""

    def change(config: dict[str, Any]) -> None:
        tmpfs = {"type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=65536k"]}
        config["mounts"].append({"destination": "/tmp", **tmpfs})
        config["mounts"] += [{"destination": f"/tmp/{number}", **tmpfs} for number in range(count - 1)]

    return change


def seccomp(count: int) -> Callable[[dict[str, Any]], None]:
    """Sets a profile with ``count`` rules, each for one value of an argument."""

    def change(config: dict[str, Any]) -> None:
        config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {
                    "names": ["personality"],
                    "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 0, "value": 4096 + number, "op": "SCMP_CMP_EQ"}],
                }
                for number in range(count)
            ],
        }

    return change


def start(runtime: Runtime, count: int, stack: ExitStack) -> None:
    """Leaves ``count`` more containers running until the end of ``stack``."""
    while count > 0:
        names = [runtime.new_id() for _ in range(min(count, AT_ONCE))]
        for name in names:
            stack.callback(runtime.status, "delete", "--force", name)
        processes = [runtime.begin("run", "-d", "-b", str(runtime.sleeping), name) for name in names]
        for failure in [process.failure() for process in processes]:
            if failure:
                raise Failed(failure)
        count -= len(names)


@contextmanager
def v1_alone() -> Iterator[str]:
    """Unmounts the host's v2 hierarchy for the block. Yields why that is not possible, or an empty string."""
    if not os.path.ismount(UNIFIED):
        yield f"{UNIFIED} is no hierarchy"
        return
    if Path("/proc/self/ns/mnt").readlink() == Path(f"/proc/{os.getppid()}/ns/mnt").readlink():
        yield "the mount namespace is our caller's, too (unshare --mount)"
        return
    done = subprocess.run(["umount", UNIFIED], check=False, capture_output=True, text=True)
    if done.returncode:
        yield done.stderr.strip()
        return
    try:
        yield ""
    finally:
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", UNIFIED], check=True)
