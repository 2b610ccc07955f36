"""Answers of a compiled filter for every architecture, by an interpreter of classic BPF instead of a kernel."""

import sys
from typing import Any

import pytest

from pyrunc.ffi._seccomp import lib
from pyrunc.plan.seccomp import compile_filter
from pyrunc.plan.seccomp_newer import stub
from pyrunc.spec.shape import build

ALLOW, KILL = 0x7FFF0000, 0x00000000
EPERM, ENOSYS = 0x00050000 | 1, 0x00050000 | 38
AUDIT = {
    "SCMP_ARCH_X86_64": 0xC000003E,
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_ARM": 0x40000028,
    "SCMP_ARCH_PPC64LE": 0xC0000015,
    "SCMP_ARCH_MIPSEL64N32": 0xE0000008,
}
X32_BIT = 0x40000000
NATIVE = next(name for name, token in AUDIT.items() if token == lib.seccomp_arch_native())


def answer(code: bytes, architecture: int, number: int) -> int:
    """Returns the filter's answer to a call without arguments (struct seccomp_data)."""
    data = number.to_bytes(4, sys.byteorder) + architecture.to_bytes(4, sys.byteorder) + bytes(56)
    at = accumulator = 0
    while True:
        operation = int.from_bytes(code[8 * at : 8 * at + 2], sys.byteorder)
        yes, no = code[8 * at + 2], code[8 * at + 3]
        k = int.from_bytes(code[8 * at + 4 : 8 * at + 8], sys.byteorder)
        at += 1
        if operation == 0x20:
            accumulator = int.from_bytes(data[k : k + 4], sys.byteorder)
        elif operation == 0x06:
            return k
        elif operation == 0x05:
            at += k
        elif operation == 0x54:
            accumulator &= k
        else:
            true = {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k}[operation]
            at += yes if true else no


def compiled(*rules: dict[str, Any], default: str = "SCMP_ACT_ERRNO", **more: Any) -> bytes:
    rules = rules or ({"names": ["mkdir", "mkdirat", "getcwd", "close_range"], "action": "SCMP_ACT_ALLOW"},)
    return compile_filter(build("Seccomp", {"defaultAction": default, "syscalls": list(rules), **more}))


def number_of(name: str, architecture: str) -> int:
    token = lib.seccomp_arch_resolve_name(architecture.removeprefix("SCMP_ARCH_").lower().encode())
    return int(lib.seccomp_syscall_resolve_name_arch(token, name.encode()))


def test_calls_newer_than_the_profile_do_not_exist() -> None:
    code, last = compiled(), number_of("close_range", NATIVE)
    for newer in (last + 1, 440, 451, 462, 999, 0x3FFFFFFF):
        assert answer(code, AUDIT[NATIVE], newer) == ENOSYS
    assert answer(code, AUDIT[NATIVE], last) == ALLOW
    assert answer(code, AUDIT[NATIVE], last - 1) == EPERM
    assert answer(code, AUDIT[NATIVE], number_of("mkdirat", NATIVE)) == ALLOW


@pytest.mark.parametrize("architecture", [name for name in AUDIT if name != NATIVE])
def test_each_architecture_has_a_highest_call_of_its_own(architecture: str) -> None:
    names = ["mkdirat", "statx"] if architecture != "SCMP_ARCH_X86" else ["mkdirat", "time64", "clock_gettime64"]
    rule = {"names": [*names, "getcwd"], "action": "SCMP_ACT_ALLOW"}
    code = compiled(rule, architectures=[NATIVE, architecture])
    for name in (NATIVE, architecture):
        last = max(number_of(known, name) for known in rule["names"])
        assert answer(code, AUDIT[name], last) == ALLOW
        assert answer(code, AUDIT[name], last + 1) == ENOSYS
        assert answer(code, AUDIT[name], 0) == EPERM


def test_an_architecture_that_the_profile_has_not_is_the_filters() -> None:
    assert answer(compiled(), AUDIT["SCMP_ARCH_PPC64LE"], 999) == KILL


def test_on_s390x_an_unknown_number_is_0_for_a_filter() -> None:
    s390x = 0x80000016
    profile = build(
        "Seccomp", {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["mkdirat"], "action": "SCMP_ACT_ALLOW"}]}
    )
    code = stub(profile, [s390x]) + (6).to_bytes(2, sys.byteorder) + bytes(2) + ALLOW.to_bytes(4, sys.byteorder)
    last = number_of("mkdirat", "SCMP_ARCH_S390X")
    assert [answer(code, s390x, number) for number in (0, 1, last, last + 1)] == [ENOSYS, ALLOW, ALLOW, ENOSYS]


@pytest.mark.skipif(NATIVE != "SCMP_ARCH_X86_64", reason="x32 is of x86_64")
def test_x32_has_a_highest_call_of_its_own() -> None:
    x86_64 = AUDIT["SCMP_ARCH_X86_64"]
    without = compiled()
    assert answer(without, x86_64, X32_BIT | 999) == KILL  # as in libseccomp
    rule = {"names": ["mkdir", "preadv"], "action": "SCMP_ACT_ALLOW"}  # preadv is 295, and 534 of x32
    code = compiled(rule, architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"])
    last = number_of("preadv", "SCMP_ARCH_X32")
    assert last == X32_BIT | 534
    assert answer(code, x86_64, last) == ALLOW and answer(code, x86_64, last + 1) == ENOSYS
    assert answer(code, x86_64, last - 1) == EPERM
    assert answer(code, x86_64, 295) == ALLOW and answer(code, x86_64, 296) == ENOSYS


@pytest.mark.parametrize("default", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"])
def test_a_default_that_lets_calls_through_lets_new_ones_through(default: str) -> None:
    code = compiled({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}, default=default)
    assert answer(code, AUDIT[NATIVE], 999) not in (ENOSYS, EPERM)


@pytest.mark.parametrize(
    ("default", "more"),
    [
        ("SCMP_ACT_KILL", {}),
        ("SCMP_ACT_KILL_PROCESS", {}),
        ("SCMP_ACT_TRAP", {}),
        ("SCMP_ACT_ERRNO", {"defaultErrnoRet": 28}),
        ("SCMP_ACT_ERRNO", {"defaultErrnoRet": 38}),
    ],
)
def test_any_other_default_is_not_the_answer_to_new_calls(default: str, more: dict[str, int]) -> None:
    assert answer(compiled(default=default, **more), AUDIT[NATIVE], 999) == ENOSYS


def test_a_rule_for_the_newest_call_is_what_it_says() -> None:
    rules = (
        {"names": ["close_range"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
        {"names": ["mkdirat"], "action": "SCMP_ACT_ALLOW"},
    )
    assert answer(compiled(*rules), AUDIT[NATIVE], number_of("close_range", NATIVE)) == 0x00050000 | 95


def test_names_that_libseccomp_does_not_know_raise_nothing() -> None:
    rule = {"names": ["mkdirat", "tomorrow", ""], "action": "SCMP_ACT_ALLOW"}
    assert answer(compiled(rule), AUDIT[NATIVE], number_of("mkdirat", NATIVE) + 1) == ENOSYS


def test_a_profile_without_rules_is_its_default_alone() -> None:
    code = compile_filter(build("Seccomp", {"defaultAction": "SCMP_ACT_ERRNO"}))
    assert answer(code, AUDIT[NATIVE], 999) == EPERM
