"""The commands that have an archive of their own, and the modules that each usually imports besides its own."""

ORDINARY: "dict[str, tuple[str, ...]]" = {
    # command: modules that it imports later, in its usual case
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
"""Two archives, because the process that starts the server of a pod exits at once. The server loads the second while
containerd connects."""
STANDARD = ("_blake2", "_json", "_socket", "fcntl", "select", "termios", "time")
"""Extension modules of Python itself, if they are not built in. They are loaded from their path at build time."""
