"""`pyrunc update`."""

import sys

from pyrunc.cli.options import ID, Command, Option, flag
from pyrunc.container.container import Container
from pyrunc.errors import PyruncError
from pyrunc.spec.json_text import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "update",
    "Change the limits of a container. What is not given stays; -1 lifts a limit.",
    (ID,),
    (
        Option("--resources", "-r", metavar="FILE", help="JSON of linux.resources, `-` for standard input."),
        Option("--blkio-weight", kind="int", metavar="N", help="Weight of block io, 10 to 1000."),
        Option("--cpu-period", metavar="US", help="CPU period to be limited."),
        Option("--cpu-quota", metavar="US", help="CPU time in a period."),
        Option("--cpu-burst", metavar="US", help="CPU time that may be saved up."),
        Option("--cpu-share", "--cpu-shares", metavar="N", help="CPU shares."),
        Option("--cpu-rt-period", metavar="US", help="Real-time period."),
        Option("--cpu-rt-runtime", metavar="US", help="Real-time runtime in a period."),
        Option("--cpuset-cpus", metavar="LIST", help="CPUs, such as 0-3."),
        Option("--cpuset-mems", metavar="LIST", help="Memory nodes, such as 0,1."),
        Option("--cpu-idle", metavar="0|1", help="SCHED_IDLE for the whole cgroup."),
        Option("--memory", metavar="BYTES", help="Memory limit."),
        Option("--memory-reservation", metavar="BYTES", help="Memory that is kept under pressure."),
        Option("--memory-swap", metavar="BYTES", help="Memory and swap together."),
        Option("--kernel-memory", metavar="BYTES", hidden=True, help="Of no effect since Linux 5.16."),
        Option("--kernel-memory-tcp", metavar="BYTES", hidden=True, help="TCP buffers (v1)."),
        Option("--pids-limit", kind="int", metavar="N", help="Number of processes."),
        Option("--l3-cache-schema", metavar="SCHEMA", help="Intel RDT's cache schema."),
        Option("--mem-bw-schema", metavar="SCHEMA", help="Intel RDT's memory bandwidth schema."),
        flag("--memory-check-before-update", help="Refuse a memory limit below what is used."),
    ),
)


# option: (section, property) of linux.resources
PROPERTIES = {
    "blkio_weight": ("blockIO", "weight"),
    "cpu_period": ("cpu", "period"),
    "cpu_quota": ("cpu", "quota"),
    "cpu_burst": ("cpu", "burst"),
    "cpu_share": ("cpu", "shares"),
    "cpu_rt_period": ("cpu", "realtimePeriod"),
    "cpu_rt_runtime": ("cpu", "realtimeRuntime"),
    "cpuset_cpus": ("cpu", "cpus"),
    "cpuset_mems": ("cpu", "mems"),
    "cpu_idle": ("cpu", "idle"),
    "memory": ("memory", "limit"),
    "memory_reservation": ("memory", "reservation"),
    "memory_swap": ("memory", "swap"),
    "kernel_memory": ("memory", "kernel"),
    "kernel_memory_tcp": ("memory", "kernelTCP"),
    "pids_limit": ("pids", "limit"),
}
SIGNED = ("cpu_quota", "cpu_rt_runtime", "cpu_idle")
LONGEST = 20
"""Digits of the longest number that is accepted: 2^64 has 20."""
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def size(text: str, option: str) -> int:
    """Parses a size such as ``64m``, ``1.5GiB`` or ``-1``; returns bytes. PyruncError if it is not one."""
    if text == "-1":
        return -1
    number = text.lower().removesuffix("b").removesuffix("i").rstrip()
    unit = 1
    if number[-1:] in UNITS:
        number, unit = number[:-1].rstrip(), UNITS[number[-1]]
    digits = number.removeprefix("+")
    if len(number) <= LONGEST and digits.isascii() and digits[:1] in "0123456789." and "_" not in digits:
        try:
            return int(digits) * unit if digits.isdigit() else int(float(digits) * unit)
        except (ValueError, OverflowError):
            pass
    raise PyruncError(f"--{option.replace('_', '-')} {text[:40]!r}: is not a size such as 64m")


def count(text: str, option: str) -> int:
    """Parses a decimal number, which may have a sign if the property is in SIGNED. PyruncError if it is not one."""
    digits = text.lstrip("+-") if option in SIGNED else text
    if len(text) > LONGEST or not digits.isascii() or not digits.isdigit() or len(text) - len(digits) > 1:
        raise PyruncError(f"--{option.replace('_', '-')} {text[:40]!r}: is not a number")
    return int(text)


def resources(options: "Any") -> "dict[str, Any]":
    """Returns the resources object from --resources, or from the single options. The options of Intel RDT may be
    combined with either."""
    found = _of_file(options.resources) if options.resources else _of_options(options)
    schema = {"l3CacheSchema": options.l3_cache_schema, "memBwSchema": options.mem_bw_schema}
    if any(schema.values()):
        found["intelRdt"] = {key: value for key, value in schema.items() if value}
    return found


def _of_file(path: str) -> "dict[str, Any]":
    from pyrunc.spec.load import LIMIT, read

    data = sys.stdin.buffer.read(LIMIT + 1) if path == "-" else read(path, pipes=True)
    if len(data) > LIMIT:
        raise PyruncError(f"--resources {path}: larger than {LIMIT >> 20} MiB")
    try:
        found = loads(data)
    except ValueError as error:
        raise PyruncError(f"--resources {path}: {error}") from None
    if found is None:  # Go's decoder leaves the object unchanged for a JSON null
        return {}
    if not isinstance(found, dict):
        raise PyruncError(f"--resources {path}: must be an object")
    found.pop("intelRdt", None)  # not a part of linux.resources
    return found


def _of_options(options: "Any") -> "dict[str, Any]":
    found: dict[str, Any] = {}
    for attribute, (section, name) in PROPERTIES.items():
        value = getattr(options, attribute)
        if value and isinstance(value, str) and name not in ("cpus", "mems"):
            value = size(value, attribute) if section == "memory" else count(value, attribute)
        if value not in (None, ""):
            found.setdefault(section, {})[name] = value
    if options.memory_check_before_update:
        found.setdefault("memory", {})["checkBeforeUpdate"] = True
    return found


def run(options: "Any") -> int:
    """Changes the limits that the options give."""
    Container.load(options.container_id, options.root).update(resources(options))
    return 0
