"""pyrunc, an OCI runtime for Linux. ``Container`` is the entry point of the library (docs/library.md)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    __version__: str

    from pyrunc.api import Container
    from pyrunc.container.exec_process import ExecProcess
    from pyrunc.errors import (
        ContainerExists,
        NoSuchContainer,
        NotRunning,
        PyruncError,
        SpecError,
        StepError,
        WrongStatus,
    )
    from pyrunc.spec.config import Config
    from pyrunc.spec.resources import Resources

_PLACES = {
    "Container": "api",
    "ExecProcess": "container.exec_process",
    "Config": "spec.config",
    "Resources": "spec.resources",
}
__all__ = [
    "Config",
    "Container",
    "ContainerExists",
    "ExecProcess",
    "NoSuchContainer",
    "NotRunning",
    "PyruncError",
    "Resources",
    "SpecError",
    "StepError",
    "WrongStatus",
    "__version__",
]


def __getattr__(name: str) -> "Any":
    # Imported lazily: the command line imports this package, but uses none of these names.
    if name not in __all__:
        raise AttributeError(f"module 'pyrunc' has no attribute {name!r}")
    from importlib import import_module

    if name == "__version__":
        return import_module("pyrunc.version").VERSION
    return getattr(import_module(f"pyrunc.{_PLACES.get(name, 'errors')}"), name)
