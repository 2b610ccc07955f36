"""The runtime's side of nsenter/helper/handover.c: what keeps the helper's descriptors while a library is loaded, and
gives them back to the static helper, once that is seen to be the program that runs."""

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
"""Bytes of the longest message; descriptors that come with one at most (SCM_MAX_FD of the kernel)."""
KERNELS = ([b"[vdso]"], [b"[vsyscall]"], [b"[vectors]"], [b"[uprobes]"])
"""Names of executable pages that the kernel maps into every program (proc(5), /proc/PID/maps)."""
SLICE = 0.02
"""Seconds between two looks at a process that loads and says nothing."""


class Handover:
    """One launch's. ``watch`` is called every now and then while the library is loaded; ``extra`` {number: descriptor}
    is given to the helper beside what it has handed over."""

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
        """Closes what the helper has not got back."""
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
            # From here on a library may have written it: what is no part of loading is not believed.
            for descriptor in descriptors:
                posix.close(descriptor)
            raise PyruncError("loading wrote to the helper's channel")
        if kind == MESSAGE_DESCRIPTORS:
            self._parts.append((message[1:], descriptors))
        elif descriptors:
            self.launch.listener = descriptors[0]
        return message  # type: ignore[no-any-return]

    def _await_message(self) -> None:
        """Until there is one; its children may keep the channel open when the process itself has ended."""
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
        """The static helper runs, or so it says; our steps before it goes on are done now."""
        check_program(self.launch.process, self.static, self.preserve)
        number = next(at for at, step in enumerate(self.launch.steps) if step.kind == "preload-check")
        # Of the steps of loading only all of them can be measured: they are logged as the last one's time.
        self.launch.times[number - 1] = self._begun, self.launch.clock()
        self.launch.reached = number
        self.launch.act(number)

    def give_back(self, done: int) -> None:
        """The process goes on after step ``done``: all that it handed over is its own again.

        Over the old channel, with the end of a new one: what the library wrote to the old one is lost with it."""
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
    """/proc/PID/status."""
    rows = (line.partition(":") for line in read(f"/proc/{pid}/status").decode().splitlines())
    return {key: value.strip() for key, _, value in rows}


def check_program(pid: int, static: int, preserve: int) -> None:
    """PyruncError unless ``pid`` executes the static helper (descriptor ``static``) as it is to be executed again: the
    process may still be in the library's hands, and say on our channel what it likes."""
    found, wanted = posix.stat(f"/proc/{pid}/exe"), posix.fstat(static)
    if (found.st_dev, found.st_ino) != (wanted.st_dev, wanted.st_ino):
        raise PyruncError("loading wrote to the helper's channel")
    words = read(f"/proc/{pid}/cmdline")
    if words != b"pyrunc-init\0resume\0%d\0" % preserve or read(f"/proc/{pid}/environ"):
        raise PyruncError("loading executed the static helper with arguments of its own")
    if len(posix.listdir(f"/proc/{pid}/task")) != 1:
        raise PyruncError("the static helper has threads that are not its own")
    # All of that root may also write about itself (PR_SET_MM), but not which pages can be executed.
    device = f"{posix.major(wanted.st_dev):02x}:{posix.minor(wanted.st_dev):02x}".encode()
    program = (device, str(wanted.st_ino).encode())
    for line in read(f"/proc/{pid}/maps").splitlines():
        _, flags, _, *file = line.split(None, 5)
        if b"x" in flags and tuple(file[:2]) != program and file[2:] not in KERNELS:
            raise PyruncError("loading left code in what looks like the static helper")
