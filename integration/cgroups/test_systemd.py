"""--systemd-cgroup on a host with systemd: `make guest`, or any Debian. systemd's settings equal the kernel's,
at creation, after each update and after each reload. Also run on runc and crun, if they behave the same."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peers import also_on, is_peer
from test_cgroups import MIB, resources

from harness import PYRUNC, Box, wait_for

pytestmark = [
    pytest.mark.rootless,
    pytest.mark.skipif(not Path("/run/systemd/system").exists(), reason="systemd does not run this host"),
]
CGROUPS = Path("/sys/fs/cgroup")
ALONE = (CGROUPS / "cgroup.controllers").exists()
v2 = pytest.mark.skipif(not ALONE, reason="files of cgroup v2 alone; this host has v1")

LIMITS: dict[str, Any] = {
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB},
    "cpu": {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 100},
    "blockIO": {"weight": 500},
    "unified": {"memory.high": str(60 * MIB)},
}
HELD = {
    "memory.max": str(64 * MIB),
    "memory.high": str(60 * MIB),
    "memory.low": str(32 * MIB),
    "memory.swap.max": str(32 * MIB),
    "cpu.max": "20000 50000",
    "cpu.weight": "59",
    "cpuset.cpus": "0",
    "cpuset.mems": "0",
    "pids.max": "100",
    "io.weight": "default 4950",
}


def systemctl(*words: str) -> str:
    command = ["systemctl", *(["--user"] if os.geteuid() else []), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def show(unit: str, name: str) -> str:
    return systemctl("show", "--value", "--property", name, unit).strip()


def group(box: Box, name: str) -> Path:
    """The scope's v2 cgroup; crun places init in a cgroup below it."""
    lines = Path(f"/proc/{box.state(name)['pid']}/cgroup").read_text().splitlines()
    (path,) = (line.split(":", 2)[2] for line in lines if line.startswith("0:"))
    return Path(f"{CGROUPS}{path.removesuffix('/container')}")


def limits(top: Path) -> dict[str, str]:
    """The limits in force. A period without a quota is ignored: it limits nothing, and systemd writes its default."""
    found = {file: (top / file).read_text().strip() for file in HELD}
    return found | ({"cpu.max": "max"} if found["cpu.max"].startswith("max ") else {})


def held(box: Box, name: str) -> dict[str, str]:
    """The limits in force for a container."""
    top = group(box, name)
    found = limits(top)
    if is_peer(box):  # runc does not tell systemd, which resets it; both prefer io.bfq.weight, if there is one
        found["io.weight"] = HELD["io.weight"]
    if is_peer(box) and found["cpu.weight"] == "20":  # of 512 shares by the formula before runc 1.4
        found["cpu.weight"] = HELD["cpu.weight"]
    return found


class SystemdBox(Box):
    """A Box whose runtime uses systemd: root the system's manager, other users their own."""

    @property
    def command(self) -> list[str]:
        return [self.program, "--root", str(self.root), "--systemd-cgroup"]

    def unit(self, name: str) -> str:
        """The scope of a container whose config does not name one."""
        return f"{Path(self.program).name}-{name}.scope"


def is_crun(box: Box) -> bool:
    return Path(box.program).name == "crun"


def default_slice(box: Box) -> str:
    """The slice where the config names none. crun leaves the choice to the user's manager."""
    users = "app.slice" if is_crun(box) else "user.slice"
    return users if os.geteuid() else "system.slice"


peers = also_on("runc", "crun", fixture="systemd")
# Of Debian 12, runc 1.1.5 resets no failed unit, and sets none of the properties of annotations.
since_debian_13 = also_on("runc>=1.1.15", "crun", fixture="systemd")
runc = also_on("runc", fixture="systemd")


@pytest.fixture
def systemd(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SystemdBox]:
    made = SystemdBox(tmp_path, *([request.param] if hasattr(request, "param") else []))
    yield made
    made.close()
    assert not systemctl("list-units", "--all", "--plain", "--no-legend", f"*pyrunc-test-{os.getpid()}-*").strip()


