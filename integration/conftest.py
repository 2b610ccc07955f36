"""Fixtures of all integration tests: real containers of busybox, on the host we are on; as root, and as a user those
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
    """A place to run containers in; whatever is left of them at the end is removed, and told as a failure.

    The runtime is pyrunc, unless peers.also_on says otherwise.
    """
    made = Box(tmp_path, *([request.param] if hasattr(request, "param") else []))
    yield made
    made.close()


@pytest.fixture(scope="module")
def hostile_scene() -> Iterator[Scene]:
    """The stand-ins and their daemon. We are in cgroups of our own meanwhile, for a library may leave some in ours."""
    from scene import mounts, own_cgroups, scene

    if not mounts():
        pytest.skip("this host has no v1 hierarchy to be moved in")
    with own_cgroups(f"pyrunc-hostile-{os.getpid()}"), scene() as made:
        yield made


@pytest.fixture
def stage(box: Box, hostile_scene: Scene) -> Stage:
    """A box, and a scene of hostile libraries."""
    return Stage(box, hostile_scene)
