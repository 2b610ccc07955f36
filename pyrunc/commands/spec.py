"""`pyrunc spec`."""

import posix

from pyrunc.errors import PyruncError
from pyrunc.spec.default import config
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(options: "Any") -> int:
    """Writes config.json, whole or not at all; never over one that is there."""
    path = f"{options.bundle or '.'}/config.json"
    try:
        descriptor = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise PyruncError("File config.json exists. Remove it first") from None
    except OSError as error:
        raise PyruncError(f"{path}: {(error.strerror or '').lower()}") from None
    left = memoryview(dumps(config(bool(options.rootless)), 4).encode() + b"\n")
    try:
        while left:
            left = left[posix.write(descriptor, left) :]
    except OSError as error:
        posix.unlink(path)
        raise PyruncError(f"{path}: {(error.strerror or '').lower()}") from None
    finally:
        posix.close(descriptor)
    return 0
