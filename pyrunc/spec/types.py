"""The models by name, for annotations. At run time the nodes of ``shape.py`` are used instead."""

from pyrunc.spec.config import Config
from pyrunc.spec.hooks import Hook, Hooks
from pyrunc.spec.linux import Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, Personality
from pyrunc.spec.process import Capabilities, ExecCpuAffinity, Process, Scheduler, User
from pyrunc.spec.resources import Resources
from pyrunc.spec.root_and_mounts import Mount, Root
from pyrunc.spec.seccomp import Seccomp

__all__ = [
    "Capabilities",
    "Config",
    "Device",
    "ExecCpuAffinity",
    "Hook",
    "Hooks",
    "IdMapping",
    "IntelRdt",
    "Linux",
    "MemoryPolicy",
    "Mount",
    "Namespace",
    "Personality",
    "Process",
    "Resources",
    "Root",
    "Scheduler",
    "Seccomp",
    "User",
]
