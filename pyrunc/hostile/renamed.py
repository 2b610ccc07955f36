"""Finds cgroups that a library has renamed. cgroup v1 allows rename(2) within a parent directory, and a cgroup that is
known by its path would be lost."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def inodes(directories: "Iterable[str]") -> "dict[str, int]":
    """Returns {directory: inode} of those that exist."""
    return {directory: number for directory in directories if (number := _inode(directory))}


def rename_back(known: "dict[str, int]") -> "list[str]":
    """Restores the names of ``known``, and returns those that had been renamed. Ignores cgroups that no longer exist,
    and those whose name is taken by another cgroup."""
    found = []
    for directory, number in known.items():
        if _inode(directory) == number:
            continue
        parent = directory.rpartition("/")[0]
        try:
            (name,) = (entry.name for entry in posix.scandir(parent) if entry.inode() == number)
            posix.rename(f"{parent}/{name}", directory)
        except (OSError, ValueError):
            continue
        found.append(directory)
    return found


def _inode(directory: str) -> int:
    try:
        return posix.stat(directory).st_ino
    except OSError:
        return 0
