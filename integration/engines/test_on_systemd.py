"""Engines on a host that systemd runs, with its cgroup manager: `make engines-table-systemd`, or any Debian with cgroup v2.

The cases are the same for each engine, on pyrunc and on runc; those of a running container share one, in the order below."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ground import NATIVE, RUNTIMES, wait_for
from on_systemd import (
    EATS,
    LESS_MEMORY,
    Engine,
    OfCtr,
    OfDocker,
    OfPodman,
    OfPodmanWithoutSystemd,
    missing,
    show,
    systemctl,
    units,
)

pytestmark = [
    pytest.mark.rootless,
    pytest.mark.skipif(not Path("/run/systemd/system").exists(), reason="systemd does not run this host"),
    pytest.mark.skipif(not Path("/sys/fs/cgroup/cgroup.controllers").exists(), reason="this host has cgroup v1"),
]
Made = Callable[[str, Path], Engine]


def cri(runtime: str, archive: Path) -> Engine:
    from on_systemd_cri import OfCri  # which needs gRPC, and the others do not

    return OfCri(runtime, archive)


ENGINES: dict[str, tuple[Made, bool]] = {
    "ctr": (OfCtr, True),
    "CRI": (cri, True),
    "Docker": (OfDocker, True),
    "Podman": (OfPodman, True),
    "Podman, cgroupfs": (OfPodmanWithoutSystemd, True),
    "Podman, user": (OfPodman, False),
    "Podman, user, cgroupfs": (OfPodmanWithoutSystemd, False),
}
"""How each is made, and whether it is root's; the names are the table's columns."""
NAME = "held"
COUNTS = "echo >/ready; n=0; while :; do n=$((n+1)); echo $n >/dev/shm/n; sleep 0.2; done"


def of(*without: str) -> Any:
    """The case on each engine but those whose client cannot ask for it."""
    names = [name for name in ENGINES if name not in without]
    pairs = [
        (name, runtime) for name in names for runtime in ("pyrunc", *([NATIVE] * (name in ("ctr", "CRI"))), "runc")
    ]
    ids = [f"{name}-{runtime}" for name, runtime in pairs]
    return pytest.mark.parametrize("engine", pairs, indirect=True, scope="module", ids=ids)


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest, archive: Path) -> Iterator[Engine]:
    name, runtime = request.param
    make, root = ENGINES[name]
    if root != (os.geteuid() == 0):
        pytest.skip(f"is {'root' if root else 'a user'}'s")
    if program := missing(runtime):
        pytest.skip(f"{program} is not installed")
    failed = systemctl("--failed", "--plain", "--no-legend")
    made = make(runtime, archive)
    yield made
    made.close()
    wait_for(lambda: not units(), "the scopes to have gone", 60)
    assert systemctl("--failed", "--plain", "--no-legend") == failed


@pytest.fixture(scope="module")
def running(engine: Engine) -> Iterator[Engine]:
    """The engine with a container of all its limits, which has begun."""
    engine.start(NAME)
    yield engine
    engine.remove(NAME)


def in_systemd(unit: str) -> dict[str, str]:
    """systemd's own words for the limits, by the file on v2."""
    quota = {"500ms": "50000 100000"}.get(show(unit, "CPUQuotaPerSecUSec"), "max")
    return {"memory.max": show(unit, "MemoryMax"), "pids.max": show(unit, "TasksMax"), "cpu.max": quota}


@pytest.fixture
def quiet(engine: Engine) -> Iterator[None]:
    """No scope stays, loaded or failed, of a container that was removed. conmon's own ends a moment after its client."""
    yield
    wait_for(lambda: not units(), "the scopes to have gone", 60)


@of()
def test_limits_are_in_force_and_systemd_knows_them(running: Engine) -> None:
    assert running.held(NAME) == running.limits
    if running.systemd:
        known = in_systemd(running.unit(NAME))
        assert {name: known[name] for name in running.limits} == running.limits


