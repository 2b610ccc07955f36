"""Starts a command from an archive of its modules. Finding and reading fifty small files would be half of a start.

The launcher executes this module's code with the content of ``_bin/hot/COMMAND``, while the interpreter is only half
started (nsenter/launcher/interpreter.c). The rest of the interpreter is started when something needs it: a module that
is not in ``_bin/hot/modules``, ``open``, ``print``.

In a checkout an archive is used only while no source has changed since it was built. Otherwise prelude.py imports
everything from the sources.
"""

import posix
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    Source = tuple[str, int, int]
    """(path below the packages, mtime in ns, size)."""
    Entry = tuple[Source | str, bool, bytes]
    """(source, or a path that is not checked; whether it is a package; marshalled code, empty for an extension)."""
    Module = tuple[str, Any, str, str, str, str, dict[str, int]]
    """(name, code, __package__, parent, last part of the name, path below the packages, late names: late_names.py).
    The code is None if there is nothing to execute. It is False for a module of another package, whose other fields are
    empty."""

BESIDE = ("_prctl", "_cffi_backend")
"""Extension modules of other packages, installed beside pyrunc."""


PACKAGES: "list[str]" = globals().get("PACKAGES", [])
"""The directories of packages, passed by the launcher."""
_print = print
_key = b""
_late: "Any" = None
_made: "dict[int, Any]" = {}
"""The functions that ``late`` has made."""
_spaces: "dict[str, dict[str, Any]]" = {}
"""{module: its globals} (late_names.py)."""
_entries: "dict[str, Entry]" = {}
"""The modules that are not loaded yet."""
_read: "list[bool]" = []
"""Not empty once ``_entries`` has all modules."""


def _interpreter() -> "Any":
    """Returns pyrunc.interpreter, the first module of every archive."""
    from pyrunc import interpreter

    return interpreter


_function: "Any" = type(_interpreter)


def complete() -> None:
    """Starts the rest of the interpreter and restores ``print``. pyrunc.interpreter itself restores ``open``."""
    import builtins

    builtins.print = _print
    _interpreter().complete()


def _late_open(*args: "Any", **settings: "Any") -> "Any":
    complete()
    return open(*args, **settings)


def _late_print(*args: "Any", **settings: "Any") -> None:
    complete()
    _print(*args, **settings)


def unchanged(source: "Source | str") -> bool:
    """Whether the file exists as it was when the archive was built."""
    path, *rest = (source,) if isinstance(source, str) else source
    try:
        status = posix.stat(_file(path))
    except OSError:
        return False
    return not rest or [status.st_mtime_ns, status.st_size] == rest


def late(offset: int, space: "dict[str, Any]") -> "Any":
    """Returns the function at ``offset`` in the late section (shrink.py), with ``space`` as its globals."""
    found = _made.get(offset)
    if found is None:
        found = _made[offset] = _function(_late(offset), space)
    return found


def named(name: str, space: "dict[str, Any]") -> "Any":
    """Returns the value of ``name`` in the module with globals ``space``. The name may be late (late_names.py)."""
    return space[name] if name in space else space["__getattr__"](name)


def _definer(offsets: "dict[str, int]", space: "dict[str, Any]") -> "Any":
    """Returns a module's ``__getattr__`` (PEP 562), which executes the definition of a late name."""

    def __getattr__(name: str) -> "Any":
        if name not in offsets:
            raise AttributeError(f"module {space['__name__']!r} has no attribute {name!r}")
        exec(_late(offsets[name]), space)
        return space[name]

    return __getattr__


# Functions instead of classes, because creating a class takes several times as long as these functions run.


def _loaded(spec: "ModuleSpec") -> "ModuleType":
    """Returns a module that the second phase of the interpreter has loaded."""
    return sys.modules[spec.name]


def _find_codecs(module: "ModuleType") -> None:
    """Registers a search for codecs, for the stub of ``encodings`` in the first phase. The first encoding error there
    imports ``encodings``. If that import failed, the second phase would find no codec at all."""
    import _codecs

    _codecs.register(_find_codec)


def _find_codec(name: str) -> "Any":
    complete()
    if getattr(sys.modules.get("encodings"), "__file__", None) is None:
        sys.modules.pop("encodings", None)
    import encodings

    return encodings.search_function(name)


def _loader(create: "Any", execute: "Any") -> "Any":
    return _interpreter().Namespace(create_module=create, exec_module=execute)


def _find_spec(name: str, path: "Any" = None, target: "Any" = None) -> "ModuleSpec | None":
    """Finds modules that are not loaded yet, as importlib.abc.MetaPathFinder does: pyrunc's own in the archive, and
    extension modules."""
    if name == "_signal" and _interpreter().half_started():
        complete()  # imports it; the first phase cannot
        return ModuleSpec(name, _loader(_loaded, id))
    if name in sys.builtin_module_names:
        return None
    if name == "encodings" and _interpreter().half_started():
        return ModuleSpec(name, _loader(_empty, _find_codecs))
    entry = _entries.get(name) or _beside(name) or _all().get(name)
    if entry is None or not unchanged(entry[0]):
        complete()
        return None
    return _spec(name, entry)


