"""Compiles ``linux.seccomp`` with libseccomp into the bytes that the helper loads (runtime-spec "Seccomp")."""

import posix

from pyrunc import log
from pyrunc.errors import SpecError
from pyrunc.ffi._seccomp import ffi, lib
from pyrunc.plan import seccomp_newer
from pyrunc.spec.json_text import dumps
from pyrunc.spec.shape import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.plan.facts import FilterCache
    from pyrunc.spec.seccomp import Argument, Seccomp, Syscall

PLACE = "linux.seccomp"
COMPILED_AS = 2
"""Increased whenever ``compile_filter`` makes a different filter of the same config, to invalidate cached filters."""
EPERM = 1
WAIT_KILLABLE_RECV = 1 << 5  # linux/seccomp.h since 5.19; Debian 12's headers do not have it
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": lib.SECCOMP_FILTER_FLAG_TSYNC,
    "SECCOMP_FILTER_FLAG_LOG": lib.SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": lib.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": WAIT_KILLABLE_RECV,
}
ACTIONS = {
    "SCMP_ACT_KILL": lib.SCMP_ACT_KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": lib.SCMP_ACT_KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": lib.SCMP_ACT_KILL_PROCESS,
    "SCMP_ACT_TRAP": lib.SCMP_ACT_TRAP,
    "SCMP_ACT_LOG": lib.SCMP_ACT_LOG,
    "SCMP_ACT_ALLOW": lib.SCMP_ACT_ALLOW,
    "SCMP_ACT_NOTIFY": lib.SCMP_ACT_NOTIFY,
}


def flags(seccomp: "Seccomp") -> int:
    """Returns SECCOMP_FILTER_FLAG_* for seccomp(2), with NEW_LISTENER if a rule notifies."""
    bits = sum(FLAGS[name] for name in set(seccomp.flags))
    if notifies(seccomp):
        bits |= lib.SECCOMP_FILTER_FLAG_NEW_LISTENER
        # TSYNC and a listener define different error returns, so the kernel refuses both; init has only one thread.
        bits &= ~lib.SECCOMP_FILTER_FLAG_TSYNC
    return int(bits)


def notifies(seccomp: "Seccomp") -> bool:
    """Whether any rule passes system calls to the listener."""
    return any(rule.action == "SCMP_ACT_NOTIFY" for rule in seccomp.syscalls)


def filter_of(seccomp: "Seccomp", kept: "FilterCache | None") -> bytes:
    """Returns the filter as ``compile_filter`` does, from the cache ``kept`` if this libseccomp has compiled it
    before."""
    if kept is None or log.wanted("debug"):  # compiling logs unknown names
        return compile_filter(seccomp)
    version = lib.seccomp_version()
    wanted = dumps([COMPILED_AS, version.major, version.minor, version.micro, plain(seccomp)]).encode()
    found = kept.find(wanted)
    if found is None:
        found = compile_filter(seccomp)
        kept.add(wanted, found)
    return found


def compile_filter(seccomp: "Seccomp") -> bytes:
    """Returns the filter as an array of struct sock_filter. Raises SpecError that names the rule libseccomp refused."""
    default = _action(seccomp.default_action, seccomp.default_errno_ret, f"{PLACE}.defaultAction")
    context = lib.seccomp_init(default)
    if context == ffi.NULL:
        raise SpecError(f"{PLACE}.defaultAction", f"{seccomp.default_action} can't be a default")
    try:
        # A search tree instead of a list of about four hundred comparisons for each system call.
        lib.seccomp_attr_set(context, lib.SCMP_FLTATR_CTL_OPTIMIZE, 2)
        tokens = [int(lib.seccomp_arch_native())]
        for index, name in enumerate(seccomp.architectures):
            tokens.append(_add_architecture(context, name, f"{PLACE}.architectures[{index}]"))
        for index, rule in enumerate(seccomp.syscalls):
            _add_rule(context, rule, default, f"{PLACE}.syscalls[{index}]")
        return seccomp_newer.stub(seccomp, tokens) + _export(context)
    finally:
        lib.seccomp_release(context)


def _action(name: str, number: "int | None", where: str) -> int:
    if name == "SCMP_ACT_ERRNO":
        return int(lib.pyrunc_errno(EPERM if number is None else number))
    if name == "SCMP_ACT_TRACE":
        return int(lib.pyrunc_trace(EPERM if number is None else number))
    if number:
        raise SpecError(where, f"{name} has no errnoRet")
    return int(ACTIONS[name])


def _add_architecture(context: "Any", name: str, where: str) -> int:
    token = lib.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
    if token == 0:
        raise SpecError(where, f"{name} is not known to libseccomp")
    result = lib.seccomp_arch_add(context, token)
    if result not in (0, -17):  # EEXIST: the native architecture is always there
        raise SpecError(where, f"{name}: {posix.strerror(-result).lower()}")
    return int(token)


def _add_rule(context: "Any", rule: "Syscall", default: int, where: str) -> None:
    action = _action(rule.action, rule.errno_ret, f"{where}.action")
    if action == default:
        return  # libseccomp refuses a rule that repeats the default
    for name in rule.names:
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number == lib.__NR_SCMP_ERROR:
            log.debug(f"{where}.names: skipping unknown system call {name}")
            continue
        for arguments in _alternatives(rule.args):
            compared = ffi.new("struct scmp_arg_cmp[]", [_comparison(argument) for argument in arguments])
            result = lib.seccomp_rule_add_array(context, action, number, len(arguments), compared)
            if result not in (0, -17):
                raise SpecError(where, f"{name}: {posix.strerror(-result).lower()}")


def _alternatives(arguments: "list[Argument]") -> "list[list[Argument]]":
    """Returns one rule whose comparisons must all hold, or one rule each if an argument is compared twice (as runc)."""
    if not arguments:
        return [[]]
    indexes = [argument.index for argument in arguments]
    if len(set(indexes)) < len(indexes):
        return [[argument] for argument in arguments]
    return [list(arguments)]


def _comparison(argument: "Argument") -> "tuple[int, int, int, int]":
    operator = getattr(lib, argument.op)
    if argument.op == "SCMP_CMP_MASKED_EQ":
        return argument.index, operator, argument.value, argument.value_two
    return argument.index, operator, argument.value, 0


def _export(context: "Any") -> bytes:
    descriptor = posix.memfd_create("seccomp", posix.MFD_CLOEXEC)
    try:
        result = lib.seccomp_export_bpf(context, descriptor)
        if result:
            raise SpecError(PLACE, f"libseccomp: {posix.strerror(-result).lower()}")
        size = posix.fstat(descriptor).st_size
        return posix.pread(descriptor, size, 0)
    finally:
        posix.close(descriptor)
