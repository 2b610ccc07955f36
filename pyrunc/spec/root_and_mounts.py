"""``root`` and ``mounts`` (runtime-spec config.md "Root", "Mounts")."""

from pyrunc.spec.base import Model
from pyrunc.spec.linux import IdMapping


class Root(Model):
    """``path``: absolute, or relative to the bundle."""

    path: str
    readonly: bool = False


class Mount(Model):
    destination: str
    type: str = ""
    source: str = ""
    options: list[str] = []
    uid_mappings: list[IdMapping] = []
    gid_mappings: list[IdMapping] = []
