"""containerd alone, through its own client `ctr`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctr import Ctr
from ground import Ground

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    made = Ground("ctr")
    Ctr.prepare(made, archive)
    yield made
    made.close()


@pytest.fixture
def ctr(ground: Ground, runtime: str) -> Iterator[Ctr]:
    made = Ctr(ground, runtime)
    yield made
    made.remove_all()


def test_run_prints_and_exits(ctr: Ctr) -> None:
    done = ctr.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)
