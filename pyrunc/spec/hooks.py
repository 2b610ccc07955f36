"""``hooks`` (runtime-spec config.md "POSIX-platform Hooks")."""

from pyrunc.spec.base import I64, Model


class Hook(Model):
    """``timeout`` in seconds. Without ``env`` a hook has its runtime's; an empty one has no variable."""

    path: str
    args: list[str] = []
    env: list[str] | None = None
    timeout: I64 | None = None


class Hooks(Model):
    prestart: list[Hook] = []
    create_runtime: list[Hook] = []
    create_container: list[Hook] = []
    start_container: list[Hook] = []
    poststart: list[Hook] = []
    poststop: list[Hook] = []
