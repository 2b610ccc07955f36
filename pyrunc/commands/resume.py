"""`pyrunc resume`."""

from pyrunc.container.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(options: "Any") -> int:
    """Resumes every process of the container."""
    Container.load(options.container_id, options.root).resume()
    return 0
