"""`exec`: another process in a running container, with every option of `exec`."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from peers import also_on

from harness import PYRUNC, Box, cgroups_of, wait_for
from limits import LAYOUT, TOP, directory


def cgroups_of_process(text: str) -> dict[str, str]:
    return {line.split(":")[1]: line.split(":", 2)[2] for line in text.splitlines()}


@pytest.fixture
def name(box: Box) -> str:
    """A container with the cgroup ``sub`` below its own, in the hierarchies of pids and freezer and on v2."""
    made = box.start("sleep 100")
    for path in map(Path, cgroups_of(made)):
        if LAYOUT == "v2" or path.relative_to(TOP).parts[0] in ("pids", "freezer", "unified"):
            (path / "sub").mkdir()
    return made


of_v1 = pytest.mark.skipif(LAYOUT == "v2", reason="controllers of v2 share one hierarchy")


@of_v1
def test_a_cgroup_of_one_controller(box: Box, name: str) -> None:
    found = cgroups_of_process(Path(f"/proc/{where(box, name, '--cgroup', 'pids:sub')}/cgroup").read_text())
    assert found["pids"].endswith(f"{name}/sub") and found["freezer"].endswith(name)


def where(box: Box, name: str, *words: str) -> int:
    box.ok(
        "exec",
        "--detach",
        "--pid-file",
        "pid",
        *words,
        name,
        "sleep",
        "100",
        stdout=subprocess.DEVNULL,
        capture_output=False,
    )
    return int((box.directory / "pid").read_text())


@of_v1
def test_a_cgroup_for_each_of_several(box: Box, name: str) -> None:
    (directory(name, "freezer") / "other").mkdir()
    pid = where(box, name, "--cgroup", "pids:sub", "--cgroup", "freezer:/other")
    found = cgroups_of_process(Path(f"/proc/{pid}/cgroup").read_text())
    assert found["pids"].endswith(f"{name}/sub") and found["freezer"].endswith(f"{name}/other")
    assert found["memory"].endswith(name)


def test_one_cgroup_in_all_hierarchies(box: Box) -> None:
    made = box.start("sleep 100")
    for place in map(Path, cgroups_of(made)):
        (place / "sub").mkdir()
        if LAYOUT != "v2" and (place / "cpuset.cpus").exists():  # v1 refuses processes in a cpuset without CPUs
            for file in ("cpuset.cpus", "cpuset.mems"):
                (place / "sub" / file).write_text((place / file).read_text())
    found = cgroups_of_process(Path(f"/proc/{where(box, made, '--cgroup', 'sub')}/cgroup").read_text())
    ours = {path for path in found.values() if made in path}
    assert ours and all(path.endswith(f"{made}/sub") for path in ours)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cgroup", "absent"], "no such file or directory"),
        (["--cgroup", "../.."], "must lie below the container's cgroup"),
        pytest.param(["--cgroup", "pids:absent"], "no such file or directory", marks=of_v1),
        pytest.param(["--cgroup", "pids:../.."], "must lie below the container's cgroup", marks=of_v1),
        (["--cgroup", "nonsense:sub"], "the container has no cgroup of a controller 'nonsense'"),
        (["--cgroup", ":sub"], "the container has no cgroup of a controller ''"),
        pytest.param(["--cgroup", "pids:sub", "--cgroup", "pids:sub"], "a hierarchy is given twice", marks=of_v1),
        (["--cgroup", "sub", "--cgroup", "sub"], "each begins with its controllers and a colon"),
    ],
)
def test_a_cgroup_that_is_none(box: Box, name: str, words: list[str], message: str) -> None:
    done = box.call("exec", *words, name, "true")
    assert done.returncode == 255 and done.stderr.startswith(f"pyrunc: --cgroup {words[-1]}: ")
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_a_paused_container_refuses_unless_told(box: Box) -> None:
    name = box.start()
    box.ok("pause", name)
    done = box.call("exec", name, "true")
    assert (done.returncode, done.stderr) == (
        255,
        "pyrunc: cannot exec in a paused container (use --ignore-paused to override)\n",
    )
    command = [PYRUNC, "--root", str(box.root), "exec", "--ignore-paused", name, "echo", "late"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        frozen = directory(name, "freezer") / "cgroup.procs"
        wait_for(lambda: len(frozen.read_text().split()) > 1, "the process to be in the frozen cgroup")
        assert process.poll() is None
        box.ok("resume", name)
        assert process.communicate(timeout=20)[0] == "late\n"


def test_a_process_of_a_file(box: Box) -> None:
    """The whole process comes from the file: no property of the container's own process is added."""
    name = box.start()
    wanted: dict[str, Any] = {
        "args": [
            "sh",
            "-c",
            "echo $A-$B; pwd; id -u; id -g; id -G; umask; ulimit -n; grep -E 'CapEff|NoNew' /proc/self/status",
        ],
        "cwd": "/bin",
        "env": ["PATH=/bin", "A=a"],
        "user": {"uid": 7, "gid": 8, "additionalGids": [9], "umask": 0o77},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}],
        "capabilities": {},
        "noNewPrivileges": True,
        "oomScoreAdj": 500,
    }
    (box.directory / "p.json").write_text(json.dumps(wanted))
    lines = box.ok("exec", "--process", "p.json", name).split("\n")
    assert lines[:7] == ["a-", "/bin", "7", "8", "8 9", "0077", "77"]
    assert lines[7].split() == ["CapEff:", "0000000000000000"] or lines[7].split() == ["NoNewPrivs:", "1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--user", "x"], "--user 'x': is not UID[:GID]"),
        (["--env", "novalue"], "--env 'novalue': is not NAME=value"),
        (["--additional-gids", "-1"], "--additional-gids '-1': is not GID"),
        (["--cwd", "relative"], "process.cwd: 'relative' is not an absolute path"),
        (["--process", "absent.json"], "absent.json: no such file or directory"),
        (["--tty", "--detach"], "cannot allocate tty if pyrunc will detach without setting console socket"),
        (["--console-socket", "s"], "cannot use console socket if pyrunc will not detach or allocate tty"),
    ],
)
def test_values_that_are_none(box: Box, words: list[str], message: str) -> None:
    done = box.call("exec", *words, box.start(), "true")
    assert done.returncode == 255 and message in done.stderr and done.stderr.count("\n") == 1


