"""Cached filters: found again, and not trusted if another program changed them."""

import hashlib
from pathlib import Path

import pytest

from pyrunc.resources.filter_cache import MOST, Filters


def keep(directory: Path, wanted: bytes, made: bytes) -> None:
    filters = Filters(str(directory))
    filters.add(wanted, made)
    filters.save()


def test_what_was_kept_is_found(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    assert Filters(str(directory)).find(b"profile") is None
    keep(directory, b"profile", b"filter")
    assert Filters(str(directory)).find(b"profile") == b"filter"
    assert Filters(str(directory)).find(b"another") is None
    assert directory.stat().st_mode & 0o777 == 0o700


def test_no_more_are_kept_than_a_host_has_profiles(tmp_path: Path) -> None:
    for number in range(2 * MOST):
        keep(tmp_path / "cache", b"%d" % number, b"filter")
    assert len(list((tmp_path / "cache").iterdir())) <= MOST


@pytest.mark.parametrize("damage", ["cut", "changed", "of others", "a link", "a linked directory", "a directory"])
def test_kept_filter_that_is_not_as_we_left_it_is_not_used(damage: str, tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    keep(directory, b"profile", b"a filter")
    (kept,) = directory.iterdir()
    data = kept.read_bytes()
    forged = hashlib.blake2b(b"another", digest_size=32).digest() + b"another"
    if damage == "cut":
        kept.write_bytes(data[:-2])
    elif damage == "changed":
        kept.write_bytes(data[:32] + b"another")
    elif damage == "of others":
        kept.write_bytes(forged)
        directory.chmod(0o770)
    elif damage == "a link":
        kept.rename(tmp_path / "elsewhere")
        kept.symlink_to(tmp_path / "elsewhere")
    elif damage == "a linked directory":
        directory.rename(tmp_path / "elsewhere")
        directory.symlink_to(tmp_path / "elsewhere")
    else:
        kept.unlink()
        kept.mkdir()
    assert Filters(str(directory)).find(b"profile") is None
    keep(directory, b"profile", b"a filter")  # a failure to store is not an error


def test_a_directory_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keep(tmp_path / "file" / "cache", b"profile", b"filter")
    assert Filters(str(tmp_path / "file" / "cache")).find(b"profile") is None
