"""Returns ENOSYS for system calls that are newer than a seccomp profile.

A C library tries a new system call first, and falls back to an old one if the kernel returns ENOSYS. A profile that is
older than the call does not name it. The profile's default action, mostly EPERM, would be taken for the kernel's answer
and prevent the fall-back. So every call with a number above the highest one that the profile names on the call's
architecture gets ENOSYS, as from a kernel of the profile's time. runc does so since 1.0.
"""

import sys

from pyrunc.ffi._seccomp import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.seccomp import Seccomp

ENOSYS = 38
LENIENT = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")
"""Default actions that let the kernel or a tracer decide."""
X86_64, X32 = 0xC000003E, 0x4000003E
"""linux/audit.h. X32 is libseccomp's own number; the kernel reports AUDIT_ARCH_X86_64 for such calls."""
X32_BIT = 0x40000000
"""Set in the number of an x32 call (asm/unistd.h)."""
S390 = (0x16, 0x80000016)
"""AUDIT_ARCH_S390 and S390X. On these an unknown number becomes 0 before a filter sees it."""
NUMBER, ARCHITECTURE = 0, 4
"""Offsets in struct seccomp_data."""
LOAD, RETURN, JUMP, EQUAL, GREATER, AT_LEAST = 0x20, 0x06, 0x05, 0x15, 0x25, 0x35
"""linux/bpf_common.h: BPF_LD|W|ABS, BPF_RET|K, BPF_JMP|JA and |JEQ, |JGT, |JGE with K."""


def stub(seccomp: "Seccomp", architectures: "list[int]") -> bytes:
    """Returns the instructions (struct sock_filter) to prepend to the compiled filter. Calls that they do not answer
    continue in the filter.

    ``architectures``: libseccomp's tokens of the profile's architectures, including the native one.
    """
    if seccomp.default_action in LENIENT or seccomp.default_errno_ret == ENOSYS:
        return b""
    highest = {token: _highest(seccomp, token) for token in architectures}
    sections = [
        _section(token, number, highest.get(X32, 0) if token == X86_64 else 0)
        for token, number in highest.items()
        if token != X32 and (number or (token == X86_64 and highest.get(X32)))
    ]
    if not sections:
        return b""
    made = _instruction(LOAD, ARCHITECTURE)
    left = sum(map(len, sections))
    for section in sections:
        for at, (code, k, yes, no) in enumerate(section):
            # A jump to the filter skips the rest of this section and all later sections.
            made += _instruction(code, left - at - 1 if code == JUMP else k, yes, no)
        left -= len(section)
    return made


def _highest(seccomp: "Seccomp", token: int) -> int:
    """Returns the highest number of any call that a rule names, 0 if no named call exists on this architecture."""
    names = {name for rule in seccomp.syscalls for name in rule.names}
    numbers = [int(lib.seccomp_syscall_resolve_name_arch(token, name.encode())) for name in names]
    return max([0, *numbers])  # negative: the call does not exist, or libseccomp emulates it by another


def _section(token: int, number: int, x32: int) -> "list[tuple[int, int, int, int]]":
    """Returns [(code, k, jump if true, jump if false)] for the calls of one architecture. ``JUMP`` leads to the
    filter."""
    answer = [(RETURN, int(lib.pyrunc_errno(ENOSYS)), 0, 0), (JUMP, 0, 0, 0)]
    body = [(LOAD, NUMBER, 0, 0)]
    if token in S390:
        body.append((EQUAL, 0, 1, 0))
    if token == X86_64:
        body.append((AT_LEAST, X32_BIT, 3 if number else 1, 0))
    if number:
        body += [(GREATER, number, 0, 1), *answer]
    else:
        body.append((JUMP, 0, 0, 0))
    if token == X86_64:
        body += [(GREATER, x32, 0, 1), *answer] if x32 else [(JUMP, 0, 0, 0)]
    return [(EQUAL, token, 0, len(body)), *body]


def _instruction(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    return code.to_bytes(2, sys.byteorder) + bytes((yes, no)) + k.to_bytes(4, sys.byteorder)
