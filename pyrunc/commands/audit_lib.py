"""`pyrunc audit-lib`."""

import os
from typing import Any

from pyrunc.cgroup.host import discover
from pyrunc.container.container import absolute
from pyrunc.hostile.audit import Audit, judge
from pyrunc.hostile.library import open_checked
from pyrunc.hostile.place import in_pid_namespace
from pyrunc.hostile.preload import check_timeout
from pyrunc.hostile.probe import observe
from pyrunc.spec.json_text import dumps

WIDEST = 60
"""Characters of a cell; JSON has all."""


def run(options: Any) -> int:
    """0 when merely loading the library did nothing, 1 when it did something."""
    check_timeout(options.timeout)
    path = absolute(options.library)
    library = open_checked(path)
    try:
        seen = observe(library, options.timeout)
    finally:
        os.close(library)
    audit = judge(seen)
    audit.notes += notes(dict(seen.values("before")))
    print(as_json(path, audit) if options.format == "json" else as_text(path, audit))
    return 1 if audit.deeds or audit.outcome != "loaded" else 0


def notes(said: dict[str, str]) -> list[str]:
    """What can't be seen here, and why. ``said``: by the probe."""
    found = []
    if "fresh" in said:
        found.append(f"loaded in fresh {said['fresh']} namespaces; the others are ours, for much depends on them")
    if os.geteuid() != 0:
        found.append("not root: what a library does for root only, moving between cgroups above all, is not seen")
    if all(hierarchy.version == 2 for hierarchy in discover().hierarchies):
        found.append("no v1 hierarchy: a move between them is not seen")
    if in_pid_namespace():
        found.append("in a pid namespace: a library that acts in the host's only does nothing here")
    if "untraced" in said:
        found.append("not traced: files, sockets and processes that are gone again are not seen")
    return found


def as_text(path: str, audit: Audit) -> str:
    """The table, and a sentence."""
    rows = [("SUBJECT", "BEFORE", "AFTER", "VERDICT")]
    rows += [(row.subject, row.before, row.after, row.verdict) for row in audit.rows]
    cells = [[_short(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = ["  ".join([*(row[c].ljust(widths[c]) for c in range(3)), row[3]]).rstrip() for row in cells]
    lines += ["", *(f"note: {note}" for note in audit.notes), f"{path}: {sentence(audit)}"]
    return "\n".join(lines)


def sentence(audit: Audit) -> str:
    """The whole in one line."""
    cost = f"{audit.milliseconds:.1f} ms, {audit.memory} KiB"
    if audit.outcome.startswith("cannot be loaded"):
        return audit.outcome
    if not audit.deeds:
        return f"harmless: merely loading it changed nothing ({cost})"
    count = "1 deed" if len(audit.deeds) == 1 else f"{len(audit.deeds)} deeds"
    return f"not harmless: {count} of merely loading it ({cost})"


def _short(cell: str) -> str:
    # A name may hold anything: no terminal is driven by it.
    shown = "".join(c if c.isprintable() else "?" for c in cell)
    return shown if len(shown) <= WIDEST else f"{shown[: WIDEST - 3]}..."


def as_json(path: str, audit: Audit) -> str:
    """Everything, in full."""
    return dumps(
        {
            "library": path,
            "outcome": audit.outcome,
            "harmless": not audit.deeds and audit.outcome == "loaded",
            "milliseconds": audit.milliseconds,
            "memoryKiB": audit.memory,
            "output": audit.output,
            "notes": audit.notes,
            "rows": [
                {"subject": row.subject, "before": row.before, "after": row.after, "verdict": row.verdict}
                for row in audit.rows
            ],
        },
        2,
    )
