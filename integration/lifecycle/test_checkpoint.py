"""Checkpoint and restore. CRIU 3.17 can't work on this kernel, so a stand-in (integration/support/criu/criu) speaks its protocol,
records the requests, and really kills or starts the process; the real CRIU shows how a failure is reported."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from criu_stand_in import StandIn, bound

from harness import PYRUNC, Box, namespace, wait_for

Record = list[dict[str, Any]]


def test_a_checkpointed_container_is_gone(box: Box, criu: StandIn) -> None:
    name = box.start("sleep 100", bound(box.directory))
    pid = box.state(name)["pid"]
    done = criu.checkpoint(name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not os.path.exists(f"/proc/{pid}/root/bin")
    assert "does not exist" in box.call("state", name).stderr
    assert not box.leftovers()
    asked = criu.record()
    assert [request["name"] for request in asked] == ["version", "dump"]
    options = asked[-1]["opts"]
    assert options["pid"] == pid
    assert options["log_file"] == "dump.log" and options["log_level"] == 4
    assert options["notify_scripts"] and options["orphan_pts_master"]
    assert options["manage_cgroups_mode"] == 6 and options["empty_ns"] == 0x40000000
    assert not options["leave_running"] and not options["tcp_established"]
    assert options["config_file"] == "/etc/criu/runc.conf"
    assert options["freeze_cgroup"].startswith("/sys/fs/cgroup/") and options["freeze_cgroup"].endswith(name)
    assert {"key": "/home", "val": "/home"} in options["ext_mnts"]
    # Masked files of the default config are the container's /dev/null; masked directories are not the host's.
    assert {"key": "/proc/timer_list", "val": "/dev/null"} in options["ext_mnts"]
    assert not any(mount["key"] == "/proc/acpi" for mount in options["ext_mnts"])
    assert json.loads((criu.image / "descriptors.json").read_text())[1] == "/dev/null"


def test_leave_running_leaves_it_running(box: Box, criu: StandIn) -> None:
    name = box.start("sleep 100")
    assert criu.checkpoint(name, "--leave-running").returncode == 0
    assert box.state(name)["status"] == "running"
    assert criu.options()["leave_running"]


def test_options_reach_criu(box: Box, criu: StandIn) -> None:
    name = box.start("sleep 100")
    (criu.image / "before").mkdir(parents=True)
    words = ["--leave-running", "--tcp-established", "--tcp-skip-in-flight", "--ext-unix-sk", "--shell-job"]
    words += ["--file-locks", "--auto-dedup", "--link-remap", "--empty-ns", "network", "--parent-path", "before"]
    words += ["--manage-cgroups-mode", "full", "--page-server", "[::1]:99", "--work-path", str(box.directory / "work")]
    done = criu.checkpoint(name, *words)
    assert done.returncode == 0, done.stderr
    options = criu.options()
    for flag in ("tcp_established", "tcp_skip_in_flight", "ext_unix_sk", "shell_job", "file_locks", "auto_dedup"):
        assert options[flag], flag
    assert options["link_remap"] and options["track_mem"] and options["parent_img"] == "before"
    assert options["manage_cgroups_mode"] == 4
    assert options["ps"] == {"address": "::1", "port": 99}
    assert (box.directory / "work").is_dir() and options["work_dir_fd"] > 2


def test_a_pre_dump_takes_memory_only(box: Box, criu: StandIn) -> None:
    name = box.start("sleep 100")
    done = criu.checkpoint(name, "--pre-dump")
    assert done.returncode == 0, done.stderr
    assert [request["name"] for request in criu.record()] == ["version", "feature-check", "pre-dump"]
    assert "ext_mnts" not in criu.options()
    assert box.state(name)["status"] == "running"
    refused = criu.checkpoint(name, "--pre-dump", lacks=["mem_track"])
    assert refused.returncode == 1 and "mem track" in refused.stderr


def test_lazy_pages_tell_when_they_are_ready(box: Box, criu: StandIn) -> None:
    name = box.start("sleep 100")
    reading, writing = os.pipe()
    words = ["--lazy-pages", "--leave-running", "--status-fd"]
    done = box.call(
        *("checkpoint", "--image-path", str(criu.image), *words, str(writing), name),
        env=criu.env(),
        pass_fds=[writing],
    )
    os.close(writing)
    assert done.returncode == 0, done.stderr
    assert os.read(reading, 10) == b"\0" and os.read(reading, 10) == b""
    os.close(reading)
    assert criu.options()["lazy_pages"] and "status_fd" not in criu.options()
    wrong = criu.checkpoint(name, "--lazy-pages", "--status-fd", "99")
    assert wrong.returncode == 1 and "invalid --status-fd 99" in wrong.stderr


def test_a_namespace_that_was_joined_is_left_alone(box: Box, criu: StandIn) -> None:
    holder = subprocess.Popen(["unshare", "--net", "sleep", "100"])
    try:
        path = f"/proc/{holder.pid}/ns/net"
        wait_for(lambda: os.readlink(path) != os.readlink("/proc/self/ns/net"), "the namespace")
        name = box.start("sleep 100", lambda config: namespace(config, "network", path))
        bundle = Path(box.state(name)["bundle"])
        assert criu.checkpoint(name).returncode == 0
        assert criu.options()["externals"] == [f"net[{os.stat(path).st_ino}]:extRootNetNS"]
        assert criu.restore(bundle, "--detach").returncode == 0
        inherited = {entry["key"]: entry["fd"] for entry in criu.options()["inherit_fds"]}
        descriptors = criu.record()[-1]["descriptors"]
        assert descriptors[str(inherited["extRootNetNS"])] == os.readlink(path)
    finally:
        holder.kill()
        holder.wait()


def test_what_can_not_be_checkpointed(box: Box, criu: StandIn) -> None:
    created = box.create()
    refused = criu.checkpoint(created)
    assert refused.returncode == 1 and "cannot checkpoint a container that is created" in refused.stderr
    name = box.start("sleep 100")
    for words, reason in (
        (("--parent-path", "/abs"), "--parent-path must be relative"),
        (("--parent-path", "absent"), "invalid --parent-path"),
        (("--page-server", "nonsense"), "is not ADDRESS:PORT"),
        (("--empty-ns", "mount"), 'namespace "mount" is not supported'),
        (("--work-path", "/dev/null"), "--work-path /dev/null"),
    ):
        refused = criu.checkpoint(name, *words)
        assert refused.returncode == 1 and reason in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr
    assert box.state(name)["status"] == "running"


@pytest.mark.parametrize("how", ["fail", "die"])
def test_after_a_failed_dump_the_container_runs_on(box: Box, criu: StandIn, how: str) -> None:
    name = box.start("sleep 100")
    done = criu.checkpoint(name, **{how: "dump"})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    if how == "fail":
        assert "criu dump failed: invalid argument: the stand-in was told to fail (see " in done.stderr
    else:
        assert "criu dump: it ended without an answer" in done.stderr
    assert box.state(name)["status"] == "running"


@pytest.mark.skipif(shutil.which("criu") is None, reason="Debian's criu is not installed")
def test_the_real_criu_fails_in_one_line(box: Box) -> None:
    name = box.start("sleep 100")
    image = str(box.directory / "image")
    done = box.call("checkpoint", "--image-path", image, name)
    if done.returncode == 0:
        pytest.skip("this criu can work on this kernel")
    assert done.stderr.startswith("pyrunc: criu dump failed: ") and done.stderr.count("\n") == 1
    assert box.state(name)["status"] == "running"
    bundle = box.state(name)["bundle"]
    (Path(image) / "descriptors.json").write_text("[]")
    done = box.call("restore", "--detach", "--image-path", image, "-b", bundle, box.new_id())
    assert done.returncode == 1 and "criu restore failed: " in done.stderr and done.stderr.count("\n") == 1
    box.call("delete", "--force", name)
    assert not box.leftovers()


def test_without_criu_it_says_so(box: Box) -> None:
    name = box.start("sleep 100")
    done = subprocess.run(
        [PYRUNC, "--root", str(box.root), "checkpoint", name],
        env={"PATH": str(box.directory)},
        capture_output=True,
        text=True,
        cwd=box.directory,
    )
    assert done.returncode == 1
    assert done.stderr == "pyrunc: criu: executable file not found in $PATH (Debian's package is criu)\n"
    assert box.state(name)["status"] == "running"
