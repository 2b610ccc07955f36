"""Renamed directories are found by their inode."""

from pathlib import Path

from pyrunc.hostile.renamed import inodes, rename_back


def test_the_old_name_is_given_back(tmp_path: Path) -> None:
    for name in ("one", "two", "gone"):
        (tmp_path / name).mkdir()
    paths = [str(tmp_path / name) for name in ("one", "two", "gone", "never")]
    known = inodes(paths)
    assert [*known] == paths[:3]
    (tmp_path / "one").rename(tmp_path / "other")
    (tmp_path / "gone").rmdir()
    assert rename_back(known) == [paths[0]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    assert rename_back(known) == []


def test_what_lies_in_the_place_is_left(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    known = inodes([str(tmp_path / "one")])
    (tmp_path / "one").rename(tmp_path / "other")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "inside").mkdir()
    assert rename_back(known) == []
    assert (tmp_path / "other").exists()
