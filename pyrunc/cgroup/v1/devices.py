"""devices (cgroup-v1/devices.rst)."""

from pyrunc.cgroup.devices import lines
from pyrunc.linux.files import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroup.devices import Rules


def writes(rules: "Rules") -> "list[tuple[str, str]]":
    """Returns the writes [(file, value)] that set ``rules``. A new v1 cgroup starts with its parent's rules."""
    first, then = ("devices.allow", "devices.deny") if rules.allow_all else ("devices.deny", "devices.allow")
    return [(first, "a")] + [(then, line) for line in lines(rules)]


def apply(directory: str, rules: "Rules") -> None:
    """Writes ``rules`` into the cgroup. OSError is the kernel's answer."""
    for file, value in writes(rules):
        write(f"{directory}/{file}", value)
