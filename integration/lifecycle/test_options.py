"""Options of the command line that no other file tests."""

import json
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from harness import PYRUNC, Box, cgroups_of, wait_for


@pytest.mark.parametrize("command", ["create", "run", "exec"])
def test_pidfd_socket(box: Box, command: str) -> None:
    path = box.directory / "pidfd"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        quiet = {"stdout": subprocess.DEVNULL, "capture_output": False}
        words = ["--pid-file", "pid", "--pidfd-socket", str(path)]
        if command == "exec":
            box.ok("exec", "-d", *words, box.start(), "sleep", "100", **quiet)
        else:
            detach = ["-d"] if command == "run" else []
            box.ok(command, *detach, *words, "-b", str(box.bundle("sleep 100")), box.new_id(), **quiet)
        connection, _ = server.accept()
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 100, 1)
    try:
        info = Path(f"/proc/self/fdinfo/{descriptors[0]}").read_text()
        assert f"Pid:\t{(box.directory / 'pid').read_text()}\n" in info
    finally:
        os.close(descriptors[0])


@pytest.mark.parametrize("words", [["create"], ["run", "-d"], ["run"], ["exec", "-d"], ["exec"]], ids=" ".join)
def test_nothing_is_left_when_the_pidfd_cannot_be_sent(box: Box, words: list[str]) -> None:
    """The listener has exited before the process exists."""
    path = box.directory / "pidfd"
    running = box.start("sleep 100") if words[0] == "exec" else ""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        gone = threading.Thread(target=lambda: server.accept()[0].close())
        gone.start()
        name = running or box.new_id()
        rest = [name, "sleep", "99"] if running else ["-b", str(box.bundle("sleep 99")), name]
        done = box.call(*words, "--pidfd-socket", str(path), *rest)
        gone.join()
    assert done.returncode != 0 and f"pidfd socket {path}: " in done.stderr, done
    if running:
        wait_for(lambda: len(json.loads(box.ok("ps", "-f", "json", name))) == 1, "the process to end")
    else:
        assert box.call("state", name).returncode == 1 and not cgroups_of(name)


def test_the_pidfd_socket_is_not_taken_for_a_preserved_descriptor(box: Box) -> None:
    """The connection has the number of a descriptor that the caller did not pass."""
    path = box.directory / "pidfd"
    name = box.start("sleep 100")
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        words = ["exec", "--preserve-fds", "2", "--pidfd-socket", str(path), name]
        script = "for n in 3 4; do readlink /proc/$$/fd/$n; done; echo end"
        command = [PYRUNC, "--root", str(box.root), *words, "sh", "-c", script]
        done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "end\n"), done


def test_the_callers_keyring_is_kept_when_asked(box: Box) -> None:
    """/proc/keys lists the keys that a process can reach; a new session keyring is named after the container."""
    for words, new in ((["--no-new-keyring"], False), ([], True)):
        name = f"pyrunc-keys-{os.getpid()}-{new}"  # unique, because keys of earlier tests may still exist
        box.ids.append(name)
        keys = box.ok("run", *words, "-b", str(box.bundle("cat /proc/keys", shown)), name)
        assert (f"_ses.{name}" in keys) == new


def shown(config: dict[str, Any]) -> None:
    """Unmasks /proc/keys."""
    config["linux"]["maskedPaths"] = []


