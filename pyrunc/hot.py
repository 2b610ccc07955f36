"""The hot modules in one file: reading, and unmarshalling, fifty small ones costs half of a start.

Built with the package (``python -m pyrunc.hot OUTPUT``). An entry is used only while its source has the size and the
modification time that it had then, so an edited checkout needs no rebuild; everything else is imported as ever.
"""

import posix
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    Entry = tuple[str, int, int, bool, bytes]

COMMANDS = ("create", "start", "run", "exec", "kill", "delete", "state")
BESIDES = (
    # imported by these commands only when they get that far
    *("pyrunc.container.foreground", "pyrunc.spec.load", "pyrunc.cgroup.manager", "pyrunc.cgroup.limits"),
    *("pyrunc.cgroup.devices", "pyrunc.cgroup.paths", "pyrunc.plan.compile", "pyrunc.plan.capabilities"),
    *("pyrunc.plan.cgroup_mounts", "pyrunc.container.delete", "pyrunc.container.kill", "pyrunc.container.start"),
)


class Finder:
    """Finds modules among ``entries`` {name: (path, mtime ns, size, is a package, code)}, found below ``top``."""

    def __init__(self, entries: "dict[str, Entry]", top: str) -> None:
        self.entries = entries
        self.top = top

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "ModuleSpec | None":
        """As importlib.abc.MetaPathFinder."""
        entry = self.entries.get(name)
        if entry is None:
            return None
        file = f"{self.top}/{entry[0]}"
        try:
            status = posix.stat(file)
        except OSError:
            return None
        if (status.st_mtime_ns, status.st_size) != entry[1:3]:
            return None
        spec = ModuleSpec(name, self, origin=file, is_package=entry[3])  # type: ignore[arg-type]
        spec.has_location = True
        if entry[3]:
            spec.submodule_search_locations = [file.rpartition("/")[0]]
        return spec

    def create_module(self, spec: "ModuleSpec") -> None:
        """The default one will do."""

    def exec_module(self, module: "ModuleType") -> None:
        """Runs the module's code."""
        import marshal

        exec(marshal.loads(self.entries[module.__name__][4]), module.__dict__)


def build(output: str) -> None:
    """Writes the archive: this module's own code, then the entries."""
    import marshal
    from importlib import import_module
    from pathlib import Path

    for command in COMMANDS:
        import_module(f"pyrunc.commands.{command}")
    for name in ("pyrunc.main", *BESIDES):
        import_module(name)
    top = Path(__file__).resolve().parent.parent
    entries = {}
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] == "pyrunc" and file and file.endswith(".py") and name != "pyrunc.hot":
            path = Path(file)
            status = path.stat()
            relative = str(path.relative_to(top))
            # Marshalled by itself: a command unmarshals what it imports, no more.
            code = marshal.dumps(compile(path.read_bytes(), relative, "exec", dont_inherit=True, optimize=2))
            entries[name] = (relative, status.st_mtime_ns, status.st_size, path.name == "__init__.py", code)
    own = compile(Path(__file__).read_bytes(), "pyrunc/hot.py", "exec", dont_inherit=True, optimize=2)
    Path(output).write_bytes(marshal.dumps((sys.version, own, entries)))


if __name__ == "__main__":
    build(sys.argv[1])
