"""seccomp, seen from inside: what a filtered call answers."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from harness import Box


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
    """Every call that this machine's headers know is allowed, but for mkdir."""
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
    change = profile({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28})
    assert "No space left" in box.run("mkdir /tmp/x", change).stderr
    (kept,) = (box.root / ".filters~").iterdir()
    before = kept.stat()
    assert "No space left" in box.run("mkdir /tmp/x", change).stderr
    assert kept.stat().st_ino == before.st_ino and kept.stat().st_mtime_ns == before.st_mtime_ns
    other = profile({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 12})
    assert "memory" in box.run("mkdir /tmp/x", other).stderr


@pytest.mark.parametrize("damage", ["cut", "changed", "of others", "a link"])
def test_kept_filter_that_is_not_as_we_left_it_is_not_used(box: Box, damage: str) -> None:
    change = profile({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28})
    directory = box.root / ".filters~"
    assert "No space left" in box.run("mkdir /tmp/x", change).stderr
    (kept,) = directory.iterdir()
    data = kept.read_bytes()
    allow_all = (0x06).to_bytes(2, "little") + bytes(2) + (0x7FFF0000).to_bytes(4, "little")
    if damage == "cut":
        kept.write_bytes(data[:-8])
    elif damage == "changed":
        kept.write_bytes(data[:32] + allow_all)
    else:
        import hashlib

        kept.write_bytes(hashlib.blake2b(allow_all, digest_size=32).digest() + allow_all)
        if damage == "of others":
            directory.chmod(0o770)
        else:
            directory.rename(box.directory / "elsewhere")
            directory.symlink_to(box.directory / "elsewhere")
    assert "No space left" in box.run("mkdir /tmp/x", change).stderr
    if damage == "a link":
        directory.unlink()
