"""--preload-lib: what is different when a library is loaded into the init path on purpose."""

from pyrunc import log
from pyrunc.errors import PyruncError
from pyrunc.hostile.library import open_checked
from pyrunc.plan.slots import LIBRARIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.execute import ExecOptions
    from pyrunc.container.options import CreateOptions


def choose(chosen: "CreateOptions | ExecOptions", options: "Any") -> None:
    """Takes the options over, opens and checks every library, and says loudly what is going on."""
    paths = list(options.preload_lib)
    if len(paths) > LIBRARIES:
        raise PyruncError(f"--preload-lib: at most {LIBRARIES} libraries")
    chosen.libraries = [open_checked(path) for path in paths]
    chosen.library_names = paths
    chosen.preload_at = options.preload_at
    chosen.placement = options.placement
    chosen.preload_timeout = options.preload_timeout
    chosen.legacy_delay = getattr(options, "legacy_delay", 0.0)
    where = "before" if options.preload_at == "exec" else "inside"
    log.notice(
        f"--preload-lib: loading {', '.join(paths)} into the init path ({where} the namespaces, "
        f"{options.placement} placement); this is a test mode, not for production"
    )
