"""Actions of each library in libraries/, and their effects: python integration/hostile/findings.py [NAME...]

The program (look.c) prints everything that it can read about how it was started. With hardened it must print the same
as without a library, or not start; with the legacy order it mostly prints something else.
"""

import fcntl
import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scene import PYRUNC, TOP, own_cgroups

import build

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem for path in (HERE / "libraries").glob("*.c"))
STREAMS = {
    **dict.fromkeys(("offsets", "file_locks", "offset_of_copy"), "file"),
    **dict.fromkeys(("terminal_settings", "window_size", "foreground", "takes_terminal", "types"), "terminal"),
}
"""The kind of standard streams, for libraries that change them; a pipe otherwise."""
INPUT = b"some input\n"
NEVER = ("freezes", "stops_itself", "spins", "traceme", "watches")
"""Libraries that never return: legacy waits for them, and may be frozen or stopped with them."""
NAME = (os.uname().nodename, Path("/proc/sys/kernel/domainname").read_text())
"""The hostname and the domain name."""
SAME, REFUSED, DIFFERENT = "as without it", "not started", "reaches the program"


@dataclass
class Outcome:
    """The result of one container: its program's output, pyrunc's exit status and messages, leftovers on the host."""

    printed: list[str]
    status: int
    said: str
    left: set[str]

    def verdict(self, plain: "Outcome") -> str:
        """Returns SAME, REFUSED or DIFFERENT, compared with the ``plain`` outcome."""
        if self.status != 0 and not self.printed and self.said:
            return REFUSED
        return SAME if (self.printed, self.status) == (plain.printed, plain.status) else DIFFERENT

    def difference(self, plain: "Outcome") -> list[str]:
        """Returns the lines that only one of the outcomes has."""
        mine, others = set(self.printed), set(plain.printed)
        return sorted([f"+ {line}" for line in mine - others] + [f"- {line}" for line in others - mine])


class Place:
    """Bundle and libraries in ``directory``."""

    def __init__(self, directory: Path, names: list[str]) -> None:
        self.directory = directory
        self.bundle = directory / "bundle"
        self.without = ""
        """The counter-measure to take out (mutated.py)."""
        rootfs = self.bundle / "rootfs"
        for name in ("proc", "dev", "sys", "home"):
            (rootfs / name).mkdir(parents=True)
        (directory / "place").symlink_to(rootfs / "home")
        build.build_libraries(directory, names)
        shutil.copy(directory / "look", rootfs / "look")
        (self.bundle / "config.json").write_text(json.dumps(config()))

    def library(self, name: str) -> str:
        """Returns the path of one library."""
        return str(self.directory / f"{name}.so")

    def outcome(self, name: str, at: str = "exec", placement: str = "hardened", *more: str) -> Outcome:
        """Runs a container with library ``name``; without a library if it is empty."""
        words = ["--preload-lib", self.library(name), "--preload-at", at, "--placement", placement] if name else []
        # Legacy waits for the whole timeout if a library took away its terminal or its tracer.
        words += ["--preload-timeout", "1" if name in NEVER else "5" if placement == "legacy" else "30"]
        program = [sys.executable, str(HERE / "mutated.py"), self.without] if self.without and name else [PYRUNC]
        command = [*program, "--root", str(self.directory / "state"), "run", "-b", str(self.bundle)]
        with own_cgroups(f"pyrunc-findings-{os.getpid()}"):
            return self._outcome(
                name, [*command, *(words if name else []), "hostile"], STREAMS.get(name or "".join(more), "pipe")
            )

    def _outcome(self, name: str, command: list[str], kind: str) -> Outcome:
        before = host()
        with streams(kind, self.directory) as (given, read):
            process = subprocess.Popen(command, **given, stderr=subprocess.PIPE)
            try:
                said = process.communicate(timeout=60)[1].decode()
            except subprocess.TimeoutExpired:
                process.kill()
                said = process.communicate()[1].decode() + "\nDID NOT END"
            printed = read().decode("utf-8", "replace").replace("\r", "").splitlines()
        subprocess.run(
            [PYRUNC, "--root", str(self.directory / "state"), "delete", "--force", "hostile"],
            check=False,
            capture_output=True,
        )
        lines = [line for line in said.splitlines() if "this is a test mode" not in line]
        found = Outcome(printed, process.returncode, "\n".join(lines), host() - before)
        clean_host(found.left)
        return found