def test_options_are_runcs(box: Box) -> None:
    name = box.start()
    words = [
        "-u",
        "7:8",
        "-g",
        "9",
        "-g",
        "10",
        "-g",
        "11",
        "-e",
        "A=1",
        "-e",
        "A=2",
        "--cwd",
        "/bin",
        "--no-new-privs",
    ]
    script = "id -u; id -G; echo $A; pwd; grep NoNewPrivs /proc/self/status | cut -f2"
    assert box.ok("exec", *words, name, "sh", "-c", script).split("\n")[:-1] == ["7", "8 9 10 11", "2", "/bin", "1"]


@also_on("runc>=1.5")
def test_a_preserved_descriptor_that_is_not_open_is_passed_over(box: Box) -> None:
    assert box.ok("exec", "--preserve-fds", "2", box.start(), "echo", "runs") == "runs\n"


@also_on("runc>=1.5")
def test_an_update_that_says_nothing_changes_nothing(box: Box, tmp_path: Path) -> None:
    name = box.start()
    (tmp_path / "null.json").write_text("null")
    box.ok("update", "--memory", "", "--memory-swap", "", name)
    box.ok("update", "-r", str(tmp_path / "null.json"), name)


def test_a_label_needs_its_module(box: Box) -> None:
    name = box.start()
    for option, module, path in (
        ("--process-label", "SELinux", "/sys/fs/selinux/enforce"),
        ("--apparmor", "AppArmor", "/sys/module/apparmor/parameters/enabled"),
    ):
        if not os.path.exists(path):
            done = box.call("exec", option, "x", name, "true")
            assert done.returncode == 255 and f"{module} is not enabled on this host" in done.stderr


def test_in_a_container_without_a_mount_namespace(box: Box) -> None:
    """The root is a chroot, which has no usable path: /proc/PID/root is a magic link."""

    def change(config: dict[str, Any]) -> None:
        spaces = config["linux"]["namespaces"]
        spaces[:] = [space for space in spaces if space["type"] != "mount"]
        config["mounts"] = []
        config["linux"].pop("maskedPaths", None)
        config["linux"].pop("readonlyPaths", None)
        (box.own_rootfs(config) / "mark").write_text("inside\n")

    name = box.start("sleep 100", change)
    assert box.ok("exec", name, "cat", "/mark") == "inside\n"
    assert box.ok("exec", name, "sh", "-c", "cd ..; pwd; ls -d /srv/wt 2>/dev/null || true") == "/\n"
