"""Docker: the life of a container, from create to the shim's death."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerd import Docker
from ground import IMAGE, Ground, wait_for

pytestmark = pytest.mark.usefixtures("clean")
TRAP = "trap 'echo got it; exit 6' TERM; trap 'echo again; exit 8' USR1; echo ready; while :; do sleep 0.05; done"
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with Ground("docker-life") as made:
        Docker.prepare(made, archive, **{"live-restore": True})
        yield made


def test_detached_container_is_listed(docker: Docker) -> None:
    identity = docker.start()
    assert docker.ok("ps", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}") == f"{identity} box running"


def test_created_container_starts_later(docker: Docker) -> None:
    docker.ok("create", "--name", "box", *docker.flags, IMAGE, "sh", "-c", "echo started; exit 4")
    assert docker.show(".State.Status") == "created"
    done = docker.call("start", "--attach", "box")
    assert (done.stdout, done.returncode) == ("started\n", 4)


def test_stopped_container_starts_again(docker: Docker) -> None:
    docker.start(args="echo run >> /count; exec sleep 1000")
    for _ in range(2):
        docker.ok("restart", "--time", "0", "box")
    assert docker.exec("cat", "/count").stdout == "run\n" * 3


def test_logs_hold_the_output(docker: Docker) -> None:
    docker.start(args="echo out; echo err >&2")
    docker.await_status("exited")
    done = docker.call("logs", "box")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_logs_are_followed(docker: Docker) -> None:
    docker.start(args="for n in 1 2 3; do echo $n; sleep 0.1; done")
    assert docker.ok("logs", "--follow", "box") == "1\n2\n3"


def test_attach_shows_the_output(docker: Docker) -> None:
    docker.start(args="trap 'exit 4' TERM; while :; do echo tick; sleep 0.05; done")
    client = docker.ground.popen(*docker.words(("attach", "--no-stdin", "box")), stdout=subprocess.PIPE)
    assert client.stdout is not None and client.stdout.readline() == "tick\n"
    docker.ok("kill", "--signal", "TERM", "box")
    client.stdout.read()
    assert client.wait(20) == 4


def test_wait_tells_the_status(docker: Docker) -> None:
    docker.start(args="sleep 0.2; exit 11")
    assert docker.ok("wait", "box") == "11"


def test_removed_by_itself(docker: Docker) -> None:
    docker.start("--rm", args="true")
    wait_for(lambda: docker.ok("ps", "--all", "--quiet") == "", "the container to be removed")


def test_kill_ends_with_the_signal(docker: Docker) -> None:
    docker.start()
    docker.ok("kill", "box")
    assert docker.ok("wait", "box") == "137"


def test_signal_by_name_reaches_the_process(docker: Docker) -> None:
    docker.start(args=TRAP)
    docker.await_log("ready")
    docker.ok("kill", "--signal", "SIGUSR1", "box")
    assert docker.ok("wait", "box") == "8"


def test_kill_of_a_stopped_container_is_told(docker: Docker) -> None:
    docker.start(args="true")
    docker.await_status("exited")
    done = docker.call("kill", "box")
    assert done.returncode == 1 and "is not running" in done.stderr


def test_stop_within_the_grace_period(docker: Docker) -> None:
    docker.start(args=TRAP)
    docker.await_log("ready")
    docker.ok("stop", "--time", "20", "box")
    assert docker.show(".State.ExitCode") == "6" and "got it" in docker.ok("logs", "box")


def test_stop_kills_after_the_grace_period(docker: Docker) -> None:
    docker.start(args=DEAF)
    docker.await_log("ready")
    before = time.monotonic()
    docker.ok("stop", "--time", "1", "box")
    assert time.monotonic() - before >= 1 and docker.show(".State.ExitCode") == "137"


def test_stop_signal_of_the_container(docker: Docker) -> None:
    docker.start("--stop-signal", "USR1", args=TRAP)
    docker.await_log("ready")
    docker.ok("stop", "--time", "20", "box")
    assert docker.show(".State.ExitCode") == "8"


def test_stop_reaches_every_process(docker: Docker) -> None:
    docker.start(args="sleep 1001 & sleep 1002 & wait")
    docker.ok("stop", "--time", "0", "box")
    docker.ground.settle()


def test_processes_without_a_pid_namespace_are_all_killed(docker: Docker) -> None:
    docker.start("--pid", "host", args="sleep 1001 & sleep 1002 & exec sleep 1000")
    docker.ok("kill", "box")
    docker.await_status("exited")
    docker.ground.settle()


def test_pause_and_resume(docker: Docker) -> None:
    docker.start(args="while :; do echo tick; sleep 0.05; done")
    docker.ok("pause", "box")
    assert docker.show(".State.Status") == "paused" and docker.limit("freezer", "freezer.state") == "FROZEN"
    docker.ok("unpause", "box")
    assert docker.show(".State.Status") == "running" and docker.limit("freezer", "freezer.state") == "THAWED"


def test_exec_in_a_paused_container_is_told(docker: Docker) -> None:
    docker.start()
    docker.ok("pause", "box")
    done = docker.exec("true")
    assert done.returncode == 1 and "paused" in done.stderr


def test_paused_container_is_removed(docker: Docker) -> None:
    docker.start()
    docker.ok("pause", "box")
    docker.ok("rm", "--force", "box")
    docker.ground.settle()


def test_update_of_limits(docker: Docker) -> None:
    docker.start("--memory", "64m")
    docker.ok("update", "--memory", "32m", "--memory-swap", "64m", "--cpu-shares", "300", "--pids-limit", "77", "box")
    assert docker.limit("memory", "memory.limit_in_bytes") == "33554432"
    assert docker.limit("cpu", "cpu.shares") == "300" and docker.limit("pids", "pids.max") == "77"


def test_update_of_cpus(docker: Docker) -> None:
    docker.start("--cpus", "0.5")
    docker.ok("update", "--cpus", "1.5", "--cpuset-cpus", "0", "box")
    assert docker.limit("cpu", "cpu.cfs_quota_us") == "150000" and docker.limit("cpuset", "cpuset.cpus") == "0"


def test_update_that_cannot_be_is_told(docker: Docker) -> None:
    docker.start()
    done = docker.call("update", "--cpuset-cpus", "99", "box")
    assert done.returncode == 1 and done.stderr.strip()
    assert docker.exec("echo", "next").stdout == "next\n"


def test_statistics_are_read(docker: Docker) -> None:
    docker.start("--memory", "32m")
    text = docker.ok("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "box")
    assert text.endswith("/ 32MiB 1") and not text.startswith("0B")


def test_processes_are_listed(docker: Docker) -> None:
    docker.start(args="sleep 1001 & exec sleep 1000")
    wait_for(lambda: docker.ok("top", "box", "-o", "pid,args").count("sleep") == 2, "two processes")


def test_events_of_a_life(docker: Docker) -> None:
    with docker.events() as events:
        docker.out("true")
        for action in ("create", "start", "die", "destroy"):
            events.expect(f"container {action}")


def test_restart_on_failure_counts(docker: Docker) -> None:
    docker.start("--restart", "on-failure:2", args="echo try; exit 3")
    wait_for(lambda: docker.show(".RestartCount") == "2" and docker.show(".State.Status") == "exited", "two restarts")
    assert docker.ok("logs", "box") == "try\ntry\ntry" and docker.show(".State.ExitCode") == "3"


def test_restart_always_after_a_kill_from_outside(docker: Docker) -> None:
    docker.start("--restart", "always")
    pid = docker.show(".State.Pid")
    docker.ground.ok("kill", "-9", pid)
    wait_for(lambda: docker.show(".State.Status") == "running" and docker.show(".State.Pid") != pid, "the restart")


def test_health_is_checked(docker: Docker) -> None:
    docker.start("--health-cmd", "test -e /tmp/well", "--health-interval", "100ms", "--health-retries", "2")
    wait_for(lambda: docker.show(".State.Health.Status") == "unhealthy", "unhealthy")
    docker.exec("touch", "/tmp/well")
    wait_for(lambda: docker.show(".State.Health.Status") == "healthy", "healthy")


def test_exec_prints_and_exits_with_the_status(docker: Docker) -> None:
    docker.start()
    done = docker.exec("sh", "-c", "echo out; echo err >&2; exit 5")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 5)


def test_exec_reads_standard_input(docker: Docker) -> None:
    docker.start()
    assert docker.exec("wc", "-c", options=("-i",), input="12345").stdout == "5\n"


def test_exec_has_user_environment_and_directory(docker: Docker) -> None:
    docker.start("--env", "OF=container")
    options = ("--user", "guest", "--env", "A=b", "--workdir", "/data")
    done = docker.exec("sh", "-c", "id -un; echo $A $OF $HOME; pwd", options=options)
    assert done.stdout == "guest\nb container /home/guest\n/data\n"


def test_exec_has_a_terminal(docker: Docker) -> None:
    docker.start()
    script = "until stty size 2>&1 | grep 99; do sleep 0.05; done; tty"
    terminal = docker.terminal("exec", "-it", "box", "sh", "-c", script, rows=30, columns=99)
    assert terminal.wait() == 0 and "30 99" in terminal.text and "/dev/pts/" in terminal.text


@pytest.mark.runc_fails("1.1 needs every capability, and root has not CAP_SYS_RESOURCE on some machines")
def test_exec_with_every_right(docker: Docker) -> None:
    docker.start()
    plain = docker.exec("grep", "CapEff", "/proc/self/status").stdout.split()[1]
    more = docker.exec("grep", "CapEff", "/proc/self/status", options=("--privileged",)).stdout.split()[1]
    assert int(more, 16) & 1 << 21 and not int(plain, 16) & 1 << 21


def test_exec_is_in_every_namespace_and_cgroup(docker: Docker) -> None:
    docker.start()
    script = "cd /proc/self/ns; for n in *; do readlink $n; done; cat /proc/self/cgroup"
    there, init = (docker.exec("sh", "-c", script.replace("self", name)).stdout for name in ("self", "1"))
    assert there == init != ""


def test_exec_detached_runs_on(docker: Docker) -> None:
    docker.start()
    docker.ok("exec", "--detach", "box", "sleep", "1003")
    wait_for(lambda: "sleep 1003" in docker.ok("top", "box", "-o", "pid,args"), "the exec'd process")


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [("nonesuch", 126, "executable file not found"), ("/etc/plain", 126, "permission denied")],
    ids=["missing", "not executable"],
)
def test_exec_of_a_wrong_command_is_told(docker: Docker, command: str, code: int, words: str) -> None:
    docker.start()
    done = docker.exec(command)
    assert done.returncode == code and words in done.stdout + done.stderr, (done.returncode, done.stdout, done.stderr)
    assert docker.exec("echo", "next").stdout == "next\n"


def test_exec_in_a_wrong_directory_is_told(docker: Docker) -> None:
    docker.start()
    done = docker.exec("true", options=("--workdir", "/data/file"))
    assert done.returncode in (126, 127) and "/data/file" in done.stdout + done.stderr


def test_exec_of_an_unknown_user_is_told(docker: Docker) -> None:
    docker.start()
    done = docker.exec("true", options=("--user", "nonesuch"))
    assert done.returncode == 126 and "nonesuch" in done.stdout + done.stderr


def test_exec_in_a_stopped_container_is_told(docker: Docker) -> None:
    docker.start(args="true")
    docker.await_status("exited")
    done = docker.exec("true")
    assert done.returncode == 1 and "is not running" in done.stderr


def test_ten_execs_at_once(docker: Docker) -> None:
    docker.start()
    clients = [
        docker.ground.popen(*docker.words(("exec", "box", "echo", str(n))), stdout=subprocess.PIPE) for n in range(10)
    ]
    assert [client.communicate(timeout=60)[0] for client in clients] == [f"{n}\n" for n in range(10)]


def test_ten_containers_at_once(docker: Docker) -> None:
    clients = [
        docker.ground.popen(
            *docker.words(("run", "--rm", *docker.flags, IMAGE, "echo", str(n))), stdout=subprocess.PIPE
        )
        for n in range(10)
    ]
    assert [client.communicate(timeout=90)[0] for client in clients] == [f"{n}\n" for n in range(10)]


def test_files_are_copied_in_and_out(docker: Docker) -> None:
    docker.start()
    source = docker.source("copy")
    (source / "file").write_text("copied\n")
    docker.ok("cp", f"{source}/file", "box:/tmp/file")
    assert docker.exec("cat", "/tmp/file").stdout == "copied\n"
    docker.ok("cp", "box:/data/file", f"{source}/back")
    assert (source / "back").read_text() == "of the image\n"


def test_changes_of_files_are_told(docker: Docker) -> None:
    docker.start(args="touch /new; rm /data/file")
    docker.await_status("exited")
    assert set(docker.ok("diff", "box").splitlines()) == {"A /new", "C /data", "D /data/file"}


def test_committed_container_is_an_image(docker: Docker) -> None:
    docker.start(args="echo committed > /file")
    docker.await_status("exited")
    docker.ok("commit", "box", "localhost/committed")
    assert docker.out("cat /file", image="localhost/committed") == "committed\n"


def test_renamed_container_goes_on(docker: Docker) -> None:
    docker.start()
    docker.ok("rename", "box", "other")
    assert docker.ok("exec", "other", "echo", "here") == "here"


def test_network_is_connected_while_running(docker: Docker) -> None:
    docker.ok("network", "create", "second")
    docker.start()
    docker.ok("network", "connect", "second", "box")
    assert docker.exec("ls", "/sys/class/net").stdout.split() == ["eth0", "eth1", "lo"]
    docker.ok("network", "disconnect", "second", "box")


def test_containers_of_a_network_know_each_others_names(docker: Docker) -> None:
    docker.ok("network", "create", "named")
    docker.start("--network", "named", args="echo by name > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    script = "until wget -q -O - http://box/ 2>/dev/null; do sleep 0.1; done"
    assert docker.out(script, "--network", "named") == "by name\n"


def test_engine_restarts_while_a_container_runs(docker: Docker) -> None:
    docker.start(args=TRAP)
    docker.await_log("ready")
    pid = docker.show(".State.Pid")
    docker.restart()
    assert docker.show(".State.Pid") == pid and docker.exec("echo", "still").stdout == "still\n"
    docker.ok("stop", "--time", "20", "box")
    assert docker.show(".State.ExitCode") == "6"


def test_engine_killed_and_restarted(docker: Docker) -> None:
    docker.start(args=TRAP)
    docker.await_log("ready")
    docker.restart(signal.SIGKILL)
    assert docker.exec("echo", "still").stdout == "still\n"
    docker.ok("kill", "box")
    docker.await_status("exited")


def test_killed_shim_leaves_nothing(docker: Docker) -> None:
    docker.start(args="sleep 1001 & exec sleep 1000")
    docker.kill_shim()
    docker.await_status("exited")
    docker.ok("rm", "box")
    docker.ground.settle()
    assert docker.out("echo next") == "next\n"


def test_killed_init_is_noticed(docker: Docker) -> None:
    docker.start()
    docker.ground.ok("kill", "-9", docker.show(".State.Pid"))
    assert docker.ok("wait", "box") == "137"


def test_nothing_is_kept_of_a_failed_start(docker: Docker) -> None:
    docker.ok("create", "--name", "box", *docker.flags, IMAGE, "nonesuch")
    for _ in range(2):
        done = docker.call("start", "box")
        assert done.returncode == 1 and "executable file not found in $PATH" in done.stderr
    assert json.loads(docker.ok("inspect", "box"))[0]["State"]["ExitCode"] == 127
    docker.ground.settle()
