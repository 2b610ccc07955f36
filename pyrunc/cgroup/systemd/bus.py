"""A D-Bus client on libsystemd's sd-bus (sd-bus(3)): calls, replies, and signals.

docs/architecture.md, "systemd", says why this library is used.
"""

from pyrunc.cgroup.systemd.values import STRINGS, element, elements
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIBRARY = "libsystemd.so.0"
MICROSECONDS = 1000000
TYPES = {"y": "uint8_t *", "n": "int16_t *", "q": "uint16_t *", "i": "int32_t *", "u": "uint32_t *"}
TYPES.update({"x": "int64_t *", "t": "uint64_t *", "d": "double *", "b": "int *"})

DISCONNECTED = "org.freedesktop.DBus.Error.Disconnected"
GONE = frozenset(
    f"org.freedesktop.DBus.Error.{name}"
    for name in ("Disconnected", "NoReply", "ServiceUnknown", "NameHasNoOwner", "NoServer", "Timeout", "TimedOut")
)
"""Errors of a peer that exited or re-executed itself during a call (systemctl daemon-reexec). The call is repeated."""


class BusError(PyruncError):
    """A D-Bus error. ``name``: its name, such as ``org.freedesktop.systemd1.NoSuchUnit``. The message is systemd's."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(words)
        self.name = name

    @property
    def lost(self) -> bool:
        """Whether the connection or the peer was lost. It is then unknown whether the call was carried out."""
        return self.name in GONE


def _library() -> "tuple[Any, Any]":
    from pyrunc.ffi._sdbus import ffi

    try:
        # Never unloaded: objects that are collected later (ffi.gc) are released by functions of the library.
        return ffi, ffi.dlopen(LIBRARY, ffi.RTLD_NOW | ffi.RTLD_NODELETE)
    except OSError as error:
        raise PyruncError(f"--systemd-cgroup needs {LIBRARY} (apt-get install libsystemd0): {error}") from None


class Bus:
    """One connection. ``address`` as in the D-Bus Specification, "Server Addresses". ``direct``: whether it is
    systemd's private socket, at which systemd answers without a bus daemon in between."""

    def __init__(self, address: str, direct: bool) -> None:
        self.ffi, self.lib = _library()
        self.direct = direct
        bus = self.ffi.new("sd_bus **")
        self._check(self.lib.sd_bus_new(bus))
        self.bus = self.ffi.gc(bus[0], self.lib.sd_bus_close_unref)
        self._check(self.lib.sd_bus_set_address(self.bus, address.encode()))
        self._check(self.lib.sd_bus_set_bus_client(self.bus, not direct))
        self._check(self.lib.sd_bus_start(self.bus))

    def _check(self, result: int) -> int:
        if result < 0:
            import posix

            raise BusError(DISCONNECTED, posix.strerror(-result).lower())
        return result

    def close(self) -> None:
        """Closes the connection. Messages that are still queued are not sent."""
        self.ffi.release(self.bus)

    def call(
        self, target: "tuple[str, str, str]", member: str, signature: str, arguments: "list[Any]", timeout: float
    ) -> "Message":
        """Calls ``member`` of ``target`` (name, object path, interface); returns the reply. BusError if the reply is an
        error, or does not arrive within ``timeout`` seconds."""
        message = self._message(target, member, signature, arguments)
        error, reply = self.ffi.new("sd_bus_error *"), self.ffi.new("sd_bus_message **")
        result = self.lib.sd_bus_call(self.bus, message, int(max(timeout, 0.001) * MICROSECONDS), error, reply)
        if result >= 0:
            return Message(self, reply[0])
        try:
            if error.name == self.ffi.NULL:
                self._check(result)
            words = self.ffi.string(error.message) if error.message != self.ffi.NULL else b""
            raise BusError(self.ffi.string(error.name).decode(), words.decode("utf-8", "replace"))
        finally:
            self.lib.sd_bus_error_free(error)

    def tell(self, target: "tuple[str, str, str]", member: str, signature: str, arguments: "list[Any]") -> None:
        """Makes a call without waiting for the reply."""
        message = self._message(target, member, signature, arguments)
        self._check(self.lib.sd_bus_message_set_expect_reply(message, 0))
        self._check(self.lib.sd_bus_send(self.bus, message, self.ffi.NULL))

    def next(self, timeout: float) -> "Message | None":
        """Returns the next message that is not a reply, or None if none arrives within ``timeout`` seconds."""
        from time import monotonic

        end = monotonic() + timeout
        message = self.ffi.new("sd_bus_message **")
        while True:
            if self._check(self.lib.sd_bus_process(self.bus, message)):
                if message[0] != self.ffi.NULL:
                    return Message(self, message[0])
                continue
            left = end - monotonic()
            if left <= 0:
                return None
            self._check(self.lib.sd_bus_wait(self.bus, int(left * MICROSECONDS) + 1))

    def _message(self, target: "tuple[str, str, str]", member: str, signature: str, arguments: "list[Any]") -> "Any":
        made = self.ffi.new("sd_bus_message **")
        name, path, interface = target
        words = (None if self.direct else name, path, interface, member)
        encoded = [self.ffi.NULL if word is None else word.encode() for word in words]
        self._check(self.lib.sd_bus_message_new_method_call(self.bus, made, *encoded))
        message = self.ffi.gc(made[0], self.lib.sd_bus_message_unref)
        for kind, value in zip(elements(signature), arguments, strict=True):
            self._append(message, kind, value)
        return message

    def _append(self, message: "Any", signature: str, value: "Any") -> None:
        """Appends one value of one complete type to the message."""
        kind = signature[0]
        if kind in STRINGS:
            self._basic(message, kind, str(value).encode("utf-8", "surrogateescape"))
        elif kind in TYPES:
            self._basic(message, kind, self.ffi.new(TYPES[kind], value))
        elif kind == "a":
            self._container(message, "a", signature[1:], [(signature[1:], each) for each in value])
        elif kind == "(":
            self._container(message, "r", signature[1:-1], zip(elements(signature[1:-1]), value, strict=True))
        elif kind == "{":
            self._container(message, "e", signature[1:-1], zip(elements(signature[1:-1]), value, strict=True))
        elif kind == "v":
            self._container(message, "v", value[0], [value])
        else:
            raise PyruncError(f"a value of D-Bus type {signature!r} can't be sent")

    def _basic(self, message: "Any", kind: str, pointer: "Any") -> None:
        result = self.lib.sd_bus_message_append_basic(message, kind.encode(), pointer)
        if result < 0:
            raise PyruncError(f"a value that D-Bus does not take for type {kind!r}")

    def _container(self, message: "Any", kind: str, contents: str, values: "Any") -> None:
        if self.lib.sd_bus_message_open_container(message, kind.encode(), contents.encode()) < 0:
            raise PyruncError(f"{contents!r}: not a D-Bus signature")
        for signature, value in values:
            self._append(message, signature, value)
        self._check(self.lib.sd_bus_message_close_container(message))


