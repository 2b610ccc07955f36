"""config.json as a whole (runtime-spec config.md)."""

from pydantic import Field

from pyrunc.spec.base import Model
from pyrunc.spec.hooks import Hooks
from pyrunc.spec.linux import Linux
from pyrunc.spec.process import Process
from pyrunc.spec.root_and_mounts import Mount, Root


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