@pytest.mark.parametrize("subreaper", [True, False])
def test_which_process_reaps_orphans_of_a_container(box: Box, subreaper: bool) -> None:
    """An orphan of a container without a pid namespace becomes a child of a foreground `run`, unless disabled."""

    def change(config: dict[str, Any]) -> None:
        spaces = config["linux"]["namespaces"]
        spaces[:] = [space for space in spaces if space["type"] != "pid"]

    orphan = "sh -c 'while [ $(cut -d\" \" -f4 /proc/$$/stat) = '$$' ]; do sleep 0.01; done; grep PPid /proc/$$/status; sleep 1'"
    bundle = str(box.bundle(f"({orphan} &) ; sleep 0.5", change))
    words = [] if subreaper else ["--no-subreaper"]
    command = [PYRUNC, "--root", str(box.root), "run", *words, "-b", bundle, box.new_id()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert (process.stdout.readline().split() == ["PPid:", str(process.pid)]) == subreaper
        process.kill()


@pytest.mark.parametrize("option", ["--config", "-f"])
@pytest.mark.parametrize("absolute", [True, False])
def test_another_config(box: Box, option: str, absolute: bool) -> None:
    bundle = box.bundle("echo other")
    (bundle / "config.json").rename(bundle / "other.json")
    path = str(bundle / "other.json") if absolute else "other.json"
    assert box.ok("run", "-b", str(bundle), option, path, box.new_id()) == "other\n"


def test_the_bundle_is_the_current_directory(box: Box) -> None:
    assert box.ok("run", box.new_id(), cwd=box.bundle("echo here")) == "here\n"


def test_without_cgroups(box: Box) -> None:
    name = box.new_id()
    quiet = {"stdout": subprocess.DEVNULL, "capture_output": False}
    bundle = str(box.bundle("sleep 100"))
    box.ok("--cgroup-manager", "disabled", "run", "-d", "-b", bundle, name, **quiet)
    assert cgroups_of(name) == []
    assert json.loads(box.ok("ps", "-f", "json", name)) == [box.state(name)["pid"]]
    for command, words in (("pause", []), ("update", ["--pids-limit", "9"])):
        done = box.call(command, *words, name)
        assert done.returncode == 1 and "cgroups" in done.stderr and done.stderr.count("\n") == 1
    box.ok("kill", name, "KILL")
    box.await_status(name, "stopped")


@pytest.mark.parametrize("words", [["--systemd-cgroup"], ["--cgroup-manager", "systemd"]])
def test_systemd_where_there_is_none(box: Box, words: list[str]) -> None:
    if Path("/run/systemd/system").exists():
        pytest.skip("systemd runs this machine")
    done = box.call(*words, "run", "-b", str(box.bundle("true")), box.new_id())
    assert done.returncode == 1
    assert done.stderr == "pyrunc: systemd not running on this host, cannot use systemd cgroups manager\n"
    assert not box.leftovers()


@pytest.mark.parametrize("value", ["auto", "true", "false"])
def test_rootless_is_accepted(box: Box, value: str) -> None:
    assert box.ok("--rootless", value, "run", "-b", str(box.bundle("echo in")), box.new_id()) == "in\n"


def test_a_trace_has_the_time_of_every_step(box: Box) -> None:
    name = box.new_id()
    box.ok("run", "--trace", "trace", "-b", str(box.bundle("true")), name)
    rows = json.loads((box.directory / "trace").read_text())
    assert {"step", "actor", "kind", "where", "args", "ns"} <= set(rows[0])
    timed = {row["kind"] for row in rows if row["ns"]}
    assert timed >= {"cgroup-create", "clone", "mount", "pivot", "record"} - {"clone"}


def test_a_pid_file_that_cannot_be_written(box: Box) -> None:
    done = box.call("create", "--pid-file", "/nowhere/pid", "-b", str(box.bundle("true")), box.new_id())
    assert done.returncode == 1 and "pid file /nowhere/pid: no such file or directory" in done.stderr
    assert not box.leftovers()


def test_kill_by_regular_expression(box: Box) -> None:
    names = [box.start() for _ in range(2)]
    box.ok("kill", "--regex", f"pyrunc-test-{os.getpid()}-", "KILL")
    for name in names:
        box.await_status(name, "stopped")


def test_kill_stops_at_nothing_while_paused(box: Box) -> None:
    name = box.start("sleep 100 & sleep 100 & wait")
    box.ok("pause", name)
    box.ok("kill", name, "KILL")
    box.await_status(name, "stopped")
    wait_for(lambda: json.loads(box.ok("ps", "-f", "json", name)) is None, "the children to be gone")


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_kill_all_while_paused(box: Box, signal: str) -> None:
    name = box.start("sleep 100 & sleep 100 & wait")
    box.ok("pause", name)
    box.ok("kill", "--all", name, signal)
    if signal == "TERM":  # pending until the processes are thawed
        assert box.state(name)["status"] == "paused"
        box.ok("resume", name)
        wait_for(lambda: len(json.loads(box.ok("ps", "-f", "json", name)) or []) <= 1, "the children to be gone")
    else:
        box.await_status(name, "stopped")


def test_pause_freezes_children_too(box: Box) -> None:
    name = box.start("sh -c 'while :; do :; done' & while :; do :; done")
    box.ok("pause", name)
    pids = json.loads(box.ok("ps", "-f", "json", name))
    before = [ticks(pid) for pid in pids]
    subprocess.run(["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"], check=True)
    assert len(pids) == 2 and [ticks(pid) for pid in pids] == before
    box.ok("resume", name)
    wait_for(lambda: [ticks(pid) for pid in pids] != before, "them to run again")


def test_a_created_one_can_be_paused(box: Box) -> None:
    """The container does not start until it is resumed."""
    name = box.create()
    box.ok("pause", name)
    assert box.state(name)["status"] == "paused"
    done = box.call("start", name)
    assert done.returncode == 1 and "cannot start a container that is paused" in done.stderr
    box.ok("resume", name)
    assert box.state(name)["status"] == "created"
    box.ok("start", name)
    assert box.state(name)["status"] == "running"


def test_a_created_and_paused_one_can_be_killed(box: Box) -> None:
    name = box.create()
    box.ok("pause", name)
    box.ok("kill", name, "KILL")
    box.await_status(name, "stopped")


def ticks(pid: int) -> int:
    """Returns the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_pause_and_resume_of_the_wrong_status(box: Box) -> None:
    name = box.start()
    assert "cannot resume" in box.call("resume", name).stderr
    box.ok("pause", name)
    done = box.call("pause", name)
    assert done.returncode == 1 and "cannot pause a container that is paused" in done.stderr
    box.ok("resume", name)


def planned(box: Box, bundle: str) -> list[dict[str, Any]]:
    """Returns the output of `plan`, without the step at which `create` waits, and without the socket kept for it."""
    rows = json.loads(box.ok("plan", "-b", bundle, "--format", "json"))
    for row in rows:
        if row["kind"] == "close-descriptors":
            row["args"]["listener"] = 0
    return [row for row in rows if row["kind"] != "await-start"]


def test_the_plan_printed_is_the_plan_executed(box: Box) -> None:
    """Compares step by step: same order, same arguments, every step was reached, and no other step."""
    hooks = {point: [{"path": "/bin/true"}] for point in ("prestart", "createRuntime", "poststart")}
    limits = {"memory": {"limit": 1 << 26}, "pids": {"limit": 20}}
    bundle = box.bundle("true", lambda c: (c.update(hooks=hooks), c["linux"].update(resources=limits)))
    name = box.new_id()
    bundle = bundle.rename(bundle.with_name(name))  # `plan` names the container after its bundle
    box.ok("run", "--trace", "trace", "-b", str(bundle), name)
    rows = json.loads((box.directory / "trace").read_text())
    # `run` does not wait for `start`, but checks the cgroups once more; and --trace adds steps.
    executed = [row for row in rows if row["kind"] != "trace" and row["where"] != "--trace"]
    verify = next(at for at, row in enumerate(executed) if row["kind"] == "cgroup-verify")
    del executed[verify]
    expected = planned(box, str(bundle))
    for row in expected:
        if row["kind"] == "close-descriptors":
            row["args"]["listener"] = 0  # `run` does not keep the socket of `start` open

    def plain(found: list[dict[str, Any]]) -> list[Any]:
        return [(row["actor"], row["kind"], row["where"], row["args"]) for row in found]

    assert plain(executed) == plain(expected)
    # Timing begins with its own step, and after the execve no process of pyrunc's is left to report.
    assert [row["kind"] for row in rows if row["ns"] is None] == ["trace", "execute"]


def test_the_plan_of_a_systemd_host_says_what_systemd_is_asked_for(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"].update(cgroupsPath="a-b.slice:x:name", resources={"memory": {"limit": 1 << 26}})

    done = box.call("--systemd-cgroup", "plan", "-b", str(box.bundle("true", change)), "--format", "json")
    if "systemd not running on this host" in done.stderr:
        pytest.skip("systemd does not run on this host")
    rows = json.loads(done.stdout)
    kinds = [row["kind"] for row in rows]
    scope = kinds.index("systemd-scope")
    assert kinds[scope - 1] == "clone" and scope < kinds.index("cgroup-create") < kinds.index("cgroup-place")
    assert rows[scope]["args"]["unit"] == "x-name.scope" and rows[scope]["args"]["slice"] == "a-b.slice"
    assert any(entry.startswith("Memory") for entry in rows[scope]["args"]["properties"])
