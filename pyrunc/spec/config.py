"""config.json as a whole (runtime-spec config.md)."""

from pydantic import Field

from pyrunc.spec.base import Model
from pyrunc.spec.linux import IdMapping, Linux
from pyrunc.spec.process import Hooks, Process


class Root(Model):
    path: str
    readonly: bool = False


class Mount(Model):
    destination: str
    type: str = ""
    source: str = ""
    options: list[str] = []
    uid_mappings: list[IdMapping] = []
    gid_mappings: list[IdMapping] = []


class Config(Model):
    oci_version: str = Field(alias="ociVersion")
    root: Root
    mounts: list[Mount] = []
    process: Process | None = None
    hostname: str = ""
    domainname: str = ""
    hooks: Hooks | None = None
    linux: Linux = Linux()
    annotations: dict[str, str] = {}