@contextmanager
def streams(kind: str, directory: Path) -> Iterator[tuple[dict, object]]:
    """Yields (standard input and output for Popen, function that reads the output after its end)."""
    if kind == "file":
        with open(directory / "input", "w+b") as source, open(directory / "output", "w+b") as target:
            source.write(INPUT * 20)
            source.flush()
            source.seek(0)
            yield {"stdin": source, "stdout": target}, (directory / "output").read_bytes
        return
    if kind == "terminal":
        ours, theirs = pty.openpty()
        os.write(ours, INPUT)

        def own_terminal() -> None:
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        yield {"stdin": theirs, "stdout": theirs, "preexec_fn": own_terminal}, lambda: drained(ours)
        os.close(theirs)
        os.close(ours)
        return
    source, into = os.pipe()
    out, target = os.pipe()
    os.write(into, INPUT)
    os.close(into)
    fcntl.fcntl(target, 1031, 1 << 17)  # F_SETPIPE_SZ: the pipe is read only at the end
    yield {"stdin": source, "stdout": target}, lambda: drained(out, target)
    os.close(source)
    os.close(out)


def drained(descriptor: int, writing: int = -1) -> bytes:
    """Reads everything that is available."""
    if writing >= 0:
        os.close(writing)
    os.set_blocking(descriptor, False)
    parts = []
    while True:
        try:
            part = os.read(descriptor, 1 << 16)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def config() -> dict:
    """Returns a config with limits, a filter and few capabilities, which a library may try to remove."""
    made = json.loads((TOP / "bundles" / "plain" / "config.json").read_text())
    made["process"].update(args=["/look"], terminal=False, env=["A=B"], cwd="/", oomScoreAdj=0)
    made["process"]["capabilities"] = {kind: ["CAP_KILL"] for kind in ("bounding", "effective", "permitted")}
    made["process"]["noNewPrivileges"] = True
    made["process"].pop("user", None)
    made["process"]["user"] = {"uid": 0, "gid": 0, "umask": 0o27}
    made["root"] = {"path": "rootfs", "readonly": True}
    made["hostname"] = "hostile"
    made["mounts"] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
    ]
    made["linux"]["resources"] = {
        "memory": {"limit": 64 << 20, "swap": 64 << 20},
        "pids": {"limit": 50},
        "cpu": {"quota": 50000, "period": 100000, "shares": 512},
        "devices": [{"allow": False, "access": "rwm"}],
    }
    made["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}],
    }
    made["linux"]["namespaces"] = [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]
    return made


def host() -> set[str]:
    """Returns possible leftovers of a library on the host."""
    found = {f"mount {line.split()[4]}" for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    found |= {f"file /dev/shm/{name}" for name in os.listdir("/dev/shm")}
    for kind in ("shm", "sem", "msg"):
        rows = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]
        found |= {f"{kind} {row.split()[0]} {row.split()[1]}" for row in rows}
    for path in Path("/sys/fs/cgroup").glob("*/release_agent"):
        found.add(f"{path}={path.read_text().strip()}")
    found |= {
        f"key {line.split()[0]}" for line in Path("/proc/keys").read_text().splitlines() if "pyrunc-hostile" in line
    }
    found |= limits_above()
    return found | {f"name {os.uname().nodename} {domain_name()}"}


def limits_above() -> set[str]:
    """Returns the limits of this process's cgroups, if they are the test's: the containers' cgroups are below them."""
    found = set()
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, name, path = line.split(":", 2)
        top = Path("/sys/fs/cgroup", name.removeprefix("name=") or "unified")
        top = top if top.exists() else Path("/sys/fs/cgroup")
        for file in ("pids.max", "cpu.shares", "cgroup.max.depth") if "/pyrunc-findings-" in path else ():
            if (limit := top / path.lstrip("/") / file).exists():
                found.add(f"{name}:{file}={limit.read_text().strip()}")
    return found


def domain_name() -> str:
    """Returns the NIS domain name, which setdomainname(2) sets."""
    return Path("/proc/sys/kernel/domainname").read_text().strip()


