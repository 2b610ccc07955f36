"""Which answers of pidfd_open(2) mean that a process has ended."""

import os
import signal

import pytest

from pyrunc.errors import NotRunning
from pyrunc.linux import pidfd, procfs


def test_the_pid_of_an_ended_process_that_is_still_a_session() -> None:
    """Linux before 6.15 returns EINVAL for it, as for pid 0, and ESRCH only once nothing has that pid."""
    reader, writer = os.pipe()
    leader = os.fork()
    if not leader:
        os.setsid()
        member = os.fork()
        if not member:
            signal.pause()
        os.write(writer, str(member).encode())
        os._exit(0)
    member = int(os.read(reader, 20))
    started = procfs.stat(leader)[1]
    try:
        os.waitpid(leader, 0)
        for pid in (leader, 0):
            assert pidfd.open_process(pid, started) == -1 and pidfd.ended(pid, started)
            with pytest.raises(NotRunning):
                pidfd.send(pid, started, signal.SIGTERM)
    finally:
        os.kill(member, signal.SIGKILL)
        os.close(reader)
        os.close(writer)
