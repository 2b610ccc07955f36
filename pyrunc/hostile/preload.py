"""--preload-lib: checks the options and opens the libraries that are to be loaded into the init path."""

import posix

from pyrunc import log
from pyrunc.errors import PyruncError
from pyrunc.hostile.library import open_checked
from pyrunc.hostile.observer import run
from pyrunc.plan.protocol import LIBRARIES

LONGEST = 86400

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.plan.options import CreateOptions, ExecOptions


def check_timeout(seconds: float) -> None:
    """Raises PyruncError if ``seconds`` is not a valid time limit."""
    if not 0 < seconds <= LONGEST:
        raise PyruncError(f"the time limit {seconds:g} is not between 0 and {LONGEST} seconds")


def choose(chosen: "CreateOptions | ExecOptions", options: "Any") -> None:
    """Copies the command line's options to ``chosen``, opens and checks every library, and logs a notice that this is a
    test mode. Raises PyruncError if the options contradict each other."""
    paths = list(options.preload_lib)
    if not paths:
        raise PyruncError("--placement legacy is for --preload-lib only")
    check_timeout(options.preload_timeout)
    if posix.geteuid() != 0 and options.preload_at == "init" and options.placement == "hardened":
        # init is in its user namespace and not dumpable, so /proc shows it to root only (ptrace(2), "access mode
        # checking").
        raise PyruncError(
            "--preload-at init needs root: without it the runtime cannot look at what loading did to init"
        )
    if len(paths) > LIBRARIES:
        raise PyruncError(f"--preload-lib: at most {LIBRARIES} libraries")
    chosen.libraries = [open_checked(path) for path in paths]
    chosen.library_names = paths
    chosen.observer = run
    where = "before" if options.preload_at == "exec" else "inside"
    log.notice(
        f"--preload-lib: loading {', '.join(paths)} into the init path ({where} the namespaces, "
        f"{options.placement} placement); this is a test mode, not for production"
    )
