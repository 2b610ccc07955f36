"""Files that the caller names for us to write: the pid file, a trace, a report, the log.

Their directory may be one that others write to, and we are root: a name that is known in advance can be theirs first,
as a link to any file of the host. So nothing is opened for writing that was there before, but for the log, which grows;
no symbolic link is followed at the end of a path; and what was there is replaced by rename(2).
"""

import errno
import posix

from pyrunc.linux.files import write_all
from pyrunc.log import own_descriptor

KIND, REGULAR, LINK = 0o170000, 0o100000, 0o120000


def replace(path: str, data: bytes, mode: int = 0o644) -> None:
    """``path`` has ``data``, whole or not at all, also when it was a link (which goes). What is no file (a pipe, a
    terminal, a descriptor of ours) is written to instead. OSError is the kernel's answer."""
    if (number := own_descriptor(path)) >= 0:
        write_all(number, data)
        return
    directory, _, name = path.rpartition("/")
    if not name:
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    # Held: the temporary and the name that it gets are in one directory, whatever its path leads to meanwhile.
    above = posix.open(
        directory or ("/" if path[:1] == "/" else "."), posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC
    )
    try:
        if _is_special(name, above):
            # O_NONBLOCK: a pipe that has no reader is no reason to wait.
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
    """Writes ``name`` below the open ``directory`` so that a reader sees the old file or the new one, never half."""
    temporary = f".pyrunc.{posix.urandom(8).hex()}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
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
    """Removes a file that ``replace`` made; what is none stays, and what has gone is fine."""
    try:
        if posix.lstat(path).st_mode & KIND == REGULAR:
            posix.unlink(path)
    except OSError:
        pass


def _is_special(name: str, directory: int) -> bool:
    """Whether it is there, and neither a file nor a link: /dev/null is to be written to, not to be replaced."""
    try:
        mode = posix.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False
    return mode & KIND not in (REGULAR, LINK)
