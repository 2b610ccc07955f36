"""The wire format: Python writes what the helper's reader expects."""

import struct

import pytest

from pyrunc.plan.steps import HELPER, KINDS, OPCODES, Step
from pyrunc.plan.wire import HEADER, MAGIC, SIZE, encode


def headers(data: bytes) -> list[tuple[int, int, int]]:
    magic, count, size = struct.unpack_from("=IIq", data)
    assert (magic, size) == (MAGIC, len(data))
    found, at = [], HEADER
    for _ in range(count):
        op, number, length = struct.unpack_from("=IIq", data, at)
        found.append((op, number, length))
        at += length
    assert at == len(data)
    return found


def test_a_run_of_runtime_steps_becomes_one_sync() -> None:
    plan = [
        Step("cgroup-place", "linux.cgroupsPath", [], 0, ""),
        Step("oom-score-adj", "process.oomScoreAdj", 1),
        Step("session", "process"),
        Step("record", ""),
        Step("await-start", ""),
    ]
    names = {number: kind for kind, number in OPCODES.items()}
    assert [(names[op], number) for op, number, _ in headers(encode(plan))] == [
        ("sync", 0),
        ("session", 2),
        ("sync", 3),
        ("await-start", 4),
    ]


def test_nothing_waits_for_what_is_done_ahead() -> None:
    plan = [
        Step("cgroup-create", "", []),
        Step("cgroup-devices", "", "", []),
        Step("trace", ""),
        Step("cgroup-place", "", [], 0, ""),
    ]
    names = {number: kind for kind, number in OPCODES.items()}
    assert [(names[op], number) for op, number, _ in headers(encode(plan))] == [("trace", 2), ("sync", 3)]


@pytest.mark.parametrize("length", [0, 1, 6, 7, 8, 9, 4096])
def test_every_argument_ends_in_nul_and_on_eight_bytes(length: int) -> None:
    data = encode([Step("hostname", "hostname", "x" * length)])
    assert len(data) % 8 == 0
    assert data.endswith(b"\0")
    assert struct.unpack_from("=q", data, 2 * HEADER) == (length,)


@pytest.mark.parametrize("count", [1, 500, 5000])
@pytest.mark.parametrize("length", [0, 7, 8, 50000])
def test_a_plan_of_any_size_is_read_back(count: int, length: int) -> None:
    """The data may cross SIZE in a string, an integer or a header."""
    names = [f"{number}" * 3 for number in range(count)] + ["x" * length]
    data = encode([Step("identity", "", -1, (1 << 63) - 1, names), Step("umask", "", 0o22)])
    (first, _, size), (_, number, _) = headers(data)
    assert (first, number) == (OPCODES["identity"], 1)
    assert struct.unpack_from("=qqq", data, 2 * HEADER) == (-1, (1 << 63) - 1, count + 1)
    at = 2 * HEADER + 24
    for name in names:
        (found,) = struct.unpack_from("=q", data, at)
        assert data[at + 8 : at + 8 + found + 1] == name.encode() + b"\0"
        at += 8 + (found + 8) // 8 * 8
    assert at == HEADER + size and struct.unpack_from("=q", data, at + HEADER) == (0o22,)


def test_a_plan_that_just_fits_is_whole() -> None:
    for length in range(SIZE - 80, SIZE + 1):
        data = encode([Step("hostname", "", "x" * length)])
        assert len(headers(data)) == 1 and data[2 * HEADER + 8 : -1].startswith(b"x" * length) and data[-1] == 0


def test_a_step_with_the_wrong_number_of_arguments_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="hostname"):
        Step("hostname", "hostname")


def test_only_the_helpers_kinds_have_an_opcode() -> None:
    assert set(OPCODES) == {kind for kind, (actor, _, _) in KINDS.items() if actor == HELPER}
    assert sorted(OPCODES.values()) == list(range(len(OPCODES)))
