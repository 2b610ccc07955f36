"""Cgroups that a library has given another name: v1 lets it (rename(2), within one parent), and what is known by its
path is lost then."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def inodes(directories: "Iterable[str]") -> "dict[str, int]":
    """{directory: inode} of those that are there."""
    return {directory: number for directory in directories if (number := _inode(directory))}


def rename_back(known: "dict[str, int]") -> "list[str]":
    """Gives each of ``known`` its name again; returns those that had another one. Left out is one that has gone, or in
    whose place there is another cgroup."""
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
