"""The input of a plan besides config.json: the caller's options, and facts about the host and the container."""

from pyrunc.plan.options import CreateOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from pyrunc.cgroup.devices import Rules
    from pyrunc.cgroup.host import Host
    from pyrunc.cgroup.limits import Write
    from pyrunc.plan.options import ExecOptions

    class FilterCache(Protocol):
        """A cache of compiled seccomp filters (resources/filter_cache.py)."""

        def find(self, wanted: bytes) -> "bytes | None": ...

        def add(self, wanted: bytes, made: bytes) -> None: ...

        def save(self) -> None: ...


class Facts:
    """Plain values, all with defaults. Steps depend on nothing else but the config.

    ``options``: the caller's. ``privileged``: the effective user is root with all privileges; ``mapped``: root of a
    user namespace only. ``cgroups``: {hierarchy: directory}; ``limits``: the writes; ``devices``: the rules; ``host``:
    the mounted hierarchies (None: cgroups are disabled); ``systemd``: (unit, slice, properties) if systemd creates the
    cgroups. ``filters``: cached seccomp filters. ``environment``: the runtime's, for hooks without ``env``. For exec:
    ``init``, the pid of the running container's init, and ``unit``, the systemd unit that has its cgroup.
    """

    __slots__ = (
        "cgroups",
        "container_id",
        "devices",
        "environment",
        "filters",
        "host",
        "init",
        "limits",
        "mapped",
        "options",
        "privileged",
        "state_head",
        "state_tail",
        "systemd",
        "unit",
    )

    def __init__(self, container_id: str = "", options: "CreateOptions | ExecOptions | None" = None) -> None:
        self.container_id = container_id
        self.options = options if options is not None else CreateOptions()
        self.privileged = True
        self.mapped = False
        self.cgroups: dict[str, str] = {}
        self.limits: list[Write] = []
        self.host: Host | None = None
        self.devices: Rules | None = None
        self.filters: FilterCache | None = None
        self.systemd: tuple[str, str, list[str]] | None = None
        self.environment: list[str] = []
        self.init = 0
        self.unit = ""
        self.state_head = self.state_tail = ""

    def state_of(self, status: str) -> "tuple[str, str]":
        """Returns the container's state for a hook, as the parts before and after the pid."""
        return self.state_head.replace("STATUS", status, 1), self.state_tail