class Message:
    """A received message. Its values are read in order."""

    def __init__(self, bus: Bus, message: "Any") -> None:
        self.bus = bus
        self.message = bus.ffi.gc(message, bus.lib.sd_bus_message_unref)

    def is_signal(self, interface: str, member: str) -> bool:
        return bool(self.bus.lib.sd_bus_message_is_signal(self.message, interface.encode(), member.encode()) > 0)

    def read(self, signature: str) -> "list[Any]":
        """Reads values of basic types. ``v`` and a type (``vs``) reads the value of a variant of that type."""
        found = []
        while signature:
            kind, signature = element(signature)
            if kind == "v":
                kind, signature = element(signature)
                self._enter(b"v", kind)
                if kind[0] == "(":  # only the first field of a structure is read
                    self._enter(b"r", kind[1:-1])
                    kind = kind[1]
            cell = self.bus.ffi.new(TYPES.get(kind, "char **"))
            self.bus._check(self.bus.lib.sd_bus_message_read_basic(self.message, kind.encode(), cell))
            found.append(self.bus.ffi.string(cell[0]).decode("utf-8", "replace") if kind in STRINGS else cell[0])
        return found

    def _enter(self, kind: bytes, contents: str) -> None:
        self.bus._check(self.bus.lib.sd_bus_message_enter_container(self.message, kind, contents.encode()))
