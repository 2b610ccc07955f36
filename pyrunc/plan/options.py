"""The caller's options of create, run and exec: one record from the command line, or the library, to the plan.

An attribute has the name of the command line's option (cli/options.py), and runc's default.
"""

from pyrunc.linux.runtime_directory import DEFAULT_ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Self


class LaunchOptions:
    """What every launch of a process takes. ``console``: a connected socket that takes the terminal's master, or -1.

    ``stdio``: the process's three standard descriptors, ours unless given. ``trace_format``: ``json`` or ``chrome``, of
    the file ``trace``. ``libraries``: descriptors of checked libraries to be loaded into its path. TypeError for a
    choice that there is not.
    """

    def __init__(self, **given: "Any") -> None:
        self.console = -1
        self.pid_file = ""
        self.preserve_fds = 0
        self.preserve_directories = False
        self.extra_env: list[str] = []
        self.stdio: Sequence[int] = ()
        self.trace = ""
        self.trace_format = "json"
        self.libraries: list[int] = []
        self.library_names: list[str] = []
        self.preload_at = "exec"
        self.placement = "hardened"
        self.preload_timeout = 10.0
        self.legacy_delay = 0.0
        self.meanwhile: Callable[[], object] | None = None  # as Launch.meanwhile
        self.observer: Any = None  # of a launch (launch/observer.py), where libraries are loaded
        self.bundle = ""
        self.no_new_keyring = False
        self.resctrl = "/sys/fs/resctrl"
        for name, value in given.items():
            if not hasattr(self, name):
                raise TypeError(f"no such option: {name}")
            setattr(self, name, value)
        if self.trace_format not in ("json", "chrome"):
            raise TypeError(f"no such trace_format: {self.trace_format}")

    @classmethod
    def of(cls, given: "Any") -> "Self":
        """The attributes of ``given``, a command line's options, that this record has."""
        made = cls()
        for name, value in vars(given).items():
            if value is not None and hasattr(made, name):
                setattr(made, name, value)
        return made


class CreateOptions(LaunchOptions):
    """``bundle`` is absolute. ``resctrl``: where that file system is mounted. ``notify_socket``: the service manager's,
    for sd_notify(3) out of the container."""

    root = DEFAULT_ROOT
    run = False
    no_pivot = False
    cgroup_manager = "cgroupfs"
    notify_socket = ""


class ExecOptions(LaunchOptions):
    """``cgroup``: below the container's, as --cgroup has them."""

    cgroup: "Sequence[str]" = ()
    ignore_paused = False
    run = True
    no_pivot = False
