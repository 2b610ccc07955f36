"""The shim's main thread, which owns all data: an epoll(7) loop for descriptors, timers, and results of workers.

A worker is a thread for calls that may block. It never ends, because the containers' processes are started by worker
threads, and PR_SET_PDEATHSIG signals the end of the parent *thread* (prctl(2)).
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
    """(a function for a worker, a function that the loop calls with its result or error)."""

WORKERS = 8
"""Enough workers for short jobs. More are started if none of these finishes for a while."""
MOST_WORKERS = 64
QUIET = 2.0
STUCK = 0.25
"""Seconds without a finished job until one more worker is started."""


class Timer:
    """A call at a set time. ``cancel`` drops it."""

    __slots__ = ("action", "at")

    def __init__(self, at: float, action: "Callable[[], object]") -> None:
        self.at = at
        self.action: Callable[[], object] | None = action

    def cancel(self) -> None:
        """Drops the call."""
        self.action = None


class Loop:
    """``run`` returns after ``stop``. Everything except the first argument of ``work`` runs in the thread of
    ``run``."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.handlers: dict[int, Handler] = {}
        self.timers: list[Timer] = []
        self.stopped = False
        self.wake = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        self.add(self.wake, self._woken)
        # Shared with the workers, under the lock.
        self.lock = allocate_lock()
        self.waiting: list[Job] = []
        self.done: list[tuple[Any, Any, BaseException | None]] = []
        self.idle: list[Any] = []  # a held lock for each idle worker; releasing it wakes the worker
        self.progress = 0
        # Only for the loop's thread.
        self.workers = 0
        self.busy = 0  # jobs whose result is not handled yet
        self.idle_again: Callable[[], object] | None = None  # called when there are no more jobs
        self.quiet: Callable[[], object] | None = None  # called after QUIET seconds without an event
        self.watched = -1  # the value of `progress` when a job was seen waiting

    # -- descriptors and clocks --------------------------------------------------------------------------------

    def add(self, descriptor: int, handler: "Handler", events: int = select.EPOLLIN) -> None:
        """Calls ``handler`` with the events that occur, as long as they last (level-triggered)."""
        self.epoll.register(descriptor, events)
        self.handlers[descriptor] = handler

    def change(self, descriptor: int, events: int) -> None:
        """Watches for other events. Without any, only errors and hang-ups are reported."""
        self.epoll.modify(descriptor, events)

    def remove(self, descriptor: int) -> None:
        """Stops watching a descriptor. Call it before closing the descriptor."""
        if self.handlers.pop(descriptor, None) is not None:
            self.epoll.unregister(descriptor)

    def later(self, seconds: float, action: "Callable[[], object]") -> Timer:
        """Calls ``action`` once after ``seconds``."""
        timer = Timer(monotonic() + seconds, action)
        self.timers.append(timer)
        return timer

    def _due(self) -> float:
        """Runs the timers that are due. Returns the seconds until the next one, -1 if there is none."""
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
        """Handles events, timers and results until ``stop``."""
        active = True
        while not self.stopped:
            # Rounded up: epoll counts milliseconds, and would return too early again and again.
            timeout = self._due() + 0.001
            if self.stopped:
                return
            resting = active and self.quiet is not None and (timeout < 0 or timeout > QUIET)
            found = self.epoll.poll(QUIET if resting else timeout if timeout >= 0 else -1)
            active = bool(found) or (active and not resting)
            if resting and not found and self.quiet is not None:
                self._guarded(self.quiet)
            for descriptor, events in found:
                handler = self.handlers.get(descriptor)  # an earlier handler may have removed it
                if handler is not None:
                    self._guarded(lambda handler=handler, events=events: handler(events))  # type: ignore[misc]

    def stop(self) -> None:
        """Makes ``run`` return after the current handler."""
        self.stopped = True

    def _guarded(self, action: "Callable[[], object]") -> None:
        """Calls ``action`` and logs an internal error, which must not end the shim of every container in the pod."""
        try:
            action()
        except Exception as error:
            log.error(f"shim: internal error: {type(error).__name__}: {error}{_place(error)}")

    # -- workers -----------------------------------------------------------------------------------------------

    def work(self, job: "Callable[[], Any]", then: "Callable[[Any, BaseException | None], object]") -> None:
        """Passes ``job`` to a worker. ``then`` is called in the loop with (result, None) or (None, exception)."""
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
        """Starts another worker if jobs wait because all workers are blocked."""
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
            if not self.workers:  # other workers would do the jobs, but there are none
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
            del job, result, failure  # otherwise their objects would live until the next job
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
    """Returns where an error was raised: `` (file.py:123)``."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"
