"""Finds functions of the C library that a shared object defines, too. If the object is loaded before libc (LD_PRELOAD,
or linked), every program calls the object's functions instead."""

import ctypes.util
import os
import struct

SECTION_DYNSYM = 11
"""SHT_DYNSYM of elf.h."""
LIBC, MATHS = "libc.so.6", "libm.so.6"
PLACES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
COMMON = {"_init", "_fini", "__bss_start", "_edata", "_end", "_etext", "__end__", "edata", "end", "etext"}
"""Names that the linker adds to every object."""


def interposed(path: str) -> "list[str]":
    """Returns the names of functions and objects that both ``path`` and the C library define; none if ``path`` is part
    of the C library.

    Names of the maths library are ignored: libc also defines some of them for itself, but programs use those of libm.
    """
    libc = _find(LIBC)
    own = defined(path)
    if not libc or (os.path.dirname(os.path.realpath(path)) == os.path.dirname(libc) and _is_of_libc(path)):
        return []
    maths = _find(MATHS)
    return sorted((own & defined(libc)) - (defined(maths) if maths else set()) - COMMON)


def _is_of_libc(path: str) -> bool:
    """Whether ``path`` is one of glibc's own objects, which share symbols on purpose."""
    name = os.path.basename(os.path.realpath(path))
    parts = ["libc.", "libm.", "libmvec.", "libpthread.", "libdl.", "librt.", "libresolv.", "libutil.", "libanl."]
    parts += ["libnsl.", "libnss_", "libthread_db.", "libBrokenLocale.", "ld-linux", "libc_malloc"]
    return name.startswith(tuple(parts))


def _find(name: str) -> str:
    """Returns the path at which the loader finds ``name``."""
    multiarch = f"{os.uname().machine}-linux-gnu"
    for place in PLACES:
        for directory in (f"{place}/{multiarch}", place):
            if os.path.exists(f"{directory}/{name}"):
                return os.path.realpath(f"{directory}/{name}")
    return ctypes.util.find_library(name) or ""


def defined(path: str) -> "set[str]":
    """Returns the names of the dynamic symbols that a 64-bit object defines (elf(5)); none if it is not such an
    object."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        return _defined(data)
    except (struct.error, IndexError, UnicodeDecodeError):
        return set()


def _defined(data: bytes) -> "set[str]":
    order = "<" if data[5] == 1 else ">"
    if data[:5] != b"\x7fELF\x02":
        return set()
    (start,) = struct.unpack_from(f"{order}Q", data, 40)
    size, count = struct.unpack_from(f"{order}HH", data, 58)
    sections = [struct.unpack_from(f"{order}IIQQQQIIQQ", data, start + number * size) for number in range(count)]
    found = set()
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind != SECTION_DYNSYM:
            continue
        names = sections[link][4]
        for at in range(offset, offset + length, 24):
            name, info, _, section, _, _ = struct.unpack_from(f"{order}IBBHQQ", data, at)
            # Defined here (not SHN_UNDEF), global or weak; a function, an object or resolved at load time (GNU_IFUNC).
            if section != 0 and info >> 4 in (1, 2) and info & 15 in (1, 2, 10):
                found.add(data[names + name : data.index(b"\0", names + name)].decode())
    return found
