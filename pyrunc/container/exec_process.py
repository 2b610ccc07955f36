"""A process started by ``Container.exec``, as its parent sees it."""

import posix
from _thread import allocate_lock

from pyrunc.linux import pidfd, procfs
from pyrunc.linux.pidfd import send_to
from pyrunc.linux.signals import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class ExecProcess:
    """A child process, until any thread has waited for it. ``pid``: in this process's pid namespace."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._start_time = procfs.stat(pid)[1]
        self._lock = allocate_lock()
        self._status: int | None = None

    def wait(self, timeout: "float | None" = None) -> int:
        """Waits for the process; returns its exit status, 128 + n if signal n ended it. TimeoutError after ``timeout``
        seconds."""
        if self._status is None and not pidfd.ended(self.pid, self._start_time, timeout):
            raise TimeoutError(f"process {self.pid} runs on after {timeout:g} s")
        status = self.poll()
        assert status is not None
        return status

    def poll(self) -> "int | None":
        """Returns the exit status, or None while the process runs."""
        from pyrunc.linux.wait_status import exit_status

        with self._lock:
            if self._status is None:
                try:
                    pid, status = posix.waitpid(self.pid, posix.WNOHANG)
                except ChildProcessError:
                    # Another instance killed the container and reaped the process, or the program waits for any child.
                    self._status = UNKNOWN
                else:
                    self._status = exit_status(status) if pid else None
            return self._status

    def signal(self, signal: "int | str") -> None:
        """Sends a signal, by number or name. Does nothing if the process has ended."""
        with self._lock:
            if self._status is None:  # not reaped, so the pid cannot have been reused
                send_to(self.pid, number(signal))


UNKNOWN = 128 + 9
"""The status of a child process that other code of the program has reaped. Most likely SIGKILL ended it with its
container."""


def wait_for_init(init: int, start_time: int, executed: "Sequence[ExecProcess]", timeout: "float | None") -> bool:
    """Waits until init has ended; returns False after ``timeout`` seconds.

    Reaps processes in ``executed`` that end meanwhile, because init cannot end before they are reaped
    (pid_namespaces(7)).
    """
    from time import monotonic

    end = None if timeout is None else monotonic() + timeout
    descriptor = pidfd.open_process(init, start_time)
    watched = {opened: other for other in executed if (opened := pidfd.open_process(other.pid, other._start_time)) >= 0}
    try:
        while descriptor >= 0:
            for other in executed:
                other.poll()
            found = pidfd.ready([descriptor, *watched], None if end is None else end - monotonic())
            if descriptor in found:
                return True
            if not found:
                return False
            for done in found:
                posix.close(done)
                del watched[done]
        return True
    finally:
        for opened in (descriptor, *watched):
            if opened >= 0:
                posix.close(opened)
