"""Finds, kills and reaps processes that a library forked and left running."""

import posix
import select
from contextlib import contextmanager

from pyrunc.errors import PyruncError
from pyrunc.linux.procfs import stat
from pyrunc.linux.signals import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 200
PATIENCE = 1000
"""Milliseconds to wait for the end of a killed process. The kernel may delay it."""


@contextmanager
def coming_to_us() -> "Iterator[None]":
    """Makes orphans children of this process meanwhile, not of the host's init (PR_SET_CHILD_SUBREAPER)."""
    import _prctl

    before = _prctl.prctl(_prctl.PR_GET_CHILD_SUBREAPER)
    _prctl.prctl(_prctl.PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        _prctl.prctl(_prctl.PR_SET_CHILD_SUBREAPER, before)


def kill(find: "Callable[[], set[int]]") -> "list[int]":
    """Kills every process that ``find`` returns, until none of them runs. Returns those that were running.

    Child processes of this process are reaped. Others stay zombies of their parents (nsenter/helper/settle.c reaps).
    Raises PyruncError if new ones appear faster than they are killed.
    """
    killed: list[int] = []
    for _ in range(ROUNDS):
        found = find()
        running = sorted(pid for pid in found if stat(pid)[0] not in ("", "Z", "X"))
        for pid in running:
            _end(pid)
        for pid in found:
            _reap(pid)
        if not running:
            return killed
        killed += [pid for pid in running if pid not in killed]
    raise PyruncError(f"processes that loading left are not to be killed: {', '.join(map(str, running))}")


def _end(pid: int) -> None:
    """Kills ``pid``, and waits for its end."""
    try:
        descriptor = posix.pidfd_open(pid)
    except OSError:
        return
    try:
        posix.kill(pid, SIGKILL)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(PATIENCE)
    except ProcessLookupError:
        pass
    finally:
        posix.close(descriptor)


def _reap(pid: int) -> None:
    try:
        posix.waitpid(pid, posix.WNOHANG)
    except ChildProcessError:
        pass
