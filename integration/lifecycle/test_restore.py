"""Restore, by a stand-in for CRIU (integration/support/criu/criu)."""

import json
import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

from criu_stand_in import StandIn, bound, prepared_image

from harness import Box, cgroups_of, namespace

Record = list[dict[str, Any]]


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
    # The process is the stand-in's, with the caller's output, in the container's cgroups and root.
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
    # CRIU was in the container's cgroups before the request, which names the cgroup in every hierarchy.
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
    # The descriptors at creation, not those that the program changed later.
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
    # On the container's tmpfs, not below it; in the image where its link leads, not on the host.
    assert not (root / "dev" / "inner").exists()
    assert os.listdir(box.directory / "outside") == []
