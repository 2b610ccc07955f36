"""The modules of a hot command in one file: finding and reading fifty small ones costs half of a start.

``build`` writes ``_bin/hot/COMMAND``: the modules that the command imports, in the order of their imports, and
``_bin/hot/modules``: all of pyrunc's, for what it imports besides. The launcher executes this module's code with the
content of the first, while the interpreter is only half started (nsenter/interpreter.c); ``complete`` starts the rest
as soon as something asks for it: a module that is not among ours, ``open``, ``print``.

In a checkout a file is taken only while no source has changed since; then everything is imported as ever.
"""

import posix
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    Source = tuple[str, int, int]
    """(path below the packages, mtime in ns, size); a size of -1: an installed file, that nobody edits."""
    Entry = tuple[Source, bool, bytes]
    """(source, whether it is a package, marshalled code)."""
    Module = tuple[str, Source, bool, Any]
    """(name, source, whether it is a package, code: None of an extension module)."""

ORDINARY: "dict[str, tuple[str, ...]]" = {
    # command: what it imports, too, when it does what it is mostly asked for
    "create": (
        *("pyrunc.spec.load", "pyrunc.cgroup.manager", "pyrunc.cgroup.limits", "pyrunc.cgroup.devices"),
        *("pyrunc.cgroup.paths", "pyrunc.plan.compile", "pyrunc.plan.capabilities", "pyrunc.plan.cgroup_mounts"),
    ),
    "start": ("pyrunc.container.start",),
    "exec": (*("pyrunc.spec.load", "pyrunc.cgroup.manager", "pyrunc.plan.compile", "pyrunc.plan.capabilities"),),
    "kill": ("pyrunc.container.kill", "pyrunc.cgroup.freezer"),
    "delete": ("pyrunc.container.delete",),
    "state": ("pyrunc.cgroup.freezer",),
}
ORDINARY["run"] = (*ORDINARY["create"], *ORDINARY["delete"], "_prctl")
COMMANDS = tuple(ORDINARY)
STANDARD = ("_blake2", "_json", "_socket", "fcntl", "select", "termios", "time")
"""Extension modules of Python itself, where they are not built in: they lie where they lay at build time."""
BESIDE = ("_prctl", "_cffi_backend")
"""Extension modules of other packages, which are installed beside pyrunc."""


_asked: "list[bool]" = []


def half_started() -> bool:
    """Whether the launcher has started half of the interpreter only, and nobody has asked for the rest yet."""
    return not _asked and not hasattr(sys, "stdout")


def complete() -> None:
    """Starts what is left of the interpreter, once; where it was started as a whole, does nothing."""
    if half_started():
        import builtins

        import _launcher

        _asked.append(True)
        arguments, builtins.print = sys.argv, _print  # open it sets itself
        _launcher.complete()
        sys.argv = arguments
        sys.path[:0] = PACKAGES


PACKAGES: "list[str]" = globals().get("PACKAGES", [])
"""The directories of packages, put here by the launcher."""
_print = print


def _late_open(*args: "Any", **settings: "Any") -> "Any":
    complete()
    return open(*args, **settings)


def _late_print(*args: "Any", **settings: "Any") -> None:
    complete()
    _print(*args, **settings)


def unchanged(source: "Source") -> bool:
    """Whether the file is as it was when the archive was built."""
    path, modified, size = source
    if size < 0:
        return True
    try:
        status = posix.stat(f"{PACKAGES[0]}/{path}")
    except OSError:
        return False
    return (status.st_mtime_ns, status.st_size) == (modified, size)


class _There:
    """The loader of a module that was loaded meanwhile."""

    def create_module(self, spec: "ModuleSpec") -> "ModuleType":
        """As importlib.abc.Loader."""
        return sys.modules[spec.name]

    def exec_module(self, module: "ModuleType") -> None:
        """Nothing is left to do."""


class Finder:
    """What is not loaded yet: pyrunc's own modules, from the archive, and extension modules. First on sys.meta_path."""

    def __init__(self, entries: "dict[str, Entry]") -> None:
        self.entries = entries
        self.read = False

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "ModuleSpec | None":
        """As importlib.abc.MetaPathFinder."""
        if name == "_signal" and half_started():
            complete()  # which imports it: in the first half it cannot be
            return ModuleSpec(name, _There())  # type: ignore[arg-type]
        if name in sys.builtin_module_names:
            return None
        entry = self.entries.get(name) or _beside(name) or self._read().get(name)
        if entry is None or not unchanged(entry[0]):
            complete()
            return None
        spec = ModuleSpec(name, self, origin=_file(entry[0][0]), loader_state=entry[2], is_package=entry[1])  # type: ignore[arg-type]
        if entry[1]:
            spec.submodule_search_locations = [str(spec.origin).rpartition("/")[0]]
        return spec

    def _read(self) -> "dict[str, Entry]":
        if not self.read:
            import marshal

            self.read = True
            try:
                descriptor = posix.open(f"{PACKAGES[0]}/pyrunc/_bin/hot/modules", posix.O_RDONLY | posix.O_CLOEXEC)
                self.entries |= marshal.loads(posix.read(descriptor, 1 << 24))
                posix.close(descriptor)
            except OSError:
                pass
        return self.entries

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        """The default one will do, but for what is compiled C."""
        if spec.loader_state:
            return None
        import _imp

        created: ModuleType = _imp.create_dynamic(spec)
        return created

    def exec_module(self, module: "ModuleType") -> None:
        """Runs the module's code."""
        spec: Any = module.__spec__
        module.__file__ = spec.origin  # importlib's own way takes the half that is not started
        code = spec.loader_state
        if code:
            import marshal

            exec(marshal.loads(code), module.__dict__)
        else:
            import _imp

            _imp.exec_dynamic(module)


