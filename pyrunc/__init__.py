"""pyrunc, an OCI runtime for Linux. ``Container`` is the library's door."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.container import Container

__version__ = "0.1.0"
__all__ = ["Container", "__version__"]


def __getattr__(name: str) -> "Any":
    # Imported when asked for: the command line imports this package for its version alone.
    if name == "Container":
        from pyrunc.container.container import Container

        return Container
    raise AttributeError(name)
