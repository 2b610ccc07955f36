"""The table of system calls: every one that the headers of both architectures have is in it, once."""

import re
from pathlib import Path

import pytest

from pyrunc.hostile import syscalls

HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}
OF_32_BIT = re.compile(r".*(64_64|time64|64)$|^llseek$|^mmap2$|^sync_file_range2$|^fcntl64$")
"""Names and calls that only 32-bit architectures of the generic table have."""
NO_CALLS = ("arch_specific_syscall", "syscalls")


@pytest.mark.parametrize("architecture", HEADERS)
def test_every_call_has_a_class(architecture: str) -> None:
    path = Path(HEADERS[architecture])
    if not path.exists():
        pytest.skip(f"no {path}: apt-get install linux-libc-dev")
    found = set(re.findall(r"^#define __NR_(\w+)", path.read_text(), re.MULTILINE)) - {*NO_CALLS}
    known = {name for name, _, _ in syscalls.table()}
    missing = {name for name in found - known if not (architecture == "aarch64" and OF_32_BIT.match(name))}
    assert len(found) > 250 and not missing - {"fstatat"}, sorted(missing)


def test_no_call_has_two() -> None:
    names = [name for name, _, _ in syscalls.table()]
    assert len(names) == len(set(names))
    assert set(syscalls.NEWER) | set(syscalls.OTHER_NAMES) <= set(names)
    assert len(set(syscalls.NEWER.values())) == len(syscalls.NEWER)


def test_what_changes_something_says_how_it_is_described() -> None:
    for name, kind, how in syscalls.table():
        assert kind in "HRC" and (kind != "C" or re.fullmatch(r"[A-Za-z][0-5]", how)), name
