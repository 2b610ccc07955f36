"""The conversation with the helper. The helper executes its steps and the runtime its own, until the program runs or a
step fails."""

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
"""Seconds to wait for the end of a killed process whose pid the helper has not reported. A tracer may delay it
(ptrace(2))."""


class HelperEnded(PyruncError):
    """The process ended before the end of its plan. ``killed``: SIGKILL ended it."""

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
    """One execution of a plan. ``pid`` is the container's process once it is cloned, 0 before.

    ``meanwhile``: called once, while the helper builds the container. ``rollback``: releases what the runtime's steps
    have acquired, ``cgroups`` and ``net_devices`` included, if the launch fails.
    """

    def __init__(self, steps: "Sequence[Step]", actions: "dict[str, Action]") -> None:
        self.steps = steps
        self.kinds = [step.kind for step in steps]
        self.actions = actions
        self.helper = 0
        self.group = 0
        self.pid = 0
        self.had_process = False  # whether the container's process was ever cloned
        self.start_time = 0  # of ``pid``, if a step has recorded it
        self.clones = self.kinds.count("clone")
        self.times: dict[int, tuple[int, int]] = {}  # {step: begin and end}, nanoseconds of CLOCK_REALTIME
        self.waits: dict[int, tuple[int, int]] = {}  # the same for the helper's waits for steps of the runtime
        self.clock: Callable[[], int] = int  # measures nothing unless there is a trace
        if "trace" in self.kinds:
            from time import time_ns  # CLOCK_REALTIME, as the helper's clock, which says why

            self.clock = time_ns
        self.told: Any = None  # launch/told.py if --debug is set
        if log.wanted("debug"):
            from pyrunc.launch import told

            self.told = told
        self.stdio: Sequence[int] = ()  # standard descriptors of the process; empty: it inherits the runtime's
        self.channel: Any = None
        self.reached = -1
        self.meanwhile: Callable[[], object] | None = None
        self.rollback = Rollback()
        self.cgroups: Cgroups | None = None
        self.limits = Limits()
        self.net_devices: Any = None
        self.listener = -1  # the seccomp listener, if a step sends one
        self.listens = "seccomp-notify" in self.kinds
        # Changed only for --preload-lib (hostile/observer.py).
        self.timeout: float | None = None
        self.session = False  # whether the helper leads a new session, without the runtime's terminal
        self.message: Callable[[], bytes] = self._message
        self.on_message: Callable[[bytes, bytes], None] = _nothing_of
        self.environment: list[str] | None = None
        self.on_spawn: Callable[[int], None] = _nothing
        self.on_pid: Callable[[int], None] = _nothing

    def run(self, slots: "dict[int, int]", preserve: int = 0) -> None:
        """Executes the plan until the execve (``run``, exec) or until init waits for `start` (create).

        Raises StepError or PyruncError after all processes of the launch were killed and reaped. Raises LookupError if
        a step of the runtime has no action, because the plan would claim a step that is never done.
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
            # The helper or init was killed while it waited for the runtime's reply.
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
        """The process that executes the helper's steps now. After the clone it is the future init."""
        return self.pid or self.helper

    def limit(self, seconds: "float | None") -> None:
        """Sets the seconds within which the helper must answer from now on; None means without a limit."""
        self.timeout = seconds

    def _receive(self) -> bytes:
        """Returns the next message, empty at end of file. Signals are allowed if the message takes longer than
        usual."""
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
        """Handles a clone: the helper has done its part and exits; the runtime goes on with the new process."""
        self.pid, self.had_process = pid, True
        self.on_pid(pid)
        if self.told:
            self.told.cloned(self)
        self.clones -= 1
        self._reap(self.helper)
        self.helper = pid if self.clones else 0

    def _await_pid(self, number: int) -> None:
        """Receives the pid messages that are still missing: the child's first `S` may overtake its parent's message."""
        clones_before = self.kinds[:number].count("clone")
        clones_all = self.kinds.count("clone")
        while clones_all - self.clones < clones_before:
            # The helper sends the pid before it exits, so no message can follow once the helper is reaped.
            status = self._reap(self.helper)
            timeout = self.channel.gettimeout()
            self.channel.setblocking(False)
            try:
                message = self.channel.recv(MESSAGE_SIZE)
            except BlockingIOError:
                raise HelperEnded(status) from None
            finally:
                self.channel.settimeout(timeout)
            if not message:  # the child was also killed, after its first message
                raise HelperEnded(status)
            if message[:1] == MESSAGE_PID:
                self._cloned(_integer(message[1:]))

    def close(self) -> None:
        """Closes the descriptors that only the launch needs."""
        if self.net_devices is not None:
            self.net_devices.close()

    def act(self, number: int, end: "int | None" = None) -> None:
        """Executes the runtime's steps from ``number`` on, until the helper's next step or ``end``."""
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
        """Checks the reason for end of file. Either execve or `create`'s init closed the channel, or the process was
        killed."""
        last = max((at for at, kind in enumerate(self.kinds) if kind in ("record", "cgroup-verify")), default=-1)
        # The helper waits once for consecutive steps of the runtime, at the first of them.
        while last > 0 and self.steps[last - 1].actor == RUNTIME:
            last -= 1
        if self.helper or self.reached < last:
            raise HelperEnded(self._reap(self.helper or self.pid))
        if self._waits() and procfs.exiting(self.pid):
            raise HelperEnded(self._reap(self.pid))  # init's end closed the channel, not its wait for `start`

    def _waits(self) -> bool:
        """Whether init has to wait for `start`."""
        return "await-start" in self.kinds

    def _finish(self) -> None:
        """Executes the runtime's steps after the helper's last. After `create`, `start` executes them."""
        if self._waits():
            return
        self.act(1 + max((at for at, step in enumerate(self.steps) if step.actor != RUNTIME), default=-1))

    def _reap(self, pid: int) -> int:
        if not pid:
            return 0  # already reaped; waitpid(2) with 0 would mean any child of the process group
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
        """Kills and reaps every process of the launch. All are child processes, so their pids cannot have been
        reused."""
        if self.helper:
            self._end_group()
        if self.pid:
            self._end(self.pid)
        self.helper = self.pid = 0

    def _end_group(self) -> None:
        """Kills the helper and a process that it has cloned but not reported. Such a process stays in the helper's
        process group until it starts its session, which is after the first reply that it waits for. The group's id
        cannot be reused while a member is not reaped."""
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
