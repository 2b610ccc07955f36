"""The choices of create, run and exec that are not in config.json, with runc's defaults."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class CreateOptions:
    """Plain values; ``console``: a connected socket that takes the terminal's master, or -1.

    ``bundle`` is absolute. ``resctrl``: where that file system is mounted.
    ``notify_socket``: the service manager's, for sd_notify(3) out of the container.
    ``stdio``: the process's three standard descriptors, ours unless given.
    ``libraries``: descriptors of checked libraries to be loaded into the init path.
    """

    def __init__(self, **given: "Any") -> None:
        self.root = "/run/pyrunc"
        self.bundle = ""
        self.run = False
        self.console = -1
        self.pid_file = ""
        self.no_pivot = self.no_new_keyring = False
        self.preserve_fds = 0
        self.trace = ""
        self.extra_env: list[str] = []
        self.stdio: Sequence[int] = ()
        self.cgroup_manager = "cgroupfs"
        self.resctrl = "/sys/fs/resctrl"
        self.notify_socket = ""
        self.libraries: list[int] = []
        self.library_names: list[str] = []
        self.preload_at = "exec"
        self.placement = "hardened"
        self.preload_timeout = 10.0
        self.legacy_delay = 0.0
        self.meanwhile: Callable[[], object] | None = None  # as Launch.meanwhile
        for name, value in given.items():
            if not hasattr(self, name):
                raise TypeError(f"no such option: {name}")
            setattr(self, name, value)
