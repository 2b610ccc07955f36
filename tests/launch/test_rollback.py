"""What a failed launch releases."""

import pytest

from pyrunc.interrupts import Terminated
from pyrunc.launch.rollback import Rollback


def test_what_is_left_of_a_rollback_is_done_after_a_signal() -> None:
    done: list[int] = []

    def interrupted() -> None:
        raise Terminated(15)

    rollback = Rollback()
    for release in (lambda: done.append(1), interrupted, lambda: done.append(2)):
        rollback.add(release)
    with pytest.raises(Terminated):
        rollback.run()
    assert done == [2, 1]
