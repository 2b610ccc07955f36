"""Reaps every child process once, and passes its status to its owner.

Each process of a container is watched by its pidfd, so that the end of another is never taken for its own. Other
children (orphans of containers without a pid namespace, daemons of hooks, loggers) are reaped by a wait for any child.
That wait must not take the status of a helper from a worker that waits for its pid, nor that of an init that is not
watched yet. So it is deferred while any job is running (``Loop.busy``).
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.shim.loop import Loop

UNKNOWN = 255
"""The status of a child that other code of this process has reaped, which should not happen."""


class Children:
    """Call ``watch`` before anything else may reap the child. ``signals``: a signalfd with SIGCHLD."""

    def __init__(self, loop: "Loop", signals: int) -> None:
        self.loop = loop
        self.signals = signals
        self.watched: dict[int, tuple[int, Callable[[int], object]]] = {}  # pid: (pidfd, action)
        loop.add(signals, self._signalled)
        loop.idle_again = self.reap_others

    def watch(self, pid: int, ended: "Callable[[int], object]") -> None:
        """Calls ``ended`` with the exit status of the child ``pid``, 128 + n if signal n ended it."""
        descriptor = posix.pidfd_open(pid)
        self.watched[pid] = descriptor, ended
        self.loop.add(descriptor, lambda events: self.collect(pid))

    def pidfd(self, pid: int) -> int:
        """Returns the pidfd of a watched child that has not ended, otherwise -1."""
        return self.watched.get(pid, (-1, None))[0]

    def collect(self, pid: int) -> bool:
        """Takes the status of ``pid`` now if it has ended. Returns whether it has."""
        if pid not in self.watched:
            return True
        try:
            found = posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOHANG)
        except ChildProcessError:
            self._ended(pid, UNKNOWN)
            return True
        if found is None:
            return False
        self._ended(pid, int(found.si_status) + (0 if found.si_code == posix.CLD_EXITED else 128))
        return True

    def _ended(self, pid: int, status: int) -> None:
        descriptor, action = self.watched.pop(pid)
        self.loop.remove(descriptor)
        posix.close(descriptor)
        action(status)

    def _signalled(self, events: int) -> None:
        try:
            posix.read(self.signals, 4096)
        except BlockingIOError:
            pass
        self.reap_others()

    def reap_others(self) -> None:
        """Reaps every child that has ended, unless a job is running."""
        while not self.loop.busy:
            try:
                pid, status = posix.waitpid(-1, posix.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid in self.watched:
                signalled = posix.WIFSIGNALED(status)
                self._ended(pid, 128 + posix.WTERMSIG(status) if signalled else posix.WEXITSTATUS(status))
