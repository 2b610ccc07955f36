"""What a step is, and every kind of step there is: the one definition that Python and C share.

``nsenter/steps.h`` is generated from ``KINDS`` when the helper is built, so an opcode, the number and the
types of its arguments stand here only. Imports nothing: the hot path reads it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    Arg = int | str | bytes | Sequence[str | bytes]

RUNTIME: "Final" = "runtime"
"""Executed by pyrunc itself, on the host, while the helper waits."""
HELPER: "Final" = "helper"
"""Executed by the compiled helper, before or after its clone."""

# kind: (actor, argument types, argument names).
# i = signed 64-bit integer, d = slot, s = string without NUL, b = bytes, l = list of strings.
# A slot is the number of a descriptor that an earlier step opened and a later one uses.
KINDS: "dict[str, tuple[str, str, tuple[str, ...]]]" = {
    # Steps of the runtime. Their arguments never reach the helper.
    "cgroup-create": (RUNTIME, "", ()),
    "cgroup-limit": (RUNTIME, "sss", ("hierarchy", "file", "value")),
    "cgroup-devices": (RUNTIME, "l", ("rules",)),
    "cgroup-place": (RUNTIME, "", ()),
    "oom-score-adj": (RUNTIME, "i", ("value",)),
    "map-users": (RUNTIME, "l", ("mappings",)),
    "map-groups": (RUNTIME, "l", ("mappings",)),
    "runtime-hooks": (RUNTIME, "s", ("point",)),
    "cgroup-verify": (RUNTIME, "", ()),
    "net-device": (RUNTIME, "ss", ("interface", "name")),
    "seccomp-listener": (RUNTIME, "ss", ("path", "metadata")),
    "preload-baseline": (RUNTIME, "", ()),
    "preload-check": (RUNTIME, "", ()),
    "record": (RUNTIME, "", ()),
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
    "open-tree": (HELPER, "sid", ("source", "recursive", "slot")),
    "tree-propagation": (HELPER, "di", ("slot", "flags")),
    "propagation": (HELPER, "i", ("flags",)),
    "user-namespace": (HELPER, "lld", ("users", "groups", "slot")),
    "map-tree": (HELPER, "ddi", ("slot", "namespace", "recursive")),
    "parent-private": (HELPER, "s", ("path",)),
    "root": (HELPER, "sd", ("path", "slot")),
    "attach": (HELPER, "dsiiii", ("slot", "target", "set", "clear", "recursive_set", "recursive_clear")),
    "mount": (HELPER, "sssliiii", ("type", "source", "target", "options", "set", "clear", "superblock", "on_proc")),
    "mount-legacy": (HELPER, "sssis", ("type", "source", "target", "flags", "data")),
    "mount-attributes": (HELPER, "siii", ("target", "set", "clear", "recursive")),
    "mount-propagation": (HELPER, "si", ("target", "flags")),
    "copy-up": (HELPER, "ssliii", ("target", "source", "options", "set", "clear", "superblock")),
    "directory": (HELPER, "si", ("path", "mode")),
    "symlink": (HELPER, "ss", ("target", "path")),
    "device": (HELPER, "siiiiii", ("path", "type", "major", "minor", "mode", "uid", "gid")),
    "console": (HELPER, "iii", ("rows", "columns", "mount")),
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
    "root-propagation": (HELPER, "i", ("flags",)),
    "root-read-only": (HELPER, "", ()),
    "hook": (HELPER, "sllssi", ("path", "args", "env", "state_head", "state_tail", "timeout")),
    "working-directory": (HELPER, "si", ("path", "create")),
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
    "exec-helper": (HELPER, "dl", ("slot", "env")),
    "load-library": (HELPER, "d", ("slot",)),
    "settle": (HELPER, "i", ("keyring_follows",)),
    "close-descriptors": (HELPER, "", ()),
    "await-start": (HELPER, "", ()),
    "arguments": (HELPER, "lli", ("args", "env", "home_uid")),
    "execute": (HELPER, "", ()),
}

WAITING: "Final" = ("sync", "seccomp-notify")
"""Kinds of the helper that wait by themselves for the runtime's steps behind them."""

AHEAD: "Final" = ("cgroup-create", "cgroup-limit", "cgroup-devices")
"""At the head of a plan the runtime takes these while the helper is still being started; nothing waits for them."""

OPCODES: "dict[str, int]" = {
    kind: number for number, kind in enumerate(k for k, (actor, _, _) in KINDS.items() if actor == HELPER)
}


def ahead(steps: "Sequence[Step]") -> int:
    """How many of ``steps`` are taken without the helper."""
    return next((at for at, step in enumerate(steps) if step.kind not in AHEAD), len(steps))


class Step:
    """One thing to be done: ``kind`` (a key of KINDS), ``where`` in config.json asked for it, and its arguments."""

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
