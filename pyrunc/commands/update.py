"""`pyrunc update`."""

import sys

from pyrunc.container.container import Container
from pyrunc.errors import PyruncError
from pyrunc.spec.json_text import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def size(text: str, option: str) -> int:
    """Bytes of ``64m``, ``1.5GiB``, ``-1``."""
    if text == "-1":
        return -1
    number = text.lower().removesuffix("b").removesuffix("i").rstrip()
    unit = 1
    if number[-1:] in UNITS:
        number, unit = number[:-1].rstrip(), UNITS[number[-1]]
    if not number.isascii() or not number.replace(".", "", 1).isdigit():
        raise PyruncError(f"--{option.replace('_', '-')} {text!r}: is not a size such as 64m")
    return int(float(number) * unit) if "." in number else int(number) * unit


def resources(options: "Any") -> "dict[str, Any]":
    """A resources object of --resources, or of the single options; that of Intel RDT may stand beside either."""
    found = _of_file(options.resources) if options.resources else _of_options(options)
    schema = {"l3CacheSchema": options.l3_cache_schema, "memBwSchema": options.mem_bw_schema}
    if any(schema.values()):
        found["intelRdt"] = {key: value for key, value in schema.items() if value}
    return found


def _of_file(path: str) -> "dict[str, Any]":
    from pyrunc.spec.load import read

    data = sys.stdin.buffer.read() if path == "-" else read(path)
    try:
        found = loads(data)
    except ValueError as error:
        raise PyruncError(f"--resources {path}: {error}") from None
    if not isinstance(found, dict):
        raise PyruncError(f"--resources {path}: must be an object")
    found.pop("intelRdt", None)  # no part of linux.resources
    return found


def _of_options(options: "Any") -> "dict[str, Any]":
    found: dict[str, Any] = {}
    for option, (section, name) in PROPERTIES.items():
        value = getattr(options, option)
        if value is not None and section == "memory":
            value = size(value, option)
        if value not in (None, ""):
            found.setdefault(section, {})[name] = value
    if options.memory_check_before_update:
        found.setdefault("memory", {})["checkBeforeUpdate"] = True
    return found


def run(options: "Any") -> int:
    """Changes the limits that are given."""
    Container.load(options.container_id, options.root).update(resources(options))
    return 0
