"""Allocates the slots of a plan: numbers of descriptors that one step opens and a later step uses."""

from pyrunc.errors import SpecError
from pyrunc.plan.protocol import SLOT_COUNT, SLOT_INHERITED


class Slots:
    """Allocates the slots of one plan."""

    __slots__ = ("next",)

    def __init__(self) -> None:
        self.next = SLOT_INHERITED

    def new(self, where: str) -> int:
        """Returns the next free slot. Raises SpecError at ``where`` if the config needs more slots than the helper
        has."""
        if self.next == SLOT_COUNT:
            raise SpecError(where, f"more than {SLOT_COUNT - SLOT_INHERITED} bind mounts, devices and namespaces")
        self.next += 1
        return self.next - 1