@also_on("runc", "crun>=1.21", fixture="systemd")
def test_the_scope(systemd: SystemdBox) -> None:
    name = systemd.start("sleep 10000", resources(pids={"limit": 33}))
    unit = systemd.unit(name)
    assert group(systemd, name).name == unit
    assert show(unit, "ActiveState") == "active" and show(unit, "Delegate") == "yes" and show(unit, "TasksMax") == "33"
    assert show(unit, "Slice") == default_slice(systemd)
    systemd.ok("delete", "--force", name)
    assert show(unit, "LoadState") == "not-found" and not systemd.leftovers()


@peers
def test_a_scope_without_limits(systemd: SystemdBox) -> None:
    name = systemd.start("sleep 10000", lambda config: config["linux"].pop("resources"))
    assert group(systemd, name).parts[-2:] == (default_slice(systemd), systemd.unit(name))


@v2
@runc  # crun passes memory plus swap to systemd as the limit of swap, and restores a quota that was lifted
def test_limits_are_kept_by_updates_and_reloads(systemd: SystemdBox) -> None:
    if os.geteuid():
        pytest.skip("cpuset and io are not delegated to users here")
    name = systemd.start("sleep 10000", resources(**LIMITS))
    assert held(systemd, name) == HELD
    systemctl("daemon-reload")
    assert held(systemd, name) == HELD
    systemctl("set-property", "--runtime", systemd.unit(name), "TasksAccounting=yes")
    assert held(systemd, name) == HELD
    systemd.ok("update", "--pids-limit", "50", name)
    assert held(systemd, name) == HELD | {"pids.max": "50"}
    systemd.ok("update", "--cpu-quota", "-1", name)
    systemd.ok("update", "--pids-limit", "33", name)
    systemctl("daemon-reload")
    assert held(systemd, name) == HELD | {"pids.max": "33", "cpu.max": "max"}
    systemd.ok("update", "--memory", "80m", "--memory-swap", "100m", name)
    systemctl("daemon-reexec")
    wanted = {"pids.max": "33", "cpu.max": "max", "memory.max": str(80 * MIB), "memory.swap.max": str(20 * MIB)}
    assert held(systemd, name) == HELD | wanted


@v2
def test_a_refused_update_leaves_what_systemd_holds(systemd: SystemdBox) -> None:
    name = systemd.start("sleep 10000", resources(pids={"limit": 33}, memory={"limit": 64 * MIB}))
    unit = f"pyrunc-{name}.scope"
    refused = {"pids": {"limit": 5}, "memory": {"limit": 80 * MIB}, "unified": {"memory.high": "no number"}}
    done = systemd.call("update", "-r", "-", name, input=json.dumps(refused))
    assert done.returncode == 1 and "unified.memory.high" in done.stderr
    systemctl("daemon-reload")
    assert (group(systemd, name) / "pids.max").read_text() == "33\n"
    assert (show(unit, "TasksMax"), show(unit, "MemoryMax")) == ("33", str(64 * MIB))


@v2  # on v1 systemd does not see that memory ran out, and the unit does not fail
@since_debian_13
def test_a_failed_unit_of_the_same_name_is_forgotten(systemd: SystemdBox) -> None:
    name = f"pyrunc-test-{os.getpid()}-{systemd.count + 1}"  # the next id
    unit = systemd.unit(name)
    slice_ = "user.slice" if os.geteuid() else "system.slice"
    command = ["systemd-run", *(["--user"] if os.geteuid() else []), f"--slice={slice_}", f"--unit={unit}", "--scope"]
    limits = ["-p", "MemoryMax=8M", "-p", "MemorySwapMax=0", "sh", "-c", "head -c 200m /dev/zero | tail -c 190m"]
    subprocess.run([*command, *limits], capture_output=True, check=False)
    wait_for(lambda: show(unit, "ActiveState") == "failed", "the unit to have failed")
    assert systemd.start("sleep 10000") == name
    assert show(unit, "ActiveState") == "active"
    if is_peer(systemd):
        return
    bundle = str(systemd.bundle("true"))
    command = [PYRUNC, "--systemd-cgroup", "--root", f"{systemd.root}-other", "run", "-b", bundle, name]
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert other.returncode == 1 and f"unit {unit} exists already (active)" in other.stderr


