"""Builds the archives of hot modules (archive_load.py): ``python -m pyrunc.fastpath.archive_build DIRECTORY``.

``_bin/hot/COMMAND`` contains the modules that the command imports, in import order. ``_bin/hot/modules`` contains all
modules of pyrunc, for other imports. An archive consists of a line with its key (archive_key.py), a line with the
length of the late section and whether sources are checked, the late section (shrink.py), and the marshalled content.
"""

import sys

from pyrunc.fastpath.archive_key import key
from pyrunc.fastpath.commands import HOT, ORDINARY, SHIM, STANDARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.fastpath.archive_load import Module, Source
    from pyrunc.fastpath.shrink import Late

ASKED = tuple(("pyrunc.interpreter", name) for name in ("Namespace", "PACKAGES", "_loaders"))
"""Names that archive_load.py looks up."""
EMPTY = "import posix\nposix._exit(0)\n"


def build(directory: str, checked: bool) -> None:
    """Writes all archives into ``directory``, each atomically. ``checked``: sources may change after the build."""
    from pathlib import Path

    if Path(directory).is_file():  # the format of an older version
        Path(directory).unlink()
    Path(directory).mkdir(exist_ok=True)
    top = Path(__file__).resolve().parents[2]
    archives = {
        command: ("pyrunc.cli.dispatch", f"pyrunc.cli.commands.{command}", *ORDINARY[command]) for command in HOT
    }
    for name, needed in {**archives, **SHIM}.items():
        content, late = _modules(name, needed, top, checked)
        _write(Path(directory, name), content, late, checked)
    _write(Path(directory, "modules"), _all(top, checked), b"", checked)


def write_program(path: "Any", program: str = EMPTY) -> None:
    """Writes an archive that executes ``program`` instead of a command. With a program that exits at once, it measures
    the cost of the interpreter alone (make bench-instructions)."""
    _write(path, (compile(program, "program", "exec"),), b"", False)


def _write(path: "Any", content: "Any", late: bytes, checked: bool) -> None:
    import marshal
    import os

    words = f"{len(late)} {'checked' if checked else 'installed'}\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(key() + words.encode() + late + marshal.dumps(content))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _modules(command: str, needed: "Sequence[str]", top: "Any", checked: bool) -> "tuple[tuple[Any, ...], bytes]":
    """Returns (the content of an archive, its late section). The content is the codes of prelude.py and
    archive_load.py, modules, extensions, sources."""
    from pathlib import Path

    from pyrunc.fastpath.shrink import Late

    own = [_code(Path(__file__).with_name(name), top) for name in ("prelude.py", "archive_load.py")]
    modules: list[Module] = []
    extensions: dict[str, Any] = {}
    sources: list[Source] = []
    paths = {name: _origin(name) for name in imported(needed)}
    ours = [name for name, path in paths.items() if path.suffix == ".py" and name.partition(".")[0] == "pyrunc"]
    # A shim loads two archives and runs for a long time, so it has no late names.
    late = None
    if command in HOT:
        asked = (*ASKED, (f"pyrunc.cli.commands.{command}", "COMMAND"))
        late = Late(called(command), {name: paths[name].read_bytes() for name in ours}, asked)
    for name, path in paths.items():
        if name in ours:
            modules.append(_module(name, path, top, late))
            if checked:
                sources.append(_source(path, top))
            continue
        if name in STANDARD and path.suffix == ".so":
            extensions[name] = (str(path), False, b"")
        if late is None or name in needed or late.analysis.imports(name):
            modules.append((name, False, "", "", "", "", {}))
    return (*own, modules, extensions, sources), late.section if late is not None else b""


def called(command: str) -> "set[str]":
    """Returns ``module:function`` of all that a recorded run of ``command`` called (integration/record_calls.py)."""
    from pathlib import Path

    try:
        lines = Path(__file__).with_name("called.txt").read_text().splitlines()
    except OSError:
        return set()
    rows = [line.split() for line in lines if line[:1] != "#"]
    return {f"{row[0]}:{function}" for row in rows for function in row[2:] if command in row[1].split(",")}


def _all(top: "Any", checked: bool) -> "dict[str, Any]":
    """Returns {name: (source, package, marshalled code)} of every module. Only the code of imported ones is
    unmarshalled."""
    import marshal

    entries: dict[str, Any] = {}
    for path in sorted(top.glob("pyrunc/**/*.py")):
        name = ".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__")
        source = _source(path, top) if checked else str(path.relative_to(top))
        entries[name] = (source, path.name == "__init__.py", marshal.dumps(_code(path, top)))
    for name in (*STANDARD, "pyrunc.ffi._seccomp", "pyrunc.ffi._sys"):
        path = _origin(name)
        if path.suffix == ".so":
            entries[name] = (str(path.relative_to(top) if path.is_relative_to(top) else path), False, b"")
    return entries


def imported(needed: "Sequence[str]") -> "list[str]":
    """Returns the names of ``needed`` and of the modules that they import, except those that a new interpreter has
    already loaded. Each name follows those that its module imports."""
    import subprocess

    # In a new interpreter, because this one has imported more.
    code = "import sys; sys.path[:0] = sys.argv[1].split(':'); sys.stderr.write('begin\\n')\n"
    code += "for name in sys.argv[2:]:\n try: __import__(name)\n except ImportError: pass\n"
    names = ("pyrunc.interpreter", *needed)
    path = [__file__.rpartition("/pyrunc/")[0], *sys.path]  # an editable install is found through an import hook
    words = [sys.executable, "-I", "-S", "-X", "importtime", "-c", code, ":".join(path), *names]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    # ``import time: 12 | 34 |   name``, printed after the module was executed.
    told = done.stderr.partition("begin\n")[2].splitlines()
    found = [line.rpartition("|")[2].strip() for line in told]
    return [name for name in found if name not in sys.builtin_module_names and name != "pyrunc.fastpath.archive_load"]


def _origin(name: str) -> "Any":
    """Returns the path of a module, an empty path if it has no file."""
    from importlib.util import find_spec
    from pathlib import Path

    try:
        found = find_spec(name)
    except ImportError:
        found = None
    return Path(found.origin if found is not None and found.origin else "")


def _module(name: str, path: "Any", top: "Any", late: "Late | None") -> "Module":
    from pyrunc.fastpath.shrink import shrink

    relative = str(path.relative_to(top))
    parent, _, last = name.rpartition(".")
    package = name if path.name == "__init__.py" else parent
    code, late_names = shrink(path.read_bytes(), name, relative, late)
    return name, code, package, parent, last, relative, late_names


def _source(path: "Any", top: "Any") -> "Source":
    status = path.stat()
    return str(path.relative_to(top)), status.st_mtime_ns, status.st_size


def _code(path: "Any", top: "Any") -> "Any":
    name = str(path.relative_to(top))
    return compile(path.read_bytes(), name, "exec", dont_inherit=True, optimize=2)


if __name__ == "__main__":
    build(sys.argv[1], True)
