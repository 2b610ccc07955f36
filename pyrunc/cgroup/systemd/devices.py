"""Device rules as DevicePolicy= and DeviceAllow= (systemd.resource-control(5)).

On v1 systemd writes the same files as pyrunc, at every reload, so it must know the rules. On v2 it attaches a program
of its own, and a device opens only where both programs agree: systemd's list must hold all that the rules allow.
"""

from pyrunc.cgroup.devices import ANY
from pyrunc.cgroup.systemd.values import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroup.devices import Rules
    from pyrunc.cgroup.systemd.values import Property

NUMERIC_GROUP = 240
"""First version that takes ``char-136`` for all minors of a major."""
KINDS = {"c": "char", "b": "block"}


def properties(rules: "Rules | None", version: int) -> "list[str]":
    """Encoded. Rules that DeviceAllow= can't say (all but some; one minor of every major) are no rules to systemd:
    those that pyrunc sets itself hold all the same. None where there are no rules (without root)."""
    if rules is None:
        return []
    entries = None if rules.allow_all else _entries(rules, version)
    found: list[Property] = [("DevicePolicy", "s", "auto" if entries is None else "strict")]
    found.append(("DeviceAllow", "a(ss)", []))  # forgets what an earlier update has said
    if entries:
        found.append(("DeviceAllow", "a(ss)", entries))
    return encode(found)


def _entries(rules: "Rules", version: int) -> "list[list[str]] | None":
    found = []
    for (kind, major, minor), access in rules.exceptions.items():
        name = KINDS[kind]
        if major != ANY and minor != ANY:
            device = f"/dev/{name}/{major}:{minor}"
        elif major != ANY and version >= NUMERIC_GROUP:
            device = f"{name}-{major}"
        elif major == minor == ANY:
            device = f"{name}-*"
        else:
            return None
        found.append([device, access])
    return found
