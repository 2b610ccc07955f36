"""Where run-time files belong that end with the boot: /run, or what a login session has instead (XDG_RUNTIME_DIR)."""

import posix

from pyrunc.linux.files import read

DEFAULT_ROOT = "/run/pyrunc"
"""The state directory of a library's containers. The command line's default is below runtime_directory()."""
ALL_IDS = b"         0          0 4294967295\n"
"""/proc/self/uid_map of a process that is in no user namespace but the first (user_namespaces(7))."""


def runtime_directory() -> str:
    """/run, or for a user the directory that a login session has (pam_systemd(8)): told by $XDG_RUNTIME_DIR or, where
    su or cron have not told it, at its place."""
    directory = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    if not directory and posix.geteuid() != 0:
        directory = _own_directory(f"/run/user/{posix.geteuid()}")
    return directory if directory and not _owns_run() else "/run"


def _own_directory(path: str) -> str:
    """``path`` where it is a directory of ours that others can't write to, else ""."""
    try:
        found = posix.lstat(path)
    except OSError:
        return ""
    return path if found.st_mode & 0o170022 == 0o040000 and found.st_uid == posix.geteuid() else ""


def _owns_run() -> bool:
    """Whether /run is ours to write: not a user's, nor that of a user who is root in a namespace of his own only
    (rootless engines; runc tells them from a nested root by $USER)."""
    if posix.geteuid() != 0:
        return False
    if posix.environ.get(b"USER") == b"root":
        return True
    return bytes(read("/proc/self/uid_map")) == ALL_IDS
