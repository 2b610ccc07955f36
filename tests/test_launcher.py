"""The launcher: the interpreter in its process, half started, with the modules of a command in one file."""

import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyrunc import hot

TOP = Path(__file__).resolve().parents[1]
BIN = TOP / "pyrunc" / "_bin"
LAUNCHER = Path(sys.prefix) / "bin" / "pyrunc"

pytestmark = pytest.mark.skipif(not LAUNCHER.exists(), reason="pyrunc is not installed beside this Python")


def archive(command: str) -> "list[hot.Module]":
    version, _, modules = marshal.loads((BIN / "hot" / command).read_bytes())
    assert version == sys.version
    return modules


@pytest.mark.parametrize("command", hot.COMMANDS)
def test_hot_commands_import_no_python_but_ours(command: str) -> None:
    names = [name for name, _, _, code in archive(command) if code is None]
    assert set(names) <= {*hot.STANDARD, *hot.BESIDE}


@pytest.mark.parametrize("command", hot.COMMANDS)
def test_each_module_stands_behind_what_it_imports(command: str) -> None:
    names = [name for name, _, _, _ in archive(command)]
    assert names.index("pyrunc") == 0
    assert names.index("pyrunc.errors") < names.index("pyrunc.log") < names.index("pyrunc.main")
    assert names[-1].startswith(("pyrunc.", "_prctl"))
    assert len(set(names)) == len(names)


def traced(tmp_path: Path, *words: str) -> str:
    """The files that a launcher opens."""
    trace, launcher = tmp_path / "trace", tmp_path / "bin" / "pyrunc"
    subprocess.run(["strace", "-e", "trace=openat", "-o", trace, launcher, *words], capture_output=True, check=False)
    return trace.read_text()


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here")
def test_a_hot_command_reads_no_source_and_starts_half_an_interpreter(tmp_path: Path) -> None:
    build(installed(tmp_path))
    opened = traced(tmp_path, "--root", str(tmp_path), "state", "nobody")
    assert "/hot/state" in opened
    assert '.py"' not in opened and "encodings" not in opened and "/hot/modules" not in opened
    assert "encodings" in traced(tmp_path, "--root", str(tmp_path), "list")


def installed(tmp_path: Path) -> Path:
    """A copy of the launcher with a checkout of its own; returns its directory."""
    packages = tmp_path / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    shutil.copy(LAUNCHER, tmp_path / "bin")
    shutil.copytree(TOP / "pyrunc", packages / "pyrunc", ignore=shutil.ignore_patterns("__pycache__"))
    return packages


def build(packages: Path) -> None:
    """The archives of that checkout."""
    code = "import sys; sys.path[:0] = sys.argv[1:2]; from pyrunc.hot import build; build(sys.argv[2], True)"
    subprocess.run([sys.executable, "-c", code, packages, packages / "pyrunc" / "_bin" / "hot"], check=True)


def test_an_edited_source_is_what_runs(tmp_path: Path) -> None:
    packages = installed(tmp_path)
    build(packages)
    command = [tmp_path / "bin" / "pyrunc", "--root", tmp_path, "state", "nobody"]
    before = subprocess.run(command, capture_output=True, text=True, check=False)
    assert before.stderr == 'pyrunc: container "nobody" does not exist\n'
    errors = packages / "pyrunc" / "errors.py"
    errors.write_text(errors.read_text().replace("does not exist", "was never there"))
    after = subprocess.run(command, capture_output=True, text=True, check=False)
    assert after.stderr == 'pyrunc: container "nobody" was never there\n'


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
    build(installed(tmp_path))
    sources = [TOP / "nsenter" / name for name in ("launcher.c", "interpreter.c")]
    subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-o", tmp_path / "bin" / "pyrunc", *sources], check=True)
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    command = [tmp_path / "bin" / "pyrunc", "--root", tmp_path, "state", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, 'pyrunc: container "nobody" does not exist\n')
    listed = subprocess.run([*command[:3], "list"], capture_output=True, text=True, check=False)
    assert (listed.returncode, listed.stdout[:2]) == (0, "ID")
