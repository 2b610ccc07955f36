"""What a failed launch has to release. Each acquisition adds its release; all run once, in reverse order."""

from pyrunc import log
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Rollback:
    """A stack of releases. contextlib.ExitStack would do, but importing it would slow every hot command."""

    __slots__ = ("releases",)

    def __init__(self) -> None:
        self.releases: list[Callable[[], object]] = []

    def add(self, release: "Callable[[], object]") -> None:
        """Adds ``release``. ``run`` calls it before those that were added earlier."""
        self.releases.append(release)

    def run(self) -> bool:
        """Calls every release. A failure is logged and does not stop the others. Neither does a signal that ends the
        wait of one release (interrupts.py): it is raised at the end. Returns whether all succeeded."""
        all_done, ended = True, None
        while self.releases:
            try:
                self.releases.pop()()
            except (PyruncError, OSError) as error:
                log.warning(f"roll back: {error}")
                all_done = False
            except BaseException as error:
                ended = error
        if ended is not None:
            raise ended
        return all_done
