"""Shared by the tests of the library: containers of one test, and checks of the test's own process."""

import gc
import os
from typing import Any

from pyrunc import (
    Container,
)

DEVNULL = open(os.devnull, "r+b", buffering=0)


def subreaper() -> bool:
    import prctl

    return bool(prctl.get_child_subreaper())


def descriptors() -> dict[str, str]:
    gc.collect()
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return found


not_ours: set[int] = set()
"""Children that other tests left to this process."""


def all_children() -> list[int]:
    found: list[int] = []
    for thread in os.listdir("/proc/self/task"):
        try:
            found += map(int, open(f"/proc/self/task/{thread}/children").read().split())
        except OSError:
            continue  # a thread that ends
    return sorted(found)


def children() -> list[int]:
    return [pid for pid in all_children() if pid not in not_ours]


def output_of(container: Container, args: list[str], **options: Any) -> tuple[int, str]:
    reading, writing = os.pipe()
    try:
        process = container.exec(args, stdout=writing, stderr=writing, stdin=DEVNULL, **options)
    finally:
        os.close(writing)
    with open(reading) as file:
        text = file.read()
    return process.wait(), text
