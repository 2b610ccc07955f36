"""The launcher: the interpreter's first phase in its process, with the modules of a command in one file."""

import json
import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyrunc.cli.commands import COMMANDS
from pyrunc.cli.parser import definition
from pyrunc.fastpath.archive_build import write_program
from pyrunc.fastpath.archive_key import key
from pyrunc.fastpath.archive_load import BESIDE
from pyrunc.fastpath.commands import HOT, STANDARD

TOP = Path(__file__).resolve().parents[2]
BIN = TOP / "pyrunc" / "_bin"
LAUNCHER = Path(sys.prefix) / "bin" / "pyrunc"

pytestmark = pytest.mark.skipif(not LAUNCHER.exists(), reason="pyrunc is not installed beside this Python")


def archive(command: str) -> "list[tuple[str, object, str, str, str, str]]":
    """Returns the modules in a command's archive."""
    first, words, rest = (BIN / "hot" / command).read_bytes().split(b"\n", 2)
    assert first + b"\n" == key()
    return marshal.loads(rest[int(words.split()[0]) :])[2]


def test_the_archives_are_those_of_the_hot_commands() -> None:
    assert set(HOT) == {name for name in COMMANDS if definition(name).hot}


@pytest.mark.parametrize("command", HOT)
def test_hot_commands_import_no_python_but_ours(command: str) -> None:
    names = [name for name, code, *_ in archive(command) if code is False]
    assert set(names) <= {*STANDARD, *BESIDE}


@pytest.mark.parametrize("command", HOT)
def test_each_module_comes_after_what_it_imports(command: str) -> None:
    names = [module[0] for module in archive(command)]
    assert names.index("pyrunc") == 0
    assert names.index("pyrunc.errors") < names.index("pyrunc.log") < names.index("pyrunc.cli.dispatch")
    assert names[-1].startswith(("pyrunc.", "_prctl"))
    assert len(set(names)) == len(names)


def traced(tmp_path: Path, *words: str) -> str:
    """Returns the files that a launcher opens."""
    trace, launcher = tmp_path / "trace", tmp_path / "bin" / "pyrunc"
    subprocess.run(["strace", "-e", "trace=openat", "-o", trace, launcher, *words], capture_output=True, check=False)
    return trace.read_text()


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here")
def test_a_hot_command_reads_no_source_and_starts_half_an_interpreter(tmp_path: Path) -> None:
    installed(tmp_path)
    opened = traced(tmp_path, "--root", str(tmp_path), "state", "nobody")
    assert "/hot/state" in opened
    assert '.py"' not in opened and "encodings" not in opened and "/hot/modules" not in opened
    assert "encodings" in traced(tmp_path, "--root", str(tmp_path), "list")


def installed(tmp_path: Path) -> Path:
    """Makes a copy of the launcher with a separate checkout, including archives; returns its directory."""
    packages = tmp_path / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    shutil.copy(LAUNCHER, tmp_path / "bin")
    shutil.copytree(TOP / "pyrunc", packages / "pyrunc", ignore=shutil.ignore_patterns("__pycache__"))
    return packages


def test_nothing_is_collected_even_while_the_interpreter_starts(tmp_path: Path) -> None:
    hot = installed(tmp_path) / "pyrunc" / "_bin" / "hot"
    told = "gc.isenabled(), [each['collections'] for each in gc.get_stats()]"
    write_program(hot / "state", f"import gc, posix\nposix.write(1, repr(({told})).encode())\nposix._exit(0)\n")
    done = subprocess.run([tmp_path / "bin" / "pyrunc", "state"], capture_output=True, text=True, check=True)
    assert done.stdout == "(False, [0, 0, 0])"


