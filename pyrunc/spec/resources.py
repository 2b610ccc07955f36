"""``linux.resources`` (runtime-spec config-linux.md "Control groups")."""

from typing import Literal

from pydantic import Field

from pyrunc.spec.base import I64, U16, U32, U64, Model


class Memory(Model):
    """Values in bytes; -1 means no limit."""

    limit: I64 | None = None
    reservation: I64 | None = None
    swap: I64 | None = None
    kernel: I64 | None = None
    kernel_tcp: I64 | None = Field(default=None, alias="kernelTCP")
    swappiness: U64 | None = None
    disable_oom_killer: bool | None = Field(default=None, alias="disableOOMKiller")
    use_hierarchy: bool | None = None
    check_before_update: bool | None = None


class Cpu(Model):
    """quota, burst, period and their real-time variants in microseconds."""

    shares: U64 | None = None
    quota: I64 | None = None
    burst: U64 | None = None
    period: U64 | None = None
    realtime_runtime: I64 | None = None
    realtime_period: U64 | None = None
    cpus: str = ""
    mems: str = ""
    idle: I64 | None = None


class Pids(Model):
    """The schema requires ``limit``. Go's binding omits it if there is no limit, so engines may omit it, too."""

    limit: I64 | None = None


class WeightDevice(Model):
    major: I64
    minor: I64
    weight: U16 | None = None
    leaf_weight: U16 | None = None


class ThrottleDevice(Model):
    """``rate`` in bytes or operations per second."""

    major: I64
    minor: I64
    rate: U64


class BlockIo(Model):
    weight: U16 | None = None
    leaf_weight: U16 | None = None
    weight_device: list[WeightDevice] = []
    throttle_read_bps_device: list[ThrottleDevice] = []
    throttle_write_bps_device: list[ThrottleDevice] = []
    throttle_read_iops_device: list[ThrottleDevice] = Field(default=[], alias="throttleReadIOPSDevice")
    throttle_write_iops_device: list[ThrottleDevice] = Field(default=[], alias="throttleWriteIOPSDevice")


class HugepageLimit(Model):
    """``page_size`` such as ``2MB``; ``limit`` in bytes."""

    page_size: str
    limit: U64


class InterfacePriority(Model):
    name: str
    priority: U32


class Network(Model):
    class_id: U32 | None = Field(default=None, alias="classID")
    priorities: list[InterfacePriority] = []


class Rdma(Model):
    hca_handles: U32 | None = None
    hca_objects: U32 | None = None


class DeviceRule(Model):
    """An absent ``major``, ``minor`` or ``type`` means all."""

    allow: bool
    type: Literal["a", "b", "c", ""] = ""
    major: I64 | None = None
    minor: I64 | None = None
    access: str = ""


class Resources(Model):
    devices: list[DeviceRule] = []
    memory: Memory | None = None
    cpu: Cpu | None = None
    pids: Pids | None = None
    block_io: BlockIo | None = Field(default=None, alias="blockIO")
    hugepage_limits: list[HugepageLimit] = []
    network: Network | None = None
    rdma: dict[str, Rdma] = {}
    unified: dict[str, str] = {}