@v2
@pytest.mark.parametrize("collects", ["", "'inactive'"])
def test_a_unit_that_failed_is_not_left_behind(systemd: SystemdBox, collects: str) -> None:
    """systemd unloads it, or `delete` resets it if the config says that systemd keeps it."""
    annotations = {f"org.systemd.property.{name}USec": "uint64 1000000" for name in ("RuntimeMax", "TimeoutStop")}
    if collects:
        annotations["org.systemd.property.CollectMode"] = collects
    name = systemd.start("sleep 10000", lambda config: config.update(annotations=annotations))
    unit = systemd.unit(name)
    wait_for(lambda: show(unit, "ActiveState") == ("failed" if collects else "inactive"), "systemd to end the scope")
    systemd.ok("delete", name)
    assert show(unit, "LoadState") == "not-found"


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_delete_leaves_the_end_of_a_scope_to_systemd(systemd: SystemdBox) -> None:
    """A connection takes longer than all else in `delete`."""
    name = systemd.start("sleep 10000")
    log = systemd.directory / "connects"
    command = ["strace", "-f", "-e", "trace=connect", "-o", str(log), *systemd.command, "delete", "--force", name]
    subprocess.run(command, check=True, timeout=60)
    assert "AF_UNIX" not in log.read_text()
    assert show(systemd.unit(name), "LoadState") == "not-found"


EACH_ITS_OWN = ("{default}::{name}", "{default}:x y:{name}")
"""crun omits the hyphen after an empty prefix; neither runc nor crun escapes characters that unit names may not have."""


@peers
@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("{top}-a-b.slice:x:{name}", "{top}.slice/{top}-a.slice/{top}-a-b.slice/x-{name}.scope"),
        ("-.slice:x:{name}", "x-{name}.scope"),
        (":x:{name}", "{default}/x-{name}.scope"),
        ("{default}::{name}", "{default}/-{name}.scope"),
        ("{default}:x y:{name}", "{default}/x\\x20y-{name}.scope"),
    ],
)
def test_slices_and_names(systemd: SystemdBox, path: str, where: str) -> None:
    if (is_peer(systemd) and path in EACH_ITS_OWN) or (is_crun(systemd) and path.startswith(":")):
        pytest.skip("runc and crun differ here, and crun takes no empty slice")
    top = "prtest"
    default = "user.slice" if os.geteuid() else "system.slice"
    words = {"top": top, "name": f"pyrunc-test-{os.getpid()}-name", "default": default}
    name = systemd.start("sleep 10000", lambda c: c["linux"].update(cgroupsPath=path.format(**words)))
    assert str(group(systemd, name)).endswith("/" + where.format(**words))
    if not os.geteuid():
        assert group(systemd, name) == CGROUPS / where.format(**words)


@since_debian_13
def test_properties_that_annotations_ask_for(systemd: SystemdBox) -> None:
    def change(config: dict[str, Any]) -> None:
        config["annotations"] = {
            "org.systemd.property.TimeoutStopUSec": "uint64 7000000",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "org.systemd.property.Documentation": "['man:a(1)', 'man:b(1)']",
        }
        if not is_crun(systemd):
            config["annotations"]["org.systemd.property.Description"] = "'said by an annotation'"

    name = systemd.start("sleep 10000", change)
    unit = systemd.unit(name)
    assert show(unit, "TimeoutStopUSec") == "7s" and show(unit, "CollectMode") == "inactive-or-failed"
    assert show(unit, "Documentation").replace('"', "").split() == ["man:a(1)", "man:b(1)"]
    assert is_crun(systemd) or show(unit, "Description") == "said by an annotation"
    if is_peer(systemd):
        return
    seconds = {"org.systemd.property.TimeoutStopSec": "uint64 9"}  # runc's names
    assert (
        show(systemd.unit(systemd.start("sleep 10000", lambda c: c.update(annotations=seconds))), "TimeoutStopUSec")
        == "9s"
    )
    bad = systemd.run("true", lambda c: c.update(annotations={"org.systemd.property.NoSuch": "1"}))
    assert bad.returncode == 1 and bad.stderr.startswith("pyrunc: systemd: ") and bad.stderr.count("\n") == 1
    assert {Path(path).name for path in systemd.leftovers()} <= {*systemd.ids[:2]}


