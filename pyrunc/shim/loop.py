"""The shim's one thread that owns everything: descriptors, clocks, and answers of workers (epoll(7)).

A worker is a thread for calls that may block. It is never ended: a process that asks to be told of its parent's death
(PR_SET_PDEATHSIG) is told of its thread's (prctl(2)), and worker threads are who starts the containers' processes.
"""

import posix
import select
from _thread import allocate_lock, start_new_thread
from time import monotonic

from pyrunc import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Handler = Callable[[int], object]
    """Called with epoll's events."""
    Job = tuple[Callable[[], Any], Callable[[Any, BaseException | None], object]]
    """(what a worker does, what the loop does with its result or failure)."""

WORKERS = 8
"""That many are enough for work that ends soon; more come while none of these has come to an end for a while."""
MOST_WORKERS = 64
QUIET = 2.0
STUCK = 0.25
"""Seconds without a worker that became free, until one more is started."""


class Timer:
    """A call at a set time; ``cancel`` drops it."""

    __slots__ = ("action", "at")

    def __init__(self, at: float, action: "Callable[[], object]") -> None:
        self.at = at
        self.action: Callable[[], object] | None = action

    def cancel(self) -> None:
        """Drops the call."""
        self.action = None


class Loop:
    """``run`` returns after ``stop``. Everything but ``work``'s first argument runs in the thread of ``run``."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.handlers: dict[int, Handler] = {}
        self.timers: list[Timer] = []
        self.stopped = False
        self.wake = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        self.add(self.wake, self._woken)
        # Of the workers, under the lock.
        self.lock = allocate_lock()
        self.waiting: list[Job] = []
        self.done: list[tuple[Any, Any, BaseException | None]] = []
        self.idle: list[Any] = []  # a held lock each; its release wakes the worker
        self.progress = 0
        # Of the loop's thread alone.
        self.workers = 0
        self.busy = 0  # jobs whose end has not been taken yet
        self.idle_again: Callable[[], object] | None = None  # called when there is none any more
        self.quiet: Callable[[], object] | None = None  # called when nothing has happened for QUIET seconds
        self.watched = -1  # what `progress` was when a caller was seen waiting

    # -- descriptors and clocks --------------------------------------------------------------------------------

    def add(self, descriptor: int, handler: "Handler", events: int = select.EPOLLIN) -> None:
        """``handler`` is called with the events that occur, as long as they last."""
        self.epoll.register(descriptor, events)
        self.handlers[descriptor] = handler

    def change(self, descriptor: int, events: int) -> None:
        """Watches for other events; without any, only errors and the end are reported."""
        self.epoll.modify(descriptor, events)

    def remove(self, descriptor: int) -> None:
        """Stops watching it; called before the descriptor is closed."""
        if self.handlers.pop(descriptor, None) is not None:
            self.epoll.unregister(descriptor)

    def later(self, seconds: float, action: "Callable[[], object]") -> Timer:
        """Calls ``action`` once, in ``seconds``."""
        timer = Timer(monotonic() + seconds, action)
        self.timers.append(timer)
        return timer

    def _due(self) -> float:
        """Runs what is due; seconds until the next, -1 for none."""
        if not self.timers:
            return -1
        now = monotonic()
        due = [timer for timer in self.timers if timer.at <= now]
        self.timers = [timer for timer in self.timers if timer.at > now and timer.action is not None]
        for timer in due:
            if timer.action is not None:
                self._guarded(timer.action)
        return max(0.0, min(timer.at for timer in self.timers) - monotonic()) if self.timers else -1

    def run(self) -> None:
        """Handles events, calls and results until ``stop``."""
        active = True
        while not self.stopped:
            # Rounded up: epoll counts milliseconds, and would come back too early again and again.
            timeout = self._due() + 0.001
            if self.stopped:
                return
            resting = active and self.quiet is not None and (timeout < 0 or timeout > QUIET)
            found = self.epoll.poll(QUIET if resting else timeout if timeout >= 0 else -1)
            active = bool(found) or (active and not resting)
            if resting and not found and self.quiet is not None:
                self._guarded(self.quiet)
            for descriptor, events in found:
                handler = self.handlers.get(descriptor)  # one before it may have removed it
                if handler is not None:
                    self._guarded(lambda handler=handler, events=events: handler(events))  # type: ignore[misc]

    def stop(self) -> None:
        """Has ``run`` return after the current handler."""
        self.stopped = True

    def _guarded(self, action: "Callable[[], object]") -> None:
        """A fault of ours in one call must not end every container's shim: it is told, and the loop goes on."""
        try:
            action()
        except Exception as error:
            log.error(f"shim: internal error: {type(error).__name__}: {error}{_place(error)}")

    # -- workers -----------------------------------------------------------------------------------------------

    def work(self, job: "Callable[[], Any]", then: "Callable[[Any, BaseException | None], object]") -> None:
        """Has a worker do ``job``; ``then`` is called here with (its result, None) or (None, its exception)."""
        self.busy += 1
        with self.lock:
            self.waiting.append((job, then))
            if self.idle:
                self.idle.pop().release()
                return
            wanted = self.workers < WORKERS
        if wanted:
            self._hire()
        elif self.watched < 0:
            self.watched = self.progress
            self.later(STUCK, self._watch)

    def _watch(self) -> None:
        """Whether jobs wait because all workers are blocked."""
        with self.lock:
            waits, moved = bool(self.waiting), self.progress != self.watched
        self.watched = -1
        if not waits:
            return
        if not moved and self.workers < MOST_WORKERS:
            self._hire()
        self.watched = self.progress
        self.later(STUCK, self._watch)

    def _hire(self) -> None:
        try:
            start_new_thread(self._worker, ())
            self.workers += 1
        except RuntimeError:
            if not self.workers:  # no worker will ever do it; where there are others, they will
                with self.lock:
                    jobs, self.waiting = self.waiting, []
                reason = RuntimeError("cannot start a thread: resource temporarily unavailable")
                self._take([(then, None, reason) for _, then in jobs])

    def _worker(self) -> None:
        mine = allocate_lock()
        mine.acquire()
        while True:
            with self.lock:
                job = self.waiting.pop(0) if self.waiting else None
                if job is None:
                    self.idle.append(mine)
            if job is None:
                mine.acquire()
                continue
            result, failure = None, None
            try:
                result = job[0]()
            except BaseException as error:
                failure = error
            with self.lock:
                self.progress += 1
                self.done.append((job[1], result, failure))
            del job, result, failure  # or what they hold would stay until the next one comes
            posix.eventfd_write(self.wake, 1)

    def _woken(self, events: int) -> None:
        try:
            posix.eventfd_read(self.wake)
        except BlockingIOError:
            pass
        with self.lock:
            done, self.done = self.done, []
        self._take(done)

    def _take(self, done: "list[tuple[Any, Any, BaseException | None]]") -> None:
        for then, result, failure in done:
            self._guarded(lambda then=then, result=result, failure=failure: then(result, failure))  # type: ignore[misc]
            self.busy -= 1
        if not self.busy and self.idle_again is not None:
            self.idle_again()


def _place(error: BaseException) -> str:
    """Where it was raised: `` (file.py:123)``."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"
