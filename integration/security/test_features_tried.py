"""The claims of `features` about this kernel: each namespace, seccomp flag and action is tried in a container."""

import json
from typing import Any

import pytest

from harness import Box, namespace, user_namespace


@pytest.fixture
def linux(box: Box) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box.ok("features"))["linux"]
    return found


def test_each_namespace(box: Box, linux: dict[str, Any]) -> None:
    assert set(linux["namespaces"]) >= {"mount", "pid", "network", "ipc", "uts", "user", "cgroup"}

    def change(config: dict[str, Any]) -> None:
        for kind in linux["namespaces"]:
            (user_namespace(config) if kind == "user" else namespace(config, kind))

    assert box.out("echo in", change) == "in\n"


def test_each_supported_flag_of_seccomp(box: Box, linux: dict[str, Any]) -> None:
    flags = [flag for flag in linux["seccomp"]["supportedFlags"] if not flag.endswith("WAIT_KILLABLE_RECV")]
    for flag in flags:  # the flag for a listener: test_seccomp_notify.py
        seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag]}
        assert (
            box.out("grep Seccomp: /proc/self/status", lambda c, s=seccomp: c["linux"].update(seccomp=s)).split()[1]
            == "2"
        )  # type: ignore[misc]


@pytest.mark.parametrize("unknown", ["SCMP_ARCH_VAX"])
def test_each_architecture(box: Box, linux: dict[str, Any], unknown: str) -> None:
    """libseccomp makes one filter for all architectures with this machine's byte order."""
    little = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"}
    assert little <= set(linux["seccomp"]["archs"]) and unknown not in linux["seccomp"]["archs"]
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": sorted(little)}
    assert box.out("echo in", lambda c: c["linux"].update(seccomp=seccomp)) == "in\n"


def test_capabilities_are_the_kernels(box: Box, linux: dict[str, Any]) -> None:
    last = int(box.out("cat /proc/sys/kernel/cap_last_cap"))
    assert len(linux["capabilities"]) <= last + 1 and "CAP_CHECKPOINT_RESTORE" in linux["capabilities"]


def test_actions_of_seccomp(box: Box, linux: dict[str, Any]) -> None:
    results = {
        "SCMP_ACT_KILL": 128 + 31, "SCMP_ACT_KILL_THREAD": 128 + 31, "SCMP_ACT_KILL_PROCESS": 128 + 31,
        "SCMP_ACT_TRAP": 128 + 31, "SCMP_ACT_ERRNO": 1, "SCMP_ACT_TRACE": 1, "SCMP_ACT_LOG": 0, "SCMP_ACT_ALLOW": 0,
    }  # fmt: skip
    assert set(linux["seccomp"]["actions"]) == {*results, "SCMP_ACT_NOTIFY"}  # that one: test_seccomp_notify.py
    for action, status in results.items():
        rule = {"names": ["sync"], "action": action}
        default = "SCMP_ACT_LOG" if action == "SCMP_ACT_ALLOW" else "SCMP_ACT_ALLOW"
        seccomp = {"defaultAction": default, "syscalls": [rule]}
        done = box.run(["sync"], lambda c, s=seccomp: c["linux"].update(seccomp=s))  # type: ignore[misc]
        # Without a tracer TRACE answers ENOSYS; busybox's sync ignores the result of the call.
        assert done.returncode == (status if status != 1 else 0), (action, done.stderr)
