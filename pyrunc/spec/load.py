"""Reading config.json and the other JSON that a runtime is given. Errors are SpecErrors that name file and property."""

import posix
from _stat import S_ISREG

from pyrunc.errors import SpecError
from pyrunc.spec import rules
from pyrunc.spec.json_text import loads
from pyrunc.spec.shape import Unfit, build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import Config, Process, Resources

LIMIT = 16 << 20
"""Bytes of a file; the largest configs in use are some hundred KB."""


def read(path: str) -> bytes:
    """The regular file at ``path``; SpecError names it. A FIFO or a device in its place neither hangs nor floods."""
    name = path.rpartition("/")[2]
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError as error:
        raise SpecError("", f"{path}: {(error.strerror or '').lower()}") from None
    try:
        status = posix.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            raise SpecError("", f"{path}: not a regular file")
        if status.st_size > LIMIT:
            raise SpecError("", f"{path}: larger than {LIMIT >> 20} MiB")
        parts = []
        while part := posix.read(descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    except OSError as error:
        raise SpecError("", f"{name}: {error.strerror}") from None
    finally:
        posix.close(descriptor)


def load(path: str) -> "Config":
    """The checked config of the file at ``path``."""
    return parse(read(path), path.rpartition("/")[2])


def parse(data: bytes, name: str = "config.json") -> "Config":
    """The checked config in ``data``."""
    source = _json(data, name)
    config: Config = _shaped("Config", source)
    rules.check(config)
    config.__dict__["source"] = source
    return config


def restore(source: "dict[str, Any]") -> "Config":
    """The config that ``raw`` gave, checked when it was stored."""
    config: Config = build("Config", source)
    config.__dict__["source"] = source
    return config


def raw(config: "Config") -> "dict[str, Any]":
    """The JSON object that the config was read from."""
    source: dict[str, Any] = config.__dict__["source"]
    return source


def load_process(path: str) -> "Process":
    """``exec --process``: a process object alone."""
    process: Process = _shaped("Process", _json(read(path), path.rpartition("/")[2]), "process")
    rules.check_process(process)
    return process


def shaped_resources(source: "dict[str, Any]") -> "Resources":
    """`update`: a resources object alone."""
    resources: Resources = _shaped("Resources", source, "linux.resources")
    return resources


def _json(data: bytes, name: str) -> "Any":
    try:
        return loads(data)
    except ValueError as error:
        raise SpecError("", f"{name}: {error}") from None


def _shaped(model: str, source: "Any", where: str = "") -> "Any":
    try:
        return build(model, source)
    except Unfit:
        from pyrunc.spec.explain import refusal

        raise refusal(model, source, where) from None
    except RecursionError:
        raise SpecError(where, "nested too deeply") from None
