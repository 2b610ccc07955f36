"""ctr: the life of a container: attach, signals, exec, and many at once."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctr import Ctr
from ground import IMAGE, Ground, wait_for

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with Ctr.ready("ctr-life", archive) as made:
        yield made


def test_detached_container_is_listed(ctr: Ctr) -> None:
    ctr.start()
    assert ctr.status() == "RUNNING"
    assert ctr.cmdline(ctr.pid()) == ["sleep", "1000"]


def test_pid_file_is_written(ctr: Ctr) -> None:
    file = ctr.ground.directory / "pidfile"
    ctr.start("c", "--pid-file", str(file))
    assert file.read_text() == str(ctr.pid())


def test_log_file_holds_the_output(ctr: Ctr) -> None:
    file = ctr.source("log") / "output"
    ctr.start("c", "--log-uri", f"file://{file}", args=["sh", "-c", "echo line; exec sleep 1000"])
    wait_for(lambda: file.exists() and file.read_text() == "line\n", "the log")


def test_attach_shows_the_output(ctr: Ctr) -> None:
    ctr.start(args=["sh", "-c", "trap 'exit 4' TERM; while :; do echo tick; sleep 0.1; done"])
    client = ctr.ground.popen(*ctr.words(("tasks", "attach", "c")), stdout=subprocess.PIPE)
    assert client.stdout is not None and client.stdout.readline() == "tick\n"
    ctr.ok("tasks", "kill", "c")
    client.stdout.read()
    assert client.wait(20) == 4


def test_kill_ends_with_the_signal(ctr: Ctr) -> None:
    client = ctr.foreground(["sleep", "1000"])
    ctr.ok("tasks", "kill", "-s", "SIGKILL", "c")
    assert client.wait(20) == 137


def test_signal_by_name_reaches_the_process(ctr: Ctr) -> None:
    client = ctr.foreground(["sh", "-c", "trap 'exit 42' USR1; while :; do sleep 0.1; done"])
    ctr.await_trap()
    ctr.ok("tasks", "kill", "-s", "SIGUSR1", "c")
    assert client.wait(20) == 42


def test_kill_all_reaches_every_process(ctr: Ctr) -> None:
    ctr.start(args=["sh", "-c", "sleep 1001 & sleep 1002 & exec sleep 1000"])
    wait_for(lambda: len(ctr.pids()) == 3, "three processes")
    ctr.ok("tasks", "kill", "--all", "-s", "SIGKILL", "c")
    ctr.await_status("STOPPED")


def test_kill_of_a_stopped_container_is_told(ctr: Ctr) -> None:
    ctr.start(args=["true"])
    ctr.await_status("STOPPED")
    done = ctr.call("tasks", "kill", "c")
    assert done.returncode == 1 and "process already finished: not found" in done.stderr


def test_pause_and_resume(ctr: Ctr) -> None:
    ctr.start()
    ctr.ok("tasks", "pause", "c")
    assert ctr.status() == "PAUSED"
    assert "FROZEN" in ctr.ground.limit("freezer", "c", "freezer.state")
    ctr.ok("tasks", "resume", "c")
    assert ctr.status() == "RUNNING"


def test_processes_are_listed(ctr: Ctr) -> None:
    ctr.start(args=["sh", "-c", "sleep 1001 & exec sleep 1000"])
    wait_for(lambda: len(ctr.pids()) == 2, "two processes")
    assert sorted(ctr.cmdline(pid)[1] for pid in ctr.pids()) == ["1000", "1001"]


def test_statistics_are_read(ctr: Ctr) -> None:
    ctr.start("c", "--memory-limit", "33554432")
    text = ctr.ok("tasks", "metrics", "c")
    assert re.search(r"memory\.usage_in_bytes +[1-9]", text) and re.search(r"pids\.current +1", text)


def test_events_of_a_life(ctr: Ctr) -> None:
    with ctr.events() as events:
        ctr.run(["true"])
        for topic in ("/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"):
            events.expect(topic)


def test_exec_prints_and_exits_with_the_status(ctr: Ctr) -> None:
    ctr.start()
    done = ctr.exec("sh", "-c", "echo out; echo err >&2; exit 5")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 5)


def test_exec_reads_standard_input(ctr: Ctr) -> None:
    ctr.start()
    assert ctr.exec("wc", "-c", input="12345").stdout == "5\n"


def test_exec_has_user_and_directory(ctr: Ctr) -> None:
    ctr.start()
    assert (
        ctr.exec("sh", "-c", "id -u; id -g; pwd", options=["--user", "1000:1000", "--cwd", "/home"]).stdout
        == "1000\n1000\n/home\n"
    )
    assert ctr.exec("id", "-un", options=["--user", "guest"]).stdout == "guest\n"


def test_exec_has_a_terminal(ctr: Ctr) -> None:
    ctr.start()
    terminal = ctr.terminal(
        "tasks",
        "exec",
        "-t",
        "--exec-id",
        "e",
        "c",
        "sh",
        "-c",
        "until stty size 2>&1 | grep -v stty; do sleep 0.1; done; tty",
        rows=30,
        columns=99,
    )
    assert terminal.wait() == 0 and "30 99" in terminal.text and "/dev/pts/" in terminal.text


def test_exec_is_in_every_namespace_and_cgroup(ctr: Ctr) -> None:
    ctr.start()
    script = "cd /proc/self/ns; for n in *; do readlink $n; done; cat /proc/self/cgroup"
    there = ctr.exec("sh", "-c", script).stdout
    init = ctr.exec("sh", "-c", script.replace("self", "1")).stdout
    assert there == init != ""


def test_exec_detached_is_killed_by_its_id(ctr: Ctr) -> None:
    ctr.start()
    assert ctr.exec_as_it_is("sleep", "1003", options=["--detach"]).returncode == 0
    wait_for(lambda: len(ctr.pids()) == 2, "the exec'd process")
    ctr.ok("tasks", "kill", "--exec-id", "e", "-s", "SIGKILL", "c")
    wait_for(lambda: len(ctr.pids()) == 1, "the end of the exec'd process")


def test_exec_of_a_missing_command_is_told(ctr: Ctr) -> None:
    ctr.start()
    done = ctr.exec_as_it_is("nonesuch")
    assert done.returncode == 1 and 'exec: "nonesuch": executable file not found in $PATH' in done.stderr
    assert ctr.exec("echo", "next").stdout == "next\n"


def test_exec_in_a_stopped_container_is_told(ctr: Ctr) -> None:
    ctr.start(args=["true"])
    ctr.await_status("STOPPED")
    done = ctr.exec("true")
    assert done.returncode == 1 and "stopped" in done.stderr


def test_ten_execs_at_once(ctr: Ctr) -> None:
    ctr.start()
    clients = [
        ctr.ground.popen(
            *ctr.words(("tasks", "exec", "--exec-id", f"e{n}", "c", "sh", "-c", f"echo {n}; sleep 0.1")),
            stdout=subprocess.PIPE,
        )
        for n in range(10)
    ]
    assert [client.communicate(timeout=60)[0] for client in clients] == [f"{n}\n" for n in range(10)]


def test_twenty_containers_at_once(ctr: Ctr) -> None:
    clients = [
        ctr.ground.popen(
            *ctr.words(("run", "--rm", *ctr.flags(), IMAGE, f"c{n}", "echo", str(n))), stdout=subprocess.PIPE
        )
        for n in range(20)
    ]
    assert [client.communicate(timeout=90)[0] for client in clients] == [f"{n}\n" for n in range(20)]


def test_name_is_free_again_after_the_end(ctr: Ctr) -> None:
    assert [ctr.out(["echo", str(n)]) for n in range(3)] == ["0\n", "1\n", "2\n"]
