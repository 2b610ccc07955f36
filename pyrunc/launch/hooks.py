"""Hooks on the host: prestart, createRuntime, poststart, poststop (runtime-spec config.md "POSIX-platform Hooks")."""

import posix
import select

from pyrunc import interrupts, log
from pyrunc.errors import PyruncError
from pyrunc.linux.pidfd import ESRCH
from pyrunc.linux.signals import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.spec.types import Hook

STDERR_KEPT = 512
"""Bytes of a failed hook's last words that go into the error."""
PIECE, PIPE_SIZE = 4096, 1 << 16
"""Bytes of one read, and of what a pipe holds (pipe(7))."""
LONGEST_POLL = (1 << 31) - 1
"""Milliseconds that poll(2) takes; a timeout may be longer."""


class Program:
    """One hook, as the spec's model has it (spec/hooks.py) or a step of the plan."""

    __slots__ = ("args", "env", "path", "timeout")

    def __init__(self, path: "Any", args: "Any", env: "Any", timeout: "Any") -> None:
        self.path, self.args, self.env, self.timeout = path, args, env, timeout


def run(point: str, hooks: "Sequence[Hook]", state: bytes, directory: str) -> None:
    """Runs all hooks of ``point`` in order, in ``directory``, with ``state`` (JSON) on their standard input.

    Raises PyruncError at the first that fails: ``hooks.createRuntime[0]: hook /x: exit status 1: <its stderr>``.
    """
    for index, hook in enumerate(hooks):
        run_one(f"hooks.{point}[{index}]", hook, state, directory)


def run_all(point: str, hooks: "Sequence[Hook]", state: bytes, directory: str) -> None:
    """The same, where a failure is logged only and stops nothing: poststop (runtime.md "Lifecycle", step 13)."""
    for index, hook in enumerate(hooks):
        try:
            run_one(f"hooks.{point}[{index}]", hook, state, directory)
        except (PyruncError, OSError, ValueError, MemoryError) as error:
            log.warning(str(error) or type(error).__name__)


def run_one(where: str, hook: "Hook | Program", state: bytes, directory: str) -> None:
    """Runs one hook, which is at ``where`` in config.json."""
    log.debug(f"{where}: {hook.path} in {directory}")
    try:
        _run(hook, state, directory)
        log.debug(f"{where}: exit status 0")
    except PyruncError as error:
        raise PyruncError(f"{where}: hook {hook.path}: {error}") from None


def own_environment() -> "list[str]":
    """Our own variables: those of a hook of the host that names none, as runc's and crun's hooks have them."""
    return [f"{_text(name)}={_text(value)}" for name, value in posix.environ.items()]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _run(hook: "Hook | Program", state: bytes, directory: str) -> None:
    # In a file: a hook that reads nothing does not block us.
    given = posix.memfd_create("state", posix.MFD_CLOEXEC)
    reading, writing = posix.pipe2(posix.O_CLOEXEC)
    try:
        posix.set_blocking(reading, False)
        posix.write(given, state)
        posix.lseek(given, 0, 0)
        pid = _spawn(hook, given, writing, directory)
        posix.close(writing)
        writing = -1
        words = bytearray()
        try:
            finished = _wait(pid, hook.timeout, reading, words)
        except BaseException:
            posix.killpg(pid, SIGKILL)
            posix.waitpid(pid, 0)
            raise
        if not finished:
            posix.killpg(pid, SIGKILL)
        _check(posix.waitpid(pid, 0)[1], finished, hook, " ".join(words.decode("utf-8", "replace").split()))
    finally:
        for descriptor in (given, reading, writing):
            if descriptor >= 0:
                posix.close(descriptor)


def _spawn(hook: "Hook | Program", given: int, words: int, directory: str) -> int:
    """posix_spawn(3) in C, which can change the directory: ours is the whole process's."""
    from pyrunc.ffi._sys import ffi, lib

    def strings(values: "Sequence[str]") -> "tuple[Any, Any]":
        kept = [ffi.new("char[]", value.encode("utf-8", "surrogateescape")) for value in values]
        return ffi.new("char *[]", [*kept, ffi.NULL]), kept

    args, _kept_args = strings(hook.args or [hook.path])
    env, _kept_env = strings(own_environment() if hook.env is None else hook.env)
    null = posix.open("/dev/null", posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        path, place = hook.path.encode("utf-8", "surrogateescape"), _existing(directory)
        pid: int = lib.pyrunc_spawn(path, args, env, place, given, null, words)
    finally:
        posix.close(null)
    if pid < 0:
        raise PyruncError(f"exec: {posix.strerror(-pid).lower()}")
    return pid


def _existing(directory: str) -> bytes:
    """``directory``, or / where it has gone: an engine may remove the bundle before it has the container deleted."""
    place = directory.encode("utf-8", "surrogateescape")
    try:
        posix.stat(place)
    except OSError:
        return b"/"
    return place


def _wait(pid: int, timeout: "int | None", pipe: int, words: bytearray) -> bool:
    """Until the hook itself has ended, whatever it has left running; False when ``timeout`` seconds passed first.

    ``words`` gets the end of what comes through ``pipe``, no more: a hook may write for ever, and must not be blocked.
    """
    from time import monotonic

    process = _pidfd(pid)
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if process >= 0:
        poll.register(process, select.POLLIN)
    end = monotonic() + timeout if timeout else None
    try:
        while process >= 0:
            left = None if end is None else min(max(0.0, end - monotonic()) * 1000, LONGEST_POLL)
            with interrupts.allowed:
                events = dict(poll.poll(left))
            if pipe in events and not _listen(pipe, words):
                poll.unregister(pipe)
            if process in events:
                break
            if end is not None and monotonic() >= end:
                return False
        # What was in the pipe when it ended; what it left running may go on talking.
        for _ in range(PIPE_SIZE // PIECE):
            if not _listen(pipe, words):
                break
        return True
    finally:
        if process >= 0:
            posix.close(process)


def _pidfd(pid: int) -> int:
    try:
        return int(posix.pidfd_open(pid))
    except OSError as error:
        if error.errno == ESRCH:
            return -1
        raise


def _listen(pipe: int, words: bytearray) -> bool:
    """Takes a piece of what ``pipe`` holds, keeps its end in ``words``; False when it holds nothing."""
    try:
        piece = posix.read(pipe, PIECE)
    except BlockingIOError:
        return False
    words += piece
    del words[:-STDERR_KEPT]
    return bool(piece)


def _check(status: int, finished: bool, hook: "Hook | Program", words: str) -> None:
    tail = f": {words}" if words else ""
    if not finished:
        raise PyruncError(f"timed out after {hook.timeout} s{tail}")
    if posix.WIFSIGNALED(status):
        raise PyruncError(f"signal {posix.WTERMSIG(status)}{tail}")
    if posix.WEXITSTATUS(status):
        raise PyruncError(f"exit status {posix.WEXITSTATUS(status)}{tail}")
