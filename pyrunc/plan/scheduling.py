"""Compiles scheduler, I/O priority, CPU affinity, memory policy and personality (runtime-spec config.md,
config-linux.md)."""

import sys

from pyrunc.plan.steps import Step
from pyrunc.spec.checks_linux import ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.types import Linux, Process

POLICIES = {
    # linux/sched.h
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
IO_CLASS_SHIFT = 13  # linux/ioprio.h
PERSONALITIES = {"LINUX": 0x0000, "LINUX32": 0x0008}  # sys/personality.h
MODES = {
    # linux/mempolicy.h
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
MODE_FLAGS = {"MPOL_F_STATIC_NODES": 1 << 15, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_NUMA_BALANCING": 1 << 13}


def steps(process: "Process") -> "list[Step]":
    """Returns the steps for ``process.scheduler`` and ``process.ioPriority``."""
    result = []
    scheduler, io = process.scheduler, process.io_priority
    if scheduler is not None:
        numbers = (scheduler.nice, scheduler.priority, sum(FLAGS[flag] for flag in set(scheduler.flags)))
        times = (scheduler.runtime, scheduler.deadline, scheduler.period)
        result.append(Step("scheduler", "process.scheduler", POLICIES[scheduler.policy], *numbers, *times))
    if io is not None:
        value = IO_CLASSES[io.class_] << IO_CLASS_SHIFT | io.priority
        result.append(Step("io-priority", "process.ioPriority", value))
    return result


def of_linux(linux: "Linux") -> "list[Step]":
    """Returns the steps for ``linux.personality`` and ``linux.memoryPolicy``."""
    result = []
    if linux.personality is not None:
        result.append(Step("personality", "linux.personality", PERSONALITIES[linux.personality.domain]))
    policy = linux.memory_policy
    if policy is not None:
        mode = MODES[policy.mode] | sum(MODE_FLAGS[flag] for flag in set(policy.flags))
        nodes = bits(policy.nodes, "linux.memoryPolicy.nodes") if policy.nodes else b""
        result.append(Step("memory-policy", "linux.memoryPolicy", mode, nodes))
    return result


def affinity(cpus: str, where: str) -> "list[Step]":
    """Returns the step for ``process.execCPUAffinity``, a list of CPUs such as ``0-3,7``; none if it is empty."""
    return [Step("affinity", where, bits(cpus, where))] if cpus else []


def bits(text: str, where: str) -> bytes:
    """Converts ``0-3,7`` to an array of unsigned long for the kernel. Raises SpecError if it is not such a list."""
    value = 0
    for numbers in ranges(where, text):
        for number in numbers:
            value |= 1 << number
    words = (value.bit_length() + 63) // 64
    # Word by word: on a big-endian machine the byte order is reversed in each word, not in the whole array.
    return b"".join((value >> 64 * word & (1 << 64) - 1).to_bytes(8, sys.byteorder) for word in range(words))
