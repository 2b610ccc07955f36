"""`make install` and `make deb`: the installation runs a container without this checkout, and is removed completely."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import TOP, Box

pytestmark = pytest.mark.skipif(
    not os.access("/usr/bin/python3", os.X_OK), reason="no interpreter of the distribution's"
)


def make(*words: str) -> str:
    """Runs a target of the Makefile; returns its output."""
    done = subprocess.run(["make", "-s", *words], cwd=TOP, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout


def programs_of_the_checkout() -> "dict[str, int]":
    return {path.name: path.stat().st_mtime_ns for path in (TOP / "pyrunc" / "_bin").rglob("*")}


def runs(program: Path, box: Box) -> None:
    """Asserts that ``program`` runs a container from another directory than the checkout, without its environment."""
    words = [program, "--root", box.root, "run", "-b", box.bundle("echo inside"), box.new_id()]
    done = subprocess.run(words, cwd="/", env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "inside\n", "")


def everything(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


def test_make_install_and_uninstall(box: Box, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "mine").touch()
    before = programs_of_the_checkout()
    make("install", f"PREFIX={prefix}")
    # Programs built by another interpreter would disable the checkout's fast path.
    assert programs_of_the_checkout() == before
    runs(prefix / "bin" / "pyrunc", box)
    installed = everything(prefix)
    assert {"share/man/man8/pyrunc.8", "share/man/man8/pyrunc-run.8"} <= installed
    assert {"share/bash-completion/completions/pyrunc", "share/zsh/site-functions/_pyrunc"} <= installed
    if shutil.which("groff"):
        pages = sorted((prefix / "share" / "man" / "man8").iterdir())
        done = subprocess.run(["groff", "-man", "-ww", "-z", *pages], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    make("uninstall", f"PREFIX={prefix}")
    assert everything(prefix) == {"bin/mine"}


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="not a Debian")
def test_the_debian_package_has_all_that_it_needs(box: Box, tmp_path: Path) -> None:
    package = TOP / make("deb").strip().splitlines()[-1]
    control = subprocess.run(["dpkg-deb", "-f", package, "Depends"], capture_output=True, text=True, check=True).stdout
    assert "libseccomp2" in control and "python3." in control
    subprocess.run(["dpkg-deb", "-x", package, tmp_path / "root"], check=True)
    files = everything(tmp_path / "root")
    assert {"usr/bin/pyrunc", "usr/share/man/man8/pyrunc.8.gz"} <= files
    found = subprocess.run(
        ["grep", "-rlI", "/tmp/tmp.", tmp_path / "root"], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""  # no file names the directory of the build
    runs(tmp_path / "root" / "usr" / "bin" / "pyrunc", box)
