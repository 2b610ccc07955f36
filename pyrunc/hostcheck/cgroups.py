"""Checks cgroups: the layout, the controllers, delegation to this user, and whether a systemd manager can make a
scope."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from pyrunc.cgroup.host import Host, discover
from pyrunc.hostcheck.rows import LIMITED, NO, YES, Row

AREA = "cgroups"
CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")
DELEGATE = "a drop-in of user@.service with Delegate=cpu cpuset io memory pids (systemd.resource-control(5))"


def rows() -> list[Row]:
    """Returns rows for the layout, the controllers, the delegation, and each systemd manager."""
    host = discover()
    if not host.hierarchies:
        return [Row(AREA, "layout", NO, "no cgroup file system is mounted", "mount -t cgroup2 cgroup2 /sys/fs/cgroup")]
    words = {"legacy": "v1 only", "hybrid": "v1, and v2 beside it", "unified": "v2 only"}[host.mode]
    found = [Row(AREA, "layout", YES, words), _controllers(host), _delegation(host)]
    return [*found, *_systemd()]


def _controllers(host: Host) -> Row:
    there = {name for hierarchy in host.hierarchies for name in hierarchy.controllers}
    there |= {"io"} & ({"io"} if "blkio" in there else set())
    missing = [name for name in CONTROLLERS if name not in there]
    detail = " ".join(sorted(there - {""}))
    if not missing:
        return Row(AREA, "controllers", YES, detail)
    return Row(AREA, "controllers", LIMITED, detail, f"limits of {', '.join(missing)} are refused here")


def _delegation(host: Host) -> Row:
    """Whether a cgroup can be created where a container's would be."""
    refused = []
    for hierarchy in host.hierarchies:
        own = f"{hierarchy.mountpoint}{hierarchy.own}"
        if host.mode == "unified":
            own = own.rpartition("/")[0] if hierarchy.own else own
        if not os.access(own, os.W_OK):
            refused.append(hierarchy.name or "v2")
    if not refused:
        return Row(AREA, "writable", YES, "the caller's own cgroups")
    works = NO if len(refused) == len(host.hierarchies) else LIMITED
    remedy = f"--systemd-cgroup, --cgroup-manager=disabled, or {DELEGATE}"
    return Row(AREA, "writable", works, f"not ours to write: {', '.join(refused)}", remedy)


def _systemd() -> list[Row]:
    if not Path("/run/systemd/system").is_dir():
        return [Row(AREA, "systemd", NO, "does not run this host", "use the cgroupfs manager")]
    program = shutil.which("systemctl")
    version = ""
    if program:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        version = done.stdout.partition("\n")[0]
    if os.geteuid() == 0:
        return [Row(AREA, "systemd (system)", YES, version)]
    return [_user_manager(version)]


def _user_manager(version: str) -> Row:
    """Checks the user's own manager, which makes scopes without root."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
    candidates = [f"{runtime}/bus", f"{runtime}/systemd/private"]
    for path in candidates:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.connect(path)
            return Row(AREA, "systemd (user)", YES, f"{version}, {path}")
        except OSError:
            continue
    remedy = "loginctl enable-linger USER, and apt-get install dbus-user-session"
    return Row(AREA, "systemd (user)", NO, f"no socket answers: {', '.join(candidates)}", remedy)
