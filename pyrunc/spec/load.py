"""Reads config.json and other JSON input of a runtime. Errors are SpecErrors that name the file and the property."""

import posix
from _stat import S_ISFIFO, S_ISREG

from pyrunc.errors import SpecError
from pyrunc.spec import checks
from pyrunc.spec.checks_linux import check_resources
from pyrunc.spec.json_text import loads
from pyrunc.spec.shape import Unfit, build, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import Config, Process, Resources

LIMIT = 16 << 20
"""The largest file in bytes. The largest configs in use have some hundred KB."""
PATIENCE = 10.0
"""Seconds within which a pipe must reach end of file."""


def read(path: str, pipes: bool = False) -> bytes:
    """Reads the regular file at ``path``. Raises SpecError that names it. A FIFO or a device at that path neither
    blocks nor is read without limit.

    ``pipes``: also accept a pipe that ends within PATIENCE, such as a shell's ``<(...)`` or a FIFO that an engine
    writes to. Not for files of a bundle.
    """
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError as error:
        raise SpecError("", f"{path}: {(error.strerror or '').lower()}") from None
    except ValueError as error:
        raise SpecError("", f"{path!r}: {error}") from None
    try:
        status = posix.fstat(descriptor)
        if pipes and S_ISFIFO(status.st_mode):
            return _drained(descriptor, path)
        if not S_ISREG(status.st_mode):
            raise SpecError(
                "", f"{path}: {'neither' if pipes else 'not'} a regular file{' nor a pipe' if pipes else ''}"
            )
        data, size = b"", max(min(status.st_size, LIMIT) + 1, 1 << 16)
        # To end of file, whatever st_size is: a file can grow meanwhile, and files of procfs have size 0.
        while len(data) <= LIMIT and (part := posix.read(descriptor, size)):
            data += part
        if len(data) > LIMIT or status.st_size > LIMIT:
            raise SpecError("", f"{path}: larger than {LIMIT >> 20} MiB")
        return data
    except OSError as error:
        raise SpecError("", f"{path}: {(error.strerror or '').lower()}") from None
    finally:
        posix.close(descriptor)


def _drained(descriptor: int, path: str) -> bytes:
    """Reads a pipe until its writers have closed it. ``descriptor`` is non-blocking."""
    import select
    from time import monotonic

    from pyrunc import interrupts

    # A FIFO may not have a writer yet. An anonymous pipe without a writer never gets one.
    awaited = not posix.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:")
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    end, data = monotonic() + PATIENCE, bytearray()
    while len(data) <= LIMIT:
        try:
            part = posix.read(descriptor, 1 << 16)
        except BlockingIOError:
            part = None
        if part:
            data += part
            continue
        if part == b"" and (data or not awaited):
            return bytes(data)
        with interrupts.allowed:
            events = dict(poll.poll(max(0.0, end - monotonic()) * 1000))
        if not events:
            raise SpecError("", f"{path}: the pipe did not come to its end within {PATIENCE:.0f} s")
        # POLLHUP only: a writer has opened the FIFO and closed it without writing.
        awaited = bool(events[descriptor] & select.POLLIN)
    raise SpecError("", f"{path}: larger than {LIMIT >> 20} MiB")


def load(path: str, pipes: bool = False) -> "Config":
    """Returns the checked config of the file at ``path``. ``pipes``: as for ``read``."""
    return parse(read(path, pipes), path.rpartition("/")[2])


def parse(data: bytes, name: str = "config.json") -> "Config":
    """Returns the checked config in ``data``. Errors call the text ``name``."""
    config: Config = _shaped("Config", _json(data, name), "", b"\\u" in data)
    checks.check(config)
    return config


def config_from(source: "Any") -> "Config":
    """Returns the checked config of parsed JSON."""
    config: Config = _shaped("Config", source, "", True)
    checks.check(config)
    return config


def restore(source: "dict[str, Any]") -> "Config":
    """Returns the config from what ``raw`` has returned. It was checked before it was stored."""
    config: Config = _shaped("Config", source, "", False)
    return config


def raw(node: "Any") -> "dict[str, Any]":
    """Returns the JSON object of a config, or of a part of it, for storing."""
    return plain(node)


def load_process(path: str) -> "Process":
    """Reads a process object (`exec --process`)."""
    data = read(path, pipes=True)
    process: Process = _shaped("Process", _json(data, path.rpartition("/")[2]), "process", b"\\u" in data)
    checks.check_process(process)
    return process


def process_from(source: "Any") -> "Process":
    """Returns the checked process object of parsed JSON."""
    process: Process = _shaped("Process", source, "process", True)
    checks.check_process(process)
    return process


def load_resources(data: bytes, name: str = "resources") -> "Resources":
    """Returns the checked resources object in ``data`` (`update --resources`)."""
    return shaped_resources(_json(data, name))


def shaped_resources(source: "Any") -> "Resources":
    """Returns the checked resources object of parsed JSON."""
    resources: Resources = _shaped("Resources", source, "linux.resources", True)
    check_resources(resources)
    return resources


def _json(data: bytes, name: str) -> "Any":
    try:
        return loads(data)
    except ValueError as error:
        raise SpecError("", f"{name}: {error}") from None


def _shaped(model: str, source: "Any", where: str, escapes: bool) -> "Any":
    """``escapes``: whether the text of ``source`` may contain ``\\u`` escapes, and so characters that no string may
    have."""
    try:
        node = build(model, source)
    except Unfit:
        from pyrunc.spec.explain import refusal

        raise refusal(model, source, where) from None
    if escapes:
        checks.check_texts(model, node, where)
    return node
