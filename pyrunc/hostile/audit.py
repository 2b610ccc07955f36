"""What merely loading a library did: the difference that it made, as rows of before, after and verdict."""

import errno
from collections import Counter
from dataclasses import dataclass, field

from pyrunc.hostile.probe import Observation

UNCHANGED, CHANGED = "unchanged", "changed"
GROUPS = {
    "cgroup": "cgroups",
    "namespace": "namespaces",
    "limit": "resource limits",
    "capabilities": "capabilities",
    "descriptor": "descriptors",
    "mount": "mounts",
}
"""Subjects of which there are several: shown in one row for as long as none of them changed."""
WORDS = {"cgroup": "moved", "descriptor": "left open", "namespace": "another one", "threads": "left running"}
"""Verdicts of subjects for which there is a better word than ``changed``."""
SELF_TOLD = {
    "session keyring": "another one",
    "process keyring": "made",
    "thread keyring": "made",
}
HARMLESS_FILES = ("/dev/null", "/dev/zero", "/dev/tty")
NO_FILES = {
    "connect": "socket connected",
    "sendto": "socket connected",
    "bind": "socket bound",
    "execve": "program executed",
    "kill": "signal sent",
    "mount": "mount",
    "umount2": "mount",
    "move_mount": "mount",
    "add_key": "key added",
}
"""What a call is a deed of; every other one with a path makes, changes or removes a file."""
SYSTEM = (
    *("sethostname", "unshare", "setns", "ptrace", "bpf", "init_module", "finit_module", "swapon", "settimeofday"),
    *("clock_settime", "reboot", "chroot", "pivot_root"),
)
TRIED = ("connect", "sendto", "execve", "kill")
"""Calls that are told also when they failed."""


@dataclass
class Row:
    """One line of the table. ``verdict`` is ``unchanged``, or what the library did."""

    subject: str
    before: str
    after: str
    verdict: str = UNCHANGED

    @property
    def is_deed(self) -> bool:
        """Whether the library did something."""
        return self.verdict != UNCHANGED


@dataclass
class Audit:
    """The whole answer."""

    outcome: str
    milliseconds: float
    memory: int
    """KiB that loading added."""
    output: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def deeds(self) -> list[Row]:
        """The rows that say more than ``unchanged``."""
        return [row for row in self.rows if row.is_deed]


def judge(seen: Observation) -> Audit:
    """Compares what was seen before and after."""
    audit = Audit(seen.outcome, seen.milliseconds, _grown(seen), seen.output, notes=list(seen.notes))
    if seen.outcome != "loaded" and not seen.outcome.startswith("cannot be loaded"):
        audit.rows.append(Row("loading", "-", seen.outcome, "does not come back"))
    audit.rows += _state(seen)
    audit.rows += _self_told(seen)
    audit.rows += _processes(seen)
    audit.rows += _calls(seen)
    made = [path for path in seen.cgroups_made if path]
    audit.rows += _several("cgroups created", made, "left behind")
    audit.rows += _several("output", [line for line in seen.output.splitlines() if line], "printed")
    return audit


def _grown(seen: Observation) -> int:
    sizes = [int(when.get("memory", "0").split()[0]) for when in (seen.before, seen.after)]
    return max(0, sizes[1] - sizes[0]) if seen.after else 0


def _state(seen: Observation) -> list[Row]:
    """The rows of both snapshots; none when the process could not be looked at again."""
    if not seen.after:
        return []
    rows: list[Row] = []
    same: Counter[str] = Counter()
    changed: set[str] = set()
    for subject in [*seen.before, *(key for key in seen.after if key not in seen.before)]:
        group = subject.partition(":")[0]
        before, after = seen.before.get(subject, "-"), seen.after.get(subject, "-")
        if subject == "memory":
            continue
        if before != after:
            rows.append(Row(subject, before, after, WORDS.get(group, CHANGED)))
            changed.add(group)
        elif group in GROUPS and group != subject:
            same[group] += 1
        else:
            rows.append(Row(subject, before, after))
    rows += [
        Row(GROUPS[group], f"{count} of them", "as before") for group, count in same.items() if group not in changed
    ]
    return rows


def _self_told(seen: Observation) -> list[Row]:
    """What only the process itself knows."""
    before, after = ([pair for pair in seen.values(when) if pair[0] != "environment"] for when in ("before", "after"))
    rows = []
    if after:
        earlier = dict(before)
        rows = [
            Row(
                key,
                earlier.get(key, "-"),
                value,
                SELF_TOLD.get(key, CHANGED) if earlier.get(key) != value else UNCHANGED,
            )
            for key, value in after
        ]
        was, now = (_environment(seen, when) for when in ("before", "after"))
        different = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
        rows += [Row(f"environment: {name}", was.get(name, "-"), now.get(name, "-"), CHANGED) for name in different]
        rows += [] if different else [Row("environment", f"{len(was)} variables", "as before")]
    return rows


def _environment(seen: Observation, when: str) -> dict[str, str]:
    pairs = (value.partition("=") for key, value in seen.values(when) if key == "environment")
    return {name: value for name, _, value in pairs}


def _processes(seen: Observation) -> list[Row]:
    forked = [line[2] for line in seen.lines if line[0] == "fork"]
    threads = [line[2] for line in seen.lines if line[0] == "thread"]
    rows = [Row("threads started", "0", str(len(threads)), "started")] if threads else []
    if not forked:
        return [*rows, Row("processes forked", "0", "0")]
    still = f"{len(seen.running)} still run" if len(seen.running) != 1 else "1 still runs"
    return [
        *rows,
        Row("processes forked", "0", f"{len(forked)}, {still}", "left running" if seen.running else "forked"),
    ]


def _calls(seen: Observation) -> list[Row]:
    rows: dict[tuple[str, str], Row] = {}
    for line in seen.lines:
        if line[0] != "call" or len(line) != 5:
            continue
        name, result, detail = line[2], int(line[3]), line[4]
        if (result < 0 and name not in TRIED) or detail in HARMLESS_FILES or not detail:
            continue
        subject = NO_FILES.get(name, f"system: {name}" if name in SYSTEM else "file")
        row = Row(subject, "-", detail.removesuffix(" (create)"), _verdict(name, result, detail))
        rows.setdefault((row.subject, row.after), row)
    if not any(row.subject == "file" for row in rows.values()):
        rows["file", ""] = Row("files written or created", "-", "none")
    if not any(row.subject == "socket connected" for row in rows.values()):
        rows["socket", ""] = Row("sockets connected", "-", "none")
    return list(rows.values())


def _verdict(name: str, result: int, detail: str) -> str:
    if result < 0:
        return f"tried ({errno.errorcode.get(-result, str(-result))})"
    if name in ("open", "openat", "openat2"):
        return "created or written" if detail.endswith(" (create)") else "opened for writing"
    words = {"connect": "connected", "sendto": "sent to", "bind": "bound", "execve": "executed", "kill": "sent"}
    return words.get(name, f"done ({name})")


def _several(subject: str, items: list[str], verdict: str) -> list[Row]:
    return [Row(subject, "-", item, verdict) for item in items] or [Row(subject, "-", "none")]
