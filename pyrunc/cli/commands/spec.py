"""`pyrunc spec`."""

import posix

from pyrunc.cli.options import Command, Option, flag
from pyrunc.errors import PyruncError
from pyrunc.spec.default import config
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


COMMAND = Command(
    "spec",
    "Write a config.json to start from.",
    (),
    (
        Option("--bundle", "-b", metavar="DIR", help="Where to write it; the current directory unless given."),
        flag("--rootless", help="For a user without privileges."),
    ),
)


def example(rootless: bool) -> "dict[str, Any]":
    """Returns the config to start from. As in runc, it has a cgroup namespace only if the host has only cgroup v2: an
    engine that adds one on another host would otherwise have two."""
    from pyrunc.cgroup.host import discover

    made = config(rootless)
    if discover().mode != "unified":
        spaces = made["linux"]["namespaces"]
        spaces[:] = [space for space in spaces if space["type"] != "cgroup"]
    return made


def run(options: "Any") -> int:
    """Writes config.json completely or not at all. Never overwrites an existing file."""
    path = f"{options.bundle or '.'}/config.json"
    try:
        descriptor = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise PyruncError("File config.json exists. Remove it first") from None
    except OSError as error:
        raise PyruncError(f"{path}: {(error.strerror or '').lower()}") from None
    left = memoryview(dumps(example(bool(options.rootless)), 4).encode() + b"\n")
    try:
        while left:
            left = left[posix.write(descriptor, left) :]
    except OSError as error:
        posix.unlink(path)
        raise PyruncError(f"{path}: {(error.strerror or '').lower()}") from None
    finally:
        posix.close(descriptor)
    return 0
