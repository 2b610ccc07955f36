"""The runtime's side of nsenter/helper/handover.c: keeps the helper's descriptors while a library is loaded, and
returns them to the static helper after checking that it really is the program that runs."""

import array
import posix
import select
import sys
from _socket import AF_UNIX, CMSG_LEN, MSG_CMSG_CLOEXEC, SCM_RIGHTS, SOCK_SEQPACKET, SOL_SOCKET, socketpair

from pyrunc import interrupts
from pyrunc.errors import PyruncError
from pyrunc.launch.conversation import HelperEnded
from pyrunc.linux import procfs
from pyrunc.linux.files import read
from pyrunc.plan.protocol import (
    MESSAGE_DESCRIPTORS,
    MESSAGE_ERROR,
    MESSAGE_RESUMED,
    MESSAGE_STATE,
    MESSAGE_UNDONE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.launch.conversation import Launch

ROOM, RIGHTS = 1 << 16, 253
"""The longest message in bytes, and the largest number of descriptors in one (SCM_MAX_FD of the kernel)."""
KERNELS = ([b"[vdso]"], [b"[vsyscall]"], [b"[vectors]"], [b"[uprobes]"])
"""Names of executable mappings that the kernel makes in every program (proc(5), /proc/PID/maps)."""
SLICE = 0.02
"""Seconds between two checks of a process that loads and sends nothing."""


class Handover:
    """The handover of one launch. ``watch`` is called regularly while the library is loaded. ``extra`` {number:
    descriptor} is passed to the helper in addition to its own descriptors."""

    def __init__(self, launch: "Launch", static: int, preserve: int, watch: "Callable[[], None]") -> None:
        self.launch = launch
        self.static = static
        self.preserve = preserve
        self.watch = watch
        self.loading = False
        self.undone: list[str] = []
        self.extra: dict[int, int] = {}
        self._parts: list[tuple[bytes, list[int]]] = []
        self._state = b""
        self._begun = 0
        launch.message = self._message
        launch.on_message = self._take

    def close(self) -> None:
        """Closes descriptors that were not returned to the helper."""
        for _, descriptors in self._parts:
            for descriptor in descriptors:
                posix.close(descriptor)
        self._parts.clear()
        for descriptor in self.extra.values():
            posix.close(descriptor)
        self.extra.clear()

    def _message(self) -> bytes:
        if self.loading:
            self._await_message()
        message, rights, _, _ = self.launch.channel.recvmsg(ROOM, CMSG_LEN(4 * RIGHTS), MSG_CMSG_CLOEXEC)
        descriptors = [number for right in rights for number in _numbers(right)]
        kind: bytes = message[:1]
        if self.loading and kind not in (MESSAGE_RESUMED, MESSAGE_ERROR, b""):
            # From here on a library may have written the message, so only messages that belong to loading are accepted.
            for descriptor in descriptors:
                posix.close(descriptor)
            raise PyruncError("loading wrote to the helper's channel")
        if kind == MESSAGE_DESCRIPTORS:
            self._parts.append((message[1:], descriptors))
        elif descriptors:
            self.launch.listener = descriptors[0]
        return message  # type: ignore[no-any-return]

    def _await_message(self) -> None:
        """Waits for a message. Child processes may keep the channel open after the process itself has ended."""
        from time import monotonic

        end = monotonic() + self.launch.timeout if self.launch.timeout is not None else None
        poll = select.poll()
        poll.register(self.launch.channel.fileno(), select.POLLIN)
        while True:
            with interrupts.allowed:
                if poll.poll(SLICE * 1000):
                    return
            pid = self.launch.process
            self.watch()
            if procfs.exiting(pid):
                raise HelperEnded(self._wait(pid))
            if tracer := int(status(pid).get("TracerPid", "0")):
                raise PyruncError(f"loading made process {tracer} its tracer (ptrace(2)), and waits for it")
            if end is not None and monotonic() > end:
                raise PyruncError(f"loading did not end within {self.launch.timeout:g} s")

    def _wait(self, pid: int) -> int:
        found = posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOWAIT)
        if found is None:
            return 0
        return int(found.si_status) << 8 if found.si_code == posix.CLD_EXITED else int(found.si_status)

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == MESSAGE_STATE:
            self._state = body
            self.loading = True
            self._begun = self.launch.clock()
        elif kind == MESSAGE_RESUMED:
            self._resumed()
        elif kind == MESSAGE_UNDONE:
            self.undone += body.decode("utf-8", "replace").split(", ")

    def _resumed(self) -> None:
        """The static helper runs, or claims to. Checks that, and executes the runtime's steps before it continues."""
        check_program(self.launch.process, self.static, self.preserve)
        number = next(at for at, step in enumerate(self.launch.steps) if step.kind == "preload-check")
        # The steps of loading can only be measured together: their time is recorded for the last one.
        self.launch.times[number - 1] = self._begun, self.launch.clock()
        self.launch.reached = number
        self.launch.act(number)

    def give_back(self, done: int) -> None:
        """Lets the process continue after step ``done``, and returns everything that it has handed over.

        Sends it over the old channel, together with the end of a new one. What the library has written to the old
        channel is lost with it.
        """
        self.loading = False
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        old = self.launch.channel
        numbers = b"".join(number.to_bytes(4, sys.byteorder) for number in self.extra)
        try:
            for part in [*self._parts, *([(numbers, [*self.extra.values()])] if self.extra else [])]:
                _send(old, MESSAGE_DESCRIPTORS + part[0], part[1])
            _send(old, MESSAGE_STATE + done.to_bytes(4, sys.byteorder) + self._state, [theirs.fileno()])
        finally:
            theirs.close()
        self.close()
        self.launch.channel = ours
        old.close()


