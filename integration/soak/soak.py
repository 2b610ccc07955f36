"""Creates and deletes containers under attack: `make soak` (SOAK_SECONDS), and some seconds of it in `make test`.

Each life ends with the same check (Life.check): no process, cgroup, mount, namespace, or state is left after
`delete --force`, and each failure was reported in one line. Prints a line for each failure, and the figures as JSON.
"""

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness import PYRUNC, TOP, Box, cgroups_of, namespace, user_namespace, wait_for

SUPPORT = TOP / "integration" / "support"
ERRORS = ("ENOMEM", "EMFILE", "ENOSPC", "EINTR", "EAGAIN")
EVERY = 60.0
"""Seconds between two lines of figures."""
LOADER = re.compile(
    r"^([^\n]*: error while loading shared libraries: |cannot (allocate TLS|set up thread-local))[^\n]*\n", re.MULTILINE
)
"""glibc's message if it fails before main (elf/rtld.c, csu/libc-tls.c)."""
WITHIN = 60.0
"""Seconds that a command may take under any attack."""


class Left(AssertionError):
    """A leftover, or a wrong report."""


class Life:
    """One container, its box, and the attack on it."""

    def __init__(self, box: Box, what: str, rng: random.Random) -> None:
        self.box, self.what, self.rng = box, what, rng
        self.seen: list[tuple[int, str]] = []

    def config(self, config: dict[str, Any]) -> None:
        """Makes the config one of a few kinds, at random."""
        if self.rng.random() < 0.3:
            user_namespace(config)
        if self.rng.random() < 0.5:
            namespace(config, "cgroup")
        if self.rng.random() < 0.5:
            config["linux"]["resources"]["pids"] = {"limit": 20}
        if self.rng.random() < 0.3:
            config["hooks"] = {"createRuntime": [{"path": "/bin/true"}], "poststop": [{"path": "/bin/true"}]}
        if self.rng.random() < 0.2:
            spaces = config["linux"]["namespaces"]
            spaces[:] = [space for space in spaces if space["type"] not in ("pid", "user")]
            config["linux"].pop("uidMappings", None), config["linux"].pop("gidMappings", None)

    def inject(self, role: str, number: int, error: str, *words: str) -> tuple[dict[str, Any], str]:
        """Runs inject_at.py; returns (its report, pyrunc's messages)."""
        said = self.command([sys.executable, str(SUPPORT / "inject_at.py"), role, str(number), error, PYRUNC], *words)[
            1
        ]
        text, _, told = said.rpartition('{"calls"')
        result: dict[str, Any] = json.JSONDecoder().raw_decode('{"calls"' + told)[0]
        self.seen += [(pid, started) for pid, started in result["seen"]]
        return result, text

    def command(self, program: list[str], *words: str, **settings: Any) -> tuple[int, str]:
        """Runs pyrunc by ``program``; returns (exit status, standard error). Raises Left if it takes too long."""
        with tempfile.TemporaryFile() as errors:
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": errors}
            try:
                done = subprocess.run(
                    [*program, "--root", str(self.box.root), *words], timeout=WITHIN, **quiet, **settings
                )
            except subprocess.TimeoutExpired:
                raise Left(f"{words[0]} runs for more than {WITHIN:.0f} s") from None
            errors.seek(0)
            return done.returncode, errors.read().decode("utf-8", "replace")

    def one_line(self, status: int | None, said: str) -> None:
        """Checks that a failure is reported in one line; warnings may precede it."""
        said, loaders = LOADER.subn("", said, count=1)
        if status == 127 and loaders and not said:
            return  # the dynamic loader's message, before pyrunc runs; that of the helper's C library precedes pyrunc's
        lines = [line for line in said.splitlines() if " level=warning " not in line]
        if status and status > 0 and (len(lines) != 1 or not lines[0].startswith("pyrunc: ") or "internal" in lines[0]):
            raise Left(f"exit status {status}, and {len(lines)} lines: {said[:2000]!r}")

    def check(self, name: str) -> None:
        """Checks that `delete --force` succeeds and leaves nothing."""
        done = self.box.call("delete", "--force", name)
        if done.returncode:
            raise Left(f"delete --force: {done.stderr}")
        try:
            wait_for(lambda: not self.running(), "its processes to end", 5)
        except AssertionError:
            raise Left(f"processes: {self.running()}") from None
        if found := cgroups_of(name):
            raise Left(f"cgroups: {found}")
        if (self.box.root / name).exists():
            raise Left(f"state: {os.listdir(self.box.root / name)}")
        if str(self.box.directory) in Path("/proc/self/mountinfo").read_text():
            raise Left("a mount")

    def running(self) -> list[int]:
        return [pid for pid, started in self.seen if alive(pid, started)]


def alive(pid: int, start_time: str) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[19] == start_time and fields[0] != "Z"


