"""The kinds of steps and their arguments, defined once for Python and C.

nsenter/generate.py writes the helper's ``steps.h`` from ``KINDS``, so opcodes and the names and types of arguments are
defined only here. This module imports nothing, because the hot path reads it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    Arg = int | str | bytes | Sequence[str | bytes]

RUNTIME: "Final" = "runtime"
"""The runtime executes the step on the host while the helper waits."""
HELPER: "Final" = "helper"
"""The compiled helper executes the step, before or after its clone."""

STATE = ("state_head", "state_tail")
"""The container's state as JSON, before and after the pid."""

# kind: (actor, argument types, argument names).
# i = signed 64-bit integer, d = slot, s = string without NUL, b = bytes, l = list of strings.
# A slot is the number of a descriptor that an earlier step opened and a later step uses.
KINDS: "dict[str, tuple[str, str, tuple[str, ...]]]" = {
    # Steps of the runtime. Their arguments are not sent to the helper.
    "cgroup-create": (RUNTIME, "l", ("directories",)),
    "cgroup-limit": (RUNTIME, "ssi", ("path", "value", "optional")),
    "cgroup-devices": (RUNTIME, "sl", ("directory", "rules")),
    "systemd-scope": (RUNTIME, "ssl", ("unit", "slice", "properties")),
    "cgroup-place": (RUNTIME, "lis", ("directories", "fallback", "unit")),
    "oom-score-adj": (RUNTIME, "i", ("value",)),
    "map-users": (RUNTIME, "l", ("mappings",)),
    "map-groups": (RUNTIME, "l", ("mappings",)),
    "runtime-hook": (RUNTIME, "sllssis", ("path", "args", "env", "state_head", "state_tail", "timeout", "directory")),
    "cgroup-verify": (RUNTIME, "l", ("directories",)),
    "net-device": (RUNTIME, "ss", ("interface", "name")),
    "seccomp-listener": (RUNTIME, "ssss", ("path", "metadata", "state_head", "state_tail")),
    "intel-rdt": (
        RUNTIME,
        "sssssli",
        ("root", "container", "clos", "l3_cache_schema", "mem_bw_schema", "schemata", "monitoring"),
    ),
    "identify": (RUNTIME, "", ()),
    "preload-baseline": (RUNTIME, "", ()),
    "preload-check": (RUNTIME, "", ()),
    "preload-settings": (RUNTIME, "sli", ("directory", "rules", "running")),
    "record": (RUNTIME, "", ()),
    "pid-file": (RUNTIME, "s", ("path",)),
    # Steps of the helper.
    "sync": (HELPER, "", ()),
    "trace": (HELPER, "", ()),
    "open-namespace": (HELPER, "sid", ("path", "type", "slot")),
    "join": (HELPER, "di", ("slot", "types")),
    "unshare": (HELPER, "i", ("types",)),
    "time-offset": (HELPER, "sii", ("clock", "secs", "nanosecs")),
    "clone": (HELPER, "i", ("types",)),
    "become-root": (HELPER, "", ()),
    "raise-limit": (HELPER, "si", ("type", "hard")),
    "rlimit": (HELPER, "sii", ("type", "soft", "hard")),
    "undumpable": (HELPER, "", ()),
    "session": (HELPER, "", ()),
    "keyring": (HELPER, "s", ("name",)),
    "open-tree": (HELPER, "sidii", ("source", "recursive", "slot", "propagation", "optional")),
    "propagation": (HELPER, "i", ("flags",)),
    "user-namespace": (HELPER, "lld", ("users", "groups", "slot")),
    "map-tree": (HELPER, "ddi", ("slot", "namespace", "recursive")),
    "root": (HELPER, "sdi", ("path", "slot", "clear")),
    "host-root": (HELPER, "sdi", ("path", "slot", "clear")),
    "attach": (
        HELPER,
        "dsiiiiii",
        ("slot", "target", "set", "clear", "unmentioned", "locked", "recursive_set", "recursive_clear"),
    ),
    "mount": (HELPER, "sssliii", ("type", "source", "target", "options", "set", "superblock", "on_proc")),
    "mount-legacy": (HELPER, "sssis", ("type", "source", "target", "flags", "data")),
    "mount-attributes": (HELPER, "siii", ("target", "set", "clear", "recursive")),
    "mount-propagation": (HELPER, "si", ("target", "flags")),
    "mount-note": (HELPER, "d", ("slot",)),
    "mount-read-only": (HELPER, "sd", ("target", "slot")),
    "remount": (HELPER, "sliii", ("target", "options", "set", "clear", "recursive")),
    "copy-up": (HELPER, "sslii", ("target", "source", "options", "set", "superblock")),
    "directory": (HELPER, "si", ("path", "mode")),
    "symlink": (HELPER, "ss", ("target", "path")),
    "device": (HELPER, "siiiiii", ("path", "type", "major", "minor", "mode", "uid", "gid")),
    "console": (HELPER, "iii", ("rows", "columns", "mount")),
    "null-streams": (HELPER, "", ()),
    "stdio-owner": (HELPER, "i", ("uid",)),
    "loopback": (HELPER, "", ()),
    "hostname": (HELPER, "s", ("name",)),
    "domainname": (HELPER, "s", ("name",)),
    "sysctl": (HELPER, "ss", ("path", "value")),
    "read-only": (HELPER, "s", ("path",)),
    "mask": (HELPER, "ss", ("path", "options")),
    "pivot": (HELPER, "", ()),
    "move-root": (HELPER, "", ()),
    "chroot": (HELPER, "s", ("path",)),
    "enter-root": (HELPER, "", ()),
    "root-propagation": (HELPER, "i", ("flags",)),
    "root-read-only": (HELPER, "", ()),
    "hook": (HELPER, "sllissis", ("path", "args", "env", "home_uid", *STATE, "timeout", "directory")),
    "hook-confined": (HELPER, "sllissis", ("path", "args", "env", "home_uid", *STATE, "timeout", "directory")),
    "make-working-directory": (HELPER, "s", ("path",)),
    "working-directory": (HELPER, "si", ("path", "as_user")),
    "identity": (HELPER, "iil", ("uid", "gid", "groups")),
    "bounding": (HELPER, "i", ("mask",)),
    "capabilities": (HELPER, "iiii", ("effective", "permitted", "inheritable", "ambient")),
    "effective": (HELPER, "i", ("mask",)),
    "no-new-privileges": (HELPER, "", ()),
    "umask": (HELPER, "i", ("mask",)),
    "seccomp": (HELPER, "bi", ("filter", "flags")),
    "seccomp-notify": (HELPER, "bi", ("filter", "flags")),
    "security-label": (HELPER, "ss", ("file", "label")),
    "find-program": (HELPER, "ss", ("name", "path")),
    "personality": (HELPER, "i", ("persona",)),
    "scheduler": (HELPER, "iiiiiii", ("policy", "nice", "priority", "flags", "runtime", "deadline", "period")),
    "io-priority": (HELPER, "i", ("value",)),
    "memory-policy": (HELPER, "ib", ("mode", "nodes")),
    "affinity": (HELPER, "b", ("mask",)),
    "affinity-reset": (HELPER, "", ()),
    "exec-helper": (HELPER, "dl", ("slot", "env")),
    "load-library": (HELPER, "d", ("slot",)),
    "snapshot": (HELPER, "", ()),
    "hand-over": (HELPER, "", ()),
    "exec-static": (HELPER, "", ()),
    "settle": (HELPER, "i", ("keyring_follows",)),
    "close-descriptors": (HELPER, "ii", ("listener", "directories")),
    "await-start": (HELPER, "", ()),
    "arguments": (HELPER, "lli", ("args", "env", "home_uid")),
    "execute": (HELPER, "", ()),
}

