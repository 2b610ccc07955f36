"""What a failed launch has to release: each acquisition adds its release, and all are done in reverse, once."""

from pyrunc import log
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Rollback:
    """A stack of releases. contextlib.ExitStack does as much, but its module would be imported on every hot path."""

    __slots__ = ("releases",)

    def __init__(self) -> None:
        self.releases: list[Callable[[], object]] = []

    def add(self, release: "Callable[[], object]") -> None:
        """``release`` is done by ``run``, before those that were added earlier."""
        self.releases.append(release)

    def run(self) -> bool:
        """Releases everything; whether all could be. A failure is logged, and the others are done all the same."""
        all_done = True
        while self.releases:
            try:
                self.releases.pop()()
            except (PyruncError, OSError) as error:
                log.warning(f"roll back: {error}")
                all_done = False
        return all_done
