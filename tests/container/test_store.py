"""The state on disk: a command reads it once if no other command changes it meanwhile."""

from pathlib import Path

import pytest

from pyrunc.container import store
from pyrunc.container.store import Store
from pyrunc.errors import DamagedState


@pytest.fixture
def made(tmp_path: Path) -> Store:
    """Makes the state of a created container."""
    made = Store(str(tmp_path), "one")
    made.make()
    made.state.bundle = "/bundle"
    made.save()
    made.release()
    return made


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> "list[bytes]":
    """Returns a list of each text that is parsed."""
    texts: list[bytes] = []
    loads = store.loads
    monkeypatch.setattr(store, "loads", lambda text: texts.append(text) or loads(text))
    return texts


def test_what_was_loaded_is_not_parsed_again_under_the_lock(made: Store, parsed: "list[bytes]") -> None:
    loaded = Store.load(made.root, "one")
    with loaded.locked():
        assert loaded.state.bundle == "/bundle" and len(parsed) == 1


def test_what_another_command_wrote_meanwhile_is_read(made: Store, parsed: "list[bytes]") -> None:
    loaded = Store.load(made.root, "one")
    with made.locked():
        made.state.bundle = "/other"
        made.save()
    with loaded.locked():
        assert loaded.state.bundle == "/other"


def test_what_was_changed_and_not_written_is_read_anew_the_second_time(made: Store, parsed: "list[bytes]") -> None:
    loaded = Store.load(made.root, "one")
    with loaded.locked():
        loaded.state.bundle = "/not written"
    with loaded.locked():
        assert loaded.state.bundle == "/bundle" and len(parsed) == 2


def test_damage_that_comes_in_between_is_told(made: Store) -> None:
    loaded = Store.load(made.root, "one")
    Path(made.directory, store.FILE).write_text("{")
    with pytest.raises(DamagedState), loaded.locked():
        pass