def _numbers(right: "tuple[int, int, bytes]") -> "array.array[int]":
    level, kind, data = right
    numbers = array.array("i")
    if level == SOL_SOCKET and kind == SCM_RIGHTS:
        numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    return numbers


def _send(channel: "Any", message: bytes, descriptors: "list[int]") -> None:
    channel.sendmsg([message], [(SOL_SOCKET, SCM_RIGHTS, array.array("i", descriptors).tobytes())])


def status(pid: int) -> "dict[str, str]":
    """Returns the fields of /proc/PID/status."""
    rows = (line.partition(":") for line in read(f"/proc/{pid}/status").decode().splitlines())
    return {key: value.strip() for key, _, value in rows}


def check_program(pid: int, static: int, preserve: int) -> None:
    """Raises PyruncError unless ``pid`` executes the static helper (descriptor ``static``) with the expected arguments.
    The library may still control the process, and send any message on the channel."""
    found, wanted = posix.stat(f"/proc/{pid}/exe"), posix.fstat(static)
    if (found.st_dev, found.st_ino) != (wanted.st_dev, wanted.st_ino):
        raise PyruncError("loading wrote to the helper's channel")
    words = read(f"/proc/{pid}/cmdline")
    if words != b"pyrunc-init\0resume\0%d\0" % preserve or read(f"/proc/{pid}/environ"):
        raise PyruncError("loading executed the static helper with arguments of its own")
    if len(posix.listdir(f"/proc/{pid}/task")) != 1:
        raise PyruncError("the static helper has threads that are not its own")
    # Root can change all of the above about itself (PR_SET_MM), but not which pages are executable.
    device = f"{posix.major(wanted.st_dev):02x}:{posix.minor(wanted.st_dev):02x}".encode()
    program = (device, str(wanted.st_ino).encode())
    for line in read(f"/proc/{pid}/maps").splitlines():
        _, flags, _, *file = line.split(None, 5)
        if b"x" in flags and tuple(file[:2]) != program and file[2:] not in KERNELS:
            raise PyruncError("loading left code in what looks like the static helper")
