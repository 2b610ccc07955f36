"""`pyrunc audit-lib`."""

import json
import os
import re
import sys
from typing import Any

from pyrunc.cgroup.host import discover
from pyrunc.cli.options import Argument, Command, Option
from pyrunc.errors import PyruncError
from pyrunc.hostile.audit import Audit, judge
from pyrunc.hostile.library import open_checked
from pyrunc.hostile.pid_namespace import in_pid_namespace
from pyrunc.hostile.preload import LONGEST, check_timeout
from pyrunc.hostile.probe import observe
from pyrunc.hostile.symbols import interposed
from pyrunc.linux.files import absolute
from pyrunc.spec.json_text import dumps

COMMAND = Command(
    "audit-lib",
    "Load each LIBRARY in a throwaway process, and say what merely loading it did.",
    (Argument("libraries", "rest", "LIBRARY..."),),
    (
        Option("--timeout", kind="float", default=10.0, metavar="SECONDS", help="How long loading may take."),
        Option("--preload-at", kind=("exec", "init"), default="init", help="LD_PRELOAD, or dlopen(3)."),
        Option("--linger", kind="float", default=0.2, metavar="SECONDS", help="How long threads are watched."),
        Option("--format", kind=("text", "json"), default="text", help="How to print the result."),
        Option("--expect", metavar="FILE", help="Fail when a library does more than in FILE (--format json)."),
    ),
)


WIDEST = 60
"""Characters of a cell; JSON has all."""


def run(options: Any) -> int:
    """0 when merely loading each library did nothing, or with --expect nothing more than the last time; 1 otherwise."""
    check_timeout(options.timeout)
    if not 0 <= options.linger <= LONGEST:
        raise PyruncError(f"--linger {options.linger:g} is not between 0 and {LONGEST} seconds")
    paths = expand(options.libraries)
    expected = read_expected(options.expect) if options.expect else None
    several = len(paths) > 1 or os.path.isdir(options.libraries[0])
    audits = {}
    for number, path in enumerate(paths):
        audit = audits[path] = one(path, options)
        if options.format == "text":
            print(("\n" if number else "") + as_text(path, audit), flush=True)
    if options.format == "json":
        found = [as_json(path, audit) for path, audit in audits.items()]
        harmless = all(row["harmless"] for row in found)
        print(dumps({"harmless": harmless, "libraries": found} if several else found[0], 2))
    elif several:
        bad = sum(not is_harmless(audit) for audit in audits.values())
        print(f"\n{len(audits)} libraries, {bad} of them not harmless")
    if expected is not None:
        more = [line for path, audit in audits.items() for line in exceeding(path, audit, expected)]
        print("\n".join(more), end="\n" if more else "", file=sys.stderr)
        return 1 if more else 0
    return 0 if all(map(is_harmless, audits.values())) else 1


def expand(given: "list[str]") -> "list[str]":
    """Absolute paths; a directory stands for every shared object in it. PyruncError when there is none."""
    if not given:
        raise PyruncError("audit-lib needs a library, or a directory of libraries")
    paths: list[str] = []
    for name in given:
        path = absolute(name)
        if not os.path.isdir(path):
            paths.append(path)
            continue
        inside = [f"{path}/{entry}" for entry in sorted(os.listdir(path)) if ".so" in entry]
        found = [entry for entry in inside if os.path.isfile(entry) and not os.path.islink(entry) and is_library(entry)]
        if not found:
            raise PyruncError(f"{path}: no shared object in this directory")
        paths += found
    return list(dict.fromkeys(paths))


def is_library(path: str) -> bool:
    """Whether it is a shared object for this machine: a linker script or another architecture's is not."""
    try:
        os.close(open_checked(path))
    except PyruncError:
        return False
    return True


def one(path: str, options: Any) -> Audit:
    """What loading ``path`` did."""
    library = open_checked(path)
    try:
        seen = observe(library, path, options.timeout, options.preload_at, options.linger)
    finally:
        os.close(library)
    audit = judge(seen, interposed(path))
    audit.notes += notes(dict(seen.values("before")))
    return audit


def is_harmless(audit: Audit) -> bool:
    """It was loaded, and did nothing."""
    return audit.outcome == "loaded" and not audit.findings


def read_expected(path: str) -> "dict[str, set[str]]":
    """{library: findings} of an earlier ``--format json``. PyruncError when it is none."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        rows = found.get("libraries", [found])
        return {row["library"]: _findings(row["outcome"], row["rows"]) for row in rows}
    except OSError as error:
        raise PyruncError(f"--expect {path}: {(error.strerror or '').lower()}") from None
    except (ValueError, KeyError, TypeError):
        raise PyruncError(f"--expect {path}: is no output of audit-lib --format json") from None


def _findings(outcome: str, rows: "list[dict[str, str]]") -> "set[str]":
    """What can be compared with another time: numbers (of processes, threads, descriptors) differ."""
    found = {f"{row['subject']}: {row['after']} ({row['verdict']})" for row in rows if row["verdict"] != "unchanged"}
    found |= set() if outcome == "loaded" else {f"outcome: {outcome}"}
    return {re.sub(r"\d+", "N", finding) for finding in found}


def exceeding(path: str, audit: Audit, expected: "dict[str, set[str]]") -> "list[str]":
    """What it did that it did not do the last time; a library that was not there has done nothing."""
    now = _findings(audit.outcome, as_json(path, audit)["rows"])
    return [f"{path}: not expected: {finding}" for finding in sorted(now - expected.get(path, set()))]


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
    if audit.outcome != "loaded":
        return audit.outcome
    if not audit.findings:
        return f"harmless: merely loading it changed nothing ({cost})"
    count = "1 finding" if len(audit.findings) == 1 else f"{len(audit.findings)} findings"
    return f"not harmless: {count} of merely loading it ({cost})"


def _short(cell: str) -> str:
    # A name may hold anything: no terminal is driven by it.
    shown = "".join(c if c.isprintable() else "?" for c in cell)
    return shown if len(shown) <= WIDEST else f"{shown[: WIDEST - 3]}..."


def as_json(path: str, audit: Audit) -> "dict[str, Any]":
    """Everything, in full (docs/hostile-libraries.md has the schema)."""
    return {
        "library": path,
        "outcome": audit.outcome,
        "harmless": is_harmless(audit),
        "milliseconds": audit.milliseconds,
        "memoryKiB": audit.memory,
        "output": audit.output,
        "notes": audit.notes,
        "rows": [
            {"subject": row.subject, "before": row.before, "after": row.after, "verdict": row.verdict}
            for row in audit.rows
        ],
    }
