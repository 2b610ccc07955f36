"""Reading config.json and the other JSON that a runtime is given. Errors are SpecErrors that name file and property."""

import posix
from _stat import S_ISREG

from pyrunc.errors import SpecError
from pyrunc.spec import rules
from pyrunc.spec.json_text import loads
from pyrunc.spec.rules_linux import check_resources
from pyrunc.spec.shape import Unfit, build, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import Config, Process, Resources

LIMIT = 16 << 20
"""Bytes of a file; the largest configs in use are some hundred KB."""


def read(path: str) -> bytes:
    """The regular file at ``path``; SpecError names it. A FIFO or a device in its place neither hangs nor floods."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError as error:
        raise SpecError("", f"{path}: {(error.strerror or '').lower()}") from None
    except ValueError as error:
        raise SpecError("", f"{path!r}: {error}") from None
    try:
        status = posix.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            raise SpecError("", f"{path}: not a regular file")
        data, size = b"", max(min(status.st_size, LIMIT) + 1, 1 << 16)
        # To the end, whatever st_size says: a file can grow meanwhile, and those of procfs have none.
        while len(data) <= LIMIT and (part := posix.read(descriptor, size)):
            data += part
        if len(data) > LIMIT or status.st_size > LIMIT:
            raise SpecError("", f"{path}: larger than {LIMIT >> 20} MiB")
        return data
    except OSError as error:
        raise SpecError("", f"{path}: {(error.strerror or '').lower()}") from None
    finally:
        posix.close(descriptor)


def load(path: str) -> "Config":
    """The checked config of the file at ``path``."""
    return parse(read(path), path.rpartition("/")[2])


def parse(data: bytes, name: str = "config.json") -> "Config":
    """The checked config in ``data``; ``name`` is what an error calls the text."""
    config: Config = _shaped("Config", _json(data, name), "", b"\\u" in data)
    rules.check(config)
    return config


def config_from(source: "Any") -> "Config":
    """The checked config of an object that is parsed already."""
    config: Config = _shaped("Config", source, "", True)
    rules.check(config)
    return config


def restore(source: "dict[str, Any]") -> "Config":
    """The config that ``raw`` gave, checked when it was stored."""
    config: Config = _shaped("Config", source, "", False)
    return config


def raw(node: "Any") -> "dict[str, Any]":
    """The JSON object of a config or of a part of it, to be stored: the spec's properties that are given."""
    return plain(node)


def load_process(path: str) -> "Process":
    """`exec --process`: a process object alone."""
    data = read(path)
    process: Process = _shaped("Process", _json(data, path.rpartition("/")[2]), "process", b"\\u" in data)
    rules.check_process(process)
    return process


def process_from(source: "Any") -> "Process":
    """A process object that is parsed already."""
    process: Process = _shaped("Process", source, "process", True)
    rules.check_process(process)
    return process


def load_resources(data: bytes, name: str = "resources") -> "Resources":
    """`update --resources`: a resources object alone."""
    return shaped_resources(_json(data, name))


def shaped_resources(source: "Any") -> "Resources":
    """A resources object that is parsed already."""
    resources: Resources = _shaped("Resources", source, "linux.resources", True)
    check_resources(resources)
    return resources


def _json(data: bytes, name: str) -> "Any":
    try:
        return loads(data)
    except ValueError as error:
        raise SpecError("", f"{name}: {error}") from None


def _shaped(model: str, source: "Any", where: str, escapes: bool) -> "Any":
    """``escapes``: whether the text of ``source`` may have held any, and so characters that no string may."""
    try:
        node = build(model, source)
    except Unfit:
        from pyrunc.spec.explain import refusal

        raise refusal(model, source, where) from None
    if escapes:
        rules.check_texts(model, node, where)
    return node
