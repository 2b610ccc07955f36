"""Runs a command under ptrace(2), and makes one system call of one of its processes fail, or kills the process there.

    python inject_at.py ROLE NUMBER ERROR COMMAND...

ROLE is ``pyrunc`` (the command itself), ``helper`` or ``init``; NUMBER counts from 1 the system calls of that process,
or with CALL/NUMBER only the calls named CALL;
ERROR is an errno's name, or KILL. The Nth call is not made. With 0 no call fails. Prints JSON: ``calls`` of every role,
``at`` (the call's number in the kernel's table), the exit status of the command, and every process that was seen, as
[pid, start time].
"""

import ctypes
import errno
import json
import os
import platform
import signal
import sys

from kill_at import GET_SYSCALL_INFO, Tracer, libc, ptrace

from pyrunc.ffi import _seccomp

GETREGS, SETREGS, EVENT_EXEC = 12, 13, 4
ORIG_RAX, RAX, REGISTERS = 15, 10, 27
"""struct user_regs_struct (sys/user.h), in words of 8 bytes."""
NEVER = frozenset({12, 15, 60, 231, 219})
"""brk, rt_sigreturn, exit, exit_group, restart_syscall never return an errno."""


class Injector(Tracer):
    """A Tracer that counts all system calls, not only those that change something."""

    def __init__(self, role: str, number: str, error: str) -> None:
        call, _, count = number.rpartition("/")
        super().__init__(role, int(count))
        self.call = _seccomp.lib.seccomp_syscall_resolve_name(call.encode()) if call else -1
        self.error = 0 if error == "KILL" else getattr(errno, error)
        self.failing: set[int] = set()
        self.begun = False
        self.hit = ""

    def stopped(self, pid: int, number: int, event: int) -> None:
        self.begun |= event == EVENT_EXEC
        super().stopped(pid, number, event)

    def entered(self, pid: int) -> bool:
        if not self.begun:
            return False  # this process's child, before it executes the command
        info = ctypes.create_string_buffer(88)
        libc.ptrace(GET_SYSCALL_INFO, pid, len(info), ctypes.addressof(info))
        if info.raw[0] == 2 and pid in self.failing:
            self.failing.discard(pid)
            self.set_register(pid, RAX, -self.error)
            self.at = self.hit  # from here on no process is stopped any more
            return False
        number = int.from_bytes(info.raw[24:32], sys.byteorder)
        role = self.roles.get(pid, "other")
        if info.raw[0] != 1 or role == "other" or number in NEVER:
            return False
        if self.call not in (-1, number):
            return False
        self.effects[role] += 1
        if role != self.role or self.effects[role] != self.number or self.hit:
            return False
        self.hit = str(number)
        if not self.error:
            self.at = self.hit
            os.kill(pid, signal.SIGKILL)
            return True
        self.failing.add(pid)
        self.set_register(pid, ORIG_RAX, -1)
        return False

    def set_register(self, pid: int, register: int, value: int) -> None:
        words = (ctypes.c_ulonglong * REGISTERS)()
        ptrace(GETREGS, pid, 0, ctypes.addressof(words))
        words[register] = value & 0xFFFFFFFFFFFFFFFF
        ptrace(SETREGS, pid, 0, ctypes.addressof(words))


if __name__ == "__main__":
    if platform.machine() != "x86_64":
        sys.exit("registers are x86_64's here")
    injector = Injector(sys.argv[1], sys.argv[2], sys.argv[3])
    injector.run(sys.argv[4:])
    result = {"calls": injector.effects, "at": injector.hit, "status": injector.status, "seen": injector.seen}
    sys.stderr.write(json.dumps(result))
