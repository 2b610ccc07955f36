"""Device rules on v2: an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE (Linux 4.15, bpf(2))."""

import sys

from pyrunc.cgroup.devices import ANY, Rules

R0, R1, R2, R3, R4, R5 = range(6)
LDX_W, MOV_REG, MOV32_REG, MOV_IMM = 0x61, 0xBF, 0xBC, 0xB7
AND32, RSH32, JNE_IMM, JNE_REG, JEQ_IMM, EXIT = 0x54, 0x74, 0x55, 0x5D, 0x15, 0x95
TYPES = {"b": 1, "c": 2}
ACCESS = {"m": 1, "r": 2, "w": 4}


def _instruction(code: int, to: int = 0, from_: int = 0, offset: int = 0, value: int = 0) -> bytes:
    order = sys.byteorder
    registers = to | from_ << 4 if order == "little" else to << 4 | from_
    return bytes((code, registers)) + offset.to_bytes(2, order, signed=True) + value.to_bytes(4, order, signed=True)


def program(rules: Rules) -> bytes:
    """Returns the instructions. The program returns 1 to permit an access; 0 makes it fail with EPERM.

    The context is struct bpf_cgroup_dev_ctx: access << 16 | type, major, minor.
    """
    code = [
        _instruction(LDX_W, R2, R1, 0),
        _instruction(MOV32_REG, R3, R2),
        _instruction(RSH32, R3, value=16),  # r3: the requested access
        _instruction(AND32, R2, value=0xFFFF),  # r2: the type
        _instruction(LDX_W, R4, R1, 4),
        _instruction(LDX_W, R5, R1, 8),
    ]
    # Rules has resolved the order of the config's rules, so the order of the exceptions does not matter.
    for (kind, major, minor), access in rules.exceptions.items():
        code += _exception(TYPES[kind], major, minor, sum(ACCESS[a] for a in access), rules.allow_all)
    code += [_instruction(MOV_IMM, R0, value=int(rules.allow_all)), _instruction(EXIT)]
    return b"".join(code)


def _exception(kind: int, major: int, minor: int, access: int, allow_all: bool) -> "list[bytes]":
    """Returns the code of one exception. It jumps to its own end unless type, numbers and access match."""
    tests = [(JNE_IMM, R2, kind)]
    tests += [(JNE_IMM, R4, major)] if major != ANY else []
    tests += [(JNE_IMM, R5, minor)] if minor != ANY else []
    verdict = [_instruction(MOV_IMM, R0, value=int(not allow_all)), _instruction(EXIT)]
    # With allow_all one denied bit is enough to deny the access. Otherwise every bit must be allowed.
    mask, jump = (access, JEQ_IMM) if allow_all else (7 & ~access, JNE_IMM)
    masked = [
        _instruction(MOV32_REG, R1, R3),
        _instruction(AND32, R1, value=mask),
        _instruction(jump, R1, offset=len(verdict), value=0),
    ]
    left = len(tests) + len(masked) + len(verdict)
    code = []
    for number, (operation, register, value) in enumerate(tests):
        code.append(_instruction(operation, register, offset=left - number - 1, value=value))
    return [*code, *masked, *verdict]


def apply(directory: str, rules: Rules) -> None:
    """Loads the program and attaches it to ``directory``, in place of an earlier one of pyrunc's. OSError from
    bpf(2)."""
    import posix

    from pyrunc.ffi._sys import lib

    descriptor = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    loaded = -1
    try:
        code = program(rules)
        loaded = lib.pyrunc_load_device_program(code, len(code) // 8)
        if loaded < 0:
            raise OSError(-loaded, posix.strerror(-loaded))
        result = lib.pyrunc_attach_device_program(descriptor, loaded)
        if result < 0:
            raise OSError(-result, posix.strerror(-result))
    finally:
        posix.close(descriptor)
        if loaded >= 0:
            posix.close(loaded)


def attached(directory: str) -> "tuple[int, ...]":
    """Returns the ids of the device programs that are attached to ``directory`` itself. Empty if the kernel does not
    answer the query."""
    import posix

    from pyrunc.ffi._sys import ffi, lib

    descriptor = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        programs = ffi.new("uint32_t[64]")
        count = lib.pyrunc_device_programs(descriptor, programs, 64)
        return tuple(programs[0 : max(0, count)])
    finally:
        posix.close(descriptor)
