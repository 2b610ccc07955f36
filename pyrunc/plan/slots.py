"""The numbers of descriptors that one step opens and a later one uses (``SLOT_*`` of nsenter/helper.h)."""

from pyrunc.errors import SpecError

START, CONSOLE, TARGET, HELPER, CAPTURE, LIBRARY = range(6)
"""Inherited from the runtime: sockets for ``start`` and the terminal, init's pidfd (exec), the preloaded library."""
LIBRARIES = 8
STDIO = LIBRARY + LIBRARIES
DIRECTORY = STDIO + 3
INHERITED, COUNT = DIRECTORY + 1, 1024


class Slots:
    """Hands out numbers of one plan."""

    __slots__ = ("next",)

    def __init__(self) -> None:
        self.next = INHERITED

    def new(self, where: str) -> int:
        """The next free slot; SpecError at ``where`` when a config needs more than the helper has."""
        if self.next == COUNT:
            raise SpecError(where, f"more than {COUNT - INHERITED} bind mounts, devices and namespaces")
        self.next += 1
        return self.next - 1
