"""``linux.netDevices``: moves network interfaces of the host into the container (runtime-spec config-linux.md,
rtnetlink(7)).

The kernel takes an interface down when it changes its network namespace, and removes its addresses. The runtime adds
the permanent addresses of global scope again and brings the interface up. If the launch fails, the interfaces are moved
back with their former settings.
"""

import posix

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from pyrunc.errors import StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IFF_UP = 1
PERMANENT, NO_PREFIX_ROUTE = 0x80, 0x200  # IFA_F_*, linux/if_addr.h
EEXIST = 17
UNIVERSE = 0  # RT_SCOPE_UNIVERSE, linux/rtnetlink.h


class Moved:
    """One interface: its settings on the host and its name in the container."""

    __slots__ = ("addresses", "name", "new", "up")

    def __init__(self, name: str, new: str, up: bool, addresses: "list[dict[str, Any]]") -> None:
        self.name = name
        self.new = new
        self.up = up
        self.addresses = addresses


class NetDevices:
    """Moves interfaces into the network namespace of ``pid``. On failure, call ``undo`` before ``close``."""

    def __init__(self, pid: int) -> None:
        # Held open, so that interfaces can be moved back after the process has ended.
        self.space = posix.open(f"/proc/{pid}/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
        self.ours = posix.open("/proc/self/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
        self.host = IPRoute()
        self.inside = IPRoute(netns=f"/proc/self/fd/{self.space}", flags=0)
        self.moved: list[Moved] = []

    def move(self, name: str, new: str, where: str) -> None:
        """Moves the host's interface ``name`` and renames it to ``new``. Raises StepError if the kernel refuses."""
        try:
            self._move(name, new)
        except LookupError:
            raise StepError(0, where, f"no such network device: {name}") from None
        except NetlinkError as error:
            answer = posix.strerror(error.code).lower()
            raise StepError(0, where, f"move network device {name} as {new}: {answer}", error.code) from None

    def _move(self, name: str, new: str) -> None:
        (index,) = self.host.link_lookup(ifname=name) or (None,)
        if index is None:
            raise LookupError(name)
        (link,) = self.host.link("get", index=index)
        addresses = [
            _address(entry)
            for entry in self.host.get_addr(index=index)
            if entry["scope"] == UNIVERSE and entry.get("flags") & PERMANENT
        ]
        if self.inside.link_lookup(ifname=new):
            # The kernel renames after the move. If the name is taken, it does not undo the move.
            raise NetlinkError(EEXIST)
        self.moved.append(Moved(name, new, bool(link["flags"] & IFF_UP), addresses))
        self.host.link("set", index=index, net_ns_fd=self.space, ifname=new)
        # The index may differ in the new namespace.
        (index,) = self.inside.link_lookup(ifname=new)
        _give(self.inside, index, addresses)
        self.inside.link("set", index=index, state="up")

    def undo(self) -> None:
        """Moves the interfaces back to the host with their former names, addresses and state. Ignores those that cannot
        be moved."""
        for moved in reversed(self.moved):
            if self.host.link_lookup(ifname=moved.name):
                continue  # it was never moved
            try:
                (index,) = self.inside.link_lookup(ifname=moved.new) or self.inside.link_lookup(ifname=moved.name)
                self.inside.link("set", index=index, net_ns_fd=self.ours, ifname=moved.name)
                (index,) = self.host.link_lookup(ifname=moved.name)
                _give(self.host, index, moved.addresses)
                if moved.up:
                    self.host.link("set", index=index, state="up")
            except (NetlinkError, ValueError):
                continue
        self.moved.clear()

    def close(self) -> None:
        """Closes sockets and namespace descriptors."""
        self.inside.close()
        self.host.close()
        posix.close(self.space)
        posix.close(self.ours)


def _address(entry: "Any") -> "dict[str, Any]":
    """Returns the attributes that are needed to add the same address again (``ip address add``)."""
    kept = {"family": entry["family"], "prefixlen": entry["prefixlen"]}
    for name in ("local", "address", "broadcast"):
        value = entry.get(name)
        if value:
            kept[name] = value
    kept["flags"] = entry.get("flags") & NO_PREFIX_ROUTE
    return kept


def _give(route: "IPRoute", index: int, addresses: "list[dict[str, Any]]") -> None:
    for address in addresses:
        route.addr("add", index=index, **address)
