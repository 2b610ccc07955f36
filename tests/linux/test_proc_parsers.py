"""Files of /proc whose content a container can influence, with any bytes in them."""

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrunc.cgroup import host
from pyrunc.cgroup.counters import Files
from pyrunc.cgroup.systemd import unit
from pyrunc.container import events
from pyrunc.linux import files, procfs
from pyrunc.resources import host_root
from pyrunc.shim import leftovers

quick = settings(max_examples=200, deadline=None, database=None)


def reading(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    for module in (files, procfs, host, host_root, leftovers, unit):
        monkeypatch.setattr(module, "read", lambda *_, **__: data)


NAMES = st.binary(min_size=1, max_size=15).filter(lambda name: not set(name) & set(b" \t\n\r\v\f/:\0"))
"""Names of interfaces, as the kernel's dev_valid_name() allows, except Latin-1's blank."""


@given(st.binary(max_size=15))
@quick
def test_a_process_of_any_name(name: bytes) -> None:
    """prctl(PR_SET_NAME) accepts parentheses, newlines, and bytes that are not text."""
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
    """Input that no kernel writes: the parser raises only its documented exceptions."""
    with pytest.MonkeyPatch.context() as patch:
        reading(patch, data)
        parser(*([7] if parser is not procfs.in_user_namespace else []))


def test_more_than_anything_should_have(tmp_path: Any) -> None:
    """An argument area of 8 GB must not exhaust memory."""
    huge = tmp_path / "huge"
    with open(huge, "wb") as file:
        file.truncate(8 << 30)
    with pytest.raises(OSError, match="file too large"):
        files.read(str(huge))


PATHS = st.binary(min_size=1, max_size=30).filter(lambda path: not set(path) & set(b"\0\n"))
"""Paths of cgroups: the kernel's cgroup_mkdir() refuses only newlines."""


@given(st.dictionaries(st.sampled_from(["cpu,cpuacct", "name=systemd", "pids", ""]), PATHS, max_size=4))
@quick
def test_cgroups_of_any_name(paths: dict[str, bytes]) -> None:
    lines = [b"%d:%s:/%s\n" % (number, name.encode(), path) for number, (name, path) in enumerate(paths.items())]
    with pytest.MonkeyPatch.context() as patch:
        reading(patch, b"".join(lines))
        found = host.paths_of(7)
        assert {name: path.encode("utf-8", "surrogateescape")[1:] for name, path in found.items()} == paths
        assert unit._is_in(7, "made.scope") == any(
            b"/" + path == b"/made.scope" or path.endswith(b"/made.scope") for path in paths.values()
        )


def mangled(path: bytes) -> bytes:
    """Escapes a path as mangle() in the kernel's fs/seq_file.c."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes((byte,)) for byte in path)


MOUNT_POINTS = st.binary(min_size=1, max_size=30).filter(lambda path: b"\0" not in path)


@given(st.lists(MOUNT_POINTS, max_size=4, unique=True))
@quick
def test_mounts_of_any_name(names: list[bytes]) -> None:
    """A mount point with any name is found under that name; the name ends no line or field."""
    lines = [
        b"%d 1 0:30 / /%s rw,relatime shared:1 - cgroup2 cgroup2 rw,nsdelegate\n" % (number + 40, mangled(name))
        for number, name in enumerate(names)
    ]
    with pytest.MonkeyPatch.context() as patch:
        reading(patch, b"".join(lines))
        assert [point.encode("utf-8", "surrogateescape")[1:] for _, point, _, _ in host._mounts()] == names
        for number, name in enumerate(names):
            path = b"/" + name
            assert host_root.top(path.decode("utf-8", "surrogateescape")) == number + 40
            assert leftovers.mounted(path.decode("utf-8", "surrogateescape"))
        assert not leftovers.mounted("/\0") and not host_root.top("/\0")


@given(st.binary(max_size=300))
@quick
def test_any_bytes_in_a_counter(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyrunc.cgroup.counters.read", lambda _: data)
        read = Files("/nowhere")
        assert isinstance(read.number("any"), int) and isinstance(read.table("any"), dict)
        assert not any("\n" in line for line in read.lines("any"))


FUZZED = {
    *("procfs._fields", "procfs.children", "procfs.in_user_namespace", "events.interfaces", "host.paths_of"),
    *("host._mounts", "unit._is_in", "host_root.top", "leftovers.mounted", "counters.text"),
}
NUMBERS = {
    *(
        "freezer.frozen",
        "freezer._settled",
        "groups.pids",
        "groups.look",
        "host.discover",
        "manager._check_shares",
        "manager.usage",
    ),
    *("manager.oom_kills", "rollback._previous", "manager._owner", "cpuset.fill", "controllers._words"),
    *("features.known_capabilities", "processes._boot", "procfs._boot_offset", "runtime_directory._owns_run"),
}
"""Files with only numbers and fixed words of the kernel: no process controls a byte of them."""
OTHERS = {
    "resctrl._text": "the host's hardware",
    "store.reload": "pyrunc's own state (integration/lifecycle/test_delete_anyway.py)",
    "store.salvage": "the same",
    "load.load": "the caller's config.json (tests/spec)",
    "load.load_process": "the caller's process.json",
    "update._of_file": "the caller's resources",
    "invoke.version": "a file of the build",
    "entry._commit": "the same",
    "bootstrap.group": "the shim's own file",
    "bootstrap.forget": "the same",
    "programs._engines": "the host's settings",
    "list.user_name": "the host's passwd",
    "parser._options": "the command line: another function of that name",
    "parser.named": "the same",
    "checkpoint.explained": "CRIU's log, in which any text is text",
    "restore._descriptors": "pyrunc's own note in the caller's checkpoint, checked as it is read",
    "runtime_options._foreign": "containerd's settings",
}


def readers() -> set[str]:
    """Returns the functions that call ``read`` or ``read_at``, except in the room of the test mode."""
    top = Path(files.__file__).parents[1]
    found = set()
    for path in (path for path in top.rglob("*.py") if path.parent.name != "hostile" and path.name != "files.py"):
        module = ast.parse(path.read_text())
        for function in (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)):
            calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            plain = {call.id for call in calls if isinstance(call, ast.Name)}
            by_module = {
                call.attr for call in calls if isinstance(call, ast.Attribute) and ast.unparse(call.value) == "files"
            }
            if plain & {"read", "read_at", "read_text"} or "read" in by_module:
                found.add(f"{path.stem}.{function.name}")
    return found


def test_no_parser_is_left_out() -> None:
    """A function that reads a file is fuzzed above, or listed with the reason why not."""
    assert readers() - FUZZED - NUMBERS - set(OTHERS) == set()
    assert readers() >= FUZZED
