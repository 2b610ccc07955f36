"""Podman: the life of a container from its start to its removal, exec included."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ground import Ground, wait_for
from podman import WRONG_COMMANDS, Podman, prepared

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with prepared("podman-life", archive) as made:
        yield made


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_detached_container_is_listed(podman: Podman) -> None:
    podman.start()
    assert podman.ok("ps", "--format", "{{.Names}} {{.Command}}").startswith("c sh -c")
    assert podman.inspect("OCIRuntime") == podman.runtime


def test_created_container_starts_later(podman: Podman) -> None:
    podman.ok(*podman.made("create", ("--name", "c")), "localhost/busybox", "echo", "late")
    assert podman.status() == "created"
    podman.ok("init", "c")  # calls the runtime's create, but not start
    assert podman.status() == "initialized"
    assert podman.ok("start", "--attach", "c") == "late\n"


def test_created_container_is_removed_unstarted(podman: Podman) -> None:
    podman.ok(*podman.made("create", ("--name", "c")), "localhost/busybox", "echo", "never")
    podman.ok("init", "c")
    podman.ok("rm", "--force", "--time", "0", "c")
    assert podman.ok("ps", "--all", "--quiet") == ""


def test_stopped_container_starts_again(podman: Podman) -> None:
    podman.ok(*podman.made("create", ("--name", "c")), "localhost/busybox", *shell("echo x >> /log; cat /log"))
    assert podman.ok("start", "--attach", "c") == "x\n"
    assert podman.ok("start", "--attach", "c") == "x\nx\n"


def test_logs_hold_the_output(podman: Podman) -> None:
    podman.start("c", args=shell("echo out; echo err >&2"))
    podman.ok("wait", "c")
    done = podman.call("logs", "c")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_logs_are_followed(podman: Podman) -> None:
    podman.start("c", args=shell("echo 1; until test -e /go; do sleep 0.05; done; echo 2"))
    follow = podman.terminal("logs", "--follow", "c")
    follow.expect("1")
    podman.ok("exec", "c", "touch", "/go")
    follow.expect("2")
    assert follow.wait() == 0


def test_attach_shows_the_output(podman: Podman) -> None:
    podman.start("c", "-it", args=["sh"])
    terminal = podman.terminal("attach", "c")
    terminal.send("echo $((40 + 2)); exit 8\n")
    terminal.expect("42")
    terminal.wait()
    assert podman.ok("wait", "c") == "8\n"


def test_exec_prints_and_exits_with_the_status(podman: Podman) -> None:
    podman.start()
    done = podman.call("exec", "c", *shell("echo out; echo err >&2; exit 9"))
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 9)


def test_exec_reads_standard_input(podman: Podman) -> None:
    podman.start()
    assert podman.ok("exec", "--interactive", "c", "wc", "-c", input="x" * 100_000) == "100000\n"


def test_exec_has_user_directory_and_environment(podman: Podman) -> None:
    podman.start()
    options = ["--user", "guest", "--workdir", "/home", "--env", "A=b"]
    assert podman.ok("exec", *options, "c", *shell("id -u; id -G; pwd; echo $A")) == "1000\n1000 10\n/home\nb\n"


def test_exec_has_a_terminal(podman: Podman) -> None:
    podman.start()
    terminal = podman.terminal("exec", "-it", "c", "sh", rows=22, columns=77)
    terminal.send("stty size; tty; exit 4\n")
    terminal.expect("22 77")
    terminal.expect("/dev/pts/")
    assert terminal.wait() == 4


def test_exec_is_in_every_namespace_and_cgroup(podman: Podman) -> None:
    podman.start("c", "--cgroupns", "private")
    script = "cd /proc/$1/ns; for n in cgroup ipc mnt net pid uts user; do readlink $n; done; cat /proc/$1/cgroup"
    init, execd = (podman.ok("exec", "c", *shell(script), "x", pid) for pid in ("1", "self"))
    assert init == execd and init.count("[") == 7


def test_exec_detached_runs_on(podman: Podman) -> None:
    podman.start()
    podman.ok("exec", "--detach", "c", *shell("touch /began; sleep 300"))
    wait_for(lambda: podman.call("exec", "c", "test", "-e", "/began").returncode == 0, "the process")
    assert "sleep 300" in podman.ok("top", "c", "args")


def test_exec_has_the_limits_and_the_filter(podman: Podman) -> None:
    podman.start("c", "--ulimit", "nofile=77:77", "--ulimit", "nproc=900:900", "--cap-drop", "all")
    text = podman.ok("exec", "c", *shell("ulimit -n; grep -w Seccomp /proc/self/status; grep CapEff /proc/self/status"))
    assert text.split() == ["77", "Seccomp:", "2", "CapEff:", "0" * 16]


def test_exec_privileged(podman: Podman) -> None:
    podman.start()
    text = podman.ok("exec", "--privileged", "c", "grep", "CapEff", "/proc/self/status")
    assert int(text.split()[1], 16) & 1 << 21


def test_exec_has_preserved_descriptors(podman: Podman) -> None:
    podman.start()
    with (podman.ground.directory / "handed").open("w+") as file:
        file.write("through\n")
        file.seek(0)
        os.dup2(file.fileno(), 3)
        assert podman.ok("exec", "--preserve-fds", "1", "c", *shell("cat <&3"), pass_fds=[3]) == "through\n"


@pytest.mark.parametrize(("command", "code", "words"), WRONG_COMMANDS.values(), ids=list(WRONG_COMMANDS))
def test_exec_of_a_wrong_command_is_told(podman: Podman, command: str, code: int, words: str) -> None:
    podman.start()
    done = podman.call("exec", "c", command)
    assert done.returncode == code and words in done.stderr
    assert podman.ok("exec", "c", "echo", "next") == "next\n"


def test_exec_in_an_absent_directory_is_told(podman: Podman) -> None:
    podman.start()
    done = podman.call("exec", "--workdir", "/no/such", "c", "true")
    assert done.returncode == 127 and "/no/such" in done.stderr


def test_exec_in_a_stopped_container_is_told(podman: Podman) -> None:
    podman.start("c", args=["true"])
    podman.ok("wait", "c")
    done = podman.call("exec", "c", "true")
    assert done.returncode == 255 and "can only create exec sessions on running containers" in done.stderr


def test_ten_execs_at_once(podman: Podman) -> None:
    podman.start()
    words = [podman.words("exec", "c", "echo", str(number)) for number in range(10)]
    running = [podman.ground.popen(*one, stdout=subprocess.PIPE) for one in words]
    assert [one.communicate(timeout=60)[0] for one in running] == [f"{number}\n" for number in range(10)]


def test_exec_ends_with_the_container(podman: Podman) -> None:
    podman.start()
    client = podman.ground.popen(*podman.words("exec", "c", "sleep", "300"))
    wait_for(lambda: "sleep 300" in podman.ok("top", "c", "args"), "the process")
    podman.ok("kill", "c")
    assert client.wait(20) == 137


def test_kill_ends_with_the_signal(podman: Podman) -> None:
    podman.start()
    podman.ok("kill", "c")
    assert podman.ok("wait", "c") == "137\n" and podman.inspect("State.ExitCode") == 137


def test_signal_by_name_reaches_the_process(podman: Podman) -> None:
    podman.start("c", args=shell('trap "echo got; exit 3" USR1; echo up; while :; do sleep 0.05; done'))
    podman.await_log("up")
    podman.ok("kill", "--signal", "USR1", "c")
    assert podman.ok("wait", "c") == "3\n" and "got" in podman.ok("logs", "c")


def test_kill_of_a_stopped_container_is_told(podman: Podman) -> None:
    podman.start("c", args=["true"])
    podman.ok("wait", "c")
    done = podman.call("kill", "c")
    assert done.returncode == 125 and "container state improper" in done.stderr


def test_stop_waits_for_the_process(podman: Podman) -> None:
    podman.start("c", args=shell('trap "sleep 0.3; exit 6" TERM; echo up; while :; do sleep 0.05; done'))
    podman.await_log("up")
    podman.ok("stop", "--time", "20", "c")
    assert podman.inspect("State.ExitCode") == 6


def test_stop_kills_after_the_grace_period(podman: Podman) -> None:
    podman.start("c", args=shell('trap "" TERM; echo up; while :; do sleep 0.05; done'))
    podman.await_log("up")
    done = podman.call("stop", "--time", "1", "c")
    assert done.returncode == 0 and "resorting to SIGKILL" in done.stderr
    assert podman.inspect("State.ExitCode") == 137


def test_stop_with_the_signal_of_the_container(podman: Podman) -> None:
    script = 'trap "exit 5" INT; echo up; while :; do sleep 0.05; done'
    podman.start("c", "--stop-signal", "INT", args=shell(script))
    podman.await_log("up")
    podman.ok("stop", "--time", "20", "c")
    assert podman.inspect("State.ExitCode") == 5


def test_signals_of_the_client_are_passed_on(podman: Podman) -> None:
    script = 'trap "exit 12" TERM; echo up; while :; do sleep 0.05; done'
    words = podman.words(*podman.made("run", ("--name", "c")), "localhost/busybox", *shell(script))
    client = podman.ground.popen(*words, stdout=subprocess.PIPE)
    assert client.stdout is not None and client.stdout.readline() == "up\n"
    pid = next(pid for pid, line in podman.ground.processes().items() if line == " ".join(words))
    podman.ground.ok("kill", "-TERM", str(pid))
    assert client.wait(20) == 12


def test_restart_starts_another_process(podman: Podman) -> None:
    podman.start()
    before = podman.inspect("State.Pid")
    podman.ok("restart", "--time", "0", "c")
    assert podman.status() == "running" and podman.inspect("State.Pid") != before


def test_restart_policy_is_followed(podman: Podman) -> None:
    podman.start("c", "--restart", "on-failure:2", args=shell("echo again; exit 4"))
    wait_for(lambda: podman.status() == "exited" and podman.inspect("RestartCount") == 2, "two restarts")
    assert podman.ok("logs", "c") == "again\n" * 3 and podman.inspect("State.ExitCode") == 4


def test_pause_and_resume(podman: Podman) -> None:
    podman.start("c", args=shell("while :; do echo x >> /ticks; sleep 0.02; done"))
    podman.ok("pause", "c")
    assert podman.status() == "paused" and podman.limit("freezer", "freezer.state") == "FROZEN"
    assert podman.call("exec", "c", "true").returncode == 255
    podman.ok("unpause", "c")
    assert podman.status() == "running" and podman.ok("exec", "c", "echo", "thawed") == "thawed\n"


def test_paused_container_is_removed(podman: Podman) -> None:
    podman.start()
    podman.ok("pause", "c")
    podman.ok("rm", "--force", "--time", "0", "c")
    assert podman.ok("ps", "--all", "--quiet") == ""


def test_running_container_is_removed_by_force_only(podman: Podman) -> None:
    podman.start()
    assert podman.call("rm", "c").returncode == 2
    podman.ok("rm", "--force", "--time", "0", "c")
    assert podman.ok("ps", "--all", "--quiet") == ""


def test_limits_are_updated(podman: Podman) -> None:
    podman.start("c", "--memory", "32m", "--cpu-shares", "100")
    podman.ok("update", "--memory", "48m", "--memory-swap", "64m", "--cpu-shares", "333", "--cpus", "0.4", "c")
    assert podman.limit("memory", "memory.limit_in_bytes") == str(48 << 20)
    assert podman.limit("memory", "memory.memsw.limit_in_bytes") == str(64 << 20)
    assert [podman.limit("cpu", file) for file in ("cpu.shares", "cpu.cfs_quota_us")] == ["333", "40000"]


def test_update_below_the_usage_is_told(podman: Podman) -> None:
    podman.start("c", args=shell("head -c 8m /dev/zero > /dev/shm/f; echo up; sleep 100"))
    podman.await_log("up")
    done = podman.call("update", "--memory", "1m", "c")
    assert done.returncode == 125 and podman.status() == "running"


def test_statistics_are_read(podman: Podman) -> None:
    podman.start("c", "--memory", "64m")
    stats = json.loads(podman.ok("stats", "--no-stream", "--format", "json", "c"))[0]
    assert stats["mem_usage"].endswith("/ 67.11MB") and stats["pids"] == "2"


def test_processes_are_listed(podman: Podman) -> None:
    podman.start()
    assert "sleep 1000" in podman.ok("top", "c")
    assert sorted(podman.ok("top", "c", "-o", "comm").split()) == ["COMMAND", "ps", "sh", "sleep"]


def test_events_of_a_life(podman: Podman) -> None:
    podman.start("c", args=["true"])
    podman.ok("wait", "c")
    podman.ground.settle()
    name = podman.inspect("ID")
    podman.ok("rm", "c")
    lines = podman.ok("events", "--stream=false", "--filter", f"container={name}", "--format", "{{.Status}}").split()
    seen = [word for word in lines if word in ("create", "init", "start", "died", "remove")]
    assert seen == ["create", "init", "start", "died", "remove"]


def test_healthcheck_tells_the_truth(podman: Podman) -> None:
    podman.start("c", "--health-cmd", "test -e /fine", "--health-interval", "disable", "--health-retries", "1")
    assert podman.call("healthcheck", "run", "c").returncode == 1
    assert podman.inspect("State.Healthcheck.Status") == "unhealthy"
    podman.ok("exec", "c", "touch", "/fine")
    assert podman.call("healthcheck", "run", "c").returncode == 0
    assert podman.inspect("State.Healthcheck.Status") == "healthy"


def test_files_are_copied_in_and_out(podman: Podman) -> None:
    podman.start("c", "--tmpfs", "/mnt")
    source = podman.source("copy") / "f"
    source.write_text("copied\n")
    podman.ok("cp", str(source), "c:/mnt/f")
    assert podman.ok("exec", "c", "cat", "/mnt/f") == "copied\n"
    podman.ok("cp", "c:/mnt/f", f"{source}.back")
    assert Path(f"{source}.back").read_text() == "copied\n"


def test_changes_are_listed_and_committed(podman: Podman) -> None:
    podman.start("c")
    podman.ok("exec", "c", "touch", "/new")
    assert "A /new" in podman.ok("container", "diff", "c").splitlines()
    podman.ok("commit", "--quiet", "--pause", "c", f"committed-{podman.runtime}")
    assert podman.out("ls /new", image=f"localhost/committed-{podman.runtime}") == "/new\n"


def test_ten_containers_at_once(podman: Podman) -> None:
    words = podman.words(*podman.made("run", ("--rm",)), "localhost/busybox", "hostname")
    running = [podman.ground.popen(*words, stdout=subprocess.PIPE) for _ in range(10)]
    names = {one.communicate(timeout=80)[0] for one in running}
    assert len(names) == 10 and all(one.returncode == 0 for one in running)
