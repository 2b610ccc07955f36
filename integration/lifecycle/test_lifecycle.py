"""The life of a container, command by command."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness import PYRUNC, Box, cgroups_of, wait_for
from limits import LAYOUT, TOP
from pyrunc.linux.procfs import descendants


def test_run_prints_and_returns_the_status(box: Box) -> None:
    done = box.run("echo hello; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "hello\n", "")
    assert not box.leftovers()


def test_run_returns_128_and_the_signal(box: Box) -> None:
    assert box.run("kill -TERM $$; sleep 5", lambda c: c["linux"]["namespaces"].pop(0)).returncode == 128 + 15


def test_standard_input_reaches_the_program(box: Box) -> None:
    assert box.run(["cat"], None, input="through\n").stdout == "through\n"


def test_create_start_delete(box: Box) -> None:
    name = box.create("sleep 100")
    assert box.state(name)["status"] == "created"
    # The user's program does not run yet.
    pid = box.state(name)["pid"]
    assert b"sleep" not in open(f"/proc/{pid}/cmdline", "rb").read()
    box.ok("start", name)
    assert box.state(name)["status"] == "running"
    assert b"sleep" in open(f"/proc/{pid}/cmdline", "rb").read()
    assert box.call("start", name).returncode == 1
    refused = box.call("delete", name)
    assert refused.returncode == 1 and "not stopped" in refused.stderr
    box.ok("kill", name, "KILL")
    box.await_status(name, "stopped")
    box.ok("delete", name)
    assert not cgroups_of(name)
    gone = box.call("state", name)
    assert gone.returncode == 1 and "does not exist" in gone.stderr


def test_state_is_what_the_spec_says(box: Box) -> None:
    name = box.start("sleep 100", lambda c: c.update(annotations={"a.b": "c"}))
    state = box.state(name)
    assert state["ociVersion"] == "1.3.0"
    assert state["id"] == name
    assert state["annotations"] == {"a.b": "c"}
    assert os.path.isdir(state["bundle"]) and os.path.isdir(state["rootfs"])
    assert state["owner"] == "" and json.loads(box.ok("list", "-f", "json"))[0]["owner"] == "root"
    assert os.readlink(f"/proc/{state['pid']}/ns/pid") != os.readlink("/proc/self/ns/pid")


def test_create_leaves_no_process_but_the_container(box: Box) -> None:
    import prctl

    before = descendants(os.getpid())
    prctl.set_child_subreaper(True)  # orphans become children of the test
    try:
        name = box.create("sleep 100")
        assert descendants(os.getpid()) - before == {box.state(name)["pid"]}
    finally:
        prctl.set_child_subreaper(False)


def test_run_of_an_id_that_is_taken_leaves_its_container_alone(box: Box) -> None:
    name = box.start("sleep 100")
    refused = box.call("run", "-b", str(box.bundle("true")), name)
    assert refused.returncode == 1 and "already exists" in refused.stderr
    assert box.state(name)["status"] == "running"


def test_pid_file_is_digits_only(box: Box) -> None:
    file = box.directory / "pid"
    name = box.create("sleep 100", None, "--pid-file", str(file))
    assert file.read_text() == str(box.state(name)["pid"])


def test_an_id_is_taken_once(box: Box) -> None:
    name = box.create("sleep 100")
    again = box.call("create", "-b", str(box.bundle("true")), name)
    assert again.returncode == 1 and "already exists" in again.stderr
    assert box.state(name)["status"] == "created"


def test_kill_by_every_spelling(box: Box) -> None:
    for spelling in ("9", "KILL", "SIGKILL", "sigkill"):
        name = box.start()
        box.ok("kill", name, spelling)
        box.await_status(name, "stopped")
    name = box.start(["sh", "-c", "trap 'exit 3' USR1; touch /tmp/x 2>/dev/null; while :; do sleep 0.1; done"])
    refused = box.call("kill", name, "NOSUCH")
    assert refused.returncode == 1 and "unknown signal" in refused.stderr
    box.ok("kill", name, "RTMIN+3")
    box.ok("kill", name, "KILL")


def test_kill_stopped_says_the_words_engines_match(box: Box) -> None:
    name = box.start("true")
    box.await_status(name, "stopped")
    refused = box.call("kill", name, "TERM")
    assert refused.returncode == 1 and "container not running" in refused.stderr
    box.ok("kill", "--all", name, "KILL")


def test_a_created_container_dies_of_sigterm(box: Box) -> None:
    name = box.create()
    box.ok("kill", name, "TERM")
    box.await_status(name, "stopped")


def test_sigkill_reaches_children_without_a_pid_namespace(box: Box) -> None:
    def shared(config: dict) -> None:  # type: ignore[type-arg]
        config["linux"]["namespaces"] = [s for s in config["linux"]["namespaces"] if s["type"] != "pid"]

    name = box.start("sleep 101 & sleep 102 & wait", shared)
    wait_for(lambda: len(json.loads(box.ok("ps", "-f", "json", name))) == 3, "three processes")
    box.ok("kill", name, "TERM")  # signals only init
    box.await_status(name, "stopped")
    assert len(json.loads(box.ok("ps", "-f", "json", name))) == 2
    box.ok("kill", name, "KILL")
    wait_for(lambda: json.loads(box.ok("ps", "-f", "json", name)) is None, "no process to be left")


def test_delete_force(box: Box) -> None:
    name = box.start()
    box.ok("delete", "--force", name)
    box.ok("delete", "--force", name)
    refused = box.call("delete", name)
    assert refused.returncode == 1 and "does not exist" in refused.stderr


def test_delete_by_regular_expression(box: Box) -> None:
    names = [box.create() for _ in range(3)]
    box.ok("delete", "--force", "--regex", f"^({names[0]}|{names[2]})$")
    assert box.ok("list", "-q").split() == [names[1]]


def test_list(box: Box) -> None:
    assert box.ok("list", "-f", "json").strip() == "null"
    name = box.start()
    (row,) = json.loads(box.ok("list", "-f", "json"))
    assert (row["id"], row["status"]) == (name, "running")
    header, line = box.ok("list").splitlines()
    assert header.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert line.split()[:3] == [name, str(row["pid"]), "running"]


def test_a_broken_state_hides_no_other(box: Box) -> None:
    name = box.start()
    broken = box.root / "broken"
    broken.mkdir()
    (broken / "state.json").write_text("{")
    assert box.ok("list", "-q").split() == [name]
    (broken / "state.json").unlink()
    box.ok("delete", "--force", "broken")
    assert not broken.exists()


def test_ps(box: Box) -> None:
    name = box.start("sleep 100 & sleep 100 & wait")
    wait_for(lambda: len(json.loads(box.ok("ps", "-f", "json", name))) == 3, "three processes")
    pids = json.loads(box.ok("ps", "--format", "json", name))
    lines = box.ok("ps", name, "-e", "-o", "pid,args").splitlines()
    assert [int(line.split()[0]) for line in lines[1:]] == pids


def test_foreground_run_forwards_signals(box: Box) -> None:
    bundle = box.bundle("trap 'echo got; exit 5' USR1; echo ready; while :; do sleep 0.05; done")
    name = box.new_id()
    command = [PYRUNC, "--root", str(box.root), "run", "-b", str(bundle), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.read() == "got\n"
        assert process.wait(10) == 5


def test_run_keeps_what_it_is_told_to(box: Box) -> None:
    done = box.run("true", None, "--keep")
    assert done.returncode == 0
    assert box.state(box.ids[-1])["status"] == "stopped"


def test_pause_and_resume(box: Box) -> None:
    name = box.start("while :; do :; done")
    box.ok("pause", name)
    assert box.state(name)["status"] == "paused"
    pid = box.state(name)["pid"]
    before = Path(f"/proc/{pid}/stat").read_text().split()[13]
    refused = box.call("exec", name, "true")
    assert refused.returncode == 255 and "paused" in refused.stderr
    assert Path(f"/proc/{pid}/stat").read_text().split()[13] == before
    box.ok("resume", name)
    assert box.state(name)["status"] == "running"
    box.ok("pause", name)
    box.ok("kill", name, "KILL")
    box.await_status(name, "stopped")


@pytest.mark.parametrize("moment", range(24))
def test_killed_while_creating_leaves_nothing_that_delete_does_not_remove(box: Box, moment: int) -> None:
    """SIGKILL after increasing delays, to hit every part of `create`."""
    name = box.new_id()
    bundle = box.bundle("sleep 100")
    command = [PYRUNC, "--root", str(box.root), "create", "-b", str(bundle), name]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(0.004 + moment * 0.0015)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    box.ok("delete", "--force", name)
    wait_for(lambda: not cgroups_of(name), "its cgroups to be gone", 3)
    assert not (box.root / name).exists()


def test_a_cgroup_that_is_in_use_is_refused(box: Box) -> None:
    """A process in the cgroup would be killed with the container."""
    path = f"/pyrunc-test-{os.getpid()}-used"
    used = box.start("sleep 100", lambda c: c["linux"].update(cgroupsPath=path))
    refused = box.run("true", lambda c: c["linux"].update(cgroupsPath=path))
    assert refused.returncode == 1
    assert "linux.cgroupsPath: container's cgroup is not empty: 1 process(es) found" in refused.stderr
    assert box.state(used)["status"] == "running"


def test_a_cgroup_that_is_frozen_is_refused(box: Box) -> None:
    top, file, frozen = (TOP, "cgroup.freeze", "1") if LAYOUT == "v2" else (TOP / "freezer", "freezer.state", "FROZEN")
    path = top / box.directory.name
    path.mkdir()
    try:
        (path / file).write_text(frozen)
        refused = box.run("true", lambda c: c["linux"].update(cgroupsPath=f"/{box.directory.name}"))
        assert refused.returncode == 1 and "container's cgroup unexpectedly frozen" in refused.stderr
    finally:
        path.rmdir()


def test_two_commands_at_once(box: Box) -> None:
    """One command wins; the other reports an error, and nothing is left."""
    name = box.create()
    command = [PYRUNC, "--root", str(box.root)]
    starts = [
        subprocess.Popen([*command, "start", name], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for _ in range(4)
    ]
    results = [(process.communicate()[1], process.returncode) for process in starts]
    assert sorted(status for _, status in results) == [0, 1, 1, 1]
    assert all("cannot start a container that is running" in text for text, status in results if status)
    deletes = [subprocess.Popen([*command, "delete", "--force", name]) for _ in range(4)]
    assert [process.wait() for process in deletes] == [0, 0, 0, 0]


def test_a_reused_pid_is_not_signalled(box: Box) -> None:
    """The state has a pid that was reused: the start time differs."""
    name = box.start("true")
    box.await_status(name, "stopped")
    with subprocess.Popen(["sleep", "100"]) as bystander:
        path = box.root / name / "state.json"
        state = json.loads(path.read_text())
        state["pid"] = bystander.pid
        path.write_text(json.dumps(state))
        refused = box.call("kill", name, "KILL")
        assert refused.returncode == 1 and "not running" in refused.stderr
        assert bystander.poll() is None
        box.ok("delete", "--force", name)
        assert bystander.poll() is None
        bystander.kill()
