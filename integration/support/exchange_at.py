"""Runs a command under ptrace(2), and exchanges two names of the host just before a chosen look-up of one of its
processes, as an attacker would at the worst moment.

    python exchange_at.py ROLE NUMBER ONE OTHER COMMAND...

ROLE is ``pyrunc`` (the command itself), ``helper`` or ``init``; NUMBER counts from 1 the system calls of that process
that look up a path or change a mount. Prints JSON as kill_at.py does.
"""

import os
import sys

from kill_at import Tracer, libc

from pyrunc.ffi import _seccomp

RENAME_EXCHANGE, AT_FDCWD = 2, -100
LOOK_UPS = (
    *("open", "openat", "openat2", "open_tree", "stat", "lstat", "newfstatat", "statx", "readlinkat", "faccessat2"),
    *("mkdirat", "mknodat", "symlinkat", "unlinkat", "mount", "umount2", "mount_setattr", "move_mount", "fspick"),
    *("pivot_root", "chroot", "chdir", "fchdir"),
)
NUMBERS = {_seccomp.lib.seccomp_syscall_resolve_name(name.encode()): name for name in LOOK_UPS}


class Exchanger(Tracer):
    """Makes one exchange, before the chosen call; after that no process is stopped any more."""

    calls = NUMBERS

    def __init__(self, role: str, number: int, one: str, other: str) -> None:
        super().__init__(role, number)
        self.names = os.fsencode(one), os.fsencode(other)

    def act(self, pid: int) -> bool:
        if libc.renameat2(AT_FDCWD, self.names[0], AT_FDCWD, self.names[1], RENAME_EXCHANGE) != 0:
            raise OSError("the names can't be exchanged")
        return False


if __name__ == "__main__":
    exchanger = Exchanger(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
    exchanger.run(sys.argv[5:])
    sys.stderr.write(exchanger.report())
