"""Files of /proc that a container can write into, read with any bytes in them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrunc.container import events
from pyrunc.linux import files, procfs

quick = settings(max_examples=200, deadline=None, database=None)


def reading(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    for module in (files, procfs):
        monkeypatch.setattr(module, "read", lambda *_, **__: data)


NAMES = st.binary(min_size=1, max_size=15).filter(lambda name: not set(name) & set(b" \t\n\r\v\f/:\0"))
"""Of an interface: dev_valid_name() in the kernel, but for Latin-1's blank."""


@given(st.binary(max_size=15))
@quick
def test_a_process_of_any_name(name: bytes) -> None:
    """prctl(PR_SET_NAME) takes parentheses, newlines, and what is no text."""
    with pytest.MonkeyPatch.context() as patch:
        reading(patch, b"7 (" + name + b") S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n")
        patch.setattr(procfs, "_offset", [0])
        assert procfs.stat(7) == ("S", 4711)
        assert procfs.alive(7, 4711) and not procfs.alive(7, 4712)


@given(st.lists(st.tuples(NAMES, st.integers(0, 1 << 64)), max_size=4))
@quick
def test_interfaces_of_any_name(interfaces: list[tuple[bytes, int]]) -> None:
    lines = [b"Inter-|   Receive  |  Transmit", b" face |bytes    packets"]
    lines += [b"%6s: %d" % each + b" 2 3 4 0 0 0 0 9 10 11 12 0 0 0 0" for each in interfaces]
    with pytest.MonkeyPatch.context() as patch:
        reading(patch, b"\n".join(lines) + b"\n")
        found = events.interfaces(7)
    shown = [(name.decode("utf-8", "replace"), number) for name, number in interfaces if name != b"lo"]
    assert [(entry["Name"], entry["RxBytes"]) for entry in found] == shown


@pytest.mark.parametrize("parser", [procfs.children, events.interfaces, procfs.in_user_namespace])
@given(data=st.binary(max_size=300))
@quick
def test_any_bytes(parser: Any, data: bytes) -> None:
    """What no kernel writes: nothing but what the function says that it raises."""
    with pytest.MonkeyPatch.context() as patch:
        reading(patch, data)
        parser(*([7] if parser is not procfs.in_user_namespace else []))


def test_more_than_anything_should_have(tmp_path: Any) -> None:
    """An argument area of 8 GB is no reason to run out of memory."""
    huge = tmp_path / "huge"
    with open(huge, "wb") as file:
        file.truncate(8 << 30)
    with pytest.raises(OSError, match="file too large"):
        files.read(str(huge))