@v2
@also_on("runc>=1.1.15", fixture="systemd")
def test_exec_joins_the_scope_also_when_init_has_moved_on(systemd: SystemdBox) -> None:
    if is_peer(systemd) and os.geteuid():
        pytest.skip("runc 1.1 leaves a user's process in the cgroup of the caller")
    name = systemd.start("sleep 10000", resources(pids={"limit": 33}))
    top = group(systemd, name)
    sleep = ["sh", "-c", "exec sleep 10000 >/dev/null 2>&1"]  # the test's pipes would be kept open
    assert systemd.ok("exec", "-d", name, *sleep) == ""
    wait_for(lambda: len((top / "cgroup.procs").read_text().split()) == 2, "two processes in the scope")
    for pid in (top / "cgroup.procs").read_text().split():
        (top / "inner").mkdir(exist_ok=True)
        (top / "inner/cgroup.procs").write_text(pid)
    (top / "cgroup.subtree_control").write_text("+pids")
    systemd.ok("exec", "-d", name, *sleep)
    wait_for(lambda: len((top / "inner/cgroup.procs").read_text().split()) == 3, "the third beside init")


@v2
def test_a_controller_that_is_not_delegated_is_named(systemd: SystemdBox) -> None:
    if not os.geteuid():
        pytest.skip("root has all controllers")
    done = systemd.run("true", resources(cpu={"cpus": "0"}))
    assert done.returncode == 1
    assert done.stderr.startswith("pyrunc: linux.resources.cpu.cpus: the controller cpuset is not delegated to ")
    assert not systemd.leftovers()


def test_a_user_without_a_manager_is_told_how_to_get_one(systemd: SystemdBox) -> None:
    if not os.geteuid():
        pytest.skip("root asks the system's manager")
    environment = {**os.environ, "XDG_RUNTIME_DIR": "/nowhere", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/no/bus"}
    command = [PYRUNC, "--root", str(systemd.root), "--systemd-cgroup", "run", "-b", str(systemd.directory), "x"]
    command[-2] = str(systemd.bundle("true"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "/no/bus (no such file or directory)" in done.stderr and "loginctl enable-linger" in done.stderr


RELOADS = "while systemctl daemon-reload; do echo; sleep 1; done >RELOADED"


@contextmanager
def reloading(directory: Path) -> Iterator[Callable[[], int]]:
    """Has systemd reload in a loop. Gives a function that returns the number of reloads so far."""
    reloaded = directory / "reloaded"
    reloaded.touch()
    script = RELOADS.replace("RELOADED", str(reloaded))
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as loop:
        try:
            yield lambda: reloaded.stat().st_size
        finally:
            os.killpg(loop.pid, 9)


@v2
def test_reloads_meanwhile(systemd: SystemdBox) -> None:
    """Starts SYSTEMD_SOAK containers (10) with limits, at most ten at once, while systemd reloads in a loop. Reads the
    limits until a reload has begun and ended since the last change."""
    if os.geteuid():
        pytest.skip("cpuset and io are not delegated to users here")
    with reloading(systemd.directory) as reloads:

        def hold(groups: list[Path], expected: dict[str, str]) -> None:
            before = reloads()
            while reloads() < before + 2:  # the one that was under way, and a whole one
                for top in groups:
                    assert limits(top) == expected

        left = int(os.environ.get("SYSTEMD_SOAK", "10"))
        with ThreadPoolExecutor(10) as crowd:
            while left > 0:
                left -= (size := min(left, 10))
                names = list(crowd.map(lambda _: systemd.start("sleep 10000", resources(**LIMITS)), range(size)))
                groups = [group(systemd, name) for name in names]
                hold(groups, HELD)
                list(crowd.map(lambda name: systemd.ok("update", "--pids-limit", "50", name), names))
                hold(groups, HELD | {"pids.max": "50"})
                list(crowd.map(lambda name: systemd.ok("delete", "--force", name), names))
                print(f"{left} containers are left, {reloads()} reloads so far", flush=True)
