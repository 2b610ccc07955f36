"""Runs a process that loads a library (nsenter/probe/probe.c), and observes it before and after."""

import fcntl
import os
import resource
import signal
import socket
import struct
import sys
import termios
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyrunc.cgroup import host, paths
from pyrunc.cgroup.freezer import Freezer
from pyrunc.cgroup.manager import Cgroups
from pyrunc.cgroup.tree import tree
from pyrunc.errors import PyruncError
from pyrunc.hostile import leftovers
from pyrunc.hostile.changes import LIMITS, namespace, without_libc
from pyrunc.hostile.renamed import inodes, rename_back
from pyrunc.launch.helper import BINARIES
from pyrunc.linux.files import read
from pyrunc.linux.procfs import descendants, stat

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = f"{BINARIES}/pyrunc-probe"
CHANNEL, LIBRARY, REPORT = 3, 4, 5
"""The probe's descriptors (nsenter/probe/probe.c)."""
INPUT = b"standard input\n"
LINGER = 0.2
"""Seconds to watch a library that left a thread or a process, because these may act late."""
REFUSED_TRACING = 3
"""Exit status of a loading process that cannot be traced (nsenter/probe/load.c)."""

Snapshot = dict[str, str]
"""{subject: value}. A subject with a colon is one of several, such as ``cgroup: memory``."""


@dataclass
class Observation:
    """The result of an observation. ``lines``: the probe's report, split into fields. ``after`` is empty if the process
    ended before its second snapshot."""

    before: Snapshot = field(default_factory=dict)
    after: Snapshot = field(default_factory=dict)
    lines: list[list[str]] = field(default_factory=list)
    outcome: str = ""
    milliseconds: float = 0.0
    output: str = ""
    cgroups_made: list[str] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    loader: int = 0
    complete: bool = True
    """Whether the process reported its state after loading."""
    eaten: int = 0
    """Bytes of standard input that were read."""

    def values(self, when: str) -> list[tuple[str, str]]:
        """Returns (key, value) of what the process reported about itself, ``before`` or ``after``."""
        return [(line[1], line[2]) for line in self.lines if line[0] == when and len(line) == 3]


def observe(library: int, path: str, timeout: float, at: str = "init", linger: float = LINGER) -> Observation:
    """Loads the library at ``path``, which is open as ``library``, in at most ``timeout`` seconds. ``at``: ``init``
    (dlopen(3)) or ``exec`` (LD_PRELOAD). Removes everything that it left running. Raises PyruncError if it cannot be
    traced."""
    seen = Observation()
    children = descendants(os.getpid())
    report, output = sealed_file("report"), sealed_file("output")
    given, into = os.pipe2(os.O_CLOEXEC)
    os.write(into, INPUT)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # LD_PRELOAD cannot contain a path with a colon or a space (ld.so(8)).
    name = f"/proc/self/fd/{LIBRARY}" if at == "exec" and set(path) & set(": ;$%") else path
    try:
        with leftovers.coming_to_us(), _own_cgroups(seen) as cgroups:
            places = {CHANNEL: theirs.fileno(), LIBRARY: library, REPORT: report, 0: given, 1: output, 2: output}
            tracer = _spawn(places, at, name)
            theirs.close()
            try:
                loader = _converse(ours, cgroups, seen, timeout, linger)
                left = descendants(os.getpid()) - children - {tracer, loader}
                seen.running = sorted(pid for pid in left if stat(pid)[0] not in ("", "Z", "X"))
            finally:
                if cgroups is not None:
                    Freezer(cgroups.dirs).thaw()  # a process that froze itself cannot be killed
                # The kernel ends the traced processes with their tracer (PTRACE_O_EXITKILL).
                os.kill(tracer, signal.SIGKILL)
                os.waitpid(tracer, 0)
                leftovers.kill(lambda: descendants(os.getpid()) - children)
        seen.lines = [line.split("\t") for line in _text(report).splitlines()]
        seen.output = _text(output)
        seen.eaten = len(INPUT) - _waiting(given)
        _conclude(seen, timeout)
        return seen
    finally:
        for descriptor in (report, output, given, into):
            os.close(descriptor)
        ours.close()
        theirs.close()


