"""Runs hooks on the host: prestart, createRuntime, poststart, poststop (runtime-spec config.md "POSIX-platform
Hooks")."""

import posix
import select

from pyrunc import interrupts, log
from pyrunc.errors import PyruncError
from pyrunc.linux.pidfd import open_now
from pyrunc.linux.signals import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.spec.types import Hook

STDERR_KEPT = 512
"""How many bytes from the end of a failed hook's stderr the error message quotes."""
PIECE, PIPE_SIZE = 4096, 1 << 16
"""The size of one read, and the capacity of a pipe (pipe(7)), in bytes."""
LONGEST_POLL = (1 << 31) - 1
"""The longest timeout of poll(2) in milliseconds. A hook's timeout may be longer."""


class Program:
    """One hook, with the attributes of the spec's model (spec/hooks.py), made from a step of the plan."""

    __slots__ = ("args", "env", "path", "timeout")

    def __init__(self, path: "Any", args: "Any", env: "Any", timeout: "Any") -> None:
        self.path, self.args, self.env, self.timeout = path, args, env, timeout


def run(point: str, hooks: "Sequence[Hook]", state: bytes, directory: str) -> None:
    """Runs all hooks of ``point`` in order, in ``directory``, with ``state`` (JSON) on their standard input.

    Raises PyruncError for the first that fails: ``hooks.createRuntime[0]: hook /x: exit status 1: <its stderr>``.
    """
    for index, hook in enumerate(hooks):
        run_one(f"hooks.{point}[{index}]", hook, state, directory)


def run_all(point: str, hooks: "Sequence[Hook]", state: bytes, directory: str) -> None:
    """Runs all hooks of ``point``; failures are only logged. For poststop (runtime.md "Lifecycle", step 13)."""
    for index, hook in enumerate(hooks):
        try:
            run_one(f"hooks.{point}[{index}]", hook, state, directory)
        except (PyruncError, OSError, ValueError, MemoryError) as error:
            log.warning(str(error) or type(error).__name__)


def run_one(where: str, hook: "Hook | Program", state: bytes, directory: str) -> None:
    """Runs one hook. ``where`` is its place in config.json."""
    log.debug(f"{where}: {hook.path} in {directory}")
    try:
        _run(hook, state, directory)
        log.debug(f"{where}: exit status 0")
    except PyruncError as error:
        raise PyruncError(f"{where}: hook {hook.path}: {error}") from None


def own_environment() -> "list[str]":
    """Returns this process's environment, which a host hook without ``env`` gets, as with runc and crun."""
    return [f"{_text(name)}={_text(value)}" for name, value in posix.environ.items()]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _run(hook: "Hook | Program", state: bytes, directory: str) -> None:
    # The state is passed in a file: a hook that does not read its standard input cannot block the runtime.
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
    """Starts the hook by posix_spawn(3) in C, which can set the working directory. This process's is not changed."""
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
    """Returns ``directory``, or / if it no longer exists: an engine may remove the bundle before `delete`."""
    place = directory.encode("utf-8", "surrogateescape")
    try:
        posix.stat(place)
    except OSError:
        return b"/"
    return place


def _wait(pid: int, timeout: "int | None", pipe: int, words: bytearray) -> bool:
    """Waits until the hook process has ended; processes that it leaves running are ignored. Returns False after
    ``timeout`` seconds.

    Keeps the last bytes from ``pipe`` in ``words``. It reads all the time, so that a hook that writes a lot is not
    blocked.
    """
    from time import monotonic

    process = open_now(pid)
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
        # Reads what the pipe held when the hook ended. Processes that the hook left running may go on writing.
        for _ in range(PIPE_SIZE // PIECE):
            if not _listen(pipe, words):
                break
        return True
    finally:
        if process >= 0:
            posix.close(process)


def _listen(pipe: int, words: bytearray) -> bool:
    """Reads a piece from ``pipe`` and keeps the last bytes in ``words``. Returns False if the pipe is empty or
    closed."""
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
