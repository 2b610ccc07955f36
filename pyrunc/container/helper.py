"""Starting the compiled helper: from a sealed copy, with an empty environment, and nothing but what it needs."""

import fcntl
import posix

from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BINARIES = __file__.rpartition("/")[0].rpartition("/")[0] + "/_bin"
STATIC, DYNAMIC = f"{BINARIES}/pyrunc-nsenter", f"{BINARIES}/pyrunc-nsenter-dynamic"

MFD_EXEC = 0x10  # Linux 6.3; memfd_create(2)
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed(name: str, data: bytes = b"", path: str = "") -> int:
    """A memfd with ``data``, or with the file at ``path``, that nobody can change any more.

    The helper runs from one: the program that a container finds through /proc/PID/exe is then a copy that can't be
    written to, and never the one on disk (CVE-2019-5736).
    """
    flags = posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING
    if path:
        try:
            descriptor = posix.memfd_create(name, flags | MFD_EXEC)
        except OSError:
            descriptor = posix.memfd_create(name, flags)
        _copy(path, descriptor)
    else:
        descriptor = posix.memfd_create(name, flags)
        left = memoryview(data)
        while left:
            left = left[posix.write(descriptor, left) :]
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    return descriptor


def _copy(path: str, to: int) -> None:
    try:
        source = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise PyruncError(
            f"{path}: {(error.strerror or '').lower()}: pyrunc's helper is not built (make build)"
        ) from None
    while posix.sendfile(to, source, None, 1 << 30):
        pass
    posix.close(source)


class Descriptors:
    """What the helper inherits: ``preserve`` of the caller's behind the standard ones, then ours at fixed places."""

    __slots__ = ("actions", "base", "moved")

    def __init__(self, preserve: int) -> None:
        self.base = 3 + preserve
        self.moved: list[int] = []
        self.actions: list[tuple[int, int, int]] = []

    def add(self, place: int, descriptor: int) -> None:
        """``descriptor`` becomes number base + ``place`` in the helper."""
        # Out of the way of all places first: dup2 onto one must not close the source of another.
        self.actions.append((posix.POSIX_SPAWN_DUP2, self.move(descriptor), self.base + place))

    def move(self, descriptor: int) -> int:
        """A copy of ``descriptor`` behind all places."""
        high: int = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, self.base + 64)
        self.moved.append(high)
        return high

    def close(self) -> None:
        """Closes our copies."""
        for descriptor in self.moved:
            posix.close(descriptor)
        self.moved.clear()


CHANNEL, PLAN, SLOTS = 0, 1, 2
"""Places behind the preserved descriptors; slot N of the plan is at SLOTS + N (``SLOT_*`` of nsenter/helper.h)."""


def spawn(
    channel: int,
    plan: bytes,
    slots: "dict[int, int]",
    preserve: int,
    environment: "Sequence[str] | None" = None,
    stdio: "Sequence[int]" = (),
) -> int:
    """Starts the helper, returns its pid. ``slots`` {slot: descriptor}. Raises PyruncError.

    ``stdio``: what become its standard descriptors, and preserved ones behind them; ours unless given.
    ``environment``: the dynamic build at once, with these variables (--placement legacy); None otherwise.
    """
    program = sealed("pyrunc-helper", path=STATIC if environment is None else DYNAMIC)
    plan_descriptor = sealed("pyrunc-plan", plan)
    descriptors = Descriptors(preserve)
    try:
        for number, descriptor in enumerate(stdio):
            descriptors.actions.append((posix.POSIX_SPAWN_DUP2, descriptors.move(descriptor), number))
        descriptors.add(CHANNEL, channel)
        descriptors.add(PLAN, plan_descriptor)
        for slot, descriptor in slots.items():
            descriptors.add(SLOTS + slot, descriptor)
        # No variable of ours reaches the helper (nor through it a hook, or the container).
        variables = dict(entry.split("=", 1) for entry in environment or ())
        arguments = ["pyrunc-init", str(preserve)]
        return posix.posix_spawn(
            f"/proc/self/fd/{descriptors.move(program)}",
            arguments,
            variables,
            file_actions=descriptors.actions,
            setsigmask=(),
            setpgroup=0,  # of its own: what it clones can be ended and reaped also when we do not know it (launch.py)
        )
    except OSError as error:
        raise PyruncError(f"execute the helper: {(error.strerror or '').lower()}") from None
    finally:
        descriptors.close()
        posix.close(program)
        posix.close(plan_descriptor)
