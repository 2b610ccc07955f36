"""Fixtures of all integration tests: real containers of busybox on this host, as root; as a user as well for those
that are marked ``rootless``."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_box import Scene, Stage

from harness import Box

# A shell's background job ignores these, and what it starts inherits that: the tests that send them would wait for ever.
for _number in (signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("rootless") is None:
            item.add_marker(pytest.mark.skip(reason="needs root: the test is not marked rootless"))


@pytest.fixture
def box(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Box]:
    """A Box to run containers in. Whatever is left of them at the end is removed and reported as a failure.

    The runtime is pyrunc, unless the test is marked with peers.also_on.
    """
    made = Box(tmp_path, *([request.param] if hasattr(request, "param") else []))
    yield made
    made.close()


@pytest.fixture(scope="module")
def hostile_scene() -> Iterator[Scene]:
    """The stand-ins and their daemon. This process is in separate cgroups meanwhile: a library may leave some."""
    from scene import mounts, own_cgroups, scene

    if not mounts():
        pytest.skip("this host has no v1 hierarchy to be moved in")
    with own_cgroups(f"pyrunc-hostile-{os.getpid()}"), scene() as made:
        yield made


@pytest.fixture
def stage(box: Box, hostile_scene: Scene) -> Stage:
    """A box, and a scene of hostile libraries."""
    return Stage(box, hostile_scene)
