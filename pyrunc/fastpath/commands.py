"""The commands whose modules are in an archive of their own, and what each imports besides its own module."""

ORDINARY: "dict[str, tuple[str, ...]]" = {
    # command: what it imports, too, when it does what it is mostly asked for
    "create": (
        *("pyrunc.spec.load", "pyrunc.cgroup.manager", "pyrunc.cgroup.limits", "pyrunc.cgroup.devices"),
        *("pyrunc.cgroup.paths", "pyrunc.plan.compile", "pyrunc.plan.capabilities", "pyrunc.plan.cgroup_mounts"),
        *("pyrunc.cgroup.tree", "pyrunc.cgroup.v1.cpuset", "pyrunc.cgroup.v1.devices", "pyrunc.cgroup.v2.controllers"),
    ),
    "start": ("pyrunc.container.start", "pyrunc.linux.unix_socket"),
    "exec": (*("pyrunc.spec.load", "pyrunc.cgroup.manager", "pyrunc.plan.compile", "pyrunc.plan.capabilities"),),
    "kill": ("pyrunc.container.kill", "pyrunc.cgroup.freezer"),
    "delete": ("pyrunc.container.delete",),
    "state": ("pyrunc.cgroup.freezer",),
}
ORDINARY["run"] = (*ORDINARY["create"], *ORDINARY["delete"], "_prctl")
HOT = tuple(ORDINARY)
SHIM: "dict[str, tuple[str, ...]]" = {
    # archive of containerd-shim-pyrunc-v1: what it imports
    "shim": ("pyrunc.shim.entry", "pyrunc.shim.leftovers", "pyrunc.linux.output", "_blake2"),
    "shim-serve": (
        *("pyrunc.shim.server", "pyrunc.shim.resident", "pyrunc.container.start", "pyrunc.container.exec"),
        *("pyrunc.container.delete", "pyrunc.container.create", "pyrunc.container.exec_process"),
        *("pyrunc.container.process_config", "pyrunc.container.stdio", "pyrunc.container.events"),
        *(*ORDINARY["create"], "pyrunc.container.kill", "pyrunc.ffi._sys"),
    ),
}
"""Two, for what starts the server of a pod ends at once; the server imports the rest while containerd connects."""
STANDARD = ("_blake2", "_json", "_socket", "fcntl", "select", "termios", "time")
"""Extension modules of Python itself, where they are not built in: they lie where they lay at build time."""
