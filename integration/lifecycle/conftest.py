"""Fixtures of the lifecycle tests: containers of the library, and CRIU's stand-in."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from criu_stand_in import StandIn
from library import DEVNULL, all_children, not_ours, subreaper

from harness import Box, base_config
from pyrunc import (
    Container,
)


@pytest.fixture
def make(box: Box) -> Callable[..., Container]:
    """Creates a container from a config. Its output goes to /dev/null by default."""

    def making(args: list[str] | str = "sleep 100", change: Any = None, run: bool = False, **options: Any) -> Container:
        config = base_config()
        config["process"]["args"] = ["sh", "-c", args] if isinstance(args, str) else args
        if change is not None:
            change(config)
        streams = {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": DEVNULL, **options}
        function = Container.run if run else Container.create
        return function(box.new_id(), str(box.directory), config=config, root=str(box.root), **streams)

    return making


@pytest.fixture
def nothing_of_the_process_changes() -> Iterator[None]:
    """Checks that the library leaves no global state: the attributes of the process are unchanged."""

    def snapshot() -> dict[str, Any]:
        mask = os.umask(0)
        os.umask(mask)
        return {
            "cwd": os.getcwd(),
            "umask": mask,
            "environment": dict(os.environ),
            "signals": [signal.getsignal(n) for n in signal.valid_signals()],
            "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            "subreaper": subreaper(),
            "threads": threading.active_count(),
        }

    not_ours.clear()
    not_ours.update(all_children())
    before = snapshot()
    before["environment"].pop("PYTEST_CURRENT_TEST", None)
    yield
    after = snapshot()
    after["environment"].pop("PYTEST_CURRENT_TEST", None)
    assert after == before


@pytest.fixture
def criu(box: Box) -> StandIn:
    return StandIn(box)
