"""Names of slices and units, and where their cgroups are (systemd.slice(5), systemd.unit(5))."""

from pyrunc.errors import SpecError

PLACE = "linux.cgroupsPath"
UNIT_NAME_MAX = 255
VALID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\")
LABEL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def parse(cgroups_path: str, container_id: str, user: bool = False) -> "tuple[str, str]":
    """(slice, unit) of ``slice:prefix:name``; SpecError otherwise. Absent parts as runc's: ``system.slice``
    (``user.slice`` with a user's manager) and ``pyrunc-ID.scope``. A name that ends in ``.slice`` is that slice."""
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
    """``name`` with every byte that a unit's name can't hold as ``\\xHH`` (systemd.unit(5), "String Escaping"), so that
    an id or a prefix with a ``+`` or a letter beyond ASCII is a name, and never another unit's or an option."""
    out = []
    for at, byte in enumerate(name.encode("utf-8", "surrogateescape")):
        letter = chr(byte)
        out.append(letter if letter in VALID and not (letter == "." and at == 0) else f"\\x{byte:02x}")
    return "".join(out)


def expand(slice_: str) -> str:
    """``a-b.slice`` lies in ``a.slice/a-b.slice``; "" is the root slice, ``-.slice``."""
    if slice_ == "-.slice":
        return ""
    name = slice_.removesuffix(".slice")
    if name == slice_ or len(slice_) > UNIT_NAME_MAX or not set(name) <= VALID or "" in name.split("-"):
        raise SpecError(PLACE, f"{slice_!r} is not the name of a slice")
    parts = name.split("-")
    return "/".join("-".join(parts[: count + 1]) + ".slice" for count in range(len(parts)))


def scope_path(cgroups_path: str, container_id: str, manager: str = "", user: bool = False) -> str:
    """Where the unit's cgroup is, from the top of each hierarchy; ``manager``: the cgroup of its systemd."""
    slice_, unit = parse(cgroups_path, container_id, user)
    inside = expand(unit) if unit.endswith(".slice") else "/".join(filter(None, (expand(slice_), unit)))
    return f"{manager.rstrip('/')}/{inside}"


def object_path(unit: str) -> str:
    """The D-Bus object of ``unit``: bytes that a path can't hold as ``_hh`` (sd_bus_path_encode(3))."""
    out = []
    for at, byte in enumerate(unit.encode("utf-8", "surrogateescape")):
        letter = chr(byte)
        out.append(letter if letter in LABEL and not (at == 0 and letter.isdigit()) else f"_{byte:02x}")
    return "/org/freedesktop/systemd1/unit/" + "".join(out)
