"""`pyrunc delete`."""

from pyrunc.container.container import Container
from pyrunc.container.state import ids
from pyrunc.errors import NoSuchContainer, PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def matching(pattern: str, root: str) -> "list[str]":
    """--regex: the ids of ``root`` that ``pattern`` finds something in; PyruncError when it is not one."""
    import re

    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise PyruncError(f"--regex {pattern!r}: {error}") from None
    return [name for name in ids(root) if expression.search(name)]


def run(options: "Any") -> int:
    """Removes what is stopped; with --force whatever there is, and nothing is success too."""
    chosen = matching(options.container_id, options.root) if options.regex else [options.container_id]
    for container_id in chosen:
        try:
            Container.load(container_id, options.root).destroy(bool(options.force))
        except NoSuchContainer:
            if not options.force:
                raise
            remove_leftover(options.root, container_id)
    return 0


def remove_leftover(root: str, container_id: str) -> None:
    """A directory without state.json: its creator was killed before it had made anything."""
    from pyrunc.container.state import State

    state = State(root, container_id)
    try:
        state.take_lock()
    except NoSuchContainer:
        return
    state.remove()
