"""Starting the compiled helper: from a sealed copy, with an empty environment, and nothing but what it needs."""

import fcntl
import posix

from pyrunc.errors import PyruncError
from pyrunc.plan.protocol import PLACE_CHANNEL, PLACE_PLAN, PLACE_SLOTS, SLOT_STATIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BINARIES = __file__.rpartition("/")[0].rpartition("/")[0] + "/_bin"
STATIC, DYNAMIC = f"{BINARIES}/pyrunc-nsenter", f"{BINARIES}/pyrunc-nsenter-dynamic"

MFD_EXEC = 0x10  # Linux 6.3; memfd_create(2)
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed(name: str, data: bytes = b"", path: str = "") -> int:
    """A memfd with ``data``, or with the file at ``path``, that can't be changed any more.

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
    """What the helper inherits: ``preserve`` of the caller's after the standard ones, then the runtime's at fixed
    places."""

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
        """Duplicates ``descriptor`` above all places."""
        high: int = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, self.base + 64)
        self.moved.append(high)
        return high

    def close(self) -> None:
        """Closes our copies."""
        for descriptor in self.moved:
            posix.close(descriptor)
        self.moved.clear()


def spawn(
    channel: int,
    plan: bytes,
    slots: "dict[int, int]",
    preserve: int,
    environment: "Sequence[str] | None" = None,
    stdio: "Sequence[int]" = (),
    session: bool = False,
) -> int:
    """Starts the helper, returns its pid. ``slots`` {slot: descriptor}. Raises PyruncError.

    ``stdio``: what become its standard descriptors, and the preserved ones after them (-1: none of that number); the
    caller's unless given.
    ``environment``: the dynamic build at once, with these variables (--preload-lib); None otherwise. ``session``: it
    leads one of its own, which has no terminal.
    """
    if environment is None and SLOT_STATIC in slots:
        program = posix.dup(slots[SLOT_STATIC])  # the same, which is executed again after loading
    else:
        program = sealed("pyrunc-helper", path=STATIC if environment is None else DYNAMIC)
    plan_descriptor = sealed("pyrunc-plan", plan)
    descriptors = Descriptors(preserve)
    try:
        for number, descriptor in enumerate(stdio):
            if descriptor >= 0:
                descriptors.actions.append((posix.POSIX_SPAWN_DUP2, descriptors.move(descriptor), number))
        descriptors.add(PLACE_CHANNEL, channel)
        descriptors.add(PLACE_PLAN, plan_descriptor)
        for slot, descriptor in slots.items():
            descriptors.add(PLACE_SLOTS + slot, descriptor)
        # No variable of ours reaches the helper (nor through it a hook, or the container).
        variables = dict(entry.split("=", 1) for entry in environment or ())
        arguments = ["pyrunc-init", str(preserve)]
        return posix.posix_spawn(
            f"/proc/self/fd/{descriptors.move(program)}",
            arguments,
            variables,
            file_actions=descriptors.actions,
            setsigmask=(),
            # Of its own: what it clones can be ended and reaped also when we do not know it (conversation.py).
            **({"setsid": True} if session else {"setpgroup": 0}),
        )
    except OSError as error:
        raise PyruncError(f"execute the helper: {(error.strerror or '').lower()}") from None
    finally:
        descriptors.close()
        posix.close(program)
        posix.close(plan_descriptor)
