"""The wheel, installed into a separate environment, outside of the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import TOP, Box


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin/pyrunc`` of a new environment."""
    directory = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # Built from a copy: a build in the checkout would change the programs of the other tests.
    source = directory / "source"
    subprocess.run(["git", "clone", "--quiet", TOP, source], check=True)
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", directory, source], check=True)
    subprocess.run(["rm", "-rf", source], check=True)
    subprocess.run([sys.executable, "-m", "venv", directory / "venv"], check=True)
    wheel = next(directory.glob("*.whl"))
    subprocess.run([*pip, "--python", directory / "venv" / "bin" / "python", "install", wheel], check=True)
    return directory / "venv" / "bin" / "pyrunc"


def test_it_runs_containers(installed: Path, box: Box) -> None:
    command = [installed, "--root", box.root, "run", "-b", box.bundle("echo from the wheel"), box.new_id()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "from the wheel\n", "")


def test_it_starts_as_fast_as_a_checkout(installed: Path, box: Box) -> None:
    """An installation is not edited, so no source is checked at start."""
    trace = box.directory / "trace"
    command = ["strace", "-e", "trace=openat,newfstatat", "-o", trace, installed, "--root", box.root, "state", "nobody"]
    subprocess.run(command, capture_output=True, check=False)
    assert "/_bin/hot/state" in trace.read_text() and '.py"' not in trace.read_text()


def test_it_says_what_it_is(installed: Path) -> None:
    done = subprocess.run([installed, "--version"], capture_output=True, text=True, check=True, env={}, cwd="/")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["pyrunc", "commit:", "spec:", "libseccomp:"]


def test_its_interpreter_is_not_swayed_by_the_caller(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('the caller's module')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "click.py")}
    done = subprocess.run(
        [installed, "--help"], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0 and "Commands:" in done.stdout