def test_a_built_in_module_is_made_as_importlib_makes_it() -> None:
    space: dict = {"__name__": "prelude"}
    exec((TOP / "pyrunc" / "fastpath" / "prelude.py").read_text(), space)
    sys.modules.pop("_symtable", None)
    ours = space["built_in"]("_symtable")
    assert sys.modules.pop("_symtable") is ours
    theirs = __import__("_symtable")
    assert set(vars(ours)) == set(vars(theirs)) and ours.symtable("a = 1", "x", "exec").name == "top"
    for name in ("__name__", "__loader__", "__package__", "__spec__"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert space["built_in"]("_symtable") is theirs


def build(packages: Path, python: str = sys.executable) -> None:
    """Builds the archives of that checkout."""
    code = "import sys; sys.path[:0] = sys.argv[1:2]; from pyrunc.fastpath.archive_build import build; build(sys.argv[2], True)"
    subprocess.run([python, "-c", code, packages, packages / "pyrunc" / "_bin" / "hot"], check=True)


def test_an_edited_source_is_what_runs(tmp_path: Path) -> None:
    packages = installed(tmp_path)
    command = [tmp_path / "bin" / "pyrunc", "--root", tmp_path, "state", "nobody"]
    before = subprocess.run(command, capture_output=True, text=True, check=False)
    assert before.stderr == 'pyrunc: container "nobody" does not exist\n'
    errors = packages / "pyrunc" / "errors.py"
    errors.write_text(errors.read_text().replace("does not exist", "was never there"))
    after = subprocess.run(command, capture_output=True, text=True, check=False)
    assert after.stderr == 'pyrunc: container "nobody" was never there\n'


def of_another_python(hot: Path) -> None:
    """Changes the archives as if a Python with another magic number had built them."""
    for file in hot.iterdir():
        first, rest = file.read_bytes().split(b"\n", 1)
        file.write_bytes(first.rpartition(b" ")[0] + b" 010e0d0a\n" + rest)


def state(tmp_path: Path, *words: str, status: int = 1) -> str:
    """Returns the message of `state` for a container that does not exist."""
    command = [tmp_path / "bin" / "pyrunc", "--root", tmp_path, *words, "state", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status
    return done.stderr


MISSING = 'pyrunc: container "nobody" does not exist\n'


def test_archives_of_another_python_are_built_again_once(tmp_path: Path) -> None:
    hot = installed(tmp_path) / "pyrunc" / "_bin" / "hot"
    of_another_python(hot)
    before = {file.name: file.stat().st_ino for file in hot.iterdir()}
    said = state(tmp_path, "--debug")
    assert "level=debug" in said and "built again" in said and said.endswith(MISSING)
    assert all(file.read_bytes().startswith(key()) for file in hot.iterdir())
    assert before.keys() == {file.name for file in hot.iterdir()}, "a temporary file is left, or an archive is missing"
    assert all(file.stat().st_ino != before[file.name] for file in hot.iterdir()), "not replaced by rename"
    assert state(tmp_path, "--debug") == MISSING


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here")
def test_what_was_built_again_is_used(tmp_path: Path) -> None:
    packages = installed(tmp_path)
    good = {name for name in traced(tmp_path, "--root", str(tmp_path), "state", "nobody").splitlines() if ".py" in name}
    of_another_python(packages / "pyrunc" / "_bin" / "hot")
    assert '.py"' in traced(tmp_path, "--root", str(tmp_path), "state", "nobody")
    assert {
        name for name in traced(tmp_path, "--root", str(tmp_path), "state", "nobody").splitlines() if ".py" in name
    } == good


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_archives_in_another_users_installation_stay(tmp_path: Path) -> None:
    hot = installed(tmp_path) / "pyrunc" / "_bin" / "hot"
    of_another_python(hot)
    os.chown(hot, 65534, 65534)
    before = {file.name: file.read_bytes() for file in hot.iterdir()}
    said = state(tmp_path, "--debug")
    assert "belongs to user 65534" in said and said.endswith(MISSING)
    assert {file.name: file.read_bytes() for file in hot.iterdir()} == before
    assert state(tmp_path) == MISSING
    code = "import sys; sys.path[:0] = sys.argv[1:2]; from pyrunc.fastpath.archive_renew import status; print(status())"
    told = subprocess.run(
        [sys.executable, "-I", "-c", code, hot.parents[2]], capture_output=True, text=True, check=True
    )
    assert told.stdout.endswith("010e0d0a\n")


def test_features_tell_whether_archives_are_used() -> None:
    done = subprocess.run([LAUNCHER, "features"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["annotations"]["org.opencontainers.runtime-tools.pyrunc.archives"] == "current"


@pytest.mark.parametrize("rest", [b"", b"0 installed\n", b"9999999 installed\n", b"0 installed\nzz", b"x\n\n"])
def test_a_damaged_archive_is_as_none(tmp_path: Path, rest: bytes) -> None:
    hot = installed(tmp_path) / "pyrunc" / "_bin" / "hot"
    (hot / "state").write_bytes(key() + rest)
    assert state(tmp_path) == MISSING


def test_another_build_of_the_same_python_takes_the_archives(tmp_path: Path) -> None:
    others = [path for path in SAME_VERSION if os.path.exists(path)]
    if not others:
        pytest.skip("no other build of this Python's version here")
    hot = installed(tmp_path) / "pyrunc" / "_bin" / "hot"
    code = "import sys; sys.path[:0] = sys.argv[1:2]; from pyrunc.fastpath.archive_key import key; print(key())"
    for other in others:
        theirs = subprocess.run([other, "-I", "-c", code, hot.parents[2]], capture_output=True, text=True, check=True)
        assert theirs.stdout.strip() == repr(key())
        build(hot.parents[2], other)
        assert state(tmp_path, "--debug") == MISSING
        assert all(file.read_bytes().startswith(key()) for file in hot.iterdir())


SAME_VERSION = [
    path
    for name in (f"/usr/bin/python3.{sys.version_info.minor}", f"/usr/local/bin/python3.{sys.version_info.minor}")
    for path in (name, *sorted(map(str, Path.home().glob(f".pyenv/versions/3.{sys.version_info.minor}.*/bin/python3"))))
    if os.path.realpath(path) != os.path.realpath(sys.executable)
]
"""Other interpreters that this machine may have."""


def test_without_any_archive_everything_works(tmp_path: Path) -> None:
    packages = installed(tmp_path)
    shutil.rmtree(packages / "pyrunc" / "_bin" / "hot")
    command = [tmp_path / "bin" / "pyrunc", "--root", tmp_path, "state", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, 'pyrunc: container "nobody" does not exist\n')


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([LAUNCHER, "--root", tmp_path, "list"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_paths_are_bytes_in_any_locale(tmp_path: Path, locale: str) -> None:
    words = [
        os.fsencode(LAUNCHER),
        b"--root",
        os.fsencode(tmp_path) + b"/\xff\xc3\xa4",
        b"create",
        b"-b",
        b"/\xfe\xc3\xa4",
        b"x",
    ]
    done = subprocess.run(words, capture_output=True, check=False, env={"LC_ALL": locale})
    assert done.stderr == b"pyrunc: /\xfe\xc3\xa4/config.json: no such file or directory\n"


def test_without_the_interpreters_library_its_program_is_executed(tmp_path: Path) -> None:
    installed(tmp_path)
    sources = [TOP / "nsenter" / "launcher" / name for name in ("launcher.c", "interpreter.c", "deleted.c")]
    subprocess.run([sys.executable, TOP / "nsenter" / "generate.py", tmp_path], check=True)
    subprocess.run(
        ["gcc", "-std=c11", "-D_GNU_SOURCE", f"-I{tmp_path}", "-o", tmp_path / "bin" / "pyrunc", *sources], check=True
    )
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    command = [tmp_path / "bin" / "pyrunc", "--root", tmp_path, "state", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, 'pyrunc: container "nobody" does not exist\n')
    listed = subprocess.run([*command[:3], "list"], capture_output=True, text=True, check=False)
    assert (listed.returncode, listed.stdout[:2]) == (0, "ID")
