"""Directories that are made together with their parents; a pipe in place of a file."""

import os
import threading
from pathlib import Path

import pytest

from pyrunc.container.store import make_root
from pyrunc.errors import PyruncError
from pyrunc.linux.files import make_directories, read
from pyrunc.resources.filter_cache import Filters


def test_missing_ones_are_made_and_existing_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    make_directories(f"{tmp_path}/a/b/c/", 0o711, 0o700)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/c")}
    assert modes == {"a": 0o700, "a/b": 0o711, "a/b/c": 0o700}
    make_directories(f"{tmp_path}/a/b/c", 0o755)
    assert (tmp_path / "a/b/c").stat().st_mode & 0o777 == 0o700


def test_the_one_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError) as caught:
        make_directories(f"{tmp_path}/file/b/c", 0o755)
    assert caught.value.filename == f"{tmp_path}/file/b"
    with pytest.raises(PyruncError, match=f"state directory {tmp_path}/file/b/c: mkdir {tmp_path}/file/b: not a dir"):
        make_root(f"{tmp_path}/file/b/c")


def test_a_pipe_in_a_file_s_place_is_not_waited_for(tmp_path: Path) -> None:
    """Neither for its first writer, nor for what that writes."""
    os.mkfifo(tmp_path / "pipe")
    filters = Filters(str(tmp_path))
    tmp_path.chmod(0o700)
    filters.add(b"wanted", b"made")
    filters.save()
    (kept,) = set(os.listdir(tmp_path)) - {"pipe"}
    assert filters.find(b"wanted") == b"made"
    os.replace(tmp_path / "pipe", tmp_path / kept)
    found: list[object] = []

    def look() -> None:
        found.extend([read(str(tmp_path / kept)), filters.find(b"wanted")])
        writer = os.open(tmp_path / kept, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            read(str(tmp_path / kept))
        found.append(filters.find(b"wanted"))
        os.close(writer)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(10)
    assert found == [b"", None, None]
