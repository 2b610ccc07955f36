"""Checkpoint and restore. CRIU 3.17 can't work on this kernel, so a stand-in (integration/criu/criu) speaks its protocol,
records what it is asked for, and really kills or starts the process; the real one shows what its failure looks like."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import PYRUNC, TOP, Box, cgroups_of, namespace, wait_for

Record = list[dict[str, Any]]


class StandIn:
    """The stand-in first in $PATH; ``settings`` tell it what to do."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.file = box.directory / "criu.json"
        self.image = box.directory / "image"
        self.directory = box.directory / "bin"
        self.directory.mkdir()
        program = (TOP / "integration" / "criu" / "criu").read_text().partition("\n")[2]
        (self.directory / "criu").write_text(f"#!{sys.executable}\n{program}")
        (self.directory / "criu").chmod(0o755)

    def env(self, **settings: Any) -> dict[str, str]:
        told = json.dumps({"record": str(self.file), **settings})
        return {**os.environ, "PATH": f"{self.directory}:{os.environ['PATH']}", "CRIU_STAND_IN": told}

    def checkpoint(self, name: str, *words: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        return self.box.call("checkpoint", "--image-path", str(self.image), *words, name, env=self.env(**settings))

    def restore(self, bundle: Path, *words: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        self.box.new_id()
        name = self.box.ids[-1]
        quiet: dict[str, Any] = {"capture_output": False, "stdin": subprocess.DEVNULL}
        with open(self.box.directory / "out", "w+") as output, open(self.box.directory / "err", "w+") as errors:
            done = self.box.call(
                *("restore", "--image-path", str(self.image), "-b", str(bundle), *words, name),
                **{**quiet, "stdout": output, "stderr": errors, "env": self.env(**settings)},
            )
            output.seek(0), errors.seek(0)
            done.stdout, done.stderr = output.read(), errors.read()
        return done

    def record(self) -> Record:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def options(self) -> dict[str, Any]:
        """Of the last request."""
        found: dict[str, Any] = self.record()[-1]["opts"]
        return found


@pytest.fixture
def criu(box: Box) -> StandIn:
    return StandIn(box)


def bound(source: Path) -> Any:
    """A config with a bind mount below a tmpfs, and through a link of the image."""

    def change(config: dict[str, Any]) -> None:
        config["mounts"].append({"destination": "/home", "type": "bind", "source": str(source), "options": ["rbind"]})

    return change


def prepared_image(box: Box, criu: StandIn) -> None:
    """An image as `checkpoint` leaves it."""
    criu.image.mkdir(exist_ok=True)
    (criu.image / "descriptors.json").write_text('["/dev/null", "/dev/null", "/dev/null"]')


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
    # The masked files of the default config are its own /dev/null; masked directories are none of the host's.
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


def test_a_restored_container_is_one_like_others(box: Box, criu: StandIn) -> None:
    prepared_image(box, criu)
    pid_file = box.directory / "pid"
    bundle = box.bundle("true", bound(box.directory))
    done = criu.restore(bundle, "--detach", "--pid-file", str(pid_file))
    name = box.ids[-1]
    assert done.returncode == 0, done.stderr
    state = box.state(name)
    assert state["status"] == "running" and state["bundle"] == str(bundle)
    assert pid_file.read_text() == str(state["pid"])
    # It is what the stand-in started, with our output, in the container's cgroups, in the container's root.
    assert (box.directory / "out").read_text() == "restored\n"
    assert f"/{name}" in open(f"/proc/{state['pid']}/cgroup").read()
    assert box.ok("ps", "--format", "json", name) == f"[{state['pid']}]\n"
    assert os.path.exists(f"/proc/{state['pid']}/root/bin/busybox")
    assert f"/{name}/criu-root" not in open("/proc/self/mountinfo").read()
    box.ok("pause", name)
    assert box.state(name)["status"] == "paused"
    box.ok("resume", name)
    box.ok("kill", name, "KILL")
    box.await_status(name, "stopped")
    box.ok("delete", name)
    assert not box.leftovers()


def test_what_criu_is_asked_to_restore(box: Box, criu: StandIn) -> None:
    prepared_image(box, criu)
    bundle = box.bundle("true", bound(box.directory))
    words = ["--tcp-established", "--shell-job", "--lsm-profile", "apparmor:x", "--lsm-mount-context", "ctx"]
    words += ["--ext-unix-sk", "--file-locks", "--auto-dedup", "--lazy-pages", "--link-remap", "--empty-ns", "network"]
    words += ["--manage-cgroups-mode", "strict", "--work-path", str(box.directory / "work"), "--no-pivot"]
    assert criu.restore(bundle, "--detach", *words).returncode == 0
    name = box.ids[-1]
    request = criu.record()[-1]
    options = request["opts"]
    assert options["root"] == f"{box.root}/{name}/criu-root"
    assert options["rst_sibling"] and options["evasive_devices"] and options["log_file"] == "restore.log"
    for flag in ("tcp_established", "shell_job", "ext_unix_sk", "file_locks", "auto_dedup", "lazy_pages"):
        assert options[flag], flag
    assert options["manage_cgroups_mode"] == 5 and options["empty_ns"] == 0x40000000
    assert (box.directory / "work").is_dir() and options["work_dir_fd"] > 2
    assert (options["lsm_profile"], options["lsm_mount_context"]) == ("apparmor:x", "ctx")
    assert {"key": "/home", "val": str(box.directory)} in options["ext_mnts"]
    assert {"key": "/dev/null", "val": "/dev/null"} in options["ext_mnts"]
    # It was in the container's cgroups before it was asked, and every hierarchy is named with the place.
    roots = {root["ctrl"]: root["path"] for root in options["cg_roots"]}
    lines = [line.split(":", 2) for line in request["cgroup"].splitlines()]
    assert roots == {controller: path for _, controller, path in lines}
    assert all(path.endswith(f"/{name}") for path in roots.values())


def test_limits_hold_for_what_is_restored(box: Box, criu: StandIn) -> None:
    prepared_image(box, criu)

    def limited(config: dict[str, Any]) -> None:
        config["linux"]["resources"] = {**config["linux"].get("resources", {}), "pids": {"limit": 23}}

    assert criu.restore(box.bundle("true", limited), "--detach").returncode == 0
    assert any(
        open(f"{d}/pids.max").read() == "23\n" for d in cgroups_of(box.ids[-1]) if os.path.exists(f"{d}/pids.max")
    )


def test_pipes_of_the_image_become_ours(box: Box, criu: StandIn) -> None:
    criu.image.mkdir()
    (criu.image / "descriptors.json").write_text('["/dev/null", "pipe:[4711]", "pipe:[4712]"]')
    assert criu.restore(box.bundle("true"), "--detach").returncode == 0
    assert criu.options()["inherit_fds"] == [{"key": "pipe:[4711]", "fd": 1}, {"key": "pipe:[4712]", "fd": 2}]


def test_a_checkpoint_notes_the_pipes_of_init(box: Box, criu: StandIn) -> None:
    name = box.new_id()
    words = ["run", "-d", "-b", str(box.bundle("exec sleep 100 </dev/null >/dev/null 2>&1")), name]
    reading, writing = os.pipe()
    assert (
        box.call(*words, capture_output=False, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing).returncode == 0
    )
    pipe = os.readlink(f"/proc/self/fd/{writing}")
    os.close(writing), os.close(reading)
    assert criu.checkpoint(name).returncode == 0
    # What it was created with, not what the program made of it.
    assert json.loads((criu.image / "descriptors.json").read_text()) == ["/dev/null", pipe, pipe]


def test_restore_in_the_foreground_returns_the_status(box: Box, criu: StandIn) -> None:
    prepared_image(box, criu)
    done = criu.restore(box.bundle("true"), program="echo from the image; exit 9")
    assert (done.returncode, done.stdout, done.stderr) == (9, "from the image\n", "")
    assert not box.leftovers()


def test_the_terminal_goes_to_the_console_socket(box: Box, criu: StandIn) -> None:
    prepared_image(box, criu)
    bundle = box.bundle("true", lambda config: config["process"].update(terminal=True))
    path = str(box.directory / "console")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        done = criu.restore(bundle, "--detach", "--console-socket", path, terminal=True)
        assert done.returncode == 0, done.stderr
        connection, _ = listener.accept()
        with connection:
            descriptors = socket.recv_fds(connection, 100, 1)[1]
    assert os.isatty(descriptors[0]) and os.read(descriptors[0], 100) == b"from the image"
    os.close(descriptors[0])


def test_hooks_run_when_the_namespaces_are_there(box: Box, criu: StandIn) -> None:
    prepared_image(box, criu)
    record = box.directory / "hooks"

    def hooked(config: dict[str, Any]) -> None:
        config["hooks"] = {
            point: [{"path": "/bin/sh", "args": ["sh", "-c", f"(echo {point}; cat; echo) >> {record}"]}]
            for point in ("prestart", "createRuntime", "createContainer", "poststart")
        }

    assert criu.restore(box.bundle("true", hooked), "--detach").returncode == 0
    lines = record.read_text().splitlines()
    assert lines[::2] == ["prestart", "createRuntime"]
    states = [json.loads(line) for line in lines[1::2]]
    assert all(state["status"] == "creating" and state["pid"] == box.state(box.ids[-1])["pid"] for state in states)


def test_a_failed_restore_leaves_nothing(box: Box, criu: StandIn) -> None:
    prepared_image(box, criu)
    failing = {"path": "/bin/sh", "args": ["sh", "-c", "echo no >&2; exit 3"]}
    for change, settings, reason in (
        (None, {"fail": "restore"}, "criu restore failed: invalid argument: the stand-in was told to fail"),
        (None, {"die": "restore"}, "criu restore: it ended without an answer"),
        (
            lambda c: c.update(hooks={"createRuntime": [failing]}),
            {},
            "hooks.createRuntime[0]: hook /bin/sh: exit status 3: no",
        ),
        (lambda c: namespace(c, "network", "/absent"), {}, "/absent: no such file or directory"),
        (lambda c: c["mounts"].append({"destination": "/x", "type": "bind", "source": "/absent"}), {}, "mounts["),
        (None, {"version": [2, 9, 0]}, "criu is too old"),
    ):
        done = criu.restore(
            box.bundle("true", change), "--detach", "--pid-file", str(box.directory / "pid"), **settings
        )
        assert done.returncode == 1 and reason in done.stderr, (reason, done.stderr)
        assert done.stderr.count("\n") == 1
        assert not box.leftovers() and not (box.directory / "pid").exists()
        assert "criu-root" not in open("/proc/self/mountinfo").read()
    (criu.image / "descriptors.json").unlink()
    done = criu.restore(box.bundle("true"), "--detach")
    assert done.returncode == 1 and "descriptors.json: no such file" in done.stderr
    assert not box.leftovers()


def test_restore_does_not_touch_another_container(box: Box, criu: StandIn) -> None:
    prepared_image(box, criu)
    name = box.start("sleep 100")
    words = ["restore", "--image-path", str(criu.image), "-b", str(box.bundle("true")), name]
    done = box.call(*words, env=criu.env())
    assert done.returncode == 1 and "already exists" in done.stderr
    assert box.state(name)["status"] == "running"


def test_mount_points_are_made_in_a_fresh_rootfs(box: Box, criu: StandIn) -> None:
    prepared_image(box, criu)
    (box.directory / "outside").mkdir()
    trees: list[Path] = []

    def change(config: dict[str, Any]) -> None:
        bound(box.directory)(config)
        trees.append(box.own_rootfs(config))
        (trees[0] / "link").symlink_to(box.directory / "outside")
        more = [
            ("/deep/er/place", "bind", "/etc/hostname"),
            ("/link/below", "bind", "/etc"),
            ("/dev/inner", "bind", "/etc"),
        ]
        for destination, kind, source in more:
            config["mounts"].append({"destination": destination, "type": kind, "source": source})

    assert criu.restore(box.bundle("true", change), "--detach").returncode == 0
    root = trees[0]
    assert (root / "home").is_dir() and stat.S_ISREG(os.stat(root / "deep/er/place").st_mode)
    # On the tmpfs of the container, not below it; in the image's tree where its link leads, not on the host.
    assert not (root / "dev" / "inner").exists()
    assert os.listdir(box.directory / "outside") == []


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