@of()
def test_the_scope_has_its_name_and_its_slice(running: Engine) -> None:
    unit = running.unit(NAME)
    path = Path(f"/proc/{running.pid(NAME)}/cgroup").read_text().partition("::")[2].strip()
    if not running.systemd:
        assert f"{unit}/" not in path + "/" and show(unit, "LoadState") == "not-found"
        return
    assert show(unit, "ActiveState") == "active" and show(unit, "Slice") == running.slice
    assert (path + "/").startswith(show(unit, "ControlGroup") + "/")
    assert Path(show(unit, "ControlGroup")).parts[-2:] == (running.slice, unit)


@of()
def test_exec_has_its_output_and_joins_the_cgroup(running: Engine) -> None:
    done = running.exec(NAME, "cat /proc/1/cgroup /proc/self/cgroup; exit 3")
    init, own = done.stdout.splitlines()
    assert done.returncode == 3 and init == own and init.startswith("0::/")


@of("ctr")
def test_an_update_is_kept_by_a_reload(running: Engine) -> None:
    running.update(NAME)
    systemctl("daemon-reload")
    assert running.held(NAME) == running.limits | {"memory.max": str(LESS_MEMORY)}
    if running.systemd:
        assert show(running.unit(NAME), "MemoryMax") == str(LESS_MEMORY)


@of("ctr", "CRI")
def test_a_restart_has_the_limits_again(running: Engine) -> None:
    before = running.pid(NAME)
    running.restart(NAME)
    held = running.held(NAME)
    assert running.pid(NAME) != before and held.keys() == running.limits.keys() and "max" not in held.values()
    if running.systemd:
        known = in_systemd(running.unit(NAME))
        assert {name: known[name] for name in running.limits} == held


@of()
def test_stop_ends_it_and_its_scope(running: Engine) -> None:
    unit = running.unit(NAME)
    running.stop(NAME)
    assert running.ended(NAME)[0] == 6
    running.remove(NAME)
    assert show(unit, "LoadState") == "not-found"


@of()
def test_run_prints_and_exits_with_the_status(engine: Engine, quiet: None) -> None:
    assert engine.run("echo out; exit 7") == (7, "out\n")


@of()
def test_a_kill_from_outside_is_reported(engine: Engine, quiet: None) -> None:
    engine.start("killed")
    os.kill(engine.pid("killed"), signal.SIGKILL)
    assert engine.ended("killed")[0] == 137
    engine.remove("killed")


@of()
def test_out_of_memory_is_reported_and_no_failed_unit_stays(engine: Engine, quiet: None) -> None:
    engine.start("eats", EATS)
    status, reported = engine.ended("eats")
    assert status == 137 and (reported or not engine.reports_oom)
    engine.remove("eats")


def without_hardware_breakpoints(engine: Engine) -> Path:
    """The runtime for CRIU under QEMU (integration/guest/README.md). Podman passes no variable on to it."""
    wrapper = engine.host.directory / f"{engine.runtime}-criu"
    wrapper.write_text(f'#!/bin/sh\nCRIU_FAULT=130 exec {RUNTIMES[engine.runtime]} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


@of(*(name for name in ENGINES if name != "Podman"))
def test_a_checkpoint_is_restored(engine: Engine, quiet: None) -> None:
    assert isinstance(engine, OfPodman)
    if not shutil.which("criu") or subprocess.run(["criu", "check"], capture_output=True, check=False).returncode:
        pytest.skip("criu check: CRIU does not work with this kernel")
    engine.start("dumped", COUNTS, "--runtime", str(without_hardware_breakpoints(engine)))
    count = lambda: int(engine.exec("dumped", "cat /dev/shm/n").stdout or 0)  # noqa: E731
    wait_for(lambda: count() > 3, "the container to count", 60)
    engine.ok("container", "checkpoint", "dumped")
    assert engine.inspect("State.Status", "dumped") == "exited"
    engine.ok("container", "restore", "dumped")
    before = count()
    assert before > 3 and engine.held("dumped") == engine.limits
    wait_for(lambda: count() > before, "the container to count on", 60)
    engine.remove("dumped")
