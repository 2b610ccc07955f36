"""Sends events to containerd in order. Keeps a limited number of them while containerd is not running.

They are sent to its ttrpc events service (TTRPC_ADDRESS), or without one through ``containerd publish``
(``-publish-binary``), one at a time.
"""

import posix
from time import time_ns

from pyrunc import log
from pyrunc.shim.messages import any_of, encode, timestamp
from pyrunc.shim.ttrpc import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.shim.children import Children
    from pyrunc.shim.loop import Loop

SERVICE = "containerd.services.events.ttrpc.v1.Events"
MOST = 4096
"""The largest number of queued events. If there are more, the oldest are dropped."""
AGAIN = 0.1, 2.0
"""Seconds between attempts to connect to containerd: the first and the longest delay."""
TOPICS = {
    "TaskCreate": "/tasks/create",
    "TaskStart": "/tasks/start",
    "TaskExecAdded": "/tasks/exec-added",
    "TaskExecStarted": "/tasks/exec-started",
    "TaskOOM": "/tasks/oom",
    "TaskPaused": "/tasks/paused",
    "TaskResumed": "/tasks/resumed",
    "TaskCheckpointed": "/tasks/checkpointed",
    "TaskExit": "/tasks/exit",
    "TaskDelete": "/tasks/delete",
}


class Events:
    """``publish`` never blocks. ``address``: of the events service; ``publisher``: (binary, containerd's address)."""

    def __init__(self, loop: "Loop", children: "Children", namespace: str, address: str, publisher: "tuple[str, str]"):
        self.loop = loop
        self.children = children
        self.namespace = namespace
        self.address = address.removeprefix("unix://")
        self.publisher = publisher
        self.queue: list[tuple[str, bytes, dict[str, int] | None]] = []  # (message, its bytes, its time)
        self.client: Client | None = None
        self.under_way = False
        self.pause = AGAIN[0]
        self.dropped = 0
        self.emptied: Callable[[], object] | None = None

    def publish(self, message: str, **fields: "Any") -> None:
        """Queues an event. ``message``: a key of TOPICS."""
        self.queue.append((message, encode(message, fields), timestamp(time_ns())))
        if len(self.queue) > MOST:
            # The first may be in transit: the reply to it removes it from the queue.
            del self.queue[1 if self.under_way else 0]
            self.dropped += 1
            if self.dropped & self.dropped - 1 == 0:  # 1, 2, 4, 8, ...
                log.warning(f"shim: containerd takes no events: {self.dropped} dropped")
        self._next()

    def when_empty(self, seconds: float, action: "Callable[[], object]") -> None:
        """Calls ``action`` once, when all events were received or after ``seconds``."""
        if not self.queue:
            action()
            return

        def once() -> None:
            if self.emptied is not None:
                self.emptied = None
                action()

        self.emptied = once
        self.loop.later(seconds, once)

    def _next(self) -> None:
        if self.under_way:
            return
        if not self.queue:
            if self.emptied is not None:
                self.emptied()
            return
        self.under_way = True
        message, data, when = self.queue[0]
        event = any_of(f"containerd.events.{message}", data)
        if not self.address:
            self._by_binary(TOPICS[message], encode("Any", event))
            return
        if self.client is None:
            try:
                self.client = Client(self.loop, self.address, self._lost)
            except OSError:
                self._later()
                return
        envelope = {"timestamp": when, "namespace": self.namespace, "topic": TOPICS[message], "event": event}
        self.client.call(SERVICE, "Forward", encode("ForwardRequest", {"envelope": envelope}), self._answered)

    def _answered(self, code: int, message: str) -> None:
        self.pause = AGAIN[0]
        if code:
            log.warning(f"shim: containerd refuses event {TOPICS[self.queue[0][0]]}: {message}")
        self._taken()

    def _taken(self) -> None:
        self.under_way = False
        del self.queue[0]
        self._next()

    def _lost(self) -> None:
        """containerd has exited. It gets the event again after its restart, because it may not have handled it."""
        self.client = None
        if self.under_way:
            self._later()

    def _later(self) -> None:
        def again() -> None:
            self.under_way = False
            self._next()

        self.loop.later(self.pause, again)
        self.pause = min(self.pause * 2, AGAIN[1])

    def _by_binary(self, topic: str, data: bytes) -> None:
        binary, address = self.publisher
        arguments = [binary, "--address", address, "publish", "--topic", topic, "--namespace", self.namespace]
        reading, writing = posix.pipe2(posix.O_CLOEXEC)
        actions: list[Any] = [(posix.POSIX_SPAWN_DUP2, reading, 0)]
        actions += [(posix.POSIX_SPAWN_OPEN, number, "/dev/null", posix.O_RDWR, 0) for number in (1, 2)]
        try:
            posix.write(writing, data)  # far less than the capacity of a pipe
            pid = posix.posix_spawn(
                binary, arguments, posix.environ, file_actions=actions, setsigmask=(), setsigdef=(13,)
            )
        except OSError as error:
            log.warning(f"shim: event {topic}: {binary}: {(error.strerror or '').lower()}")
            self._taken()
            return
        finally:
            posix.close(reading)
            posix.close(writing)
        self.children.watch(pid, lambda status: self._published(topic, status))

    def _published(self, topic: str, status: int) -> None:
        if status:
            log.warning(f"shim: event {topic}: {self.publisher[0]} publish: exit status {status}")
        self._taken()
