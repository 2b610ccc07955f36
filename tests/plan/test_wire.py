"""The wire format: what Python writes is what the helper's reader expects."""

import struct

import pytest

from pyrunc.plan.steps import HELPER, KINDS, OPCODES, Step
from pyrunc.plan.wire import HEADER, MAGIC, encode


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


def test_a_step_with_the_wrong_number_of_arguments_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="hostname"):
        Step("hostname", "hostname")


def test_only_the_helpers_kinds_have_an_opcode() -> None:
    assert set(OPCODES) == {kind for kind, (actor, _, _) in KINDS.items() if actor == HELPER}
    assert sorted(OPCODES.values()) == list(range(len(OPCODES)))
