"""io (cgroup-v2.rst "IO"; block/bfq-iosched.rst)."""

from pyrunc.linux.files import exists

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.cgroup.counters import Files
    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources

BFQ = "/sys/module/bfq"


def limits(resources: "Resources", hierarchy: "Hierarchy | None") -> "Iterator[Entry]":
    """Yields the entries. The spec's weights are those of v1, from 10 to 1000. BFQ's file takes them unchanged;
    io.weight (blk-iocost) takes 1 to 10000. pyrunc writes whichever file exists, or both.

    As long as the io controller is not enabled for any cgroup, none has BFQ's file. Its entry is therefore always there
    and optional, and BFQ's module shows that io.weight may be missing."""
    from pyrunc.cgroup.v1.blkio import THROTTLES

    block = resources.block_io
    assert block is not None
    weighs = bool(block.weight or block.weight_device)
    bfq = hierarchy is not None and weighs and (exists(BFQ) or hierarchy.knows("io.bfq.weight"))
    if block.weight:
        yield "io.bfq.weight", block.weight, "blockIO.weight", True
        yield "io.weight", f"default {weight_of(block.weight)}", "blockIO.weight", bfq
    for index, device in enumerate(block.weight_device):
        where, number = f"blockIO.weightDevice[{index}]", f"{device.major}:{device.minor}"
        if device.weight and bfq:
            yield "io.bfq.weight", f"{number} {device.weight}", where, True
        elif device.weight:
            yield "io.weight", f"{number} {weight_of(device.weight)}", where, True
    for name, attribute, _, key in THROTTLES:
        for index, device in enumerate(getattr(block, attribute)):
            value = f"{device.major}:{device.minor} {key}={device.rate or 'max'}"
            yield "io.max", value, f"blockIO.{name}[{index}]", False


def weight_of(weight: int) -> int:
    """Converts a weight from 10 to 1000 to one from 1 to 10000."""
    return 1 + (max(weight, 10) - 10) * 9999 // 990


def stats(files: "Files") -> "dict[str, Any]":
    """Returns runc's ``blkio``."""
    from pyrunc.cgroup.counters import pressure

    bytes_: list[dict[str, Any]] = []
    counts: list[dict[str, Any]] = []
    kinds = {"rbytes": ("Read", bytes_), "wbytes": ("Write", bytes_), "dbytes": ("Discard", bytes_)}
    kinds.update({"rios": ("Read", counts), "wios": ("Write", counts), "dios": ("Discard", counts)})
    for line in files.lines("io.stat"):
        device, *pairs = line.split(" ")
        major, colon, minor = device.partition(":")
        for pair in pairs if colon and major.isdigit() and minor.isdigit() else ():
            key, _, value = pair.partition("=")
            if key in kinds and value.isdigit():
                operation, entries = kinds[key]
                entries.append({"major": int(major), "minor": int(minor), "op": operation, "value": int(value)})
    found: dict[str, Any] = {"ioServiceBytesRecursive": bytes_, "ioServicedRecursive": counts}
    found.update(pressure(files, "io.pressure"))
    return found
