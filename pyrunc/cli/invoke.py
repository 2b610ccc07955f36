"""Runs a parsed command line, from either of the two parsers."""

import sys

from pyrunc import interpreter, interrupts, log
from pyrunc.cli.exit_status import FAILED
from pyrunc.cli.parser import FALSE, TRUE, default_root
from pyrunc.errors import PyruncError
from pyrunc.linux.files import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def begin(values: "dict[str, Any]") -> None:
    """Applies the global options. PyruncError if one is wrong, with exit status 1 also for `exec` (as runc)."""
    try:
        log.configure(values["log"], values["log_format"], values["log_level"], values["debug"])
        if values["rootless"] not in (*TRUE, *FALSE, "auto"):
            raise PyruncError(f"--rootless {values['rootless']}: is not auto, true or false")
        values["root"] = default_root() if values["root"] is None else absolute(values["root"])
        if values["root"] == "/":
            raise PyruncError("--root should not be set to /")
    except PyruncError as error:
        error.exit_status = FAILED
        raise


def print_bytes() -> None:
    """Makes standard output print the paths in a state or a plan unchanged. They are bytes, and must not depend on the
    caller's locale."""
    interpreter.complete()
    if sys.stdout is not None:
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]


def act(name: str, values: "dict[str, Any]") -> int:
    """Runs the command called ``name``; returns its exit status."""
    module = __import__(f"pyrunc.cli.commands.{name.replace('-', '_')}", fromlist=["run"])
    if not module.COMMAND.hot:
        interrupts.allow()
        print_bytes()
    if log.wanted("debug"):
        return _told(name, values, module)
    return int(module.run(interpreter.Namespace(**values)) or 0)


def _told(name: str, values: "dict[str, Any]", module: "Any") -> int:
    """Runs the command; logs its exit status and its options, without the values of environment variables."""
    status = int(module.run(interpreter.Namespace(**values)) or 0)
    from pyrunc.version import VERSION

    shown = {key: value for key, value in values.items() if value not in (None, False, "", (), 0)}
    if "env" in shown:
        shown["env"] = tuple(entry.partition("=")[0] for entry in shown["env"])
    asked = ", ".join(f"{key}={value!r}" for key, value in shown.items())
    log.debug(f"{name}: exit status {status} (pyrunc {VERSION}, {asked})")
    return status


def version() -> str:
    """Returns the text of --version. Engines read the lines ``NAME version X`` and ``commit: Y``."""
    from pyrunc.launch.helper import BINARIES
    from pyrunc.linux.files import read
    from pyrunc.spec.version import VERSION
    from pyrunc.version import VERSION as OWN_VERSION

    try:
        commit = read(f"{BINARIES}/commit").decode().strip()
    except OSError:
        commit = "unknown"
    lines = [f"pyrunc version {OWN_VERSION}", f"commit: {commit}", f"spec: {VERSION}"]
    try:
        from pyrunc.ffi import _seccomp
    except ImportError:  # libseccomp is not installed: everything except linux.seccomp works
        return "\n".join(lines)
    found = _seccomp.lib.seccomp_version()
    return "\n".join([*lines, f"libseccomp: {found.major}.{found.minor}.{found.micro}"])
