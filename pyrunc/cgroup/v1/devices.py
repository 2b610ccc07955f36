"""devices (cgroup-v1/devices.rst)."""

from pyrunc.cgroup.devices import lines
from pyrunc.linux.files import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroup.devices import Rules


def writes(rules: "Rules") -> "list[tuple[str, str]]":
    """[(file, value)] that bring a new v1 cgroup from its parent's rules to ``rules``."""
    first, then = ("devices.allow", "devices.deny") if rules.allow_all else ("devices.deny", "devices.allow")
    return [(first, "a")] + [(then, line) for line in lines(rules)]


def apply(directory: str, rules: "Rules") -> None:
    """OSError is the kernel's answer."""
    for file, value in writes(rules):
        write(f"{directory}/{file}", value)
