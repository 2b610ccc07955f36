"""Signalling a crowd: processes are listed twice, however many there are, before they are signalled."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from pyrunc.cgroup.groups import Groups
from pyrunc.container import kill
from pyrunc.linux import procfs

MANY = 600
CONTAINER: Any = None
"""The functions under test do not use it."""


@pytest.fixture
def children() -> Iterator[list[int]]:
    """Processes that end only by a signal."""
    made = []
    for _ in range(3):
        if (pid := os.fork()) == 0:
            signal.pause()
            os._exit(0)
        made.append(pid)
    yield made
    for pid in made:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def looks(monkeypatch: pytest.MonkeyPatch, *answers: dict[int, int]) -> list[int]:
    """Makes ``members`` return ``answers`` one after the other; returns a list that grows with each call."""
    counted: list[int] = []

    def members(_: Any) -> dict[int, int]:
        counted.append(1)
        return answers[min(len(counted), len(answers)) - 1]

    monkeypatch.setattr(kill, "members", members)
    return counted


def test_two_looks_for_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    everyone = dict.fromkeys(range(1 << 22, (1 << 22) + MANY), 1)  # above the highest pid: all have ended meanwhile
    counted = looks(monkeypatch, everyone)
    assert kill.signal_all(CONTAINER, signal.SIGKILL) == set(everyone)
    assert len(counted) == 2


def test_a_pid_that_became_another_process_s_is_not_signalled(
    monkeypatch: pytest.MonkeyPatch, children: list[int]
) -> None:
    member, reused, new = children
    times = {pid: procfs.stat(pid)[1] for pid in children}
    looks(monkeypatch, {member: times[member], reused: times[reused] - 1}, times)
    assert kill.signal_all(CONTAINER, signal.SIGKILL) == set(children)
    os.waitid(os.P_PID, member, os.WEXITED | os.WNOWAIT)
    assert not ended(reused) and not ended(new)


def test_of_cgroups_too(monkeypatch: pytest.MonkeyPatch, children: list[int]) -> None:
    member, left, new = children
    answers = [{member, left}, {member, new}]
    monkeypatch.setattr(Groups, "pids", lambda _: answers.pop(0))
    assert Groups({"freezer": "/nowhere"})._signal(signal.SIGKILL) == {member, new}
    os.waitid(os.P_PID, member, os.WEXITED | os.WNOWAIT)
    assert not ended(left) and not ended(new) and not answers
