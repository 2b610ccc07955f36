"""`pyrunc state`."""

from pyrunc import log
from pyrunc.container.container import Container
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(options: "Any") -> int:
    """Prints the state (runtime-spec runtime.md "State"), indented as runc's."""
    log.out(dumps(Container.load(options.container_id, options.root).state(), 2))
    return 0
