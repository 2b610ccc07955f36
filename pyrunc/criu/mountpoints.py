"""Makes the mount points in the rootfs, which are missing if it is a fresh copy, by the same steps as `create`.

The helper executes the steps in a mount namespace that ends with the helper. So a mount point on a tmpfs, or in a bound
directory, is made in the right place, and links in the paths of an image are as harmless as for `create`.
"""

from collections.abc import Iterable

from pyrunc.launch.conversation import Launch
from pyrunc.plan.namespaces import FLAGS
from pyrunc.plan.steps import Step

MOUNTING = frozenset(
    (
        *("open-tree", "propagation", "root", "attach", "mount", "mount-legacy"),
        *(
            "mount-attributes",
            "mount-propagation",
            "mount-note",
            "mount-read-only",
            "remount",
            "copy-up",
            "directory",
            "symlink",
            "device",
        ),
    )
)


def preparing(steps: Iterable[Step]) -> list[Step]:
    """Selects from the steps that create the container those that make its tree, and adds a mount namespace for them.
    Returns [] if the container joins an existing mount namespace."""
    kept = [step for step in steps if step.kind in MOUNTING or step.kind == "clone"]
    clone = next(at for at, step in enumerate(kept) if step.kind == "clone")
    if not any(step.kind == "root" for step in kept):
        return []
    before = [step for step in kept[:clone] if step.kind != "clone"]
    after = [step for step in kept[clone:] if step.kind != "clone"]
    # The last step is the runtime's. The helper waits there, and is no longer needed.
    return [*before, Step("clone", "root.path", FLAGS["mount"]), *after, Step("record", "root.path")]


def _nothing(launch: Launch, step: Step) -> None:
    """The step ``record``. When the helper reaches it, all mount points have been made."""


def make_mount_points(steps: Iterable[Step]) -> None:
    """Makes the mount points. StepError if one cannot be made."""
    prepared = preparing(steps)
    if not prepared:
        return
    launch = Launch(prepared, {"record": _nothing})
    try:
        launch.run({})
    finally:
        launch.kill()
