"""What a plan depends on besides config.json: the command line and the host."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroup.devices import Rules
    from pyrunc.cgroup.host import Host
    from pyrunc.cgroup.limits import Write
    from pyrunc.container.filters import Filters


class Settings:
    """Plain values, all with defaults; a step kind never depends on anything else.

    ``privileged``: effective root that may do what root may; ``mapped``: it is the root of a user namespace only;
    ``create``: init waits for ``start``; ``cgroups`` {hierarchy: directory}, ``limits`` the writes, ``host`` what is
    mounted (None: cgroups disabled), ``filters`` the seccomp filters that were compiled before.
    """

    __slots__ = (
        "bundle",
        "cgroups",
        "container_id",
        "create",
        "devices",
        "extra_env",
        "filters",
        "host",
        "libraries",
        "limits",
        "mapped",
        "no_new_keyring",
        "no_pivot",
        "placement",
        "preload_at",
        "preserve_fds",
        "privileged",
        "root",
        "state_head",
        "state_tail",
        "trace",
    )

    def __init__(self, container_id: str = "", bundle: str = "") -> None:
        self.container_id = container_id
        self.bundle = bundle
        self.create = True
        self.privileged = True
        self.mapped = False
        self.no_pivot = self.no_new_keyring = self.trace = False
        self.libraries = 0
        self.preload_at, self.placement = "exec", "hardened"
        self.preserve_fds = 0
        self.cgroups: dict[str, str] = {}
        self.limits: list[Write] = []
        self.host: Host | None = None
        self.devices: Rules | None = None
        self.extra_env: list[str] = []
        self.filters: Filters | None = None
        self.root = ""
        self.state_head = self.state_tail = ""

    def state_of(self, status: str) -> "tuple[str, str]":
        """What a hook in the container reads: the container's state, before and behind the pid that it has there."""
        return self.state_head.replace("STATUS", status, 1), self.state_tail
