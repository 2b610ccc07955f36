"""Fixtures of the engines' suites, and the table of what passed."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import table
from ground import RUNTIMES, Ground, image
from podman import Podman

RESULTS: dict[tuple[str, str], dict[str, str]] = {}


@pytest.fixture(scope="module", params=list(RUNTIMES))
def runtime(request: pytest.FixtureRequest) -> str:
    """The runtime under test: every case runs on pyrunc and on runc, so that a failure tells whose it is."""
    if not shutil.which(RUNTIMES[request.param]):
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The busybox image as a docker-archive, made here: nothing comes from the network."""
    return image(tmp_path_factory.mktemp("image") / "busybox.tar")


@pytest.fixture
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing of a case is alive after it; used by a suite through ``pytestmark = usefixtures('clean')``."""
    yield
    ground: Ground = request.getfixturevalue("ground")
    ground.settle()


@pytest.fixture
def podman(ground: Ground, runtime: str) -> Iterator[Podman]:
    """Podman on the module's ground with the runtime under test; what a case made is removed behind it."""
    made = Podman(ground, runtime)
    yield made
    made.remove_all()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark = item.get_closest_marker("runc_fails")
        if mark is not None and "runc" in table.words_of(item.nodeid):
            item.add_marker(pytest.mark.xfail(reason=f"runc: {mark.args[0]}", strict=False))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "runc_fails(why): the case passes on pyrunc and is known to fail on Debian's runc"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed and "ground" in getattr(item, "funcargs", {}):
        report.sections.append(("daemons", item.funcargs["ground"].logs()))
    table.record(RESULTS, item.nodeid, report)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    target = os.environ.get("ENGINES_TABLE")
    if target and RESULTS:
        places = [Path(place).name for place in session.config.args]
        table.write(Path(target), RESULTS, whole=places == ["engines"] and not session.config.getoption("keyword"))
