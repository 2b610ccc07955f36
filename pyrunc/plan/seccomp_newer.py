"""ENOSYS for system calls that are newer than a seccomp profile.

A C library tries a new system call first, and falls back to an old one when the kernel answers ENOSYS. A profile that
was written before the new one existed does not name it, and its default action, EPERM mostly, is taken for the answer:
no fall-back. So whatever lies above the highest number that the profile names, on the architecture of the call, gets
ENOSYS, as a kernel of the profile's time would have answered; as runc does since 1.0.
"""

import sys

from pyrunc.ffi._seccomp import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.seccomp import Seccomp

ENOSYS = 38
LENIENT = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")
"""Default actions that let the kernel, or a tracer, answer."""
X86_64, X32 = 0xC000003E, 0x4000003E
"""linux/audit.h; libseccomp's own name for x32, of which the kernel says AUDIT_ARCH_X86_64."""
X32_BIT = 0x40000000
"""Of a call's number (asm/unistd.h)."""
S390 = (0x16, 0x80000016)
"""AUDIT_ARCH_S390 and S390X, where an unknown number becomes 0 before a filter sees it."""
NUMBER, ARCHITECTURE = 0, 4
"""Offsets in struct seccomp_data."""
LOAD, RETURN, JUMP, EQUAL, GREATER, AT_LEAST = 0x20, 0x06, 0x05, 0x15, 0x25, 0x35
"""linux/bpf_common.h: BPF_LD|W|ABS, BPF_RET|K, BPF_JMP|JA and |JEQ, |JGT, |JGE with K."""


def stub(seccomp: "Seccomp", architectures: "list[int]") -> bytes:
    """The instructions (struct sock_filter) to go before the compiled filter; it follows wherever they do not answer.

    ``architectures``: libseccomp's tokens of the profile's, the native one with them.
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
            # A jump to the filter goes over the rest of this section and all the later ones.
            made += _instruction(code, left - at - 1 if code == JUMP else k, yes, no)
        left -= len(section)
    return made


def _highest(seccomp: "Seccomp", token: int) -> int:
    """The highest number of a call that any rule names; 0 when none has a number on this architecture."""
    names = {name for rule in seccomp.syscalls for name in rule.names}
    numbers = [int(lib.seccomp_syscall_resolve_name_arch(token, name.encode())) for name in names]
    return max([0, *numbers])  # a negative one: there is none, or libseccomp makes it of another


def _section(token: int, number: int, x32: int) -> "list[tuple[int, int, int, int]]":
    """[(code, k, jump when true, jump when false)] for the calls of one architecture, ``JUMP`` being to the filter."""
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
