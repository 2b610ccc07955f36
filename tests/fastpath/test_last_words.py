"""Every exception in the interpreter's first phase ends in one line: there are no codecs, streams, or tracebacks."""

import builtins
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_launcher import LAUNCHER, build, installed

pytestmark = pytest.mark.skipif(not LAUNCHER.exists(), reason="pyrunc is not installed beside this Python")

COMMAND = """
def run(options):
    import builtins
    kind = options.container_id
    if kind == "decode":
        b"\\xff".decode()
    elif kind == "encode":
        chr(0xD800).encode()
    elif kind == "escape":
        b"\\xff".decode("utf-8", "backslashreplace")
        chr(0xD800).encode("utf-8", "surrogateescape")
    elif kind == "codec":
        "x".encode("no such codec")
    elif kind == "recursion":
        run(options)
    elif kind == "deep":
        value = []
        for _ in range(1 << 20):
            value = [value]
        repr(value)
    elif kind == "memory":
        bytes(1 << 62)
    elif kind == "grows":
        raise ValueError("x" * (1 << 20))
    elif kind == "in an error":
        try:
            raise KeyError(chr(0xD800))
        except KeyError as error:
            raise RuntimeError("while that") from error
    elif kind == "dumb":
        class Dumb(Exception):
            def __str__(self):
                raise MemoryError
        raise Dumb
    elif kind == "silent":
        class Silent(Exception):
            def __str__(self):
                return None
        raise Silent
    elif kind == "group":
        raise ExceptionGroup("several", [ValueError(1), OSError(2, "two")])
    elif kind.startswith("Unicode"):
        arguments = {"UnicodeDecodeError": ("x", b"", 0, 1, "y"), "UnicodeEncodeError": ("x", "", 0, 1, "y")}
        raise vars(builtins)[kind](*arguments.get(kind, ("", 0, 1, "y") if "Trans" in kind else ()))
    else:
        raise getattr(builtins, kind)
    return 0
"""
GROUPS = {"BaseExceptionGroup", "ExceptionGroup"}
EVERY = sorted(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException) and name not in GROUPS
)
CODECS = ("decode", "encode", "escape", "codec") if sys.version_info >= (3, 13) else ()
"""From that version on such errors cannot be reported (interpreter.c)."""
OTHERS = [
    *("decode", "encode", "escape", "codec", "recursion", "deep", "memory", "grows", "in an error", "dumb", "silent"),
    "group",
]


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A launcher whose `state` raises the exception that its id names."""
    place = tmp_path_factory.mktemp("failing")
    packages = installed(place)
    state = packages / "pyrunc" / "cli" / "commands" / "state.py"
    text = state.read_text()
    state.write_text(text[: text.index("def run(")] + COMMAND)
    build(packages)
    return place / "bin" / "pyrunc"


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("kind", [*EVERY, *OTHERS])
def test_it_is_one_line(failing: Path, kind: str, form: str) -> None:
    done = subprocess.run([failing, "--log-format", form, "state", kind], capture_output=True, timeout=30, check=False)
    if kind == "SystemExit":
        assert (done.returncode, done.stderr) == (0, b"")
        return
    assert done.returncode == (130 if kind == "KeyboardInterrupt" else 1)
    assert done.stderr.count(b"\n") == 1 and done.stderr.endswith(b"\n"), done.stderr[:2000]
    plain = form == "text" or kind in ("dumb", "silent", *CODECS)
    assert done.stderr.startswith(b"pyrunc: " if plain else b'{"level":"error"')
    assert b"Traceback" not in done.stderr


def test_a_damaged_archive_is_one_line(failing: Path, tmp_path: Path) -> None:
    """Also for errors before any code of pyrunc could report them."""
    for content in (b"", b"\xff", b"not marshal", b"u\x03\x00\x00\x00\xed\xa0\x80"):
        archive = failing.parents[1] / next(Path(failing.parents[1]).glob("lib/*/site-packages/pyrunc/_bin/hot/kill"))
        archive.write_bytes(content)
        done = subprocess.run(
            [failing, "--root", tmp_path, "kill", "nobody"], capture_output=True, timeout=30, check=False
        )
        assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here")
@pytest.mark.parametrize("call", ["newfstatat", "openat", "read", "mmap"])
def test_an_interpreter_that_cannot_start_is_one_line(tmp_path: Path, call: str) -> None:
    """Python's own report would be twenty lines of paths."""
    count = ["strace", "-c", "-o", tmp_path / "count", "-e", f"trace={call}", LAUNCHER, "--root", tmp_path, "list"]
    subprocess.run(count, capture_output=True, check=True)
    total = next(int(line.split()[3]) for line in (tmp_path / "count").read_text().splitlines() if line.endswith(call))
    for number in range(1, total, 7):
        inject = ["strace", "-o", "/dev/null", "-e", f"inject={call}:error=ENOMEM:when={number}"]
        done = subprocess.run([*inject, LAUNCHER, "--root", tmp_path, "list"], capture_output=True, check=False)
        if b"shared libr" not in done.stderr:  # the dynamic loader's message
            assert done.stderr.count(b"\n") <= 1 and b"Python path" not in done.stderr, (number, done.stderr)