def _waiting(descriptor: int) -> int:
    """Returns how many bytes can be read from a pipe."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


def sealed_file(name: str) -> int:
    """Returns a memfd that can grow but not shrink, so that nothing in it can be removed."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return descriptor


@contextmanager
def _own_cgroups(seen: Observation) -> "Iterator[Cgroups | None]":
    """Yields cgroups for the process alone. Only from cgroups of its own can a move be observed."""
    if os.geteuid() != 0:
        yield None
        return
    found = host.discover()
    cgroups = Cgroups(paths.resolve(found, "", f"pyrunc-audit-{os.getpid()}"))
    cgroups.create()
    known = inodes(cgroups.dirs.values())
    try:
        yield cgroups
    finally:
        rename_back(known)  # a renamed cgroup would not be removed
        seen.cgroups_made = sorted(path for top in cgroups.dirs.values() for path in tree(top) if path != top)
        cgroups.kill_all(signal.SIGKILL)
        cgroups.remove()


def _spawn(places: dict[int, int], at: str, path: str) -> int:
    """Starts the probe with descriptors at ``places``, in this process's environment, on which a library may depend."""
    high = {place: os.dup(descriptor) for place, descriptor in places.items()}
    lifted = {place: _above(descriptor) for place, descriptor in high.items()}
    try:
        actions = [(os.POSIX_SPAWN_DUP2, descriptor, place) for place, descriptor in lifted.items()]
        return os.posix_spawn(PROGRAM, ["pyrunc-probe", at, path], os.environ, file_actions=actions)
    except OSError as error:
        raise PyruncError(
            f"{PROGRAM}: {(error.strerror or '').lower()}: pyrunc's probe is not built (make build)"
        ) from None
    finally:
        for descriptor in lifted.values():
            os.close(descriptor)


def _above(descriptor: int) -> int:
    """Moves the descriptor to a number above all places."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 64)
    os.close(descriptor)
    return moved


def _converse(channel: socket.socket, cgroups: Cgroups | None, seen: Observation, timeout: float, linger: float) -> int:
    """Talks to the probe from its first message about the loading process until that process has ended or ``timeout``
    has passed. Returns the process's pid."""
    channel.settimeout(timeout)
    message = channel.recv(64)
    if len(message) < 5:
        raise PyruncError("the process that loads cannot be traced (ptrace(2), seccomp(2)): nothing is known of it")
    pid: int = struct.unpack("i", message[1:5])[0]
    seen.loader, seen.complete = pid, False
    if cgroups is not None:
        cgroups.place(pid)
    seen.before = snapshot(pid)
    channel.send(b"G")
    try:
        message = channel.recv(64)
        if message[:1] == b"A":
            seen.complete = True
            if seen.before["threads"] != read_status(pid).get("Threads") or descendants(pid):
                time.sleep(linger)
            seen.after = snapshot(pid)
            channel.send(b"G")
            channel.recv(64)
    except TimeoutError:
        seen.outcome = f"did not come back within {timeout:g} s"
        if seen.after:
            seen.outcome = f"did not end within {timeout:g} s"
        else:
            seen.after = snapshot(pid)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the tracer has ended; its report says how far it came
    return pid


