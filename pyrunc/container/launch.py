"""The conversation with the helper: it executes its steps, we ours, until the program runs or somebody failed."""

import posix
import sys
from _socket import AF_UNIX, SO_RCVBUF, SOCK_SEQPACKET, SOL_SOCKET, socketpair

from pyrunc import interrupts
from pyrunc.container import helper, process
from pyrunc.container.state import MESSAGE_SIZE
from pyrunc.errors import PyruncError, StepError
from pyrunc.plan.steps import RUNTIME, ahead
from pyrunc.plan.wire import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyrunc.plan.steps import Step

    Action = Callable[["Launch", Step], None]

SIGKILL = 9
PATIENCE = 0.2
"""Seconds that a container's start takes at most, if nobody is to be waited for."""


class HelperEnded(PyruncError):
    """Somebody ended the process before it had come to the end of its plan; ``killed`` when by SIGKILL."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the process that starts the container was ended by {words_of(status)}")
        self.killed = posix.WIFSIGNALED(status) and posix.WTERMSIG(status) == SIGKILL


def _nothing(pid: int) -> None:
    pass


def _integer(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder, signed=True)


class Launch:
    """One run of a plan. ``pid`` is that of the container's process as soon as it is cloned, else 0.

    ``meanwhile``: something to be done, once, while the helper builds the container.
    """

    def __init__(self, steps: "Sequence[Step]", actions: "dict[str, Action]") -> None:
        self.steps = steps
        self.actions = actions
        self.helper = 0
        self.group = 0
        self.pid = 0
        self.clones = sum(step.kind == "clone" for step in steps)
        self.times: dict[int, int] = {}
        self.clock: Callable[[], int] = int  # nothing is measured unless it is asked for
        if any(step.kind == "trace" for step in steps):
            from time import monotonic_ns

            self.clock = monotonic_ns
        self.stdio: Sequence[int] = ()  # of the process; ours unless given
        self.channel: Any = None
        self.reached = -1
        self.meanwhile: Callable[[], object] | None = None
        self.listener = -1  # of seccomp, when a step sends one
        self.listens = any(step.kind == "seccomp-notify" for step in steps)
        # What only --preload-lib changes (hostile/launching.py).
        self.timeout: float | None = None
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
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        ours.setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 18)
        self.channel = ours
        try:
            self.helper = helper.spawn(
                theirs.fileno(), encode(self.steps), slots, preserve, self.environment, self.stdio
            )
            self.group = self.helper
            theirs.close()
            self.on_spawn(self.helper)
            self._act(0, ahead(self.steps))
            while message := self._receive():
                self._take(message[:1], message[1:])
            self._check_end()
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
            ours.close()

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
            self.channel.settimeout(PATIENCE)
            return self._message()
        except TimeoutError:
            interrupts.allow()
            self.channel.settimeout(self.timeout)
            return self._message()

    def _message(self) -> bytes:
        if not self.listens:
            return self.channel.recv(MESSAGE_SIZE)  # type: ignore[no-any-return]
        from pyrunc.container.seccomp_listener import receive

        message, self.listener = receive(self.channel, MESSAGE_SIZE)
        return message

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == b"P":
            self._cloned(_integer(body))
        elif kind == b"S":
            self.reached = _integer(body[:4])
            self._await_pid(self.reached)
            self._act(self.reached)
            self.channel.send(b"G")
            if self.meanwhile is not None:
                self.meanwhile()
                self.meanwhile = None
        elif kind == b"T":
            self.times[_integer(body[:4])] = _integer(body[4:12])
        elif kind == b"E":
            number, errno = _integer(body[:4]), _integer(body[4:8])
            raise StepError(number, self.steps[number].where, body[8:].decode("utf-8", "replace"), errno)

    def _cloned(self, pid: int) -> None:
        """The process that cloned has done its part and exits; its child is ours."""
        self.pid = pid
        self.on_pid(pid)
        self.clones -= 1
        self._reap(self.helper)
        self.helper = pid if self.clones else 0

    def _await_pid(self, number: int) -> None:
        """The child may be faster at its first `S` than its parent at telling the pid."""
        clones_before = sum(step.kind == "clone" for step in self.steps[:number])
        clones_all = sum(step.kind == "clone" for step in self.steps)
        while clones_all - self.clones < clones_before:
            # It tells before it exits; when it is gone and has not told, it never will.
            status = self._reap(self.helper)
            timeout = self.channel.gettimeout()
            self.channel.setblocking(False)
            try:
                message = self.channel.recv(MESSAGE_SIZE)
            except BlockingIOError:
                raise HelperEnded(status) from None
            finally:
                self.channel.settimeout(timeout)
            if message[:1] == b"P":
                self._cloned(_integer(message[1:]))

    def _act(self, number: int, end: "int | None" = None) -> None:
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
            self.times[at] = self.clock() - begun

    def _check_end(self) -> None:
        """End of file: execve closed the channel, `create`'s init did, or whoever held it was killed."""
        last = max((at for at, step in enumerate(self.steps) if step.kind in ("record", "cgroup-verify")), default=-1)
        # The helper waits once for a whole run of our steps: at the first of them.
        while last > 0 and self.steps[last - 1].actor == RUNTIME:
            last -= 1
        if self.helper or self.reached < last:
            raise HelperEnded(self._reap(self.helper or self.pid))
        if self._waits() and process.exiting(self.pid):
            raise HelperEnded(self._reap(self.pid))  # not its wait for `start` has closed the channel: its end has

    def _waits(self) -> bool:
        """Whether init is to wait for `start`."""
        return any(step.kind == "await-start" for step in self.steps)

    def _finish(self) -> None:
        """Our steps behind the last of the helper's; after `create` they are those of `start`."""
        if self._waits():
            return
        self._act(1 + max((at for at, step in enumerate(self.steps) if step.actor != RUNTIME), default=-1))

    def _reap(self, pid: int) -> int:
        if not pid:
            return 0  # reaped already; to waitpid(2) it would mean any child of our process group
        try:
            return posix.waitpid(pid, 0)[1]
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
        """The helper, and what it may have cloned and not told: until its session begins, which is behind the first
        answer that it waits for, that is in the group. Its number can't be another's while a member is not reaped."""
        try:
            posix.killpg(self.group, SIGKILL)
        except ProcessLookupError:
            pass
        while True:
            try:
                posix.waitpid(-self.group, 0)
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
