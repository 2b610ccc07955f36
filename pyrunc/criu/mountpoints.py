"""Mount points in the rootfs, missing when it is a fresh copy: made as `create` makes them, by the same steps.

They are carried out by the helper in a mount namespace that ends with it. So a mount point on a tmpfs, or in a bound
directory, comes to be where it belongs, and what an image has in its paths is as harmless as for `create`.
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
    """Of the steps that would create the container those that make its tree, in a mount namespace of their own;
    nothing when the container only joins one."""
    kept = [step for step in steps if step.kind in MOUNTING or step.kind == "clone"]
    clone = next(at for at, step in enumerate(kept) if step.kind == "clone")
    if not any(step.kind == "root" for step in kept):
        return []
    before = [step for step in kept[:clone] if step.kind != "clone"]
    after = [step for step in kept[clone:] if step.kind != "clone"]
    # The last one is ours: the helper waits there, and is not needed any more.
    return [*before, Step("clone", "root.path", FLAGS["mount"]), *after, Step("record", "root.path")]


def _nothing(launch: Launch, step: Step) -> None:
    """All is made when the helper has come this far."""


def make_mount_points(steps: Iterable[Step]) -> None:
    """StepError at the mount that can't be made."""
    prepared = preparing(steps)
    if not prepared:
        return
    launch = Launch(prepared, {"record": _nothing})
    try:
        launch.run({})
    finally:
        launch.kill()