WAITING: "Final" = ("sync", "seccomp-notify", "exec-helper", "exec-static")
"""Kinds of the helper that by themselves wait for the runtime's steps after them."""

AHEAD: "Final" = ("cgroup-create", "cgroup-limit", "cgroup-devices")
"""At the beginning of a plan, the runtime does these while the helper is being started; the helper does not wait for
them."""

OPCODES: "dict[str, int]" = {
    kind: number for number, kind in enumerate(k for k, (actor, _, _) in KINDS.items() if actor == HELPER)
}


def ahead(steps: "Sequence[Step]") -> int:
    """Returns how many of ``steps`` the runtime does before the helper runs."""
    return next((at for at, step in enumerate(steps) if step.kind not in AHEAD), len(steps))


class Step:
    """One step: ``kind`` (a key of KINDS), ``where`` (the place in config.json that requires it), and its arguments."""

    __slots__ = ("args", "kind", "where")

    def __init__(self, kind: str, where: str, *args: "Arg") -> None:
        if len(args) != len(KINDS[kind][1]):
            raise ValueError(f"step {kind} takes {KINDS[kind][2]}, not {args!r}")
        self.kind = kind
        self.where = where
        self.args = args

    @property
    def actor(self) -> str:
        return KINDS[self.kind][0]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Step)
            and (self.kind, self.where) == (other.kind, other.where)
            and [*self.args] == [*other.args]
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Step({self.kind!r}, {self.where!r}, {', '.join(map(repr, self.args))})"
