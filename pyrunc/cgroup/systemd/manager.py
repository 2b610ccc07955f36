"""Which systemd makes the units, the system's or a user's, and the connection to it."""

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
"""Seconds for a job of systemd's, as runc; with a connection that drops meanwhile and is made again."""
PAUSE = 0.05


def check() -> None:
    """PyruncError in runc's words unless systemd is what runs this host (sd_booted(3))."""
    try:
        posix.stat(BOOTED)
    except OSError:
        raise PyruncError(NOT_RUNNING) from None


def is_users() -> bool:
    """Whether the units are a user's own: without root, or as root of a user namespace in which PID 1 is not.

    A system container's root has a systemd of its own as PID 1, in the same user namespace.
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
    """The user's id on the host: that of root in our user namespace, if that is where we are."""
    if posix.geteuid() != 0:
        return posix.geteuid()
    for line in read("/proc/self/uid_map").split(b"\n"):
        inside, outside, _ = (*line.split(), b"", b"", b"")[:3]
        if inside == b"0":
            return int(outside)
    return 0


def addresses(users: bool) -> "list[tuple[str, bool]]":
    """[(D-Bus address, whether systemd itself answers there)], in the order in which they are tried."""
    environment = {key.decode(): value.decode("utf-8", "surrogateescape") for key, value in posix.environ.items()}
    if not users:
        bus = environment.get("DBUS_SYSTEM_BUS_ADDRESS", "")
        # As systemctl does for root: one process less between, and it works before the bus does, or without one.
        private = [] if bus else [("unix:path=/run/systemd/private", True)]
        return [*private, (bus or "unix:path=/run/dbus/system_bus_socket", False)]
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{_owner()}"
    given = environment.get("DBUS_SESSION_BUS_ADDRESS", "")
    found = [(given, False)] if given else []
    found.append((f"unix:path={_escaped(runtime)}/bus", False))
    found.append((f"unix:path={_escaped(runtime)}/systemd/private", True))
    return list(dict.fromkeys(found))


def _escaped(path: str) -> str:
    """D-Bus Specification, "Server Addresses"."""
    return "".join(
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "-_/.\\*") else f"%{byte:02x}"
        for byte in path.encode("utf-8", "surrogateescape")
    )


class Manager:
    """One systemd. Connects when it is first asked, and again when the connection was lost."""

    def __init__(self, users: bool) -> None:
        self.users = users
        self.bus: Bus | None = None
        self.process = posix.getpid()  # a child of ours needs a connection of its own
        self._facts: tuple[int, str] | None = None

    def connect(self) -> Bus:
        """PyruncError says which sockets were tried, and how to get one."""
        if self.bus is not None:
            return self.bus
        tried = []
        for address, direct in addresses(self.users):
            try:
                bus = Bus(address, direct)
                if not direct:
                    bus.tell(DAEMON, "AddMatch", "s", [MATCH])
                # Whether anybody answers there is known only now: a socket may be left of one who has gone.
                bus.call((MANAGER[0], MANAGER[1], "org.freedesktop.DBus.Peer"), "Ping", "", [], DEADLINE)
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
        """The answer of systemd; the call is made again while it is away (daemon-reexec). BusError: it refuses."""
        from time import monotonic, sleep

        end = monotonic() + DEADLINE
        while True:
            try:
                return self.connect().call(target, member, signature, arguments, end - monotonic())
            except BusError as error:
                if not error.lost or monotonic() > end:
                    raise
            except PyruncError:
                if self._facts is None or monotonic() > end:  # it has never answered yet
                    raise
            self.drop()
            sleep(PAUSE)

    def get(self, path: str, interface: str, name: str, kind: str) -> "Any":
        """Reads a property of one basic type."""
        return self.call("Get", "ss", [interface, name], (NAME, path, PROPERTIES)).read(f"v{kind}")[0]

    def facts(self) -> "tuple[int, str]":
        """(version, such as 252; the manager's own cgroup, below which its units are: "" for the system's)."""
        if self._facts is None:
            version = str(self.get(MANAGER[1], MANAGER[2], "Version", "s"))
            group = str(self.get(MANAGER[1], MANAGER[2], "ControlGroup", "s"))
            self._facts = number(version), group.rstrip("/")
        return self._facts


def number(version: str) -> int:
    """``252.38-1~deb12u1``, ``v257-rc1`` as 252, 257; 0 for what is none."""
    digits = ""
    for letter in version.removeprefix("v"):
        if not ("0" <= letter <= "9"):
            break
        digits += letter
    return int(digits or "0")


_manager: "Manager | None" = None


def manager() -> Manager:
    """That of this process. PyruncError where systemd does not run."""
    global _manager
    if _manager is None or _manager.process != posix.getpid():
        check()
        _manager = Manager(is_users())
    return _manager
