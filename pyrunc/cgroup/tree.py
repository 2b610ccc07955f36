"""Walks through a cgroup and all cgroups below it.

The walk uses descriptors, no recursion, and a bounded number of open files: a container may nest cgroups deeper than
PATH_MAX, than Python's limit on nested calls, or than the limit on open files."""

import posix

from pyrunc.linux.files import READING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CHILDLESS = 2
FLAGS = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC | posix.O_NOFOLLOW


def visit(
    directory: str,
    before: "Callable[[int, list[str]], None]",
    after: "Callable[[int, str], None] | None" = None,
    skip: "Callable[[int, str], bool] | None" = None,
) -> None:
    """Calls the callbacks for ``directory`` and every cgroup below.

    ``before(descriptor, names)``: parents first; a descriptor of the cgroup, and its path from ``directory`` as names.
    ``after(parent, name)``: children first, not for ``directory``; a descriptor of the parent, and the cgroup's name.
    ``skip(parent, name)``: whether to leave out the cgroup and all cgroups below it.
    A cgroup that disappears during the walk is left out. An OSError of a callback ends the walk."""
    try:
        here = posix.open(directory, FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return
    names: list[str] = []
    left: list[list[str]] = []
    try:
        before(here, names)
        left.append(_children(here))
        while True:
            while left[-1]:
                name = left[-1].pop()
                if skip is not None and skip(here, name):
                    continue
                try:
                    below = posix.open(name, FLAGS, dir_fd=here)
                except FileNotFoundError:
                    continue
                try:
                    names.append(name)
                    before(below, names)
                    inner = _children(below)
                    if inner:
                        left.append(inner)
                        here, below = below, here
                        continue
                finally:
                    posix.close(below)
                # No children, which is the usual case: the walk stays at the parent and need not open "..".
                names.pop()
                if after is not None:
                    after(here, name)
            left.pop()
            if not names:
                return
            # A cgroup never changes its parent, so ".." is the cgroup that the walk came from.
            above = posix.open("..", FLAGS, dir_fd=here)
            posix.close(here)
            here = above
            name = names.pop()
            if after is not None:
                after(here, name)
    finally:
        posix.close(here)


def tree(directory: str) -> "list[str]":
    """Returns the paths of ``directory`` and every cgroup below, parents first."""
    found: list[str] = []
    visit(directory, lambda _, names: found.append("/".join([directory, *names])))
    return found


def childless(directory: str) -> bool:
    """Whether there is no cgroup below ``directory``, or ``directory`` does not exist."""
    try:
        return posix.stat(directory).st_nlink == CHILDLESS
    except OSError:
        return True


def _children(directory: int) -> "list[str]":
    try:
        # kernfs: the link count is the number of children plus two. Most cgroups have no children and need no read.
        if posix.stat(directory).st_nlink == CHILDLESS:
            return []
        return [entry.name for entry in posix.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def read_at(directory: int, name: str) -> bytes:
    """Reads the whole file ``name`` of the cgroup. OSError from open(2) or read(2)."""
    descriptor = posix.open(name, READING, dir_fd=directory)
    try:
        parts = []
        while part := posix.read(descriptor, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        posix.close(descriptor)


def write_at(directory: int, name: str, value: str) -> None:
    """Writes ``value`` into the file ``name`` of the cgroup with one write(2). OSError from open(2) or write(2)."""
    descriptor = posix.open(name, posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=directory)
    try:
        posix.write(descriptor, value.encode())
    finally:
        posix.close(descriptor)
