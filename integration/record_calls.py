"""`make record-calls`: records which functions each hot command calls in its usual cases.

Writes pyrunc/fastpath/called.txt, from which the archives are built: a function that is not listed is unmarshalled when
it is called (pyrunc/fastpath/shrink.py). An outdated list only costs time, which `make bench-instructions` shows.
"""

import marshal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))

from installed import copied

from harness import PYRUNC, TOP, Box
from pyrunc.fastpath import archive_build
from pyrunc.fastpath.commands import HOT

CALLED = TOP / "pyrunc" / "fastpath" / "called.txt"
RECORDER = """
import posix as _posix, sys as _sys
def _record(frame, event, argument, found=set()):
    if event == "call":
        found.add(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}")
    elif event == "written":
        return found
def _leave(status, leave=_posix._exit):
    _sys.setprofile(None)
    file = _posix.open(f"@DIRECTORY@/{_posix.getpid()}", _posix.O_WRONLY | _posix.O_CREAT)
    _posix.write(file, "\\n".join(_record(None, "written", None)).encode())
    leave(status)
_posix._exit = _leave
_sys.setprofile(_record)
"""


class Everything:
    """A set that contains every function."""

    def __contains__(self, _: object) -> bool:
        return True


def recording(directory: Path) -> Path:
    """Makes a copy of pyrunc whose archives record in ``directory`` which functions they call; returns its program."""
    packages = copied(directory / "copy")
    hot = packages / "pyrunc" / "_bin" / "hot"
    archive_build.called = lambda command: Everything()  # type: ignore[assignment,return-value]
    archive_build.build(str(hot), False)
    loader = (
        RECORDER.replace("@DIRECTORY@", str(directory))
        + Path(archive_build.__file__).with_name("archive_load.py").read_text()
    )
    own = compile(loader, "pyrunc/fastpath/archive_load.py", "exec")
    for command in HOT:
        key, words, rest = (hot / command).read_bytes().split(b"\n", 2)
        length = int(words.split()[0])  # of the late section
        content = marshal.loads(rest[length:])
        changed = rest[:length] + marshal.dumps((content[0], own, *content[2:]))
        (hot / command).write_bytes(b"\n".join([key, words, changed]))
    return directory / "copy" / "bin" / "pyrunc"


def scenes(box: Box) -> "Iterator[tuple[str, Callable[[], object]]]":
    """Yields (command, function that runs it under the recorder)."""
    true, sleep = str(box.bundle(["/bin/true"])), str(box.bundle(["/bin/sleep", "1000"]))

    def plain(name: str, *words: str) -> str:
        """Creates a container without recording."""
        recorder, box.program = box.program, PYRUNC
        try:
            return getattr(box, name)(*words)  # type: ignore[no-any-return]
        finally:
            box.program = recorder

    def made(*words: str) -> None:
        quiet = {"capture_output": False, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        with open(box.directory / "said", "w+") as said:
            assert box.call(*words, stderr=said, **quiet).returncode == 0, (words, said.seek(0), said.read())

    running = plain("start", ["/bin/sleep", "1000"])
    ended = plain("start", ["/bin/true"])
    created = plain("create", ["/bin/sleep", "1000"])
    yield "create", lambda: made("create", "-b", sleep, box.new_id())
    yield "start", lambda: box.ok("start", created)
    for _ in range(2):  # the first run ends the container
        yield "state", lambda: box.ok("state", running)
    plain("await_status", ended, "stopped")
    yield "state", lambda: box.ok("state", ended)
    yield "kill", lambda: box.ok("kill", running, "18")
    yield "exec", lambda: box.ok("exec", running, "/bin/true")
    yield "exec", lambda: made("exec", "--detach", running, "/bin/true")
    yield "delete", lambda: box.ok("delete", ended)
    yield "delete", lambda: box.ok("delete", "--force", running)
    yield "delete", lambda: box.ok("delete", "--force", "nobody")
    yield "run", lambda: box.ok("run", "-b", true, box.new_id())
    yield "run", lambda: made("run", "--detach", "-b", sleep, box.new_id())


def table(found: "dict[str, set[str]]") -> str:
    """The text of called.txt. ``found``: {command: {``file:function``}}."""
    commands: dict[str, list[str]] = {}
    for command in sorted(found):
        for function in found[command]:
            file, _, name = function.partition(":")
            if file.startswith("pyrunc/") and "<" not in name and not file.startswith("pyrunc/fastpath/archive_load"):
                module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                commands.setdefault(f"{module} {name}", []).append(command)
    lines: dict[str, list[str]] = {}
    for function, by in sorted(commands.items()):
        module, name = function.split()
        lines.setdefault(f"{module} {','.join(by)}", []).append(name)
    head = "# module commands functions: made by `make record-calls`, read by archive_build.py\n"
    return head + "".join(f"{row} {' '.join(names)}\n" for row, names in lines.items())


def main() -> None:
    found: dict[str, set[str]] = {}
    with tempfile.TemporaryDirectory(prefix="pyrunc-calls-") as name:
        directory = Path(name)
        box = Box(directory)
        program = str(recording(directory))
        try:
            for command, scene in scenes(box):
                box.program = program
                scene()
                box.program = PYRUNC
                for file in directory.glob("[0-9]*"):
                    found.setdefault(command, set()).update(file.read_text().split("\n"))
                    file.unlink()
        finally:
            box.program = PYRUNC
            box.close()
    missing = [command for command in HOT if f"pyrunc/cli/commands/{command}.py:run" not in found.get(command, ())]
    assert not missing, f"nothing was recorded of {', '.join(missing)}"
    CALLED.write_text(table(found))


if __name__ == "__main__":
    main()
