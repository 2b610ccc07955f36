"""Detects a nested pid namespace, in which some effects of a library cannot be shown."""

import os

INITIAL = 0xEFFFFFFC
"""PROC_PID_INIT_INO (include/linux/proc_ns.h): the inode of the initial pid namespace."""


def in_pid_namespace() -> bool:
    """Whether this process is not in the host's pid namespace. A daemon of the host then knows it by another pid."""
    return os.stat("/proc/self/ns/pid").st_ino != INITIAL
