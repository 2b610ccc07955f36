"""seccomp, checked from inside: the answers of filtered calls."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from peers import also_on

from harness import Box, static_program


def profile(*rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **more: Any) -> Any:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["seccomp"] = {"defaultAction": default, "syscalls": list(rules), **more}

    return change


def errno_of_mkdir(box: Box, change: Any) -> str:
    return str(box.run("mkdir /tmp/x 2>&1", lambda c: (box.own_rootfs(c), change(c))).stdout)


@pytest.mark.parametrize("unprivileged", [True, False])
def test_filter_is_on(box: Box, unprivileged: bool) -> None:
    def change(config: dict[str, Any]) -> None:
        profile({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28})(config)
        config["process"]["noNewPrivileges"] = unprivileged
        config["process"]["user"] = {"uid": 1000, "gid": 1000}

    out = box.run("mkdir /tmp/x 2>&1; grep Seccomp: /proc/self/status; grep CapEff /proc/self/status", change).stdout
    assert "No space left" in out and "Seccomp:\t2" in out and "CapEff:\t0000000000000000" in out


def test_default_errno_and_the_native_architecture(box: Box) -> None:
    allow_all_but = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    assert "not permitted" in errno_of_mkdir(
        box, profile(allow_all_but, architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
    )


def test_default_errno_ret(box: Box) -> None:
    """Allows every call in this machine's headers except mkdir."""
    headers = Path(f"/usr/include/{os.uname().machine}-linux-gnu/asm").glob("unistd*.h")
    names = {name for header in headers for name in re.findall(r"__NR_(\w+)", header.read_text())}
    rules = {"names": sorted(names - {"mkdir", "mkdirat"}), "action": "SCMP_ACT_ALLOW"}
    assert "No space left" in errno_of_mkdir(box, profile(rules, default="SCMP_ACT_ERRNO", defaultErrnoRet=28))


def test_kill_ends_with_sigsys(box: Box) -> None:
    done = box.run(["mkdir", "/tmp/x"], profile({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}))
    assert done.returncode == 128 + 31


@pytest.mark.parametrize(
    ("op", "value", "two", "refused"),
    [
        ("SCMP_CMP_EQ", 0o755, 0, False),
        ("SCMP_CMP_EQ", 0o777, 0, True),
        ("SCMP_CMP_NE", 0o777, 0, False),
        ("SCMP_CMP_GT", 0o700, 0, True),
        ("SCMP_CMP_LT", 0o700, 0, False),
        ("SCMP_CMP_GE", 0o777, 0, True),
        ("SCMP_CMP_LE", 0o776, 0, False),
        ("SCMP_CMP_MASKED_EQ", 0o7, 0o7, True),
    ],
)
def test_operators(box: Box, op: str, value: int, two: int, refused: bool) -> None:
    """busybox calls mkdir(path, 0777): the mode is argument 1."""
    rule = {
        "names": ["mkdir"],
        "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 1, "value": value, "valueTwo": two, "op": op}],
    }
    assert ("not permitted" in errno_of_mkdir(box, profile(rule))) == refused


def test_the_same_argument_twice_means_either(box: Box) -> None:
    args = [{"index": 1, "value": value, "op": "SCMP_CMP_EQ"} for value in (1, 0o777)]
    assert "not permitted" in errno_of_mkdir(
        box, profile({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": args})
    )


def test_unknown_call_is_skipped_and_unknown_action_is_not(box: Box) -> None:
    assert box.run("true", profile({"names": ["call_of_tomorrow"], "action": "SCMP_ACT_ERRNO"})).returncode == 0
    done = box.run("true", profile({"names": ["mkdir"], "action": "SCMP_ACT_HOPE"}))
    assert done.returncode == 1 and done.stderr.startswith("pyrunc: linux.seccomp.syscalls[0].action: 'SCMP_ACT_HOPE'")


def test_exec_is_filtered_as_well(box: Box) -> None:
    name = box.start("sleep 100", profile({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}))
    assert "No space left" in box.call("exec", name, "mkdir", "/tmp/x").stderr


def test_flags(box: Box) -> None:
    change = profile(
        {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"},
        flags=["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
    )
    assert "not permitted" in errno_of_mkdir(box, change)


def test_filter_is_compiled_once(box: Box) -> None:
    cache = Path("/run/pyrunc-cache")
    number = 1000 + os.getpid() % 3000  # a profile that no other test uses
    change = profile({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": number})
    before = set(cache.iterdir()) if cache.exists() else set()
    assert box.run("mkdir /tmp/x", change).returncode == 1
    (kept,) = set(cache.iterdir()) - before
    first = kept.stat()
    assert box.run("mkdir /tmp/x", change).returncode == 1
    assert kept.stat().st_ino == first.st_ino and kept.stat().st_mtime_ns == first.st_mtime_ns
    kept.unlink()
    other = profile({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 12})
    assert "memory" in box.run("mkdir /tmp/x", other).stderr


def test_nothing_but_containers_is_in_the_state_directory(box: Box) -> None:
    name = box.start("sleep 100", profile({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}))
    assert os.listdir(box.root) == [name]
    box.ok("exec", name, "true")
    box.ok("delete", "--force", name)
    assert os.listdir(box.root) == []


CALLS = """
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words) {
    for (int i = 1; i < count; i++)
        printf("%d ", syscall(atol(words[i]), -1L, 0L, 0L, 0L, 0L, 0L) < 0 ? errno : 0);
    return 0;
}
"""


@pytest.mark.parametrize("unprivileged", [True, False])
@also_on("runc>=1.5")
def test_calls_newer_than_the_profile_answer_enosys(box: Box, unprivileged: bool) -> None:
    """With ENOSYS the C library falls back; EPERM, the default action, it would report."""
    calls = static_program(box.directory, "calls", CALLS)

    def change(config: dict[str, Any]) -> None:
        root = box.own_rootfs(config)
        shutil.copy(calls, root / "calls")
        profile(
            {"names": sorted(old_names() - {"mount", "swapon"}), "action": "SCMP_ACT_ALLOW"}, default="SCMP_ACT_ERRNO"
        )(config)
        config["process"]["noNewPrivileges"] = unprivileged

    numbers = ["440", "451", "462", "999", str(number_of("mount")), str(number_of("swapon"))]
    assert box.out(["/calls", *numbers], change).split() == ["38", "38", "38", "38", "1", "1"]


def old_names() -> set[str]:
    """Returns the calls of Linux 5.9, the last of which is faccessat2: number 439 on every architecture."""
    text = Path(f"/usr/include/{os.uname().machine}-linux-gnu/asm/unistd_64.h").read_text()
    return {name for name, number in re.findall(r"__NR_(\w+) (\d+)", text) if int(number) <= 439}


def number_of(name: str) -> int:
    text = Path(f"/usr/include/{os.uname().machine}-linux-gnu/asm/unistd_64.h").read_text()
    return int(re.findall(rf"__NR_{name} (\d+)", text)[0])