def clean_host(left: set[str]) -> None:
    """Removes what legacy and audit-lib have left."""
    for item in left:
        kind, _, rest = item.partition(" ")
        if kind == "mount":
            while subprocess.run(["umount", "-l", rest], check=False, capture_output=True).returncode == 0:
                pass  # one may lie on another
        elif kind == "file":
            Path(rest).unlink(missing_ok=True)
        elif kind in ("shm", "sem", "msg"):
            flag = {"shm": "-m", "sem": "-s", "msg": "-q"}[kind]
            subprocess.run(["ipcrm", flag, rest.split()[1]], check=False)
        elif kind == "name":
            Path("/proc/sys/kernel/hostname").write_text(NAME[0])
            Path("/proc/sys/kernel/domainname").write_text(NAME[1])
        elif "release_agent" in item:
            path = item.partition("=")[0]
            Path(path).write_text("\n")


def audited(library: str, at: str) -> list[str]:
    """Returns the findings of `audit-lib`."""
    command = [
        PYRUNC,
        "audit-lib",
        "--timeout",
        "1" if Path(library).stem in NEVER else "30",
        "--format",
        "json",
        "--preload-at",
        at,
        library,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = json.loads(done.stdout)["rows"] if done.stdout else []
    return [f"{row['subject']}: {row['verdict']}" for row in rows if row["verdict"] != "unchanged"]


@dataclass
class Result:
    """The result of one library: the findings of `audit-lib`, {way: verdict}, and differences or messages."""

    name: str
    named: list[str]
    verdicts: dict[str, str]
    details: dict[str, list[str]]

    @property
    def holds(self) -> bool:
        """True if audit-lib reports the action, and it reached no program with hardened."""
        hardened = [verdict for way, verdict in self.verdicts.items() if way.startswith("hardened")]
        return bool(self.named) and all(verdict in (SAME, REFUSED) for verdict in hardened)


def tried(at: Place, name: str) -> Result:
    """Tries one library in each combination."""
    plain = at.outcome("", "exec", "hardened", name)
    before = host()
    with own_cgroups(f"pyrunc-findings-{os.getpid()}"):
        named = audited(at.library(name), "exec") + audited(at.library(name), "init")
    result = Result(name, named, {}, {})
    result.named = list(dict.fromkeys(result.named))
    clean_host(host() - before)  # audit-lib does not isolate
    ways = [("hardened", "exec"), ("hardened", "init"), ("legacy", "exec"), ("legacy", "init")]
    for placement, moment in ways[:2] if name in NEVER or at.without else ways:
        found = at.outcome(name, moment, placement)
        way = f"{placement}/{moment}"
        result.verdicts[way] = found.verdict(plain)
        # pyrunc names such a file but leaves it, because it may belong to any program.
        named = {item for item in found.left if item.rpartition("/")[2] in found.said or "key " in item}
        if placement == "hardened" and found.left - named:
            result.verdicts[way] = f"stays on the host: {', '.join(sorted(found.left))}"
        elif placement == "hardened" and named and result.verdicts[way] == SAME:
            result.details[way] = [f"named: {', '.join(sorted(named))}"]
        result.details.setdefault(way, []).extend([*found.difference(plain)[:6], found.said])
    return result


def main() -> int:
    """Prints the table. Returns 0 if each action was reported, and none reached a program with hardened."""
    if os.environ.get("PYRUNC_FINDINGS") != "1":
        # Legacy loads in the caller's namespaces and session. In separate ones, its changes end with this process
        # (nice_autogroup would lower the priority of the caller's whole shell).
        os.environ["PYRUNC_FINDINGS"] = "1"
        os.execvp(
            "setsid", ["setsid", "--wait", "unshare", "--mount", "--uts", "--ipc", "--net", sys.executable, *sys.argv]
        )
    words = sys.argv[1:]
    without = words.pop(words.index("--without") + 1) if "--without" in words else ""
    names = [name for name in words if not name.startswith("-")] or NAMES
    results = []
    with tempfile.TemporaryDirectory(prefix="pyrunc-findings-") as directory:
        at = Place(Path(directory), names)
        at.without = without
        for name in names:
            results.append(tried(at, name))
            if "--json" not in sys.argv:
                print(row(results[-1]), flush=True)
    if "--json" in sys.argv:
        print(json.dumps([vars(result) for result in results], indent=1))
    return sum(not result.holds for result in results)


def row(result: Result) -> str:
    """Returns one line: the library, whether its action is reported, and the verdict of each combination."""
    ways = "  ".join(f"{way} {verdict}" for way, verdict in result.verdicts.items())
    named = "; ".join(result.named) or "NOT NAMED"
    return f"{result.name:<20} {ways}\n{'':<20} audit-lib: {named[:180]}"


if __name__ == "__main__":
    sys.exit(main())
