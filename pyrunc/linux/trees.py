"""Removes a directory that a container could write to, with any content at any depth, and nothing else."""

import fcntl
import posix

from pyrunc.linux.files import open_directory

FS_IOC_SETFLAGS = 0x40086602
"""linux/fs.h. tmpfs supports it since Linux 6.6."""


def remove(directory: int, name: str) -> None:
    """Removes ``name`` in the open ``directory`` with everything in it. Raises OSError if something cannot be removed.

    Links are not followed. Paths are never longer than one name: nested directories are first moved up into ``name``.
    """
    top = _open(name, directory)
    try:
        waiting = _emptied(top, top, 0)
        moved = len(waiting)
        while waiting:
            inner = waiting.pop()
            below = _open(inner, top)
            try:
                found = _emptied(below, top, moved)
            finally:
                posix.close(below)
            posix.rmdir(inner, dir_fd=top)
            waiting += found
            moved += len(found)
    finally:
        posix.close(top)
    posix.rmdir(name, dir_fd=directory)


def remove_at(path: str) -> None:
    """Removes the directory ``path`` as ``remove`` does. A missing directory is not an error."""
    above, _, name = path.rpartition("/")
    directory = open_directory(above or "/")
    try:
        remove(directory, name)
    except FileNotFoundError:
        pass
    finally:
        posix.close(directory)


def _open(name: str, directory: int) -> int:
    flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
    return posix.open(name, flags, dir_fd=directory)


def _emptied(directory: int, top: int, number: int) -> "list[str]":
    """Removes the files of ``directory`` and moves its subdirectories into ``top``. Returns their new names."""
    # The first call empties ``top`` itself. After that ``top`` contains only names made here, which cannot collide.
    moved: list[str] = []
    for name in posix.listdir(directory):
        try:
            posix.unlink(name, dir_fd=directory)
        except (IsADirectoryError, PermissionError):
            if not _is_directory(name, directory):
                _make_mutable(name, directory)
                posix.unlink(name, dir_fd=directory)
                continue
            new = f"{number + len(moved)}.{posix.urandom(8).hex()}"
            posix.rename(name, new, src_dir_fd=directory, dst_dir_fd=top)
            moved.append(new)
    return moved


def _is_directory(name: str, directory: int) -> bool:
    return posix.stat(name, dir_fd=directory, follow_symlinks=False).st_mode & 0o170000 == 0o040000


def _make_mutable(name: str, directory: int) -> None:
    """Clears the immutable and append-only flags (chattr(1)), which a container with CAP_LINUX_IMMUTABLE can set."""
    flags = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
    descriptor = posix.open(name, flags, dir_fd=directory)
    try:
        fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, bytes(8))
    finally:
        posix.close(descriptor)
