"""Some seconds of the soak; `make soak` runs longer."""

import os
import platform
import time

import pytest
from soak import Soak, soak

SECONDS = float(os.environ.get("SOAK_SECONDS", "8"))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="makes system calls fail by x86_64's registers")
def test_lives() -> None:
    seed = int(time.time())
    made = soak(SECONDS, seed, 0)
    assert not made.failures, f"seed {seed}"
    assert made.figures["lives"] > SECONDS


def test_many_at_once() -> None:
    made = Soak(0)
    made.many(20)
    assert not made.failures and made.figures["at once"] == 20
