"""What masks a container's procfs and sysfs holds in a user namespace that a process makes inside.

There the kernel lets a whole procfs be mounted only where the mount namespace has one already, unmasked
(mount_too_revealing() in fs/namespace.c). Without pivot_root the host's are below the container's root, unless they are
removed or, in a user namespace, covered.
"""

from typing import Any

import pytest

from harness import Box, user_namespace

NESTED = """
    unshare -U -r -m -p -n -f sh -c 'mount -t proc proc /tmp 2>/dev/null && echo proc
    mount -t sysfs sysfs /tmp 2>/dev/null && echo sysfs'; true
"""
WAYS = [(), ("--no-pivot",)]


def as_user(config: dict[str, Any]) -> None:
    """Root would need CAP_SETFCAP to map itself (user_namespaces(7))."""
    config["process"]["user"] = {"uid": 1000, "gid": 1000}


@pytest.mark.parametrize("mapped", [False, True], ids=["host", "user"])
@pytest.mark.parametrize("words", WAYS, ids=["pivot", "no pivot"])
def test_masks_hold_in_a_nested_user_namespace(box: Box, words: tuple[str, ...], mapped: bool) -> None:
    def change(config: dict[str, Any]) -> None:
        as_user(config)
        if mapped:
            user_namespace(config)
            box.open_to_all()

    assert box.out(NESTED, change, *words).split() == []


@pytest.mark.parametrize("words", WAYS, ids=["pivot", "no pivot"])
def test_without_masks_a_procfs_can_be_mounted_there(box: Box, words: tuple[str, ...]) -> None:
    """So this kernel does not refuse it always."""

    def change(config: dict[str, Any]) -> None:
        as_user(config)
        config["linux"].update(maskedPaths=[], readonlyPaths=[])

    assert "proc" in box.out(NESTED, change, *words).split()
