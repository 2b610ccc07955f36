"""Removal of directories that a container wrote to: deep, wide, with links, with names that are not text."""

import os
import subprocess
from pathlib import Path

import pytest

from pyrunc.linux import trees


def test_deeper_than_path_max(tmp_path: Path) -> None:
    """Also deeper than the limits of descriptors and of Python's stack."""
    os.mkdir(tmp_path / "top")
    here = os.open(tmp_path / "top", os.O_PATH)
    for _ in range(3000):
        os.mkdir("inner", dir_fd=here)
        inner = os.open("inner", os.O_PATH, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    trees.remove_at(str(tmp_path / "top"))
    assert os.listdir(tmp_path) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").touch()
    (tmp_path / "top" / "inner").mkdir(parents=True)
    for place in (tmp_path / "top", tmp_path / "top" / "inner"):
        (place / "link").symlink_to(tmp_path / "victim")
    trees.remove_at(str(tmp_path / "top"))
    assert (tmp_path / "victim" / "file").exists() and os.listdir(tmp_path) == ["victim"]
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(NotADirectoryError):
        trees.remove_at(str(tmp_path / "link"))


def test_any_names(tmp_path: Path) -> None:
    top = os.fsencode(tmp_path) + b"/top"
    for name in (b"\xff\xfe", b"a\nb", b"\xe2\x80\xa8", b"..."):
        os.makedirs(top + b"/" + name + b"/" + name)
        open(top + b"/" + name + b"/f" + name, "w").close()
    trees.remove_at(str(tmp_path / "top"))
    assert os.listdir(tmp_path) == []


def test_what_has_gone_is_fine(tmp_path: Path) -> None:
    trees.remove_at(str(tmp_path / "top"))


@pytest.mark.skipif(os.geteuid() != 0, reason="sets a flag that only root may")
def test_an_immutable_file(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "file").touch()
    if subprocess.run(["chattr", "+i", tmp_path / "top" / "file"], capture_output=True).returncode:
        pytest.skip("this file system has no such flag")
    trees.remove_at(str(tmp_path / "top"))
