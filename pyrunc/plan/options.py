"""The caller's options of create, run and exec: one record that the command line or the library passes to the plan.

An attribute has the name of the command line's option (cli/options.py), and runc's default.
"""

from pyrunc.linux.runtime_directory import DEFAULT_ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Self


class LaunchOptions:
    """The options for every launch. ``console``: a connected socket that receives the terminal's master, or -1.

    ``stdio``: the three standard descriptors of the process; empty means the caller's. ``trace_format``: the format of
    the file ``trace``, ``json`` or ``chrome``. ``libraries``: descriptors of checked libraries to load into the init
    path. Raises TypeError for an unknown option or format.
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
        self.observer: Any = None  # of a launch (launch/observer.py), if libraries are loaded
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
        """Returns a record with those attributes of ``given``, parsed command-line options, that this record has."""
        made = cls()
        for name, value in vars(given).items():
            if value is not None and hasattr(made, name):
                setattr(made, name, value)
        return made


class CreateOptions(LaunchOptions):
    """``bundle`` is absolute. ``resctrl``: the mount point of resctrl. ``notify_socket``: the service manager's socket,
    for sd_notify(3) from the container."""

    root = DEFAULT_ROOT
    run = False
    no_pivot = False
    cgroup_manager = "cgroupfs"
    notify_socket = ""


class ExecOptions(LaunchOptions):
    """``cgroup``: paths below the container's cgroups, in the form of --cgroup."""

    cgroup: "Sequence[str]" = ()
    ignore_paused = False
    run = True
    no_pivot = False