def _spec(name: str, entry: "Entry") -> "ModuleSpec":
    path = entry[0] if isinstance(entry[0], str) else entry[0][0]
    loader = _loader(_create, _execute_late)
    spec = ModuleSpec(name, loader, origin=_file(path), loader_state=entry[2], is_package=entry[1])
    if entry[1]:
        spec.submodule_search_locations = [str(spec.origin).rpartition("/")[0]]
    return spec


def _all() -> "dict[str, Entry]":
    if not _read:
        _read.append(True)
        try:
            _entries.update(_content("modules"))
        except (OSError, ValueError, EOFError, TypeError):
            pass
    return _entries


def _empty(spec: "ModuleSpec") -> None:
    """Creates the default module."""


def _create(spec: "ModuleSpec") -> "Any":
    """Creates the default module, or an extension module."""
    if spec.loader_state:
        return None
    import _imp

    return _imp.create_dynamic(spec)


def _execute_late(module: "ModuleType") -> None:
    """Runs the module's code."""
    spec: Any = module.__spec__
    module.__file__ = spec.origin  # importlib's own way needs the second phase
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
    return (file, False, b"") if unchanged(file) else None


def _file(path: str) -> str:
    return path if path[:1] == "/" else f"{PACKAGES[0]}/{path}"


def begin(key: bytes, content: "tuple[Any, ...]", late_code: "Any") -> bool:
    """Imports the modules of an archive. Returns False without doing anything if a source has changed.

    ``key``: the first line without its newline; ``late_code(offset)``: returns a code object of the late section;
    ``content``: the rest (archive_build.py).
    """
    global _key, _late
    import builtins

    _, _, modules, extensions, sources = content
    for source in sources:
        if not unchanged(source):
            return False
    _key, _late = key, late_code
    builtins.__pyrunc_late__, builtins.__pyrunc_named__ = late, named  # type: ignore[attr-defined]
    builtins.__pyrunc_spaces__ = _spaces  # type: ignore[attr-defined]
    for own in modules[:2]:  # pyrunc, pyrunc.interpreter
        _execute(*own)
    interpreter = _interpreter()
    interpreter.PACKAGES[:] = PACKAGES
    if interpreter.half_started():
        builtins.open, builtins.print = _late_open, _late_print
    else:
        sys.path[:0] = PACKAGES
    _entries.update(extensions)
    sys.meta_path.insert(0, interpreter.Namespace(find_spec=_find_spec))
    interpreter._loaders.append(load)
    _import(modules[2:])
    return True


def _import(modules: "list[Module]") -> None:
    for module in modules:
        if module[1] is False:
            _import_other(module[0])
        elif module[0] not in sys.modules:
            _execute(*module)


def _import_other(name: str) -> None:
    """Imports a module of another package as importlib does, but without its locks and its search."""
    entry = _entries.get(name)
    if name in sys.builtin_module_names and "BUILT_IN" in globals():
        globals()["BUILT_IN"](name)
    elif entry is not None and name not in sys.modules and unchanged(entry[0]):
        spec = _spec(name, entry)
        sys.modules[name] = module = _create(spec)
        module.__spec__, module.__loader__, module.__package__ = spec, spec.loader, ""
        _execute_late(module)
    else:
        __import__(name)


def load(archive: str) -> None:
    """Imports the modules of ``_bin/hot/ARCHIVE``, which has no late section, that are not imported yet. Does nothing
    if the archive cannot be used."""
    try:
        content = _content(archive)
    except (OSError, ValueError, EOFError, TypeError):
        return
    _, _, modules, extensions, sources = content
    if all(unchanged(source) for source in sources):
        _entries.update(extensions)
        _import(modules)


def _content(archive: str) -> "Any":
    """Returns the content of ``_bin/hot/ARCHIVE``, which has no late section. Raises ValueError if the key differs."""
    import marshal

    descriptor = posix.open(f"{PACKAGES[0]}/pyrunc/_bin/hot/{archive}", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        key, _, rest = posix.read(descriptor, 1 << 24).split(b"\n", 2)
    finally:
        posix.close(descriptor)
    if key != _key:
        raise ValueError(archive)
    return marshal.loads(rest)


def _execute(
    name: str, code: "Any", package: str, parent: str, last: str, path: str, late_names: "dict[str, int]"
) -> None:
    """Imports one module. importlib would need as long to find it as the module itself needs."""
    module = type(sys)(name)
    space = module.__dict__
    space["__file__"] = file = f"{PACKAGES[0]}/{path}"
    space["__package__"] = package
    if package == name:
        space["__path__"] = [file.rpartition("/")[0]]
    sys.modules[name], _spaces[name] = module, space
    if late_names:
        space["__getattr__"] = _definer(late_names, space)
    if code is not None:
        exec(code, space)
    if parent:
        setattr(sys.modules[parent], last, module)


if "ARCHIVE" in globals():
    LOADED = begin(*globals()["ARCHIVE"])
