"""Where we are: what of a library's doings can be shown here at all."""

import os

INITIAL = 0xEFFFFFFC
"""PROC_PID_INIT_INO (include/linux/proc_ns.h): the inode of the first pid namespace."""


def in_pid_namespace() -> bool:
    """Whether ours is another pid namespace than the host's: a daemon there knows our processes by other pids."""
    return os.stat("/proc/self/ns/pid").st_ino != INITIAL
