"""Selects the systemd instance that makes the units, the system's or a user's, and connects to it."""

import posix

from pyrunc.cgroup.systemd.bus import Bus, BusError
from pyrunc.errors import PyruncError
from pyrunc.linux import procfs
from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cgroup.systemd.bus import Message

NOT_RUNNING = "systemd not running on this host, cannot use systemd cgroups manager"
BOOTED = "/run/systemd/system"
NAME = "org.freedesktop.systemd1"
MANAGER = (NAME, "/org/freedesktop/systemd1", f"{NAME}.Manager")
PROPERTIES = "org.freedesktop.DBus.Properties"
DAEMON = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
MATCH = f"type='signal',sender='{NAME}',path='{MANAGER[1]}',interface='{MANAGER[2]}',member='JobRemoved'"

DEADLINE = 30.0
"""Seconds for a systemd job, the same as runc's. The time to restore a lost connection is included."""
PAUSE = 0.05


def check() -> None:
    """Raises PyruncError with runc's message unless the host was booted with systemd (sd_booted(3))."""
    try:
        posix.stat(BOOTED)
    except OSError:
        raise PyruncError(NOT_RUNNING) from None


def is_users() -> bool:
    """Whether to use a user's systemd: without root, or as root of a user namespace that does not contain PID 1.

    In a system container, root has the container's own systemd as PID 1, in the same user namespace.
    """
    if posix.geteuid() != 0:
        return True
    if not procfs.in_user_namespace():
        return False
    try:
        return posix.readlink("/proc/1/ns/user") != posix.readlink("/proc/self/ns/user")
    except OSError:
        return True


def _owner() -> int:
    """Returns the user's id on the host: for root of a user namespace, the outside id that uid_map gives for 0."""
    if posix.geteuid() != 0:
        return posix.geteuid()
    for line in read("/proc/self/uid_map").split(b"\n"):
        inside, outside, _ = (*line.split(), b"", b"", b"")[:3]
        if inside == b"0":
            return int(outside)
    return 0


def addresses(users: bool) -> "list[tuple[str, bool]]":
    """Returns [(D-Bus address, whether systemd itself answers there)], in the order in which they are tried."""
    environment = {key.decode(): value.decode("utf-8", "surrogateescape") for key, value in posix.environ.items()}
    if not users:
        bus = environment.get("DBUS_SYSTEM_BUS_ADDRESS", "")
        # systemctl does the same for root: it avoids the bus daemon, and works without one or before it has started.
        private = [] if bus else [("unix:path=/run/systemd/private", True)]
        return [*private, (bus or "unix:path=/run/dbus/system_bus_socket", False)]
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{_owner()}"
    given = environment.get("DBUS_SESSION_BUS_ADDRESS", "")
    found = [(given, False)] if given else []
    found.append((f"unix:path={_escaped(runtime)}/bus", False))
    found.append((f"unix:path={_escaped(runtime)}/systemd/private", True))
    return list(dict.fromkeys(found))


def _escaped(path: str) -> str:
    """Escapes ``path`` for a D-Bus address (D-Bus Specification, "Server Addresses")."""
    return "".join(
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "-_/.\\*") else f"%{byte:02x}"
        for byte in path.encode("utf-8", "surrogateescape")
    )


class Manager:
    """A systemd instance. Connects at the first call, and again if the connection is lost."""

    def __init__(self, users: bool) -> None:
        self.users = users
        self.bus: Bus | None = None
        self.process = posix.getpid()  # a child process needs its own connection
        self.version = 0
        self._facts: tuple[int, str] | None = None

    def connect(self) -> Bus:
        """Returns the connection. PyruncError names the sockets that were tried, and how to get one."""
        if self.bus is not None:
            return self.bus
        tried = []
        for address, direct in addresses(self.users):
            try:
                bus = Bus(address, direct)
                if not direct:
                    bus.tell(DAEMON, "AddMatch", "s", [MATCH])
                # Only the first call shows whether a manager answers: the socket may be left over from one that exited.
                answer = bus.call((NAME, MANAGER[1], PROPERTIES), "Get", "ss", [MANAGER[2], "Version"], DEADLINE)
                self.version = number(str(answer.read("vs")[0]))
                self.bus = bus
                return bus
            except BusError as error:
                tried.append(f"{address} ({error})")
        whose = "the user's systemd" if self.users else "systemd"
        way = (
            ": loginctl enable-linger, apt-get install dbus-user-session, or log in by ssh, not su"
            if self.users
            else ""
        )
        raise PyruncError(f"{whose} does not answer at {', '.join(tried)}{way}")

    def drop(self) -> None:
        """Drops the connection; the next call makes a new one."""
        if self.bus is not None:
            self.bus.close()
            self.bus = None

    def call(
        self, member: str, signature: str, arguments: "list[Any]", target: "tuple[str, str, str]" = MANAGER
    ) -> "Message":
        """Calls systemd; returns the reply. Repeats the call while the connection is lost (daemon-reexec), until
        DEADLINE. BusError if systemd refuses the call."""
        from time import monotonic, sleep

        end = monotonic() + DEADLINE
        while True:
            try:
                return self.connect().call(target, member, signature, arguments, end - monotonic())
            except BusError as error:
                if not error.lost or monotonic() > end:
                    raise
            except PyruncError:
                if self._facts is None or monotonic() > end:  # no facts: systemd has never answered
                    raise
            self.drop()
            sleep(PAUSE)

    def get(self, path: str, interface: str, name: str, kind: str) -> "Any":
        """Reads a property of one basic type."""
        return self.call("Get", "ss", [interface, name], (NAME, path, PROPERTIES)).read(f"v{kind}")[0]

    def facts(self) -> "tuple[int, str]":
        """Returns (version, such as 252; the manager's own cgroup, below which its units are, "" for the system's)."""
        if self._facts is None:
            self.connect()
            group = str(self.get(MANAGER[1], MANAGER[2], "ControlGroup", "s")) if self.users else ""
            self._facts = self.version, group.rstrip("/")
        return self._facts


def number(version: str) -> int:
    """Returns 252 for ``252.38-1~deb12u1``, 257 for ``v257-rc1``, and 0 if the string does not start with a number."""
    digits = ""
    for letter in version.removeprefix("v"):
        if not ("0" <= letter <= "9"):
            break
        digits += letter
    return int(digits or "0")


_manager: "Manager | None" = None


def manager() -> Manager:
    """Returns this process's manager. PyruncError if systemd does not run."""
    global _manager
    if _manager is None or _manager.process != posix.getpid():
        check()
        _manager = Manager(is_users())
    return _manager
