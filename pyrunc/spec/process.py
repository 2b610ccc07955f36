"""``process`` (runtime-spec config.md "Process")."""

from typing import Literal

from pydantic import Field

from pyrunc.spec.base import I32, I64, U32, U64, Id, Model


class ConsoleSize(Model):
    """In characters."""

    height: U64
    width: U64


class User(Model):
    uid: Id = 0
    gid: Id = 0
    umask: U32 | None = None
    additional_gids: list[Id] = []
    username: str = ""


class Capabilities(Model):
    """Names such as ``CAP_KILL``. Unknown names are ignored, as with runc."""

    bounding: list[str] = []
    effective: list[str] = []
    inheritable: list[str] = []
    permitted: list[str] = []
    ambient: list[str] = []


class Rlimit(Model):
    type: Literal[
        "RLIMIT_AS",
        "RLIMIT_CORE",
        "RLIMIT_CPU",
        "RLIMIT_DATA",
        "RLIMIT_FSIZE",
        "RLIMIT_LOCKS",
        "RLIMIT_MEMLOCK",
        "RLIMIT_MSGQUEUE",
        "RLIMIT_NICE",
        "RLIMIT_NOFILE",
        "RLIMIT_NPROC",
        "RLIMIT_RSS",
        "RLIMIT_RTPRIO",
        "RLIMIT_RTTIME",
        "RLIMIT_SIGPENDING",
        "RLIMIT_STACK",
    ]
    soft: U64
    hard: U64


class Scheduler(Model):
    """sched_setattr(2). Times are in nanoseconds."""

    policy: Literal["SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"]
    nice: I32 = 0
    priority: I32 = 0
    flags: list[
        Literal[
            "SCHED_FLAG_RESET_ON_FORK",
            "SCHED_FLAG_RECLAIM",
            "SCHED_FLAG_DL_OVERRUN",
            "SCHED_FLAG_KEEP_POLICY",
            "SCHED_FLAG_KEEP_PARAMS",
            "SCHED_FLAG_UTIL_CLAMP_MIN",
            "SCHED_FLAG_UTIL_CLAMP_MAX",
        ]
    ] = []
    runtime: U64 = 0
    deadline: U64 = 0
    period: U64 = 0


class IoPriority(Model):
    class_: Literal["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"] = Field(alias="class")
    priority: I32 = 0


class ExecCpuAffinity(Model):
    """Lists of CPUs such as ``0-3,7``."""

    initial: str = ""
    final: str = ""


class Process(Model):
    terminal: bool = False
    console_size: ConsoleSize | None = None
    user: User = User()
    args: list[str] = []
    env: list[str] = []
    cwd: str = ""
    capabilities: Capabilities | None = None
    rlimits: list[Rlimit] = []
    no_new_privileges: bool = False
    apparmor_profile: str = ""
    oom_score_adj: I64 | None = None
    scheduler: Scheduler | None = None
    selinux_label: str = ""
    io_priority: IoPriority | None = None
    exec_cpu_affinity: ExecCpuAffinity | None = Field(default=None, alias="execCPUAffinity")
