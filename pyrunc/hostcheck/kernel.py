"""Checks kernel features by trying each system call, in a child process if it would change this one."""

import ctypes
import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from pyrunc.hostcheck.rows import LIMITED, NO, YES, Row, tried
from pyrunc.plan.namespaces import FLAGS

OLDEST = (5, 12)
"""The kernel with the complete new mount API (mount_setattr(2))."""
AREA = "kernel"
SYS_OPEN_TREE, SYS_FSOPEN, SYS_OPENAT2, SYS_MOUNT_SETATTR = 428, 430, 437, 442  # the same on every architecture
AT_EMPTY_PATH, AT_FDCWD = 0x1000, -100
_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    """syscall(2). Raises OSError if the kernel refuses."""
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def in_child(attempt: Callable[[], None]) -> None:
    """Calls ``attempt`` in a child process. Raises OSError with its errno."""
    pid = os.fork()
    if pid == 0:
        try:
            attempt()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or errno.EIO)
        except BaseException:
            os._exit(errno.EIO)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(status, os.strerror(status) if status > 0 else f"ended by signal {-status}")


def _unshare(flags: int) -> Callable[[], None]:
    def attempt() -> None:
        if _libc.unshare(ctypes.c_int(flags)) != 0:
            raise OSError(ctypes.get_errno(), "unshare")

    return attempt


def _unsharing(flags: int) -> Callable[[], str]:
    def attempt() -> str:
        in_child(_unshare(flags))
        return ""

    return attempt


def _pidfd() -> str:
    os.close(os.pidfd_open(os.getpid()))
    return ""


def _openat2(how: object) -> str:
    return _closing(SYS_OPENAT2, AT_FDCWD, b"/", how, ctypes.c_size_t(24))


def _release() -> tuple[int, int]:
    major, _, rest = os.uname().release.partition(".")
    return int(major), int("".join(c for c in rest.partition(".")[0] if c.isdigit()) or 0)


def _closing(number: int, *arguments: object) -> str:
    os.close(_call(number, *arguments))
    return ""


def _idmapped() -> str:
    """Tries an id-mapped clone of a temporary directory. The file system of /tmp must support it, too."""
    with tempfile.TemporaryDirectory(prefix="pyrunc-check-") as directory:
        in_child(lambda: _map_tree(directory))
    return ""


def _map_tree(directory: str) -> None:
    reading, writing = os.pipe()
    holder = os.fork()
    if holder == 0:  # holds a user namespace with a map
        _libc.prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
        os._exit(1) if _libc.unshare(ctypes.c_int(FLAGS["user"])) else os.write(writing, b"x")
        os.read(os.pipe()[0], 1)
        os._exit(0)
    os.close(writing)
    try:
        if not os.read(reading, 1):
            raise OSError(errno.EPERM, "unshare")
        for file in ("uid_map", "gid_map"):
            Path(f"/proc/{holder}/{file}").write_text("0 100000 1")
        space = os.open(f"/proc/{holder}/ns/user", os.O_RDONLY)
        tree = _call(SYS_OPEN_TREE, AT_FDCWD, directory.encode(), 1 | os.O_CLOEXEC)
        # struct mount_attr: attr_set MOUNT_ATTR_IDMAP, attr_clr, propagation, userns_fd.
        attributes = (ctypes.c_uint64 * 4)(0x00100000, 0, 0, space)
        _call(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, attributes, ctypes.c_size_t(32))
    finally:
        os.kill(holder, 9)
        os.waitpid(holder, 0)


def rows() -> list[Row]:
    """Returns one row for each feature."""
    release = os.uname().release
    new_enough = YES if _release() >= OLDEST else NO
    remedy = "" if new_enough == YES else "pyrunc needs Linux 5.12 or newer"
    found = [Row(AREA, "version", new_enough, release, remedy, required=True)]
    how = (ctypes.c_uint64 * 3)(os.O_PATH | os.O_CLOEXEC, 0, 0x10)  # struct open_how: RESOLVE_IN_ROOT
    found.append(tried(AREA, "openat2", lambda: _openat2(how), "", True))
    found.append(tried(AREA, "pidfd", _pidfd, "", True))
    root = os.geteuid() == 0
    for name, flag in FLAGS.items():
        flags = flag if root or name == "user" else flag | FLAGS["user"]
        advice = "sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, or an AppArmor profile"
        needed = name in ("mount", "pid") or (name == "user" and not root)
        found.append(tried(AREA, f"{name} namespace", _unsharing(flags), "" if root else advice, needed))
    if root:
        found.append(tried(AREA, "new mount API", lambda: _closing(SYS_FSOPEN, b"tmpfs", 1), "", True))
        found.append(tried(AREA, "id-mapped mounts", _idmapped, "the file system of /tmp does not take them"))
    else:
        found.append(Row(AREA, "id-mapped mounts", LIMITED, "only root can make them"))
    return [*found, *_security()]


def _security() -> list[Row]:
    actions = Path("/proc/sys/kernel/seccomp/actions_avail")
    there = actions.exists()
    found = [
        Row(
            "security",
            "seccomp",
            YES if there else NO,
            actions.read_text().strip() if there else "",
            "" if there else "a kernel with CONFIG_SECCOMP_FILTER",
        )
    ]
    try:
        from pyrunc.ffi import _seccomp

        version = _seccomp.lib.seccomp_version()
        found.append(Row("security", "libseccomp", YES, f"{version.major}.{version.minor}.{version.micro}"))
    except ImportError:
        found.append(Row("security", "libseccomp", NO, "", "apt-get install libseccomp2"))
    lsm = Path("/sys/kernel/security/lsm")
    loaded = lsm.read_text().strip() if lsm.exists() else ""
    for name in ("apparmor", "selinux"):
        active = name in loaded.split(",")
        found.append(Row("security", name, YES if active else NO, loaded if active else "not loaded"))
    return found
