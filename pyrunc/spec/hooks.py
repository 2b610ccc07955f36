"""``hooks`` (runtime-spec config.md "POSIX-platform Hooks")."""

from pyrunc.spec.base import I64, Model


class Hook(Model):
    """``timeout`` in seconds. Without ``env`` a hook gets the runtime's environment; an empty ``env`` means no
    variables."""

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
