"""The cost of a shim: time of its calls, CPU time of everything that it starts, memory. Used by bench.py.

Compares pyrunc's own shim, and containerd-shim-runc-v2 with runc and with pyrunc.
"""

import os
import signal
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctr import Ctr
from ground import CONTAINERD, GO_SHIM, IMAGE, NATIVE, RUNTIMES, SHIM, Ground, wait_for
from pod import ROOTFS, Pod

HUNDRED = 100
IN_POD = 10
THOUSAND = 1000
NAMES = {NATIVE: "pyrunc's shim", "pyrunc": "pyrunc", "runc": "runc"}
COLOURS = ("#1971c2", "#f08c00", "#2f9e44", "#ae3ec9", "#e03131", "#868e96")
WRAPPER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <string.h>
int main(int argc, char **argv) {
    const char *words[] = {"start", "create", "delete", "state", "kill"};
    char what[64] = "";
    int forced = 0;
    for (int i = 1; i < argc; i++) {
        for (int j = 0; j < 5; j++)
            if (!what[0] && strcmp(argv[i], words[j]) == 0) strcpy(what, words[j]);
        forced |= strcmp(argv[i], "--force") == 0;
    }
    pid_t child = fork();
    if (child == 0) { execv(REAL, argv); _exit(127); }
    struct rusage usage;
    int status;
    wait4(child, &status, 0, &usage);
    char line[128];
    int length = snprintf(line, sizeof line, "%s%s %ld\n", what, forced ? " --force" : "",
        (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    int log = open(LOG, O_WRONLY | O_APPEND | O_CREAT, 0644);
    (void)!write(log, line, length);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
"""
"""Executes REAL, and records in LOG its arguments and its CPU time in microseconds."""


@contextmanager
def running(tool: Ctr, name: str = "c", *options: str) -> Iterator[None]:
    """A container that runs during the block."""
    tool.start(name, *options)
    try:
        yield
    finally:
        tool.call("tasks", "kill", "-s", "SIGKILL", name)
        wait_for(lambda: tool.status(name) == "STOPPED", f"{name} to stop")
        tool.call("tasks", "delete", name)
        tool.call("containers", "delete", name)


def shims(ground: Ground) -> list[int]:
    """Returns the host's pids of the shims in ``ground``."""
    space = os.readlink(f"/proc/{ground.holder}/ns/pid")
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (
                os.readlink(entry / "ns" / "pid") == space
                and b"containerd-shim-" in (entry / "cmdline").read_bytes().split(b"\0")[0]
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def memory(pid: int) -> dict[str, int]:
    """KiB by name: Rss, Pss, Private_Dirty."""
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) == 3}


def of_one_container(ground: Ground, runtime: str) -> dict[str, int]:
    """Returns the memory of an idle shim with one container."""
    tool = Ctr(ground, runtime)
    with running(tool):
        return rested(ground)


def rested(ground: Ground) -> dict[str, int]:
    (pid,) = shims(ground)
    seen = [memory(pid)]

    def still() -> bool:
        seen.append(memory(pid))
        return len(seen) > 3 and seen[-1]["Rss"] == seen[-3]["Rss"] and len(seen) > 200

    wait_for(still, "its memory to come to rest", 30)
    return seen[-1]


def of_a_pod(ground: Ground, runtime: str) -> dict[str, int]:
    """Memory of a shim with ten containers."""
    tool = Ctr(ground, runtime)
    names = [f"c{number}" for number in range(IN_POD)]
    try:
        for name in names:
            tool.start(name, "--annotation", "io.containerd.runc.v2.group=pod")
        return rested(ground)
    finally:
        for name in names:
            tool.call("tasks", "kill", "-s", "SIGKILL", name)
        for name in names:
            wait_for(lambda name=name: tool.status(name) == "STOPPED", f"{name} to stop")
            tool.call("tasks", "delete", name)
            tool.call("containers", "delete", name)


class Accounting:
    """CPU time of the processes that containerd started, except containers: that of its cgroup minus its own."""

    def __init__(self, ground: Ground) -> None:
        self.pid = next(pid for pid, words in outside(ground) if words.startswith(f"{CONTAINERD} "))
        self.directory = Path(f"/sys/fs/cgroup/cpuacct/{ground.name}-accounting")
        if not self.directory.parent.exists():
            self.directory = Path(f"/sys/fs/cgroup/{ground.name}-accounting")
        self.directory.mkdir()
        (self.directory / "cgroup.procs").write_text(str(self.pid))

    def taken(self) -> float:
        """Milliseconds until now."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        own = sum(map(int, fields[11:13])) * 1000 / os.sysconf("SC_CLK_TCK")
        legacy = self.directory / "cpuacct.usage"
        if legacy.exists():
            return int(legacy.read_text()) / 1e6 - own
        stat = dict(line.split() for line in (self.directory / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e3 - own

    def end(self) -> None:
        (self.directory.parent / "cgroup.procs").write_text(str(self.pid))
        wait_for(lambda: not (self.directory / "cgroup.procs").read_text().strip(), "the cgroup to be empty")
        self.directory.rmdir()


def outside(ground: Ground) -> list[tuple[int, str]]:
    """Returns the host's pids and the command lines of the processes in ``ground``'s pid namespace."""
    space = os.readlink(f"/proc/{ground.holder}/ns/pid")
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "ns" / "pid") == space:
                found.append((int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()))
        except OSError:
            continue
    return found


def cpu_time(ground: Ground, runtimes: list[str]) -> dict[str, float]:
    """Returns the CPU milliseconds of shims and runtimes per `ctr run`, from a hundred runs, in turns of ten."""
    accounting = Accounting(ground)
    taken = dict.fromkeys(runtimes, 0.0)
    try:
        for _ in range(HUNDRED // 10):
            for runtime in runtimes:
                tool = Ctr(ground, runtime)
                before = accounting.taken()
                for _ in range(10):
                    tool.ok("run", "--rm", *tool.flags(), IMAGE, "c", "true")
                wait_for(lambda: not shims(ground), "the last shim's end")
                taken[runtime] += accounting.taken() - before
    finally:
        accounting.end()
    return {runtime: milliseconds / HUNDRED for runtime, milliseconds in taken.items()}


def parts(ground: Ground, runtime: str) -> dict[str, float]:
    """Returns the CPU milliseconds of each program that one `ctr run` executes, the median of ten.

    A wrapper around each program waits for it and records its CPU time (wait4(2)).
    """
    directory = ground.directory / f"parts-{runtime}"
    directory.mkdir()
    shim = SHIM if runtime == NATIVE else GO_SHIM
    programs = {"shim": (shim, ground.directory / "bin" / shim.name)}
    if runtime != NATIVE:
        programs["runtime"] = (Path(RUNTIMES[runtime]), directory / "runtime")
    (directory / "wrapper.c").write_text(WRAPPER)
    for name, (real, path) in programs.items():
        path.unlink(missing_ok=True)
        defines = [f'-DREAL="{real}"', f'-DLOG="{directory}/{name}.log"']
        subprocess.run(["gcc", "-O1", *defines, "-o", str(path), str(directory / "wrapper.c")], check=True)
    tool = Ctr(ground, runtime)
    flags = tool.flags() if runtime == NATIVE else [*tool.flags()[:-1], str(directory / "runtime")]
    for _ in range(10):
        tool.ok("run", "--rm", *flags, IMAGE, "c", "true")
        wait_for(lambda: not shims(ground), "the shim's end")
    found: dict[str, list[float]] = {}
    for name in programs:
        for line in (directory / f"{name}.log").read_text().splitlines():
            what, _, microseconds = line.rpartition(" ")
            found.setdefault(f"{name} {what}", []).append(int(microseconds) / 1000)
    for real, path in programs.values():  # containerd caches the path of a shim
        path.unlink()
        path.symlink_to(real)
    taken = {what: statistics.median(values) * len(values) / 10 for what, values in found.items()}
    if "runtime delete --force" in taken:  # the shim has waited for it, so its own time includes it
        taken["shim delete"] -= taken["runtime delete --force"]
    return taken


def picture(taken: dict[str, float], of: dict[str, dict[str, float]]) -> str:
    """Returns an SVG with one bar for each runtime: the CPU time of its programs, and the rest, the resident shim's."""
    scale, y, body = 440 / max(taken.values()), 46, []
    for runtime, whole in taken.items():
        body.append(f'<text x="132" y="{y + 16}" text-anchor="end">{NAMES[runtime]}</text>')
        x, rest = 140.0, max(0.0, whole - sum(of[runtime].values()))
        for number, (what, value) in enumerate([*of[runtime].items(), ("the resident shim", rest)]):
            colour = COLOURS[number % len(COLOURS)]
            body.append(f'<rect x="{x:.1f}" y="{y}" width="{value * scale:.1f}" height="22" fill="{colour}"/>')
            place = f'x="{140 + number % 3 * 165}" y="{y + 38 + number // 3 * 14}" font-size="10"'
            body.append(f'<text {place} fill="{colour}">{what}: {value:.1f} ms</text>')
            x += value * scale
        body.append(f'<text x="{x + 6:.1f}" y="{y + 16}">{whole:.1f}</text>')
        y += 82
    title = (
        '<text x="140" y="24" font-size="14">CPU time of one ctr run, ms, without containerd and the container</text>'
    )
    size = f'width="660" height="{y}" viewBox="0 0 660 {y}" font-family="sans-serif" font-size="12"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect width="100%" height="100%" fill="#fff"/>{title}{"".join(body)}</svg>\n'


def growth(ground: Ground) -> dict[str, tuple[int, int]]:
    """Returns the growth of pyrunc's shim, (KiB of private dirty memory, descriptors), after many execs, and after many
    containers, compared with after the first twenty of them."""
    pod = Pod(ground, "growth")
    (ground.directory / pod.group).mkdir()
    found = {}
    try:
        link = pod.run("growth-a", "exec sleep 100000")
        (pid,) = shims(ground)

        def now() -> tuple[int, int]:
            return rested(ground)["Private_Dirty"], len(os.listdir(f"/proc/{pid}/fd"))

        def one_exec(number: int) -> None:
            pod.exec(link, "growth-a", f"e{number}", ["true"])
            link.call("Start", id="growth-a", exec_id=f"e{number}")
            link.call("Wait", id="growth-a", exec_id=f"e{number}")
            link.call("Delete", id="growth-a", exec_id=f"e{number}")

        bundle = pod.bundle("growth-b", ["true"])

        def one_container(number: int) -> None:
            link.call(
                "Create",
                id="growth-b",
                bundle=str(bundle),
                rootfs=[{"type": "bind", "source": str(ROOTFS), "options": ["bind"]}],
            )
            link.call("Start", id="growth-b")
            link.call("Wait", id="growth-b")
            link.call("Delete", id="growth-b")

        for what, once in (("execs", one_exec), ("containers", one_container)):
            for number in range(20):
                once(number)
            before = now()
            for number in range(THOUSAND):
                once(number)
            after = now()
            found[what] = (after[0] - before[0], after[1] - before[1])
        link.call("Kill", id="growth-a", signal=signal.SIGKILL)
        link.call("Wait", id="growth-a")
        link.call("Delete", id="growth-a")
    finally:
        pod.end()
    return found


def report(ground: Ground, runtimes: list[str], rounds: int, drawing: Path) -> Iterator[str]:
    """Lines of the tables; the picture goes to ``drawing``."""
    yield "| a shim's | " + " | ".join(runtimes) + " |"
    yield "|---" * (len(runtimes) + 1) + "|"
    taken = cpu_time(ground, runtimes)
    drawing.write_text(picture(taken, {runtime: parts(ground, runtime) for runtime in runtimes}))
    yield "| CPU time of shims and runtimes, ms a `ctr run` | " + " | ".join(f"{taken[r]:.1f}" for r in runtimes) + " |"
    for what, measure in (("one container", of_one_container), (f"{IN_POD} containers", of_a_pod)):
        seen = {runtime: [measure(ground, runtime) for _ in range(min(3, rounds))] for runtime in runtimes}
        for name in ("Rss", "Pss", "Private_Dirty"):
            cells = (f"{statistics.median(one[name] for one in seen[r]) / 1024:.1f}" for r in runtimes)
            yield f"| {name}, MiB, {what} | " + " | ".join(cells) + " |"
    grown = growth(ground)
    yield ""
    for what, (kib, descriptors) in grown.items():
        yield f"pyrunc's shim after {THOUSAND} {what}: {kib:+d} KiB private dirty, {descriptors:+d} descriptors"
