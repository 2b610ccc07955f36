"""The entry point of the library: ``pyrunc.Container`` with all its methods (docs/library.md).

The container room must not import the criu room, so the methods that use CRIU are added here.
"""

from pyrunc.container import container
from pyrunc.container.container import spec_of
from pyrunc.linux.files import absolute
from pyrunc.linux.runtime_directory import DEFAULT_ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

    from pyrunc.spec.types import Config


class Container(container.Container):
    """A container of a state directory. Made by ``create``, ``run``, ``restore``, ``load`` and ``all``."""

    @classmethod
    def restore(
        cls,
        container_id: str,
        bundle: str = ".",
        *,
        image_path: str,
        config: "Config | dict[str, Any] | None" = None,
        root: str = DEFAULT_ROOT,
        creating: "Mapping[str, Any] | None" = None,
        **options: "Any",
    ) -> "Self":
        """Restores with CRIU what ``checkpoint`` wrote to ``image_path``. Init is a child process of this process.

        ``creating``: the options of ``create``. ``options``: those of CriuOptions. On failure restore() removes
        everything that it made.
        """
        from pyrunc.criu.options import CriuOptions
        from pyrunc.criu.restore import Restoration
        from pyrunc.plan.options import CreateOptions

        bundle, root = absolute(bundle), absolute(root)
        chosen = CreateOptions(root=root, bundle=bundle, **(creating or {}))
        criu = CriuOptions(image_path=absolute(image_path), **options)
        Restoration(container_id, spec_of(bundle, config), chosen, criu).make()
        return cls.load(container_id, root)

    def checkpoint(self, image_path: str, **options: "Any") -> None:
        """Writes the container to the directory ``image_path`` with CRIU, and then removes it, unless ``leave_running``
        or ``pre_dump``. ``options``: those of CriuOptions. After a failure the container continues."""
        from pyrunc.criu import checkpoint
        from pyrunc.criu.options import CriuOptions

        checkpoint.checkpoint(self._record.apart(), CriuOptions(image_path=absolute(image_path), **options))
