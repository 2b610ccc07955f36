"""Who of our children has ended: every one is reaped once, and its status goes to whom it belongs.

Each process of a container is watched by its pidfd, so that no other's end can be taken for its own. What comes to us
besides, orphans of containers without a pid namespace, hooks' daemons, loggers, is reaped by a wait for any child; that
one must not take the status of a helper from a worker who waits for it by pid, nor that of an init which is not watched
yet, so it is left until nothing is on its way (``Loop.busy``).
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.shim.loop import Loop

UNKNOWN = 255
"""The status of a child that other code of the process has reaped, which none should."""


class Children:
    """``watch`` before anybody else may reap it; ``signals``: a signalfd with SIGCHLD."""

    def __init__(self, loop: "Loop", signals: int) -> None:
        self.loop = loop
        self.signals = signals
        self.watched: dict[int, tuple[int, Callable[[int], object]]] = {}  # pid: (pidfd, action)
        loop.add(signals, self._signalled)
        loop.idle_again = self.reap_others

    def watch(self, pid: int, ended: "Callable[[int], object]") -> None:
        """Calls ``ended`` with the exit status of our child ``pid``, 128 + n when signal n ended it."""
        descriptor = posix.pidfd_open(pid)
        self.watched[pid] = descriptor, ended
        self.loop.add(descriptor, lambda events: self.collect(pid))

    def pidfd(self, pid: int) -> int:
        """Of a child that is watched and has not ended; -1 otherwise."""
        return self.watched.get(pid, (-1, None))[0]

    def collect(self, pid: int) -> bool:
        """Takes the status of ``pid`` now, if it has ended; whether it has."""
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
        """Reaps every child that has ended, unless something is on its way."""
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
