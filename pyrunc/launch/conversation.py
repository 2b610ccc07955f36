"""The conversation with the helper: it executes its steps and the runtime its own, until the program runs or a step
fails."""

import posix
import sys
from _socket import AF_UNIX, SO_RCVBUF, SOCK_SEQPACKET, SOL_SOCKET, socketpair

from pyrunc import interrupts, log
from pyrunc.cgroup.manager import Limits
from pyrunc.errors import PyruncError, StepError
from pyrunc.launch import helper
from pyrunc.launch.rollback import Rollback
from pyrunc.linux import procfs, wait_status
from pyrunc.linux.signals import SIGKILL
from pyrunc.plan.protocol import MESSAGE_ERROR, MESSAGE_GO, MESSAGE_PID, MESSAGE_SIZE, MESSAGE_SYNC, MESSAGE_TIME
from pyrunc.plan.steps import RUNTIME, ahead
from pyrunc.plan.wire import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyrunc.cgroup.manager import Cgroups
    from pyrunc.plan.steps import Step

    Action = Callable[["Launch", Step], None]

UNTOLD = 2.0
"""Seconds that a killed process, of which the helper told no pid, has to end: a tracer may hold it (ptrace(2))."""


class HelperEnded(PyruncError):
    """The process ended before it came to the end of its plan; ``killed``: by SIGKILL."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the process that starts the container was ended by {words_of(status)}")
        self.killed = posix.WIFSIGNALED(status) and posix.WTERMSIG(status) == SIGKILL


def _nothing(pid: int) -> None:
    pass


def _nothing_of(kind: bytes, body: bytes) -> None:
    pass


def _integer(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder, signed=True)


class Launch:
    """One run of a plan. ``pid`` is that of the container's process as soon as it is cloned, else 0.

    ``meanwhile``: called once, while the helper builds the container. ``rollback``: what the runtime's
    steps have acquired, to be released when the container does not come to be; ``cgroups`` and ``net_devices`` are
    among it.
    """

    def __init__(self, steps: "Sequence[Step]", actions: "dict[str, Action]") -> None:
        self.steps = steps
        self.kinds = [step.kind for step in steps]
        self.actions = actions
        self.helper = 0
        self.group = 0
        self.pid = 0
        self.had_process = False  # whether there ever was one
        self.start_time = 0  # of ``pid``, where a step has asked for it
        self.clones = self.kinds.count("clone")
        self.times: dict[int, tuple[int, int]] = {}  # of steps: begin and end, nanoseconds of CLOCK_REALTIME
        self.waits: dict[int, tuple[int, int]] = {}  # the same of the helper's waits for steps of ours
        self.clock: Callable[[], int] = int  # nothing is measured unless it is asked for
        if "trace" in self.kinds:
            from time import time_ns  # the helper's clock, which says why

            self.clock = time_ns
        self.told: Any = None  # launch/told.py, when it is to be logged what is done
        if log.wanted("debug"):
            from pyrunc.launch import told

            self.told = told
        self.stdio: Sequence[int] = ()  # of the process; ours unless given
        self.channel: Any = None
        self.reached = -1
        self.meanwhile: Callable[[], object] | None = None
        self.rollback = Rollback()
        self.cgroups: Cgroups | None = None
        self.limits = Limits()
        self.net_devices: Any = None
        self.listener = -1  # of seccomp, when a step sends one
        self.listens = "seccomp-notify" in self.kinds
        # What only --preload-lib changes (hostile/observer.py).
        self.timeout: float | None = None
        self.session = False  # the helper's own, away from our terminal and process group
        self.message: Callable[[], bytes] = self._message
        self.on_message: Callable[[bytes, bytes], None] = _nothing_of
        self.environment: list[str] | None = None
        self.on_spawn: Callable[[int], None] = _nothing
        self.on_pid: Callable[[int], None] = _nothing

    def run(self, slots: "dict[int, int]", preserve: int = 0) -> None:
        """Executes the plan to its end: the execve (``run``, exec) or the wait for `start` (create).

        Raises StepError or PyruncError; then no process of it is left. LookupError when a step of ours has no action:
        it would stand in the plan, and never be done.
        """
        for step in self.steps:
            if step.actor == RUNTIME and step.kind not in self.actions:
                raise LookupError(f"no action for step {step.kind}")
        if self.told:
            self.told.plan(self.steps)
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        ours.setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 18)
        self.channel = ours
        try:
            self.helper = helper.spawn(
                theirs.fileno(), encode(self.steps), slots, preserve, self.environment, self.stdio, self.session
            )
            self.group = self.helper
            theirs.close()
            self.on_spawn(self.helper)
            self.act(0, ahead(self.steps))
            while message := self._receive():
                self._take(message[:1], message[1:])
            self._check_end()
            if self.told:
                self.told.ended(self)
            self._finish()
        except TimeoutError:
            self.kill()
            raise PyruncError(f"loading did not end within {self.timeout:g} s") from None
        except (BrokenPipeError, ConnectionResetError):
            # It was killed while it waited for our word.
            ended = HelperEnded(self._reap(self.helper or self.pid))
            self.kill()
            raise ended from None
        except BaseException:
            self.kill()
            raise
        finally:
            theirs.close()
            self.channel.close()

    @property
    def process(self) -> int:
        """The process that executes the helper's steps now: what becomes init, once that is cloned."""
        return self.pid or self.helper

    def limit(self, seconds: "float | None") -> None:
        """From now on the helper must answer within ``seconds``; None: it may take the time that it needs."""
        self.timeout = seconds

    def _receive(self) -> bytes:
        """The next message, empty at the end of file. Whatever takes longer than usual may be interrupted."""
        try:
            self.channel.settimeout(interrupts.PATIENCE)
            return self.message()
        except TimeoutError:
            self.channel.settimeout(self.timeout)
            with interrupts.allowed:
                return self.message()

    def _message(self) -> bytes:
        if not self.listens:
            return self.channel.recv(MESSAGE_SIZE)  # type: ignore[no-any-return]
        from pyrunc.resources.seccomp_listener import receive

        message, self.listener = receive(self.channel, MESSAGE_SIZE)
        return message

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == MESSAGE_PID:
            self._cloned(_integer(body))
        elif kind == MESSAGE_SYNC:
            self.reached = _integer(body[:4])
            self._await_pid(self.reached)
            if self.told:
                self.told.reached(self)
            self.act(self.reached)
            self.channel.send(MESSAGE_GO)
            if self.meanwhile is not None:
                self.meanwhile()
                self.meanwhile = None
        elif kind == MESSAGE_TIME:
            number = _integer(body[:4])
            times = self.waits if self.steps[number].actor == RUNTIME else self.times
            times[number] = _integer(body[4:12]), _integer(body[12:20])
        elif kind == MESSAGE_ERROR:
            number, errno = _integer(body[:4]), _integer(body[4:8])
            raise StepError(number, self.steps[number].where, body[8:].decode("utf-8", "replace"), errno)
        else:
            self.on_message(kind, body)

    def _cloned(self, pid: int) -> None:
        """The process that cloned has done its part and exits; its child is ours."""
        self.pid, self.had_process = pid, True
        self.on_pid(pid)
        if self.told:
            self.told.cloned(self)
        self.clones -= 1
        self._reap(self.helper)
        self.helper = pid if self.clones else 0

    def _await_pid(self, number: int) -> None:
        """The child may be faster at its first `S` than its parent at telling the pid."""
        clones_before = self.kinds[:number].count("clone")
        clones_all = self.kinds.count("clone")
        while clones_all - self.clones < clones_before:
            # The helper sends the pid before it exits: after its exit no message can follow.
            status = self._reap(self.helper)
            timeout = self.channel.gettimeout()
            self.channel.setblocking(False)
            try:
                message = self.channel.recv(MESSAGE_SIZE)
            except BlockingIOError:
                raise HelperEnded(status) from None
            finally:
                self.channel.settimeout(timeout)
            if not message:  # the child has been killed, too, after its first message
                raise HelperEnded(status)
            if message[:1] == MESSAGE_PID:
                self._cloned(_integer(message[1:]))

    def close(self) -> None:
        """Closes descriptors that only the launch needs."""
        if self.net_devices is not None:
            self.net_devices.close()

    def act(self, number: int, end: "int | None" = None) -> None:
        """Our steps from ``number`` on, until the helper's next (or ``end``)."""
        for at in range(number, len(self.steps) if end is None else end):
            step = self.steps[at]
            if step.actor != RUNTIME:
                break
            begun = self.clock()
            try:
                self.actions[step.kind](self, step)
            except OSError as error:
                raise StepError(
                    at, step.where, f"{step.kind}: {(error.strerror or '').lower()}", error.errno or 0
                ) from None
            self.times[at] = begun, self.clock()
            if self.told:
                self.told.done(self, at)

    def _check_end(self) -> None:
        """End of file: execve closed the channel, `create`'s init did, or the process that held it was killed."""
        last = max((at for at, kind in enumerate(self.kinds) if kind in ("record", "cgroup-verify")), default=-1)
        # The helper waits once for a whole run of our steps: at the first of them.
        while last > 0 and self.steps[last - 1].actor == RUNTIME:
            last -= 1
        if self.helper or self.reached < last:
            raise HelperEnded(self._reap(self.helper or self.pid))
        if self._waits() and procfs.exiting(self.pid):
            raise HelperEnded(self._reap(self.pid))  # not its wait for `start` has closed the channel: its end has

    def _waits(self) -> bool:
        """Whether init is to wait for `start`."""
        return "await-start" in self.kinds

    def _finish(self) -> None:
        """The runtime's steps after the last of the helper's; after `create` they are those of `start`."""
        if self._waits():
            return
        self.act(1 + max((at for at, step in enumerate(self.steps) if step.actor != RUNTIME), default=-1))

    def _reap(self, pid: int) -> int:
        if not pid:
            return 0  # reaped already; to waitpid(2) it would mean any child of our process group
        try:
            return wait_status.wait_for_child(pid)
        except ChildProcessError:
            return 0
        finally:
            if pid == self.helper:
                self.helper = 0
            if pid == self.pid:
                self.pid = 0

    def kill(self) -> None:
        """Kills and reaps every process of the launch. They are our children: their pids can't have been reused."""
        if self.helper:
            self._end_group()
        if self.pid:
            self._end(self.pid)
        self.helper = self.pid = 0

    def _end_group(self) -> None:
        """Kills the helper, and a process that it cloned but has not reported: that one is in the helper's group until
        its session begins, which is after the first answer that it waits for. Its number can't be another's while a
        member is not reaped."""
        try:
            posix.killpg(self.group, SIGKILL)
        except ProcessLookupError:
            pass
        self._reap(self.helper)
        from time import monotonic, sleep

        end = monotonic() + UNTOLD
        while monotonic() < end:
            try:
                if posix.waitpid(-self.group, posix.WNOHANG)[0] == 0:
                    sleep(0.001)
            except ChildProcessError:
                return

    def _end(self, pid: int) -> None:
        try:
            posix.kill(pid, SIGKILL)
        except ProcessLookupError:
            return
        self._reap(pid)


def words_of(status: int) -> str:
    if posix.WIFSIGNALED(status):
        import _signal

        return f"signal {posix.WTERMSIG(status)} ({_signal.strsignal(posix.WTERMSIG(status))})"
    return f"exit status {posix.WEXITSTATUS(status)}"
