"""Device rules as DevicePolicy= and DeviceAllow= (systemd.resource-control(5)).

On v1 systemd writes the same files as pyrunc at every reload, so it must know the rules. On v2 systemd attaches its own
program, and a device can be opened only if both programs permit it. So systemd's list must contain everything that the
rules allow.
"""

from pyrunc.cgroup.devices import ANY
from pyrunc.cgroup.systemd.values import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroup.devices import Rules
    from pyrunc.cgroup.systemd.values import Property

NUMERIC_GROUP = 240
"""The first version of systemd that takes ``char-136`` for all minors of a major number."""
KINDS = {"c": "char", "b": "block"}


def properties(rules: "Rules | None", version: int) -> "list[str]":
    """Returns the properties, encoded. If DeviceAllow= cannot express the rules (all devices except for some; one minor
    of every major), systemd gets no restriction; the rules that pyrunc itself sets still apply. Returns an empty list
    if there are no rules (without root)."""
    if rules is None:
        return []
    entries = None if rules.allow_all else _entries(rules, version)
    found: list[Property] = [("DevicePolicy", "s", "auto" if entries is None else "strict")]
    found.append(("DeviceAllow", "a(ss)", []))  # clears the list of an earlier update
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
