"""Runs a command under ptrace(2), and kills one of its processes just before a chosen effect.

    python kill_at.py ROLE NUMBER COMMAND...

ROLE is ``pyrunc`` (the command itself), ``helper`` or ``init``; NUMBER counts from 1 its system calls that
change something: killed at the entry of the Nth call, it has made the calls before and no more. 0 kills no process.
Prints JSON: the number of effects of every role, ``at`` (the call that was never made), the exit status of the command,
and every process that was seen, as [pid, start time].
"""

import ctypes
import json
import os
import signal
import sys

from pyrunc.ffi import _seccomp

TRACEME_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10  # SYSGOOD, FORK, VFORK, CLONE, EXEC
CONT, DETACH, SYSCALL, SEIZE, INTERRUPT, LISTEN = 7, 17, 24, 0x4206, 0x4207, 0x4208
GET_EVENT, GET_SYSCALL_INFO = 0x4201, 0x420E
EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_STOP = 1, 2, 3, 128
WALL = 0x40000000
EFFECTS = (
    *("mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "symlink", "symlinkat"),
    *(
        "write",
        "pwrite64",
        "clone",
        "clone3",
        "fork",
        "vfork",
        "execve",
        "sendto",
        "sendmsg",
        "bind",
        "connect",
        "listen",
    ),
    *(
        "mount",
        "umount2",
        "move_mount",
        "mount_setattr",
        "fsmount",
        "pivot_root",
        "chroot",
        "unshare",
        "setns",
        "mknodat",
    ),
    *("kill", "pidfd_send_signal", "flock", "setresuid", "setresgid", "setgroups", "capset", "seccomp", "exit_group"),
    *("wait4", "waitid", "accept4", "close_range", "setsid", "sethostname"),
)

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
NUMBERS = {_seccomp.lib.seccomp_syscall_resolve_name(name.encode()): name for name in EFFECTS}


def ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    result = libc.ptrace(request, pid, address or None, data or None)
    if result < 0 and ctypes.get_errno() != 3:  # ESRCH: the process was killed meanwhile
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} {pid}")
    return int(result)


class Tracer:
    calls = NUMBERS
    """{number: name} of the system calls that are counted."""

    def __init__(self, role: str, number: int) -> None:
        self.role, self.number = role, number
        self.roles: dict[int, str] = {}
        self.effects = {"pyrunc": 0, "helper": 0, "init": 0, "other": 0}
        self.seen: list[tuple[int, str]] = []
        self.at = ""
        self.status: int | None = None

    def start(self, command: list[str]) -> int:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            os.read(reading, 1)
            os.execv(command[0], command)
        ptrace(SEIZE, pid, 0, TRACEME_OPTIONS)
        ptrace(INTERRUPT, pid)
        self.add(pid, "pyrunc")
        os.close(reading)
        os.close(writing)  # the child goes on
        return pid

    def add(self, pid: int, role: str) -> None:
        self.roles[pid] = role
        with open(f"/proc/{pid}/stat") as file:
            self.seen.append((pid, file.read().rpartition(")")[2].split()[19]))

    def run(self, command: list[str]) -> None:
        root = self.start(command)
        while self.status is None:
            pid, status = os.waitpid(-1, WALL)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                self.roles.pop(pid, None)
                if pid == root:
                    self.status = os.waitstatus_to_exitcode(status)
            else:
                self.stopped(pid, os.WSTOPSIG(status), status >> 16)
        for pid in list(self.roles):
            self.release(pid)

    def release(self, pid: int) -> None:
        """Detaches from a process, which goes on untraced."""
        ptrace(INTERRUPT, pid)
        try:
            _, status = os.waitpid(pid, WALL)
        except ChildProcessError:
            return
        if os.WIFSTOPPED(status):
            ptrace(DETACH, pid)

    def stopped(self, pid: int, number: int, event: int) -> None:
        deliver = 0
        if number == signal.SIGTRAP | 0x80:
            if self.entered(pid):
                return
        elif event in (EVENT_FORK, EVENT_VFORK, EVENT_CLONE):
            child = ctypes.c_ulong()
            libc.ptrace(GET_EVENT, pid, None, ctypes.addressof(child))
            self.add(child.value, {"helper": "init", "init": "other"}.get(self.roles.get(pid, ""), "other"))
        elif event == EVENT_STOP:
            self.roles.setdefault(pid, "other")
        elif event == 0 and number != signal.SIGTRAP:
            deliver = number
        elif self.roles.get(pid) == "other" and b"pyrunc-init" in open(f"/proc/{pid}/cmdline", "rb").read():
            self.roles[pid] = "helper"
        # After the kill no process has to stop again.
        ptrace(SYSCALL if not self.at else CONT, pid, 0, deliver)

    def entered(self, pid: int) -> bool:
        """Handles the entry of a system call. True if the process was killed there."""
        info = ctypes.create_string_buffer(88)
        libc.ptrace(GET_SYSCALL_INFO, pid, len(info), ctypes.addressof(info))
        name = self.calls.get(int.from_bytes(info.raw[24:32], sys.byteorder)) if info.raw[0] == 1 else None
        role = self.roles.get(pid, "other")
        if name is None or role == "other":
            return False
        self.effects[role] += 1
        if role == self.role and self.effects[role] == self.number:
            self.at = name
            return self.act(pid)
        return False

    def act(self, pid: int) -> bool:
        """Kills the process at the chosen call. True if the process is gone."""
        os.kill(pid, signal.SIGKILL)
        return True

    def report(self) -> str:
        """Returns the result as JSON."""
        return json.dumps({"effects": self.effects, "at": self.at, "status": self.status, "seen": self.seen})


if __name__ == "__main__":
    tracer = Tracer(sys.argv[1], int(sys.argv[2]))
    tracer.run(sys.argv[3:])
    sys.stderr.write(tracer.report())
