"""The conversation with a helper that ends at a bad moment."""

import os
import socket

import pytest

from pyrunc.errors import StepError
from pyrunc.launch.conversation import HelperEnded, Launch
from pyrunc.plan.steps import Step


def ended_child() -> int:
    """Returns the pid of a child that SIGKILL has ended."""
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


@pytest.mark.parametrize("closed", [True, False], ids=["the child has ended, too", "the child waits"])
def test_a_helper_that_ends_before_it_tells_the_pid(closed: bool) -> None:
    """The child has reported its step and is killed as well: end of file must not be read for ever."""
    launch = Launch([Step("clone", "", 0), Step("record", "")], {})
    launch.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    launch.helper = ended_child()
    if closed:
        theirs.close()
    with pytest.raises(HelperEnded):
        launch._await_pid(1)
    launch.channel.close()
    theirs.close()


@pytest.mark.parametrize(
    "uid, gid, groups",
    [
        (2**32 - 1, 5, []),
        (5, 2**32 - 1, []),
        (2**32, 5, []),
        (-1, 5, []),
        (5, 5, ["4294967295"]),
        (5, 5, ["4294967296"]),
        (5, 5, ["x"]),
    ],
)
def test_the_helper_refuses_by_itself_what_is_no_id(uid: int, gid: int, groups: list[str]) -> None:
    """setresuid(-1) changes nothing, and a larger number is truncated: in both cases the process would stay root."""
    launch = Launch([Step("identity", "process.user", uid, gid, groups)], {})
    with pytest.raises(StepError, match="a uid or gid that is none"):
        launch.run({})
