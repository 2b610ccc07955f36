"""Starts the compiled helper from a sealed copy, with an empty environment and only the descriptors that it needs."""

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
    """Returns a memfd that contains ``data``, or the file at ``path``, and can no longer be changed.

    The helper runs from such a copy. A container that opens the program through /proc/PID/exe gets the copy, which is
    not writable, and never the file on disk (CVE-2019-5736).
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
    """The descriptors that the helper inherits: the standard ones, ``preserve`` more of the caller's, then the
    runtime's at fixed numbers."""

    __slots__ = ("actions", "base", "moved")

    def __init__(self, preserve: int) -> None:
        self.base = 3 + preserve
        self.moved: list[int] = []
        self.actions: list[tuple[int, int, int]] = []

    def add(self, place: int, descriptor: int) -> None:
        """Makes ``descriptor`` number base + ``place`` in the helper."""
        # Moved above all places first, so that a dup2 onto one place does not close the source of another.
        self.actions.append((posix.POSIX_SPAWN_DUP2, self.move(descriptor), self.base + place))

    def move(self, descriptor: int) -> int:
        """Duplicates ``descriptor`` above all places."""
        high: int = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, self.base + 64)
        self.moved.append(high)
        return high

    def close(self) -> None:
        """Closes this process's copies."""
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
    """Starts the helper and returns its pid. Raises PyruncError if it cannot be executed.

    ``slots``: {slot: descriptor}. ``stdio``: the helper's standard descriptors, followed by the preserved ones; -1
    leaves that number out; the caller's are inherited if ``stdio`` is empty. ``environment``: None, or the variables
    with which the dynamic build starts at once (--preload-lib). ``session``: the helper leads a new session, which has
    no terminal.
    """
    if environment is None and SLOT_STATIC in slots:
        program = posix.dup(slots[SLOT_STATIC])  # the same file, which is executed again after the library is loaded
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
        # The runtime's variables do not reach the helper, and so neither a hook nor the container.
        variables = dict(entry.split("=", 1) for entry in environment or ())
        arguments = ["pyrunc-init", str(preserve)]
        return posix.posix_spawn(
            f"/proc/self/fd/{descriptors.move(program)}",
            arguments,
            variables,
            file_actions=descriptors.actions,
            setsigmask=(),
            # A new process group: a clone whose pid is not known yet can be killed and reaped (conversation.py).
            **({"setsid": True} if session else {"setpgroup": 0}),
        )
    except OSError as error:
        raise PyruncError(f"execute the helper: {(error.strerror or '').lower()}") from None
    finally:
        descriptors.close()
        posix.close(program)
        posix.close(plan_descriptor)
