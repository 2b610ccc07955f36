"""Walks through trees and their removal, with directories, which need no cgroup filesystem."""

import os
from pathlib import Path

from pyrunc.cgroup.groups import Groups
from pyrunc.cgroup.tree import tree, visit


def made(top: Path, *paths: str) -> Path:
    for path in paths:
        (top / path).mkdir(parents=True)
    return top


def test_parents_first_and_children_first(tmp_path: Path) -> None:
    top = made(tmp_path / "top", "a/b/c", "a/d", "e")
    entered: list[str] = []
    left: list[str] = []
    visit(str(top), lambda _, names: entered.append("/".join(names)), lambda _, name: left.append(name))
    assert sorted(entered) == ["", "a", "a/b", "a/b/c", "a/d", "e"]
    assert all(entered.index(path.rpartition("/")[0]) < entered.index(path) for path in entered[1:])
    assert sorted(left) == ["a", "b", "c", "d", "e"]
    assert left.index("c") < left.index("b") < left.index("a") > left.index("d")
    assert sorted(tree(str(top))) == sorted(f"{top}/{path}".rstrip("/") for path in entered)


def test_after_is_given_the_parent(tmp_path: Path) -> None:
    top = made(tmp_path / "top", "a/b/c", "a/d")
    found = {}
    visit(str(top), lambda *_: None, lambda above, name: found.update({name: os.readlink(f"/proc/self/fd/{above}")}))
    assert found == {"a": str(top), "b": f"{top}/a", "c": f"{top}/a/b", "d": f"{top}/a"}


def test_what_is_skipped_is_not_entered(tmp_path: Path) -> None:
    top = made(tmp_path / "top", "a/b/c", "d/e")
    entered: list[str] = []
    visit(str(top), lambda _, names: entered.append("/".join(names)), skip=lambda _, name: name in ("b", "d"))
    assert entered == ["", "a"]


def test_all_that_can_be_removed_is(tmp_path: Path) -> None:
    """Leaves are listed once, and cgroups without processes are removed by one call."""
    top = made(tmp_path / "top", "a/b/c", "a/d", *(f"w{number}" for number in range(500)))
    groups = Groups({"one": str(top), "gone": str(tmp_path / "gone")})
    (top / "a" / "b" / "busy").touch()
    assert not groups.remove_unused()
    assert sorted(str(path.relative_to(top)) for path in top.rglob("*")) == ["a", "a/b", "a/b/busy"]
    (top / "a" / "b" / "busy").unlink()
    assert groups.remove_unused() and not top.exists()


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    top = made(tmp_path / "top", "a/b/c", "a/d")
    before = os.listdir("/proc/self/fd")
    visit(str(top), lambda *_: None, lambda *_: None)
    assert os.listdir("/proc/self/fd") == before
