"""`pyrunc kill`."""

from pyrunc.container.container import Container
from pyrunc.container.signals import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(options: "Any") -> int:
    """Sends a signal (SIGTERM unless told) to init, or with --all to every process."""
    signal = number(options.signal or "SIGTERM")
    matched = Container.matching(options.container_id, options.root) if options.regex else [options.container_id]
    for container_id in matched:
        Container.load(container_id, options.root).signal(signal, bool(options.all))
    return 0
