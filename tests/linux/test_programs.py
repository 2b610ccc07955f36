"""Programs that are waited for, and signals."""

import os
import signal
import subprocess
from typing import Any

import pytest

from pyrunc.interrupts import Terminated
from pyrunc.linux import programs


def test_output_and_status() -> None:
    done = programs.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    with pytest.raises(FileNotFoundError):
        programs.run(["/nowhere"])
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_a_signal_right_after_the_fork_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment at which subprocess.run would leave it running."""
    pids: list[int] = []
    fork = subprocess._fork_exec  # type: ignore[attr-defined]

    def forked(*args: Any) -> int:
        pids.append(fork(*args))
        signal.raise_signal(signal.SIGTERM)
        return pids[0]

    def terminate(number: int, _: object) -> None:
        raise Terminated(number)

    monkeypatch.setattr(subprocess, "_fork_exec", forked)
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(Terminated):
            programs.run(["sleep", "1000"])
        with pytest.raises(ChildProcessError):  # it is reaped
            os.waitpid(pids[0], os.WNOHANG)
    finally:
        signal.signal(signal.SIGTERM, before)
