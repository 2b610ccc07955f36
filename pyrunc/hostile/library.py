"""Opens and checks a library that is to be loaded. From then on it is identified by its descriptor only."""

import posix
import sys

from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ET_DYN: "Final" = 3
MACHINES = {
    # {uname -m: e_machine of elf.h}
    "x86_64": 62,
    "aarch64": 183,
    "riscv64": 243,
    "s390x": 22,
    "ppc64le": 21,
    "loongarch64": 258,
}


def open_checked(path: str) -> int:
    """Returns a descriptor of the ELF shared object at ``path``. Raises PyruncError if it is not one for this
    machine."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError as error:
        raise PyruncError(f"library {path}: {(error.strerror or '').lower()}") from None
    try:
        reason = _refusal(descriptor)
    except OSError as error:
        reason = (error.strerror or "").lower()
    if reason:
        posix.close(descriptor)
        raise PyruncError(f"library {path}: {reason}")
    return descriptor


def _refusal(descriptor: int) -> str:
    head = posix.pread(descriptor, 20, 0)
    if head[:4] != b"\x7fELF" or len(head) < 20:
        return "not an ELF file"
    order = "little" if head[5] == 1 else "big"
    kind, machine = int.from_bytes(head[16:18], order), int.from_bytes(head[18:20], order)  # type: ignore[arg-type]
    bits = 64 if head[4] == 2 else 32
    ours = MACHINES.get(posix.uname().machine)
    if bits != (64 if sys.maxsize > 1 << 32 else 32) or order != sys.byteorder or (ours and machine != ours):
        return f"made for another architecture ({bits} bit, machine {machine})"
    return "" if kind == ET_DYN else "not a shared object"
