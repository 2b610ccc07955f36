"""`pyrunc verify-preload`."""

import os
import shutil
import sys
import tempfile
from typing import Any

import click

from pyrunc import log
from pyrunc.cli.options import Argument, Command, Option, flag
from pyrunc.errors import PyruncError
from pyrunc.hostile.library import open_checked
from pyrunc.hostile.pid_namespace import in_pid_namespace
from pyrunc.hostile.preload import check_timeout
from pyrunc.hostile.report import write
from pyrunc.hostile.verify import LEGEND, Series, Verifier, grid, plain_bundle
from pyrunc.linux.files import absolute
from pyrunc.spec.json_text import dumps

COMMAND = Command(
    "verify-preload",
    "Start containers with LIBRARY in the init path, and show in which cgroups they end up.",
    (Argument("library"),),
    (
        Option("--bundle", "-b", metavar="DIR", help="The bundle to start; a plain one of busybox unless given."),
        Option("--runs", kind="positive", default=50, metavar="N", help="Containers each way."),
        Option("--placement", default="legacy,hardened", metavar="LIST", help="Which orders of placing to try."),
        Option("--preload-at", default="exec", metavar="LIST", help="When to load: exec, init or both."),
        Option("--delay", default="0-0", metavar="MS-MS", help="Spreads the moment at which the parent places init."),
        Option("--format", kind=("text", "json"), default="text", help="How to print the result."),
        Option("--report", metavar="FILE", help="Write the grid as a page; as a picture when FILE ends in .svg."),
        Option("--preload-timeout", kind="float", default=10.0, metavar="SECONDS", help="How long loading may take."),
        flag("--expect-escape", help="Fail unless legacy showed an escape."),
    ),
)


PLACEMENTS, MOMENTS = ("legacy", "hardened"), ("exec", "init")


def chosen(text: str, allowed: tuple[str, ...], option: str) -> list[str]:
    """Parses a comma-separated list of ``allowed`` words. PyruncError names a word that is not allowed."""
    words = text.split(",")
    for word in words:
        if word not in allowed:
            raise PyruncError(f"--{option} {word!r}: is not one of {', '.join(allowed)}")
    return words


def span(text: str) -> tuple[float, float]:
    """Parses a span such as ``0-12``; returns both ends, in milliseconds. PyruncError if it is not a span."""
    first, dash, last = text.partition("-")
    try:
        least, most = float(first), float(last if dash else first)
    except ValueError:
        raise PyruncError(f"--delay {text!r}: is not MS-MS") from None
    if not 0 <= least <= most <= 10000:
        raise PyruncError(f"--delay {text!r}: is not a span between 0 and 10000")
    return least, most


def check_host() -> None:
    """Raises PyruncError if an escape cannot be shown on this host, and says why."""
    from pyrunc.cgroup.host import discover

    if os.geteuid() != 0:
        raise PyruncError("verify-preload needs root: without it a library can move no process out of a cgroup")
    if all(hierarchy.version == 2 for hierarchy in discover().hierarchies):
        raise PyruncError("verify-preload: this host has no v1 hierarchy, in which the escape can be shown")
    if in_pid_namespace():
        raise PyruncError("verify-preload: in a pid namespace of its own, a daemon of the host cannot see init")


def run(options: Any) -> int:
    """Returns 0 if hardened had no escape and, with --expect-escape, legacy had one; 1 otherwise."""
    placements = chosen(options.placement, PLACEMENTS, "placement")
    moments = chosen(options.preload_at, MOMENTS, "preload-at")
    delay = span(options.delay)
    check_timeout(options.preload_timeout)
    check_host()
    log.only("error")  # a line of warnings for each container would hide the grid
    library = absolute(options.library)
    os.close(open_checked(library))
    given = absolute(options.bundle) if options.bundle else None
    with plain_bundle(given) as bundle, tempfile.TemporaryDirectory(prefix="pyrunc-verify-") as root:
        verifier = Verifier(library, bundle, root, delay, options.preload_timeout)
        ways = [(placement, moment) for placement in placements for moment in moments]
        results = _all(verifier, ways, options.runs)
    _show(library, results, options)
    failed = any(series.escaped for series in results if series.placement == "hardened")
    missing = options.expect_escape and not any(s.escaped for s in results if s.placement == "legacy")
    if missing:
        print("legacy showed no escape: the library did nothing, so hardened proves nothing", file=sys.stderr)
    return 1 if failed or missing else 0


def _all(verifier: Verifier, ways: list[tuple[str, str]], runs: int) -> list[Series]:
    total = len(ways) * runs
    if not sys.stderr.isatty():
        return [verifier.series(placement, moment, runs, lambda: None) for placement, moment in ways]
    with click.progressbar(length=total, label="containers", file=sys.stderr) as bar:
        return [verifier.series(placement, moment, runs, lambda: bar.update(1)) for placement, moment in ways]


def _show(library: str, results: list[Series], options: Any) -> None:
    if options.report:
        write(options.report, library, results)
    if options.format == "json":
        rows = [
            {
                "placement": series.placement,
                "preloadAt": series.preload_at,
                "escaped": series.escaped,
                "runs": [{"marks": run.marks, "reason": run.reason} for run in series.runs],
            }
            for series in results
        ]
        print(dumps({"library": library, "series": rows}, 2))
        return
    columns = shutil.get_terminal_size((120, 25)).columns
    for series in results:
        print(f"\n{series.placement}, loaded at {series.preload_at}\n{grid(series, columns)}")
    print(f"\n{LEGEND}\n")
    for series in results:
        print(series.sentence())
