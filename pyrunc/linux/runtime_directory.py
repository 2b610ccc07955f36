"""The directory for files that last until the reboot: /run, or the login session's directory (XDG_RUNTIME_DIR)."""

import posix

from pyrunc.linux.files import read

DEFAULT_ROOT = "/run/pyrunc"
"""The default state directory of the library. The command line's default is below runtime_directory()."""
ALL_IDS = b"         0          0 4294967295\n"
"""/proc/self/uid_map of a process in the initial user namespace (user_namespaces(7))."""


def runtime_directory() -> str:
    """Returns /run for root, and the directory of the login session for a user (pam_systemd(8)): $XDG_RUNTIME_DIR or,
    if it is not set (su, cron), /run/user/UID."""
    directory = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    if not directory and posix.geteuid() != 0:
        directory = _own_directory(f"/run/user/{posix.geteuid()}")
    return directory if directory and not _owns_run() else "/run"


def _own_directory(path: str) -> str:
    """Returns ``path`` if it is a directory that belongs to this user and that others cannot write to, else ""."""
    try:
        found = posix.lstat(path)
    except OSError:
        return ""
    return path if found.st_mode & 0o170022 == 0o040000 and found.st_uid == posix.geteuid() else ""


def _owns_run() -> bool:
    """Whether this process may write to /run. A user cannot, nor can a user who is root only in a user namespace
    (rootless engines). As in runc, USER=root tells a nested root from such a user."""
    if posix.geteuid() != 0:
        return False
    if posix.environ.get(b"USER") == b"root":
        return True
    return bytes(read("/proc/self/uid_map")) == ALL_IDS
