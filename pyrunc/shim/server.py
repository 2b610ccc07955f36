"""The resident process of a pod: the loop with all that belongs to it, until containerd says Shutdown."""

import gc
import posix

from pyrunc import log
from pyrunc.shim.children import Children
from pyrunc.shim.events import Events
from pyrunc.shim.loop import Loop
from pyrunc.shim.service import Service
from pyrunc.shim.ttrpc import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LAST_EVENTS = 2.0
"""Seconds for containerd to take the last events."""
FORGOTTEN = 10.0
"""Seconds between two looks at whether containerd has lost a server that has no container."""


def serve(values: "dict[str, Any]", listener: int, path: str, address: str) -> None:
    """Serves ``listener``, bound to ``path``, and returns after Shutdown. ``address``: of the events service."""
    from pyrunc.ffi._sys import lib

    log.to(_log(), bool(values["debug"]))
    signals = lib.pyrunc_become_resident()
    if signals < 0:
        raise OSError(-signals, posix.strerror(-signals))
    loop = Loop()
    children = Children(loop, signals)
    publisher = (str(values["publish-binary"]), str(values["address"]))
    events = Events(loop, children, str(values["namespace"]), str(values.get("ttrpc") or address), publisher)
    service = Service(loop, children, events, str(values["namespace"]))
    server = Server(loop, listener, service.dispatch)

    def ended() -> None:
        server.close()
        if path:
            try:
                posix.unlink(path)
            except OSError:
                pass  # another shim's `start` has taken it for a dead one's
        events.when_empty(LAST_EVENTS, loop.stop)

    def look() -> None:
        # A containerd that was killed before it had noted this server removes the bundle at its next start.
        if service.tasks.empty and not server.peers and posix.stat(".").st_nlink == 0:
            log.warning("shim: the bundle is gone, and containerd has not come back: nothing is left to be served")
            ended()
        else:
            loop.later(FORGOTTEN, look)

    service.on_shutdown = ended
    loop.later(FORGOTTEN, look)
    loop.quiet = lib.pyrunc_trim
    # What is there by now stays: it is not looked at again by the collector, which the launcher has switched off.
    gc.freeze()
    gc.enable()
    loop.run()


def _log() -> int:
    """The bundle's FIFO ``log``, which containerd reads. It is held from both ends: without a reader it is not an error
    to write, and when it is full a line is lost."""
    try:
        descriptor: int = posix.open("log", posix.O_RDWR | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError:
        return -1
    return descriptor
