"""The config that `spec` writes. It follows that of `runc spec`, from which users start."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"),
    *("/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"),
)
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")


def _mount(destination: str, kind: str, source: str, *options: str) -> "dict[str, Any]":
    mount: dict[str, Any] = {"destination": destination, "type": kind, "source": source}
    if options:
        mount["options"] = list(options)
    return mount


def config(rootless: bool = False) -> "dict[str, Any]":
    """Returns a new config. ``rootless``: with a user namespace that maps the caller to root."""
    restricted = ("nosuid", "noexec", "nodev")
    mounts = [
        _mount("/proc", "proc", "proc"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
        _mount("/dev/mqueue", "mqueue", "mqueue", *restricted),
        _mount("/sys", "sysfs", "sysfs", *restricted, "ro"),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", *restricted, "relatime", "ro"),
    ]
    linux: dict[str, Any] = {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        "maskedPaths": list(MASKED),
        "readonlyPaths": list(READONLY),
    }
    if rootless:
        _make_rootless(mounts, linux)
    return {
        "ociVersion": "1.3.0",
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {kind: list(CAPABILITIES) for kind in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "pyrunc",
        "mounts": mounts,
        "linux": linux,
    }


def _make_rootless(mounts: "list[dict[str, Any]]", linux: "dict[str, Any]") -> None:
    """Adapts a config for a user: no network namespace (a user cannot configure it), /sys from the host, only mapped
    gids."""
    kinds = [space for space in linux["namespaces"] if space["type"] != "network"]
    linux["namespaces"] = [*kinds, {"type": "user"}]
    linux["uidMappings"] = [{"containerID": 0, "hostID": posix.geteuid(), "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": posix.getegid(), "size": 1}]
    del linux["resources"]
    for mount in mounts:
        mount["options"] = [o for o in mount.get("options", []) if not o.startswith(("gid=", "uid="))]
    mounts[:] = [mount for mount in mounts if mount["destination"] not in ("/sys", "/sys/fs/cgroup")]
    mounts.append(_mount("/sys", "none", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro"))
