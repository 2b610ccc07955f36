"""`pyrunc delete`."""

from pyrunc.container.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(options: "Any") -> int:
    """Removes what is stopped; with --force whatever there is, and nothing is success too."""
    matched = Container.matching(options.container_id, options.root) if options.regex else [options.container_id]
    for container_id in matched:
        if options.force:
            Container.remove(container_id, options.root)
        else:
            Container.load(container_id, options.root).destroy()
    return 0