class Soak:
    """The figures and the attacks."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.figures: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.failures: list[str] = []
        self.count = 0
        self.stopped = False
        self.totals: dict[tuple[str, str], int] = {}
        """{(command, role): system calls that it makes}."""

    def told(self) -> dict[str, Any]:
        """Returns the figures."""
        by_call = dict(sorted(self.injected.items()))
        return {**self.figures, "failures": len(self.failures), "injected by call": by_call}

    def stop(self, *_: object) -> None:
        """Stops after the current life."""
        self.stopped = True

    @contextmanager
    def life(self, what: str) -> Iterator[Life]:
        """Runs a life. Its failure is counted, and does not end the soak."""
        directory = Path(tempfile.mkdtemp(prefix="pyrunc-soak-"))
        box = Box(directory)
        self.count = box.count = self.count + 1000  # ids are never reused
        life = Life(box, what, self.rng)
        try:
            yield life
            box.close()
            self.figures["lives"] += 1
        except (AssertionError, subprocess.SubprocessError, ValueError, OSError) as error:
            line = f"{life.what}: {type(error).__name__}: {' '.join(str(error).split())[:2500]}"
            self.failures.append(line)
            print("FAILED", line, flush=True)
            for name in box.ids:
                subprocess.run([PYRUNC, "--root", box.root, "delete", "--force", name], capture_output=True)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    # -- the attacks -------------------------------------------------------------------------------------------

    def prepared(self, life: Life, command: str) -> tuple[str, list[str]]:
        """Prepares the container for a command; returns (id, words of the command)."""
        if command in ("create", "run"):
            name = life.box.new_id()
            script = "sleep 100" if command == "create" else "true"
            return name, [command, "-b", str(life.box.bundle(script, life.config)), name]
        if command == "start":
            return (name := life.box.create("sleep 100", life.config)), ["start", name]
        name = life.box.start("sleep 100", life.config)
        if command == "exec":
            return name, ["exec", name, "true"]
        return name, ["delete", "--force", name]

    def calls(self, command: str, role: str) -> int:
        """Returns how many system calls a role makes in the command, counted once."""
        if (command, role) not in self.totals:
            with self.life(f"count {command}") as life:
                name, words = self.prepared(life, command)
                told = life.inject("pyrunc", 0, "EAGAIN", *words)[0]
                for each, count in told["calls"].items():
                    self.totals[command, each] = count
                life.check(name)
        return self.totals.get((command, role), 0)

    def fail_a_call(self, error: str = "") -> None:
        """Makes one system call of pyrunc, of the helper, or of init fail, or kills the process there."""
        command = self.rng.choice(["create", "run", "start", "exec", "delete"])
        role = self.rng.choice(
            ["pyrunc", "pyrunc", "helper", "init"] if command in ("create", "run", "exec") else ["pyrunc"]
        )
        total = self.calls(command, role)
        number = self.rng.randint(1, max(1, total))
        error = error or self.rng.choice(ERRORS)
        with self.life(f"{error} at call {number} of {role} in {command}") as life:
            name, words = self.prepared(life, command)
            result, said = life.inject(role, number, error, *words)
            if not result["at"]:
                self.figures["too late"] += 1
            life.what += f" (system call {result['at']})"
            # pyrunc cannot report its own end, and reports no program's end, whose status `run` and `exec` return;
            # and without arch_prctl (158) the C library ends the helper, with its own message.
            ended = error == "KILL" and role == "init" and result["status"] == 128 + signal.SIGKILL
            if (error != "KILL" or role != "pyrunc") and not ended and result["at"] != "158":
                life.one_line(result["status"], said)
            life.check(name)
            self.figures["kills" if error == "KILL" else "injected"] += 1
            self.injected[f"{command} {error}"] += 1

    def kill(self) -> None:
        """Kills a process by SIGKILL at a random call."""
        self.fail_a_call("KILL")

    def kill_by_the_clock(self) -> None:
        """Kills pyrunc and all of its children after a random time, also between two system calls."""
        command = self.rng.choice(["create", "run", "start", "exec", "delete"])
        with self.life(f"SIGKILL during {command}") as life:
            name, words = self.prepared(life, command)
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            process = subprocess.Popen([PYRUNC, "--root", str(life.box.root), *words], **quiet)
            time.sleep(self.rng.random() * 0.08)  # a random moment is intended
            children = self._children(process.pid)
            if self.rng.random() < 0.5:
                process.kill()
            for pid, started in children if self.rng.random() < 0.5 else ():
                life.seen.append((pid, started))
                if alive(pid, started):
                    with suppress(ProcessLookupError):  # it has ended meanwhile
                        os.kill(pid, signal.SIGKILL)
            try:
                process.wait(WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                raise Left("it does not end") from None
            life.check(name)
            self.figures["kills"] += 1

    def _children(self, pid: int) -> list[tuple[int, str]]:
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return [(int(c), Path(f"/proc/{c}/stat").read_text().rpartition(")")[2].split()[19]) for c in children]
        except OSError:
            return []

    def limits(self) -> None:
        """Runs pyrunc with few descriptors, processes, or little memory."""
        which = self.rng.choice(["NOFILE", "AS", "FSIZE", "STACK"])
        low, high = {"NOFILE": (0, 40), "AS": (1 << 20, 120 << 20), "FSIZE": (0, 5000), "STACK": (1 << 12, 1 << 18)}[
            which
        ]
        value = self.rng.randint(low, high)
        command = self.rng.choice(["create", "run", "start", "exec", "delete"])
        with self.life(f"RLIMIT_{which} {value} in {command}") as life:
            name, words = self.prepared(life, command)
            number = getattr(resource, f"RLIMIT_{which}")
            status, said = life.command([PYRUNC], *words, preexec_fn=lambda: resource.setrlimit(number, (value, value)))
            if value >= {"NOFILE": 6, "AS": 60 << 20, "FSIZE": 500}.get(which, 0):
                life.one_line(status, said)
            life.check(name)
            self.figures["limits"] += 1

    def full_disk(self) -> None:
        """Puts the state directory, the bundle and /tmp on a filesystem with room for only some bytes."""
        room = self.rng.choice([0, 4096, 8192, 16384])
        command = self.rng.choice(["create", "run", "start", "exec", "delete"])
        with self.life(f"{room} bytes left in {command}") as life:
            life.box.root.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "soak", life.box.root], check=True)
            try:
                name, words = self.prepared(life, command)
                ballast = os.open(life.box.root / ".ballast", os.O_WRONLY | os.O_CREAT)
                try:
                    while os.write(ballast, bytes(4096)):
                        pass
                except OSError:
                    os.close(ballast)
                left = os.stat(life.box.root / ".ballast").st_size
                os.truncate(life.box.root / ".ballast", max(0, left - room))
                status, said = life.command([PYRUNC], *words)
                life.one_line(status, said)
                self._gone(life, name)
            finally:
                (life.box.root / ".ballast").write_bytes(b"")
                for each in life.box.ids:
                    life.box.call("delete", "--force", each)
                subprocess.run(["umount", "-l", life.box.root], check=True)
            self.figures["full disks"] += 1

    def _gone(self, life: Life, name: str) -> None:
        done = life.box.call("delete", "--force", name)
        if done.returncode or cgroups_of(name) or (life.box.root / name).exists():
            raise Left(f"delete --force on a full disk: {done.stderr!r}, {cgroups_of(name)}")

    def many(self, count: int = 200) -> None:
        """Creates, lists and removes ``count`` containers at once."""
        with self.life(f"{count} at once") as life:
            bundle = str(life.box.bundle("sleep 1000"))
            names = [life.box.new_id() for _ in range(count)]
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            for words in (["run", "-d", "-b", bundle], ["delete", "--force"]):
                root = ["--root", str(life.box.root)]
                started = [subprocess.Popen([PYRUNC, *root, *words, name], **quiet) for name in names]
                if any(process.wait(600) for process in started):
                    raise Left(f"{words[0]} failed")
                listed = life.box.ok("list", "-q").split()
                if set(listed) != (set(names) if words[0] == "run" else set()):
                    raise Left(f"list says {len(listed)} after {words[0]}")
            for name in names:
                life.check(name)
            self.figures["at once"] += count

    def clock(self) -> None:
        """Runs commands in a time namespace with other clocks: they must see the same state of a container."""
        offset = self.rng.choice([-100, 100, 100_000])
        command = self.rng.choice(["state", "exec", "kill", "delete"])
        with self.life(f"{command} with a clock at {offset:+}") as life:
            name = life.box.start("sleep 100", life.config)
            inside = [
                "unshare",
                "--time",
                "--boottime",
                str(offset),
                "--monotonic",
                str(offset),
                "--fork",
                "--",
                PYRUNC,
            ]
            words = {"state": ["state", name], "exec": ["exec", name, "true"], "kill": ["kill", name, "URG"]}.get(
                command, ["delete", name]
            )
            status, said = life.command(inside, *words)
            if command == "delete" and (status == 0 or "not stopped: running" not in said):
                raise Left(f"a running container is deleted: {said!r}")
            if command != "delete" and status:
                raise Left(said)
            if life.box.state(name)["status"] != "running":
                raise Left("it does not run any more")
            life.check(name)
            self.figures["clocks"] += 1


def soak(seconds: float, seed: int, many: int) -> Soak:
    """Runs for ``seconds``. ``many``: the number of containers at once, once in the middle."""
    made = Soak(seed)
    signal.signal(signal.SIGTERM, made.stop)
    end = time.monotonic() + seconds
    middle = time.monotonic() + seconds / 2
    chosen: list[tuple[Callable[[], None], int]] = [
        (made.fail_a_call, 8),
        (made.kill, 5),
        (made.kill_by_the_clock, 5),
        (made.limits, 3),
        (made.full_disk, 3),
        (made.clock, 1),
    ]
    told = begun = time.monotonic()
    while time.monotonic() < end and not made.stopped:
        if time.monotonic() > told + EVERY:
            told = time.monotonic()
            print(f"after {told - begun:.0f} s: {json.dumps(made.told())}", flush=True)
        attacks, weights = zip(*chosen, strict=True)
        made.rng.choices(attacks, weights)[0]()
        if many and time.monotonic() > middle:
            made.many(many)
            many = 0
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--many", type=int, default=200)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    made = soak(given.seconds, given.seed, given.many)
    print(json.dumps(made.told(), indent=1))
    return 1 if made.failures else 0


if __name__ == "__main__":
    sys.exit(main())
