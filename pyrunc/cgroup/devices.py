"""Device rules: converts the spec's ordered list into an equivalent form that v1 and v2 can both express.

A v1 devices cgroup allows either everything or nothing except for a set of exceptions. ``Rules`` computes that set as
the kernel's security/device_cgroup.c does. The eBPF program for v2 is made from the same result (v2/devices.py).
"""

from pyrunc.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.spec.types import Resources

    Key = tuple[str, int, int]

ANY = -1
PLACE = "linux.resources.devices"

DEFAULT: "tuple[tuple[str, int, int, str], ...]" = (
    # mknod is harmless: the rules restrict opening the nodes.
    ("c", ANY, ANY, "m"),
    ("b", ANY, ANY, "m"),
    ("c", 1, 3, "rwm"),  # null
    ("c", 1, 5, "rwm"),  # zero
    ("c", 1, 7, "rwm"),  # full
    ("c", 1, 8, "rwm"),  # random
    ("c", 1, 9, "rwm"),  # urandom
    ("c", 5, 0, "rwm"),  # tty
    ("c", 5, 2, "rwm"),  # ptmx
    ("c", 136, ANY, "rwm"),  # pts/*
    ("c", 10, 200, "rwm"),  # net/tun
)
"""Rules that are added after the config's own, as runc does: the spec's "Default Devices" and terminals need them."""


class Rules:
    """A rule set. With ``allow_all`` everything is allowed and the exceptions are denied; without it everything is
    denied and the exceptions are allowed."""

    __slots__ = ("allow_all", "exceptions")

    def __init__(self) -> None:
        self.allow_all = False
        self.exceptions: dict[Key, str] = {}

    def apply(self, allow: bool, kind: str, major: int, minor: int, access: str, where: str) -> None:
        """Applies one more rule on top of the earlier ones."""
        if kind in ("a", ""):
            self.allow_all = allow
            self.exceptions.clear()
            return
        key = ("c" if kind == "u" else kind, major, minor)
        if allow != self.allow_all:
            held = self.exceptions.get(key, "")
            self.exceptions[key] = "".join(letter for letter in "rwm" if letter in held + access)
        else:
            self._take_back(key, access, where)

    def _take_back(self, key: "Key", access: str, where: str) -> None:
        """Removes ``access`` from the exceptions that ``key`` covers. SpecError if that would need an exception to an
        exception, which the kernel does not support."""
        for other, held in list(self.exceptions.items()):
            if other == key:
                left = "".join(letter for letter in held if letter not in access)
                if left:
                    self.exceptions[key] = left
                else:
                    del self.exceptions[key]
            elif _covers(other, key) and set(held) & set(access):
                raise SpecError(where, "makes a hole in an earlier, wider rule, which the kernel cannot")
            elif _covers(key, other):
                left = "".join(letter for letter in held if letter not in access)
                if left:
                    self.exceptions[other] = left
                else:
                    del self.exceptions[other]


def _covers(wide: "Key", narrow: "Key") -> bool:
    return wide[0] == narrow[0] and all(w in (ANY, n) for w, n in zip(wide[1:], narrow[1:], strict=True))


def parse(words: "Sequence[str]") -> Rules:
    """Parses the output of ``describe``."""
    made = Rules()
    made.allow_all = words[0] == "allow a"
    for line in words[1:]:
        kind, numbers, access = line.split(" ")
        major, minor = (ANY if number == "*" else int(number) for number in numbers.split(":"))
        made.exceptions[kind, major, minor] = access
    return made


def rules(resources: "Resources | None") -> Rules:
    """Returns the result of the config's rules and the defaults, starting from "deny all"."""
    result = Rules()
    for index, rule in enumerate(resources.devices if resources is not None else ()):
        major = ANY if rule.major is None else rule.major
        minor = ANY if rule.minor is None else rule.minor
        result.apply(rule.allow, rule.type, major, minor, rule.access or "rwm", f"{PLACE}[{index}]")
    for kind, major, minor, access in DEFAULT:
        result.apply(True, kind, major, minor, access, PLACE)
    return result


def lines(wanted: Rules) -> "list[str]":
    """Returns the exceptions in the kernel's format: ``c 1:3 rwm``."""
    return [
        f"{kind} {'*' if major == ANY else major}:{'*' if minor == ANY else minor} {access}"
        for (kind, major, minor), access in wanted.exceptions.items()
    ]


def describe(wanted: Rules) -> "Sequence[str]":
    """Returns ``wanted`` as arguments of a plan step. The step is executed from them (``parse``)."""
    return [("allow" if wanted.allow_all else "deny") + " a", *lines(wanted)]
