"""``linux`` except resources and seccomp (runtime-spec config-linux.md)."""

from typing import Literal

from pydantic import Field

from pyrunc.spec.base import I64, U32, Id, Model
from pyrunc.spec.resources import Resources
from pyrunc.spec.seccomp import Seccomp


class Namespace(Model):
    type: Literal["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"]
    path: str = ""


class IdMapping(Model):
    container_id: U32 = Field(alias="containerID")
    host_id: U32 = Field(alias="hostID")
    size: U32


class Device(Model):
    """``file_mode`` may have more than the schema's nine bits, because engines pass st_mode, which includes the file
    type."""

    path: str
    type: Literal["b", "c", "u", "p"]
    major: I64 | None = None
    minor: I64 | None = None
    file_mode: U32 | None = None
    uid: Id | None = None
    gid: Id | None = None


class NetDevice(Model):
    """``name``: the interface's name in the container."""

    name: str = ""


class TimeOffset(Model):
    secs: I64 = 0
    nanosecs: U32 = 0


class Personality(Model):
    domain: Literal["LINUX", "LINUX32"]
    flags: list[str] = []


class MemoryPolicy(Model):
    """set_mempolicy(2). ``nodes`` is a list such as ``0-1``."""

    mode: Literal[
        "MPOL_DEFAULT",
        "MPOL_BIND",
        "MPOL_INTERLEAVE",
        "MPOL_WEIGHTED_INTERLEAVE",
        "MPOL_PREFERRED",
        "MPOL_PREFERRED_MANY",
        "MPOL_LOCAL",
    ]
    nodes: str = ""
    flags: list[Literal["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"]] = []


class IntelRdt(Model):
    clos_id: str = Field(default="", alias="closID")
    schemata: list[str] = []
    l3_cache_schema: str = Field(default="", alias="l3CacheSchema")
    mem_bw_schema: str = Field(default="", alias="memBwSchema")
    enable_monitoring: bool = False


class Linux(Model):
    """``rootfs_propagation``: the schema's four values, and runc's recursive variants."""

    uid_mappings: list[IdMapping] = []
    gid_mappings: list[IdMapping] = []
    sysctl: dict[str, str] = {}
    resources: Resources | None = None
    cgroups_path: str = ""
    namespaces: list[Namespace] = []
    devices: list[Device] = []
    net_devices: dict[str, NetDevice] = {}
    seccomp: Seccomp | None = None
    rootfs_propagation: Literal[
        "", "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"
    ] = ""
    masked_paths: list[str] = []
    readonly_paths: list[str] = []
    mount_label: str = ""
    intel_rdt: IntelRdt | None = None
    memory_policy: MemoryPolicy | None = None
    personality: Personality | None = None
    time_offsets: dict[str, TimeOffset] = {}
