"""blkio (cgroup-v1/blkio-controller.rst). The BFQ scheduler, if it is loaded, has its own files."""

from pyrunc.cgroup.entries import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.cgroup.counters import Files
    from pyrunc.cgroup.entries import Entry
    from pyrunc.cgroup.host import Hierarchy
    from pyrunc.spec.types import Resources

THROTTLES = (
    # (name in the spec, attribute of the model, part of the v1 file name, v2 key)
    ("throttleReadBpsDevice", "throttle_read_bps_device", "read_bps", "rbps"),
    ("throttleWriteBpsDevice", "throttle_write_bps_device", "write_bps", "wbps"),
    ("throttleReadIOPSDevice", "throttle_read_iops_device", "read_iops", "riops"),
    ("throttleWriteIOPSDevice", "throttle_write_iops_device", "write_iops", "wiops"),
)
STATS = {
    # runc's key: file
    "ioServiceBytesRecursive": "blkio.throttle.io_service_bytes_recursive",
    "ioServicedRecursive": "blkio.throttle.io_serviced_recursive",
    "ioQueueRecursive": "blkio.io_queued_recursive",
    "ioServiceTimeRecursive": "blkio.io_service_time_recursive",
    "ioWaitTimeRecursive": "blkio.io_wait_time_recursive",
    "ioMergedRecursive": "blkio.io_merged_recursive",
    "ioTimeRecursive": "blkio.time_recursive",
    "sectorsRecursive": "blkio.sectors_recursive",
}


def limits(resources: "Resources", hierarchy: "Hierarchy | None") -> "Iterator[Entry]":
    """Yields the entries. Weights are from 10 to 1000, rates in bytes or operations per second."""
    block = resources.block_io
    assert block is not None
    if block.weight:
        yield _file(hierarchy, "weight", "blockIO.weight"), block.weight, "blockIO.weight", False
    if block.leaf_weight:
        yield "blkio.leaf_weight", block.leaf_weight, "blockIO.leafWeight", False
    for index, device in enumerate(block.weight_device):
        where, number = f"blockIO.weightDevice[{index}]", f"{device.major}:{device.minor}"
        if device.weight:
            yield _file(hierarchy, "weight_device", where), f"{number} {device.weight}", where, False
        if device.leaf_weight:
            yield "blkio.leaf_weight_device", f"{number} {device.leaf_weight}", where, False
    for name, attribute, file, _ in THROTTLES:
        for index, device in enumerate(getattr(block, attribute)):
            value = f"{device.major}:{device.minor} {device.rate}"
            yield f"blkio.throttle.{file}_device", value, f"blockIO.{name}[{index}]", False


def _file(hierarchy: "Hierarchy | None", name: str, where: str) -> str:
    for file in (f"blkio.{name}", f"blkio.bfq.{name}"):
        if hierarchy is None or hierarchy.knows(file):
            return file
    # The top cgroup has no weight files. If there is no cgroup below it yet, another file shows that BFQ is loaded.
    if hierarchy is not None and hierarchy.knows("blkio.bfq.io_serviced"):
        return f"blkio.bfq.{name}"
    raise refuse(where, "the host's kernel has no blkio.weight (neither CFQ nor BFQ)")


def stats(files: "Files") -> "dict[str, Any]":
    """Returns runc's ``blkio``."""
    return {key: entries(files.lines(name)) for key, name in STATS.items()}


def entries(lines: "list[str]") -> "list[dict[str, Any]]":
    """Parses lines of the form ``8:0 Read 4096``, or ``8:0 4096`` without an operation. Skips the total at the end."""
    found = []
    for line in lines:
        device, *rest = line.split(" ")
        if ":" in device and rest and rest[-1].isdigit():
            major, _, minor = device.partition(":")
            operation = rest[0] if len(rest) == 2 else ""
            found.append({"major": int(major), "minor": int(minor), "op": operation, "value": int(rest[-1])})
    return found
