"""Steps of loading libraries into the init path (--preload-lib), where none are without it."""

from pyrunc.plan.slots import HELPER, LIBRARY
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.settings import Settings

PLACE = "--preload-lib"
FIRST_SLOT = 5
"""Descriptor of slot 0 without preserved ones: behind the standard ones, the channel and the plan."""


def environment(libraries: int, preserve_fds: int) -> "list[str]":
    """For the loader (ld.so(8)); by descriptor, so that what was checked is what is mapped. Symbols are bound at once:
    a missing one ends the load, not the container later."""
    paths = [library_path(number, preserve_fds) for number in range(libraries)]
    return [f"LD_PRELOAD={':'.join(paths)}", "LD_BIND_NOW=1"]


def library_path(number: int, preserve_fds: int) -> str:
    """Under which name the loader knows library ``number``."""
    return f"/proc/self/fd/{FIRST_SLOT + preserve_fds + LIBRARY + number}"


def at_exec(settings: "Settings") -> "list[Step]":
    """Right behind the placement. The helper that can load is executed by the one that can't, so that constructors run
    in a process which is in its cgroups already. ``legacy`` has none of this: there the parent races with them."""
    if not settings.libraries or settings.placement == "legacy":
        return []
    if settings.preload_at == "init":
        return [Step("exec-helper", PLACE, HELPER, [])]
    env = environment(settings.libraries, settings.preserve_fds)
    return [
        Step("preload-baseline", PLACE),
        Step("exec-helper", PLACE, HELPER, env),
        # The process that loaded ends here: its threads and timers are gone, and whoever remembers its pid loses hold.
        # With threads it could not enter a user namespace, either (setns(2), unshare(2)). The rest is inherited.
        Step("clone", PLACE, 0),
        Step("preload-check", PLACE),
        _settle(settings),
    ]


def in_init(settings: "Settings") -> "list[Step]":
    """dlopen(3) inside the namespaces, before pivot_root."""
    if not settings.libraries or settings.preload_at != "init":
        return []
    steps = [Step("load-library", PLACE, LIBRARY + number) for number in range(settings.libraries)]
    if settings.placement == "legacy":
        return steps
    return [Step("preload-baseline", PLACE), *steps, Step("preload-check", PLACE), _settle(settings)]


def _settle(settings: "Settings") -> Step:
    return Step("settle", PLACE, int(not settings.no_new_keyring))
