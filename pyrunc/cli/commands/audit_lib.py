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
"""Characters per cell of the table. JSON output is not cut."""


def run(options: Any) -> int:
    """Returns 0 if merely loading the libraries did nothing, or with --expect nothing more than in FILE, else 1."""
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
    """Returns absolute paths, with each directory replaced by the shared objects in it. PyruncError if a directory has
    none."""
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
    """Whether the file is a shared object for this machine, and not a linker script or for another architecture."""
    try:
        os.close(open_checked(path))
    except PyruncError:
        return False
    return True


def one(path: str, options: Any) -> Audit:
    """Loads ``path`` and returns what that did."""
    library = open_checked(path)
    try:
        seen = observe(library, path, options.timeout, options.preload_at, options.linger)
    finally:
        os.close(library)
    audit = judge(seen, interposed(path))
    audit.notes += notes(dict(seen.values("before")))
    return audit


def is_harmless(audit: Audit) -> bool:
    """Whether the library was loaded and did nothing."""
    return audit.outcome == "loaded" and not audit.findings


def read_expected(path: str) -> "dict[str, set[str]]":
    """Reads {library: findings} from an earlier output of ``--format json``. PyruncError if ``path`` is not that."""
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
    """Returns the findings in a form that can be compared between runs. Numbers are replaced by N, because those of
    processes, threads and descriptors differ."""
    found = {f"{row['subject']}: {row['after']} ({row['verdict']})" for row in rows if row["verdict"] != "unchanged"}
    found |= set() if outcome == "loaded" else {f"outcome: {outcome}"}
    return {re.sub(r"\d+", "N", finding) for finding in found}


def exceeding(path: str, audit: Audit, expected: "dict[str, set[str]]") -> "list[str]":
    """Returns a line for each finding that ``expected`` does not have for ``path``: all if ``path`` is not in it."""
    now = _findings(audit.outcome, as_json(path, audit)["rows"])
    return [f"{path}: not expected: {finding}" for finding in sorted(now - expected.get(path, set()))]


def notes(said: dict[str, str]) -> list[str]:
    """Returns what cannot be observed on this host, and why. ``said``: the probe's report."""
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
    """Returns the table, the notes and a summary."""
    rows = [("SUBJECT", "BEFORE", "AFTER", "VERDICT")]
    rows += [(row.subject, row.before, row.after, row.verdict) for row in audit.rows]
    cells = [[_short(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = ["  ".join([*(row[c].ljust(widths[c]) for c in range(3)), row[3]]).rstrip() for row in cells]
    lines += ["", *(f"note: {note}" for note in audit.notes), f"{path}: {sentence(audit)}"]
    return "\n".join(lines)


def sentence(audit: Audit) -> str:
    """Returns a one-line summary."""
    cost = f"{audit.milliseconds:.1f} ms, {audit.memory} KiB"
    if audit.outcome != "loaded":
        return audit.outcome
    if not audit.findings:
        return f"harmless: merely loading it changed nothing ({cost})"
    count = "1 finding" if len(audit.findings) == 1 else f"{len(audit.findings)} findings"
    return f"not harmless: {count} of merely loading it ({cost})"


def _short(cell: str) -> str:
    # A name may contain any character, also control sequences for the terminal.
    shown = "".join(c if c.isprintable() else "?" for c in cell)
    return shown if len(shown) <= WIDEST else f"{shown[: WIDEST - 3]}..."


def as_json(path: str, audit: Audit) -> "dict[str, Any]":
    """Returns the complete result as JSON data (docs/hostile-libraries.md has the schema)."""
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
