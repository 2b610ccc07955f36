"""Hooks on the host: prestart, createRuntime, poststart, poststop (runtime-spec config.md "POSIX-platform Hooks")."""

import posix
import select

from pyrunc import interrupts
from pyrunc.container.process import ESRCH
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.spec.types import Hook

STDERR_KEPT = 512
"""Bytes of a failed hook's last words that go into the error."""
SIGKILL = 9


def run(point: str, hooks: "Sequence[Hook]", state: bytes) -> None:
    """Runs all hooks of ``point`` in order with ``state`` (JSON) on their standard input.

    Raises PyruncError at the first that fails: ``hooks.createRuntime[0]: hook /x: exit status 1: <its stderr>``.
    """
    for index, hook in enumerate(hooks):
        run_one(f"hooks.{point}[{index}]", hook, state)


def run_one(where: str, hook: "Hook", state: bytes) -> None:
    """One hook, that stands at ``where``."""
    try:
        _run(hook, state)
    except PyruncError as error:
        raise PyruncError(f"{where}: hook {hook.path}: {error}") from None


def _run(hook: "Hook", state: bytes) -> None:
    # Files instead of pipes: a hook that reads nothing or writes much can neither block us nor be blocked.
    given, words = posix.memfd_create("state", posix.MFD_CLOEXEC), posix.memfd_create("stderr", posix.MFD_CLOEXEC)
    try:
        posix.write(given, state)
        posix.lseek(given, 0, 0)
        pid = _spawn(hook, given, words)
        try:
            finished = _wait(pid, hook.timeout)
        except BaseException:
            posix.killpg(pid, SIGKILL)
            posix.waitpid(pid, 0)
            raise
        if not finished:
            posix.killpg(pid, SIGKILL)
        _check(posix.waitpid(pid, 0)[1], finished, hook, _words(words))
    finally:
        posix.close(given)
        posix.close(words)


def _spawn(hook: "Hook", given: int, words: int) -> int:
    actions = [
        (posix.POSIX_SPAWN_DUP2, given, 0),
        (posix.POSIX_SPAWN_OPEN, 1, "/dev/null", posix.O_WRONLY, 0),
        (posix.POSIX_SPAWN_DUP2, words, 2),
    ]
    environment = dict(entry.partition("=")[::2] for entry in hook.env)
    try:
        return posix.posix_spawn(
            hook.path,
            list(hook.args) or [hook.path],
            environment,
            file_actions=actions,
            setpgroup=0,
            setsigmask=(),
            setsigdef=(13, 25),  # SIGPIPE and SIGXFSZ, which Python ignores
        )
    except OSError as error:
        raise PyruncError(f"exec: {(error.strerror or '').lower()}") from None


def _wait(pid: int, timeout: "int | None") -> bool:
    """True when it ended in time."""
    from time import monotonic

    interrupts.allow()
    try:
        descriptor = posix.pidfd_open(pid)
    except OSError as error:
        if error.errno == ESRCH:
            return True
        raise
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    end = monotonic() + timeout if timeout else None
    try:
        while True:
            left = None if end is None else max(0.0, end - monotonic()) * 1000
            if poll.poll(left):
                return True
            if end is not None and monotonic() >= end:
                return False
    finally:
        posix.close(descriptor)


def _words(descriptor: int) -> str:
    posix.lseek(descriptor, max(0, posix.fstat(descriptor).st_size - STDERR_KEPT), 0)
    return " ".join(posix.read(descriptor, STDERR_KEPT).decode("utf-8", "replace").split())


def _check(status: int, finished: bool, hook: "Hook", words: str) -> None:
    tail = f": {words}" if words else ""
    if not finished:
        raise PyruncError(f"timed out after {hook.timeout} s{tail}")
    if posix.WIFSIGNALED(status):
        raise PyruncError(f"signal {posix.WTERMSIG(status)}{tail}")
    if posix.WEXITSTATUS(status):
        raise PyruncError(f"exit status {posix.WEXITSTATUS(status)}{tail}")
