"""The choices of create, run and exec that are not in config.json or in the process, with runc's defaults."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class LaunchOptions:
    """What every launch of a process takes. ``console``: a connected socket that takes the terminal's master, or -1.

    ``stdio``: the process's three standard descriptors, ours unless given. ``libraries``: descriptors of checked
    libraries to be loaded into its path. TypeError for a choice that there is not.
    """

    def __init__(self, **given: "Any") -> None:
        self.console = -1
        self.pid_file = ""
        self.preserve_fds = 0
        self.extra_env: list[str] = []
        self.stdio: Sequence[int] = ()
        self.trace = ""
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


class CreateOptions(LaunchOptions):
    """``bundle`` is absolute. ``resctrl``: where that file system is mounted. ``notify_socket``: the service manager's,
    for sd_notify(3) out of the container."""

    root = "/run/pyrunc"
    bundle = ""
    run = False
    no_pivot = False
    no_new_keyring = False
    cgroup_manager = "cgroupfs"
    resctrl = "/sys/fs/resctrl"
    notify_socket = ""


class ExecOptions(LaunchOptions):
    """``cgroup``: below the container's, as --cgroup has them."""

    cgroup: "Sequence[str]" = ()
    ignore_paused = False