def _beside(name: str) -> "Entry | None":
    if name not in BESIDE:
        return None
    import _imp

    file = f"{PACKAGES[-1]}/{name}{_imp.extension_suffixes()[0]}"
    try:
        posix.stat(file)
    except OSError:
        return None
    return (file, 0, -1), False, b""


def _file(path: str) -> str:
    return path if path[:1] == "/" else f"{PACKAGES[0]}/{path}"


def begin(modules: "list[Module]") -> None:
    """Makes ``modules`` be imported, in the order that they were imported in when the archive was built.

    By hand: importlib would take as long to find each of them as the module itself takes.
    """
    import builtins

    if half_started():
        builtins.open, builtins.print = _late_open, _late_print
    else:
        sys.path[:0] = PACKAGES
    if not all(unchanged(source) for _, source, _, _ in modules):
        complete()
        return
    extensions = {name: (source, False, b"") for name, source, _, code in modules if code is None and source[0]}
    sys.meta_path.insert(0, Finder(extensions))
    kind = type(sys)
    sys.modules["pyrunc.hot"] = own = kind("pyrunc.hot")
    own.__dict__.update(globals())
    for name, source, package, code in modules:
        if code is None:
            __import__(name)
            continue
        module = kind(name)
        module.__file__ = _file(source[0])
        module.__package__ = name if package else name.rpartition(".")[0]
        if package:
            module.__path__ = [module.__file__.rpartition("/")[0]]
        sys.modules[name] = module
        exec(code, module.__dict__)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)


def build(directory: str, checked: bool) -> None:
    """Writes all archives into ``directory``; ``checked``: the sources may be edited later."""
    import marshal
    from pathlib import Path

    if Path(directory).is_file():  # as it was once
        Path(directory).unlink()
    Path(directory).mkdir(exist_ok=True)
    top = Path(__file__).resolve().parent.parent
    own = _code(Path(__file__), top)
    for command in COMMANDS:
        modules = [_module(name, top, checked) for name in imported(command)]
        Path(directory, command).write_bytes(marshal.dumps((sys.version, own, modules)))
    entries = {}
    for path in sorted(top.glob("pyrunc/**/*.py")):
        name = ".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__")
        _, source, package, code = _module(name, top, checked)
        # Marshalled by itself: what is not imported is not unmarshalled.
        entries[name] = (source, package, marshal.dumps(code))
    for name in (*STANDARD, "pyrunc.ffi._seccomp", "pyrunc.ffi._sys"):
        found = _find(name)
        if found is not None and found.origin and found.origin.endswith(".so"):
            entries[name] = (_source(Path(found.origin), top, False), False, b"")
    Path(directory, "modules").write_bytes(marshal.dumps(entries))


def imported(command: str) -> "list[str]":
    """Names of the modules that ``command`` needs and an interpreter that has just started has not, each behind those
    that it imports itself."""
    import subprocess

    # In an interpreter of its own: this one has imported more.
    code = "import sys; sys.path[:0] = sys.argv[1].split(':'); sys.stderr.write('begin\\n')\n"
    code += "for name in sys.argv[2:]:\n try: __import__(name)\n except ImportError: pass\n"
    names = ("pyrunc.main", f"pyrunc.commands.{command}", *ORDINARY[command])
    words = [sys.executable, "-I", "-S", "-X", "importtime", "-c", code, ":".join(sys.path), *names]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    # ``import time: 12 | 34 |   name``, told when the module has been executed.
    told = done.stderr.partition("begin\n")[2].splitlines()
    found = [line.rpartition("|")[2].strip() for line in told]
    return [name for name in found if name not in sys.builtin_module_names and name != "pyrunc.hot"]


def _find(name: str) -> "Any":
    from importlib.util import find_spec

    try:
        return find_spec(name)
    except ImportError:
        return None


def _module(name: str, top: "Any", checked: bool) -> "Module":
    from pathlib import Path

    found = _find(name)
    path = Path(found.origin if found is not None and found.origin else "")
    if name in STANDARD:
        return name, _source(path, top, False), False, None
    if path.suffix != ".py" or name.partition(".")[0] != "pyrunc":
        return name, ("", 0, -1), False, None
    return name, _source(path, top, checked), path.name == "__init__.py", _code(path, top)


def _source(path: "Any", top: "Any", checked: bool) -> "Source":
    status = path.stat()
    relative = str(path.relative_to(top) if path.is_relative_to(top) else path)
    return relative, status.st_mtime_ns, status.st_size if checked else -1


def _code(path: "Any", top: "Any") -> "Any":
    name = str(path.relative_to(top))
    return compile(path.read_bytes(), name, "exec", dont_inherit=True, optimize=2)


if "MODULES" in globals():
    begin(globals()["MODULES"])
elif __name__ == "__main__":
    build(sys.argv[1], True)
