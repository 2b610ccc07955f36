"""The first code that the launcher's interpreter executes. Finds the command's modules and runs pyrunc.cli.dispatch, or
pyrunc.shim.entry if it was called as the shim.

sys.argv[1]: the directories of packages, one per line; sys.argv[2]: the command that the arguments probably name, or
"-", or "shim"; sys.argv[3]: the pid of the child that woke the kernel, or 0. The build embeds this file's text, without
comments, in the launcher (nsenter/generate.py). It runs in the half-started interpreter (interpreter.c), which does not
have files, codecs or standard streams yet. Archives contain it in compiled form, because compiling it takes a third of
the time of the first phase.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def built_in(name: str) -> "Any":
    """Imports a built-in module as importlib does. importlib's locks and search would take as long as importing
    ``fcntl``."""
    module = sys.modules.get(name)
    if module is None:
        import _imp
        from _frozen_importlib import BuiltinImporter, ModuleSpec

        spec = ModuleSpec(name, BuiltinImporter, origin="built-in")  # type: ignore[arg-type]
        sys.modules[name] = module = _imp.create_builtin(spec)
        module.__spec__, module.__loader__, module.__package__ = spec, BuiltinImporter, ""
        _imp.exec_builtin(module)
    return module


posix = built_in("posix")


def last_words(error: BaseException) -> None:
    """Writes one line to stderr and exits. Uses nothing that could fail for the same reason."""
    line = b"pyrunc: internal error\n"
    try:
        text = "cannot allocate memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
        shown = "".join(character if " " <= character <= "~" else "?" for character in text)
        line = f"pyrunc: {shown}\n".encode()
    except BaseException:
        pass
    posix.write(2, line)
    posix._exit(1)


def read_archive(directory: str, command: str) -> "Any":
    """Returns (key, content, late(offset)) as the launcher's ARCHIVE has them, in an interpreter that was executed
    instead of embedded."""
    import marshal
    from _frozen_importlib_external import MAGIC_NUMBER

    try:
        file = posix.open(f"{directory}/pyrunc/_bin/hot/{command}", posix.O_RDONLY | posix.O_CLOEXEC)
        key, words, rest = posix.read(file, 1 << 24).split(b"\n", 2)
        posix.close(file)
        if key == f"pyrunc {sys.implementation.cache_tag} {MAGIC_NUMBER.hex()}".encode():
            view = memoryview(rest)
            content = marshal.loads(view[int(words.split()[0]) :])
            return key, content, lambda offset: marshal.loads(view[offset:])
    except (OSError, ValueError, EOFError, TypeError, IndexError):
        pass
    return None


def begin() -> str:
    """Prepares imports from the archive, or starts the whole interpreter. Returns a message to log."""
    packages, command = sys.argv[1].split("\n"), sys.argv[2]
    launcher = "_launcher" in sys.builtin_module_names
    if not launcher:  # the launcher's interpreter has no garbage collection
        import gc

        gc.disable()
    archive = globals().get("ARCHIVE") or (None if launcher else read_archive(packages[0], command))
    if archive is not None:
        space = {"__name__": "pyrunc.fastpath.archive_load", "ARCHIVE": archive, "PACKAGES": packages}
        space["BUILT_IN"] = built_in
        exec(archive[1][1], space)
        if space["LOADED"]:
            return ""
    if launcher:
        import _launcher

        arguments = sys.argv
        _launcher.complete()
        sys.argv = arguments
    sys.path[:0] = packages
    if command == "-":
        return ""
    from pyrunc.fastpath.archive_renew import renew

    return renew(command)


def run() -> None:
    """Never returns."""
    try:
        note = begin()
        command, child = sys.argv[2:4]
        del sys.argv[1:4]
        if command == "shim":
            __import__("pyrunc.shim.entry", fromlist=["main"]).main(int(child))
        else:  # by name, because lower rooms must not import these
            __import__("pyrunc.cli.dispatch", fromlist=["main"]).main(int(child), note)
    except BaseException as error:
        last_words(error)


if __name__ == "__main__":
    run()
