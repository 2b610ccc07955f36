"""Fixtures of the engines' suites, and the table of what passed."""

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import table
import table_systemd
from ctr import Ctr
from dockerd import Docker
from ground import NATIVE, RUNTIMES, SHIM, Ground, image
from pod import Pod
from podman import Podman

if TYPE_CHECKING:
    from cri import Cri

RESULTS: dict[tuple[str, str], dict[str, str]] = {}
ON_SYSTEMD: table_systemd.Results = {}
ATTEMPTS = itertools.count()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every case runs on pyrunc and on runc, to show whose a failure is. Cases of containerd's own clients run
    on pyrunc's shim, too. (Docker accepts a shim from 23 on; Debian 12's is 20.10.)"""
    if "runtime" in metafunc.fixturenames:
        file = Path(str(metafunc.module.__file__)).stem
        more = [NATIVE] if file.startswith(("test_ctr", "test_cri")) else []
        metafunc.parametrize("runtime", [*RUNTIMES, *more], indirect=True, scope="module")


@pytest.fixture(scope="module")
def runtime(request: pytest.FixtureRequest) -> str:
    """The runtime under test."""
    if not shutil.which(RUNTIMES.get(request.param, str(SHIM))):
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The busybox image as a docker-archive, made locally: nothing is downloaded."""
    return image(tmp_path_factory.mktemp("image") / "busybox.tar")


@pytest.fixture
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Checks that nothing of a case is left after it; a suite uses it by ``pytestmark = usefixtures('clean')``."""
    yield
    ground: Ground = request.getfixturevalue("ground")
    ground.settle()


@pytest.fixture
def ctr(ground: Ground, runtime: str) -> Iterator[Ctr]:
    """ctr on the module's ground with the runtime under test, as every engine's fixture here. Whatever a case made is
    removed after it."""
    made = Ctr(ground, runtime)
    yield made
    made.remove_all()


@pytest.fixture
def cri(ground: Ground, runtime: str) -> Iterator["Cri"]:
    from cri import Cri  # needs gRPC, unlike the other suites

    made = Cri(ground, runtime)
    yield made
    made.close()


@pytest.fixture
def docker(ground: Ground, runtime: str) -> Iterator[Docker]:
    made = Docker(ground, runtime)
    yield made
    made.remove_all()


@pytest.fixture
def pod(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Pod]:
    """A pod of pyrunc's shim, driven by the shim's own calls; a new one if the test is run again."""
    made = Pod(ground, f"p{abs(hash(request.node.name)) % 10**6}{next(ATTEMPTS)}")
    (ground.directory / made.group).mkdir()
    yield made
    made.end()
    ground.settle()


@pytest.fixture
def podman(ground: Ground, runtime: str) -> Iterator[Podman]:
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
    table_systemd.record(ON_SYSTEMD, item.nodeid, report)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    target = os.environ.get("ENGINES_TABLE")
    if target and RESULTS:
        places = [Path(place).name for place in session.config.args]
        table.write(Path(target), RESULTS, whole=places == ["engines"] and not session.config.getoption("keyword"))
    if directory := os.environ.get("ENGINES_SYSTEMD"):
        Path(directory, f"{os.geteuid()}.json").write_text(json.dumps(ON_SYSTEMD))
