"""The resident process of a pod: the loop and everything that it needs, until containerd calls Shutdown."""

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
"""Seconds that containerd has to receive the last events."""
FORGOTTEN = 10.0
"""Seconds between two checks whether containerd has lost a server without a container."""


def serve(values: "dict[str, Any]", listener: int, path: str, address: str) -> None:
    """Serves ``listener``, bound to ``path``, and returns after Shutdown. ``address``: that of the events service."""
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
                pass  # another shim's `start` has removed it as the socket of a dead shim
        events.when_empty(LAST_EVENTS, loop.stop)

    def look() -> None:
        # A containerd that was killed before it recorded this server removes the bundle when it starts again.
        if service.tasks.empty and not server.peers and posix.stat(".").st_nlink == 0:
            log.warning("shim: the bundle is gone, and containerd has not come back: nothing is left to be served")
            ended()
        else:
            loop.later(FORGOTTEN, look)

    service.on_shutdown = ended
    loop.later(FORGOTTEN, look)
    loop.quiet = lib.pyrunc_trim
    # Existing objects live until the end, so the collector need not scan them. The launcher has disabled it.
    gc.freeze()
    gc.enable()
    loop.run()


def _log() -> int:
    """Opens the bundle's FIFO ``log``, which containerd reads. It is open for reading, too, so that a write without a
    reader is not an error. If the FIFO is full, a line is lost."""
    try:
        descriptor: int = posix.open("log", posix.O_RDWR | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError:
        return -1
    return descriptor
