"""Writes files at paths that the caller names: the pid file, a trace, a report, the log.

The runtime is root, and other users may be able to write to the directory of such a file. They can predict the name and
place a link to any file of the host there. So no existing file is opened for writing, except the log, which is appended
to. A symbolic link as the last component is not followed, and an existing file is replaced by rename(2).
"""

import errno
import posix

from pyrunc.linux.files import write_all
from pyrunc.log import own_descriptor

KIND, REGULAR, LINK = 0o170000, 0o100000, 0o120000


def replace(path: str, data: bytes, mode: int = 0o644) -> None:
    """Replaces ``path`` atomically with a file that contains ``data``. A symbolic link at ``path`` is replaced, too. A
    pipe, a terminal or a descriptor of this process is written to instead. Raises OSError on failure."""
    if (number := own_descriptor(path)) >= 0:
        write_all(number, data)
        return
    directory, _, name = path.rpartition("/")
    if not name:
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    # Held open, so that the temporary file and its final name are in the same directory even if the path changes.
    above = posix.open(
        directory or ("/" if path[:1] == "/" else "."), posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC
    )
    try:
        if _is_special(name, above):
            # O_NONBLOCK: the runtime does not wait for a pipe that has no reader.
            flags = posix.O_WRONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
            descriptor = posix.open(name, flags, dir_fd=above)
            try:
                write_all(descriptor, data)
            finally:
                posix.close(descriptor)
            return
        write_whole(above, name, data, mode)
    finally:
        posix.close(above)


def write_whole(directory: int, name: str, data: bytes, mode: int = 0o600) -> None:
    """Writes ``name`` in the open ``directory``. A reader sees either the old file or the complete new one."""
    temporary = f".pyrunc.{posix.urandom(8).hex()}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC  # which follow no symbolic link
    descriptor = posix.open(temporary, flags, mode, dir_fd=directory)
    try:
        try:
            write_all(descriptor, data)
        finally:
            posix.close(descriptor)
        posix.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        posix.unlink(temporary, dir_fd=directory)
        raise


def remove(path: str) -> None:
    """Removes a file that ``replace`` made. Anything but a regular file stays; a missing file is not an error."""
    try:
        if posix.lstat(path).st_mode & KIND == REGULAR:
            posix.unlink(path)
    except OSError:
        pass


def _is_special(name: str, directory: int) -> bool:
    """Whether ``name`` exists and is neither a regular file nor a link. Such a file (/dev/null) is written to, not
    replaced."""
    try:
        mode = posix.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False
    return mode & KIND not in (REGULAR, LINK)