def _conclude(seen: Observation, timeout: float) -> None:
    """Derives the outcome from the probe's report. An abnormal end is always reported as such."""
    ended = next((int(line[1]) for line in seen.lines if line[0] == "ended"), None)
    for line in seen.lines:
        if line[0] == "loaded":
            seen.milliseconds = int(line[1]) / 1e6
            seen.outcome = seen.outcome or "loaded"
        elif line[0] == "failed":
            seen.outcome = f"cannot be loaded: {line[1]}"
    refused = next((line for line in seen.output.splitlines() if "cannot be preloaded" in line), "")
    if refused:
        seen.outcome = f"cannot be loaded: {refused.removeprefix('ERROR: ld.so: ')}"
    if ended is None:
        if seen.outcome in ("", "loaded"):
            seen.outcome = "ended the process that watched it"
    elif os.WIFSIGNALED(ended):
        number = os.WTERMSIG(ended)
        seen.outcome = f"crashed: signal {number} ({signal.strsignal(number)})"
    elif not seen.after or os.WEXITSTATUS(ended) != 0:
        seen.outcome = f"ended the process: exit status {os.WEXITSTATUS(ended)}"


def _text(descriptor: int) -> str:
    return os.pread(descriptor, 1 << 24, 0).decode("utf-8", "replace")


def read_status(pid: int) -> dict[str, str]:
    """Returns the fields of /proc/PID/status."""
    rows = (line.partition(":") for line in read(f"/proc/{pid}/status").decode().splitlines())
    return {key: " ".join(value.split()) for key, _, value in rows}


STATUS = {
    "Threads": "threads",
    "Umask": "umask",
    "SigBlk": "signal mask",
    "SigIgn": "ignored signals",
    "SigCgt": "signal handlers",
    "Uid": "user ids",
    "Gid": "group ids",
    "Groups": "groups",
    "NoNewPrivs": "no_new_privs",
    "Seccomp_filters": "seccomp filters",
    "CapInh": "capabilities: inheritable",
    "CapPrm": "capabilities: permitted",
    "CapEff": "capabilities: effective",
    "CapBnd": "capabilities: bounding",
    "CapAmb": "capabilities: ambient",
    "THP_enabled": "huge pages",
    "VmRSS": "memory",
}
"""{line of /proc/PID/status: its subject}."""


def snapshot(pid: int) -> Snapshot:
    """Returns everything about ``pid`` that can be observed from outside."""
    status = read_status(pid)
    seen = {
        word: without_libc(status[key]) if key.startswith("Sig") else status[key]
        for key, word in STATUS.items()
        if key in status
    }
    seen |= {f"cgroup: {name or 'cgroup2'}": path for name, path in host.paths_of(pid).items()}
    for name in sorted(os.listdir(f"/proc/{pid}/ns")):
        seen[f"namespace: {name}"] = namespace(pid, name)
    seen["working directory"] = os.readlink(f"/proc/{pid}/cwd")
    seen["root directory"] = os.readlink(f"/proc/{pid}/root")
    for name in LIMITS:
        soft, hard = resource.prlimit(pid, getattr(resource, name))
        seen[f"limit: {name}"] = f"{_limit(soft)}:{_limit(hard)}"
    seen["nice"] = str(os.getpriority(os.PRIO_PROCESS, pid))
    seen["scheduler"] = str(os.sched_getscheduler(pid))
    seen["processors"] = ",".join(map(str, sorted(os.sched_getaffinity(pid))))
    seen["oom score"] = read(f"/proc/{pid}/oom_score_adj").decode().strip()
    for number, target in sorted(_descriptors(pid).items()):
        seen[f"descriptor: {number}"] = target
    for line in read(f"/proc/{pid}/mountinfo").decode("utf-8", "replace").rstrip("\n").split("\n"):
        fields = line.split()
        if len(fields) < 6:
            continue  # after chroot(2) there may be no visible mount
        seen[f"mount: {fields[4]}"] = f"{line.partition(' - ')[2].partition(' ')[0]} {fields[5]}"
    try:
        seen["personality"] = read(f"/proc/{pid}/personality").decode().strip()
    except OSError:
        pass  # not every kernel shows it
    return seen


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def _descriptors(pid: int) -> dict[int, str]:
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            flags = int(read(f"/proc/{pid}/fdinfo/{name}").split(b"flags:")[1].split()[0], 8)
        except OSError:
            continue
        found[int(name)] = target if flags & os.O_CLOEXEC else f"{target} (without CLOEXEC)"
    return found
