"""Hands out the slots of one plan: numbers of descriptors that one step opens and a later one uses."""

from pyrunc.errors import SpecError
from pyrunc.plan.protocol import SLOT_COUNT, SLOT_INHERITED


class Slots:
    """Hands out the slots of one plan."""

    __slots__ = ("next",)

    def __init__(self) -> None:
        self.next = SLOT_INHERITED

    def new(self, where: str) -> int:
        """The next free slot; SpecError at ``where`` when a config needs more than the helper has."""
        if self.next == SLOT_COUNT:
            raise SpecError(where, f"more than {SLOT_COUNT - SLOT_INHERITED} bind mounts, devices and namespaces")
        self.next += 1
        return self.next - 1
