"""The conversation with `criu swrk`: a request, its notifications, and its reply (criu.org/RPC).

pyrunc uses RPC instead of CRIU's command line, because only RPC passes the terminal of a restored container, reports
the pid of init before it runs, and makes init a child process of pyrunc. libcriu uses the same messages, but would be
one more library to load.
"""

import os
import shutil
import socket
from collections.abc import Callable, Sequence
from typing import Any

from pyrunc.criu.messages import FEATURE_CHECK, NAMES, NOTIFY, PRE_DUMP, VERSION, decode, encode
from pyrunc.errors import PyruncError
from pyrunc.launch.conversation import words_of

CHANNEL = 3
"""The descriptor of the socket in `criu swrk`, which is its argument."""
FIRST_EXTRA = CHANNEL + 1
ERRORS_TOLD = 3
LARGEST = 64 << 10
"""The maximum size of a reply, in bytes."""

Notified = Callable[[str, int, int], None]
"""The callback for notifications: (script, pid or 0, a received descriptor or -1). The descriptor is closed after the
call, so a callback that keeps it duplicates it. An exception ends the conversation."""


def _ignore(script: str, pid: int, descriptor: int) -> None:
    pass


class Criu:
    """One process of CRIU, for one request."""

    def __init__(self, stdio: Sequence[int] = (), extra: Sequence[int] = ()) -> None:
        """Starts CRIU. ``stdio``: its three standard descriptors, which a restored process inherits; the default is
        /dev/null. ``extra``: descriptors that CRIU gets from FIRST_EXTRA on."""
        program = shutil.which("criu")
        if program is None:
            raise PyruncError("criu: executable file not found in $PATH (Debian's package is criu)")
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        null = -1
        try:
            if not stdio:
                null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
                stdio = (null, null, null)
            self.pid = _spawn(program, theirs.fileno(), stdio, extra)
        except OSError as error:
            self.channel.close()
            raise PyruncError(f"execute {program}: {(error.strerror or '').lower()}") from None
        finally:
            theirs.close()
            if null >= 0:
                os.close(null)

    def ask(self, request: dict[str, Any], notified: Notified = _ignore) -> dict[str, Any]:
        """Sends ``request``; returns the reply. PyruncError with CRIU's message if it fails.

        In both cases CRIU has ended and is reaped.
        """
        try:
            self.channel.send(encode("request", request))
            answer = self._answer(request["type"], notified)
        except OSError as error:
            raise PyruncError(f"criu: {(error.strerror or '').lower()}") from None
        finally:
            self.channel.close()  # this ends CRIU, even during an operation
            status = os.waitpid(self.pid, 0)[1]
            self.pid = 0
        # After a pre-dump CRIU waits for another request, and exits with a failure if none arrives.
        if status and request["type"] in NAMES and request["type"] not in (PRE_DUMP, VERSION, FEATURE_CHECK):
            raise PyruncError(f"criu {NAMES[request['type']]}: ended by {words_of(status)}")
        return answer

    def _answer(self, kind: int, notified: Notified) -> dict[str, Any]:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self.channel, LARGEST, 1, socket.MSG_CMSG_CLOEXEC)
            try:
                if not data:
                    raise PyruncError(f"criu {NAMES[kind]}: it ended without an answer")
                answer = decode("response", data)
                if not answer.get("success"):
                    raise PyruncError(_refusal(kind, answer))
                if answer.get("type") != NOTIFY:
                    return answer
                event = answer.get("notify", {})
                notified(event.get("script", ""), event.get("pid", 0), descriptors[0] if descriptors else -1)
                self.channel.send(encode("request", {"type": NOTIFY, "notify_success": True}))
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def kill(self) -> None:
        """Kills CRIU. For a caller that has an error before ``ask``."""
        self.channel.close()
        if self.pid:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
            self.pid = 0


def _spawn(program: str, channel: int, stdio: Sequence[int], extra: Sequence[int]) -> int:
    from pyrunc.launch.helper import Descriptors

    places = Descriptors(0)
    try:
        for number, descriptor in enumerate(stdio):
            places.actions.append((os.POSIX_SPAWN_DUP2, places.move(descriptor), number))
        for place, descriptor in enumerate((channel, *extra)):
            places.add(place, descriptor)
        return os.posix_spawn(
            program, [program, "swrk", str(CHANNEL)], os.environ, file_actions=places.actions, setsigmask=()
        )
    finally:
        places.close()


def _refusal(kind: int, answer: dict[str, Any]) -> str:
    number = answer.get("cr_errno") or 0
    reason = answer.get("cr_errmsg") or (os.strerror(number).lower() if number else "")
    if kind == FEATURE_CHECK and not reason:
        reason = "`criu check` says what this kernel lacks"
    return f"criu {NAMES[kind]} failed{f': {reason}' if reason else ''}"


def version() -> int:
    """Returns the version of the installed CRIU in runc's form: 31701 is 3.17.1. PyruncError if it is not installed."""
    found = Criu().ask({"type": VERSION}).get("version", {})
    if found.get("gitid"):
        # Built between two releases: treat it as the next release, whose features it may already have.
        return int(found.get("major_number", 0)) * 10000 + (int(found.get("minor_number", 0)) + 1) * 100
    numbers = (found.get(name, 0) for name in ("major_number", "minor_number", "sublevel"))
    major, minor, sublevel = numbers
    return int(major * 10000 + minor * 100 + sublevel)


def require(feature: str, option: str) -> None:
    """Raises PyruncError unless kernel and CRIU support ``feature`` (``mem_track``, ``lazy_pages``), which ``option``
    needs."""
    have = Criu().ask({"type": FEATURE_CHECK, "features": {feature: True}}).get("features", {})
    if not have.get(feature):
        raise PyruncError(f"{option}: this kernel or this criu has no {feature.replace('_', ' ')}")


def errors(text: str) -> str:
    """Returns the messages of the last errors in CRIU's log, whose lines are ``(00.012345) Error (criu/x.c:1):
    message``."""
    lines = (line.partition("Error (")[2] for line in text.splitlines() if "Error (" in line)
    return "; ".join([line.partition("): ")[2].strip() for line in lines][-ERRORS_TOLD:])
