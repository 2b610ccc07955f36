"""Names of slices and units, and the paths of their cgroups (systemd.slice(5), systemd.unit(5))."""

from pyrunc.errors import SpecError

PLACE = "linux.cgroupsPath"
UNIT_NAME_MAX = 255
VALID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\")
LABEL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def parse(cgroups_path: str, container_id: str, user: bool = False) -> "tuple[str, str]":
    """Parses ``slice:prefix:name``; returns (slice, unit). SpecError if the form is different.

    As in runc, the default slice is ``system.slice``, or ``user.slice`` with a user's manager. The default unit is
    ``pyrunc-ID.scope``. If the name ends in ``.slice``, the unit is that slice."""
    default = "user.slice" if user else "system.slice"
    if not cgroups_path:
        return default, escape(f"pyrunc-{container_id}.scope")
    parts = cgroups_path.split(":")
    if len(parts) != 3 or not parts[2]:
        raise SpecError(PLACE, f"{cgroups_path!r} is not slice:prefix:name, as --systemd-cgroup wants it")
    slice_, prefix, name = parts
    slice_ = slice_ or default
    unit = name if name.endswith(".slice") else escape(f"{prefix}-{name}.scope")
    if len(unit.encode()) > UNIT_NAME_MAX:
        raise SpecError(PLACE, f"{unit!r} is longer than {UNIT_NAME_MAX} bytes, which systemd takes for a unit's name")
    expand(slice_)
    if unit.endswith(".slice"):
        expand(unit)
    return slice_, unit


def escape(name: str) -> str:
    """Returns ``name`` with every byte that is not valid in a unit's name as ``\\xHH`` (systemd.unit(5), "String
    Escaping"). An id or a prefix with a ``+`` or a non-ASCII letter then gives a valid name, which is never the name of
    another unit, nor an option."""
    out = []
    for at, byte in enumerate(name.encode("utf-8", "surrogateescape")):
        letter = chr(byte)
        out.append(letter if letter in VALID and not (letter == "." and at == 0) else f"\\x{byte:02x}")
    return "".join(out)


def expand(slice_: str) -> str:
    """Returns the path of a slice: ``a.slice/a-b.slice`` for ``a-b.slice``, "" for the root slice ``-.slice``."""
    if slice_ == "-.slice":
        return ""
    name = slice_.removesuffix(".slice")
    if name == slice_ or len(slice_) > UNIT_NAME_MAX or not set(name) <= VALID or "" in name.split("-"):
        raise SpecError(PLACE, f"{slice_!r} is not the name of a slice")
    parts = name.split("-")
    return "/".join("-".join(parts[: count + 1]) + ".slice" for count in range(len(parts)))


def scope_path(cgroups_path: str, container_id: str, manager: str = "", user: bool = False) -> str:
    """Returns the path of the unit's cgroup from the top of each hierarchy. ``manager``: the cgroup of its systemd."""
    slice_, unit = parse(cgroups_path, container_id, user)
    inside = expand(unit) if unit.endswith(".slice") else "/".join(filter(None, (expand(slice_), unit)))
    return f"{manager.rstrip('/')}/{inside}"


def object_path(unit: str) -> str:
    """Returns the D-Bus object path of ``unit``. Bytes that are not valid in a path become ``_hh``
    (sd_bus_path_encode(3))."""
    out = []
    for at, byte in enumerate(unit.encode("utf-8", "surrogateescape")):
        letter = chr(byte)
        out.append(letter if letter in LABEL and not (at == 0 and letter.isdigit()) else f"_{byte:02x}")
    return "/org/freedesktop/systemd1/unit/" + "".join(out)
