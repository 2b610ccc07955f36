"""Walks through a cgroup and all below it, by descriptors: a container may make cgroups deeper than a path can be long,
or than Python's calls can be nested, and more than there may be open files."""

import posix

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
    """Calls ``before`` with a descriptor of ``directory`` and of every cgroup below, parents first, and the names that
    lead there; ``after`` with one of a cgroup's parent and its name, children first, ``directory`` excluded. With the
    same arguments ``skip`` says of each whether it is left out with all below. A cgroup that goes meanwhile is left
    out. OSError of the callbacks ends the walk."""
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
                # Most have none: the way back need not be looked for.
                names.pop()
                if after is not None:
                    after(here, name)
            left.pop()
            if not names:
                return
            # Cgroups never change their parent, so this leads to where the walk came from.
            above = posix.open("..", FLAGS, dir_fd=here)
            posix.close(here)
            here = above
            name = names.pop()
            if after is not None:
                after(here, name)
    finally:
        posix.close(here)


def tree(directory: str) -> "list[str]":
    """``directory`` and every cgroup below, parents first."""
    found: list[str] = []
    visit(directory, lambda _, names: found.append("/".join([directory, *names])))
    return found


def childless(directory: str) -> bool:
    """Whether there is no cgroup below it; also when it has gone."""
    try:
        return posix.stat(directory).st_nlink == CHILDLESS
    except OSError:
        return True


def _children(directory: int) -> "list[str]":
    try:
        # A cgroup's links are its children's, and two (kernfs): with none it need not be read, and most have none.
        if posix.stat(directory).st_nlink == CHILDLESS:
            return []
        return [entry.name for entry in posix.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def read_at(directory: int, name: str) -> bytes:
    """The file ``name`` of the cgroup, whole. OSError as open(2) and read(2) give it."""
    descriptor = posix.open(name, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=directory)
    try:
        parts = []
        while part := posix.read(descriptor, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        posix.close(descriptor)


def write_at(directory: int, name: str, value: str) -> None:
    """One write(2) of ``value``; OSError is the kernel's answer."""
    descriptor = posix.open(name, posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=directory)
    try:
        posix.write(descriptor, value.encode())
    finally:
        posix.close(descriptor)
