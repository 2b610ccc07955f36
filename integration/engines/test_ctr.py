"""containerd alone, through its own client `ctr`."""

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctr import Ctr
from ground import IMAGE, Ground, wait_for

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with Ground("ctr", private=["/etc/cni/net.d", "/var/lib/cni", "/var/lib/containerd"]) as made:
        Ctr.prepare(made, archive)
        yield made


@pytest.fixture
def ctr(ground: Ground, runtime: str) -> Iterator[Ctr]:
    made = Ctr(ground, runtime)
    yield made
    made.remove_all()


def test_run_prints_and_exits_with_the_status(ctr: Ctr) -> None:
    done = ctr.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_standard_input_is_read(ctr: Ctr) -> None:
    # This ctr never closes the container's standard input: it can't be read to its end.
    assert ctr.out(["sh", "-c", "head -c 100000 | wc -c"], input="x" * 100_000) == "100000\n"


def test_big_output_is_whole(ctr: Ctr) -> None:
    assert len(ctr.out(["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' y"])) == 3_000_000


def test_environment_is_set(ctr: Ctr) -> None:
    assert ctr.out(["sh", "-c", 'echo "$A $PATH"'], "--env", "A=b c") == "b c /usr/sbin:/usr/bin:/sbin:/bin\n"


def test_environment_file_is_read(ctr: Ctr) -> None:
    file = ctr.ground.directory / "env"
    file.write_text("ONE=1\nTWO=2\n")
    assert ctr.out(["sh", "-c", "echo $ONE$TWO"], "--env-file", str(file)) == "12\n"


def test_working_directory_is_set(ctr: Ctr) -> None:
    assert ctr.out(["pwd"], "--cwd", "/home") == "/home\n"


def test_working_directory_that_is_absent_is_made(ctr: Ctr) -> None:
    assert ctr.out(["pwd"], "--cwd", "/not/there/yet") == "/not/there/yet\n"


def test_root_file_system_is_read_only(ctr: Ctr) -> None:
    done = ctr.run(["touch", "/x"], "--read-only")
    assert done.returncode == 1 and "Read-only file system" in done.stderr


def test_bind_mount_is_written_through(ctr: Ctr) -> None:
    source = ctr.source("bind")
    ctr.out(
        ["sh", "-c", "echo inside > /mnt/it/file"], "--mount", f"type=bind,src={source},dst=/mnt/it,options=rbind:rw"
    )
    assert (source / "file").read_text() == "inside\n"


def test_bind_mount_is_read_only(ctr: Ctr) -> None:
    source = ctr.source("bind-ro")
    mount = f"type=bind,src={source},dst=/mnt,options=rbind:ro"
    assert "Read-only file system" in ctr.run(["touch", "/mnt/x"], "--mount", mount).stderr


def test_bind_mount_of_a_file(ctr: Ctr) -> None:
    file = ctr.source("bind-file") / "f"
    file.write_text("one file\n")
    assert ctr.out(["cat", "/etc/one"], "--mount", f"type=bind,src={file},dst=/etc/one,options=bind:ro") == "one file\n"


def test_tmpfs_has_its_options(ctr: Ctr) -> None:
    mount = "type=tmpfs,src=tmpfs,dst=/scratch,options=size=1m:noexec:mode=1777"
    line = ctr.out(["sh", "-c", "grep ' /scratch ' /proc/mounts"], "--mount", mount)
    assert "noexec" in line and "size=1024k" in line


def test_masked_and_read_only_paths(ctr: Ctr) -> None:
    script = "wc -c < /proc/timer_list; ls /sys/firmware; echo x > /proc/sys/kernel/hostname"
    assert ctr.out(["sh", "-c", script], code=1) == "0\n"


def test_memory_limit_is_set(ctr: Ctr) -> None:
    ctr.start("c", "--memory-limit", "33554432")
    assert ctr.ground.limit("memory", "c", "memory.limit_in_bytes") == "33554432"


def test_out_of_memory_is_reported(ctr: Ctr) -> None:
    with ctr.events() as events:
        done = ctr.run(["sh", "-c", "tail -c 200m /dev/zero"], "--memory-limit", "16777216")
        assert done.returncode == 137
        events.expect("/tasks/oom")


def test_cpu_quota_and_shares(ctr: Ctr) -> None:
    ctr.start("c", "--cpus", "0.5", "--cpu-shares", "512")
    assert [ctr.ground.limit("cpu", "c", file) for file in ("cpu.cfs_quota_us", "cpu.shares")] == ["50000", "512"]


def test_capabilities_by_default(ctr: Ctr) -> None:
    assert ctr.out(["grep", "CapEff", "/proc/self/status"]).split()[1] == "00000000a80425fb"


def test_capabilities_added_and_dropped(ctr: Ctr) -> None:
    text = ctr.out(["grep", "CapEff", "/proc/self/status"], "--cap-add", "CAP_SYS_ADMIN", "--cap-drop", "CAP_CHOWN")
    assert (
        int(text.split()[1], 16) == 0xA80425FB | 1 << 21 & ~1 or int(text.split()[1], 16) == (0xA80425FB | 1 << 21) & ~1
    )


def test_privileged(ctr: Ctr) -> None:
    script = "mount -t tmpfs tmpfs /mnt && grep -c . /proc/timer_list >/dev/null && ls /dev/kmsg && grep CapEff /proc/self/status"
    text = ctr.out(["sh", "-c", script], "--privileged", "--device", "/dev/kmsg")
    assert text.startswith("/dev/kmsg\n") and int(text.split()[-1], 16) & 1 << 21


def test_no_new_privileges_by_default(ctr: Ctr) -> None:
    assert ctr.out(["grep", "NoNewPrivs", "/proc/self/status"]).split() == ["NoNewPrivs:", "1"]


def test_new_privileges_allowed(ctr: Ctr) -> None:
    assert ctr.out(["grep", "NoNewPrivs", "/proc/self/status"], "--allow-new-privs").split() == ["NoNewPrivs:", "0"]


def test_seccomp_default_profile(ctr: Ctr) -> None:
    text = ctr.out(["sh", "-c", "grep -w Seccomp /proc/self/status; unshare -U true; echo $?"], "--seccomp")
    assert text == "Seccomp:\t2\n1\n"


def test_seccomp_profile_of_a_file(ctr: Ctr) -> None:
    profile = ctr.profile(
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}
    )
    done = ctr.run(["mkdir", "/tmp/x"], "--seccomp", "--seccomp-profile", profile)
    assert done.returncode == 1 and "Operation not permitted" in done.stderr


def test_seccomp_off(ctr: Ctr) -> None:
    assert ctr.out(["grep", "-w", "Seccomp", "/proc/self/status"]) == "Seccomp:\t0\n"


def test_device_is_added(ctr: Ctr) -> None:
    # Opening it does nothing.
    assert ctr.out(["sh", "-c", "exec 3<>/dev/fuse && ls -l /dev/fuse"], "--device", "/dev/fuse").startswith("crw")


def test_device_that_was_not_given_is_refused(ctr: Ctr) -> None:
    done = ctr.run(["sh", "-c", "mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg"])
    assert "Operation not permitted" in done.stderr


def test_user_namespace_with_mapped_ids(ctr: Ctr) -> None:
    maps = ["--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536"]
    text = ctr.out(["sh", "-c", "cat /proc/self/uid_map /proc/self/gid_map; id -u; stat -c %u /bin/busybox"], *maps)
    assert text.split() == ["0", "100000", "65536", "0", "200000", "65536", "0", "0"]


def test_namespaces_shared_with_another_container(ctr: Ctr) -> None:
    ctr.start("first")
    pid = ctr.pid("first")
    kinds = [("pid", "pid"), ("ipc", "ipc"), ("network", "net")]
    shared = [word for kind, name in kinds for word in ("--with-ns", f"{kind}:/proc/{pid}/ns/{name}")]
    text = ctr.out(["sh", "-c", "for n in pid ipc net; do readlink /proc/self/ns/$n; done; ps"], *shared)
    assert "sleep 1000" in text
    assert text.splitlines()[:3] == [ctr.ground.namespace(pid, name) for _, name in kinds]


def test_network_of_the_host(ctr: Ctr) -> None:
    ours = ctr.ground.ok("readlink", "/proc/self/ns/net")
    assert ctr.out(["readlink", "/proc/self/ns/net"], "--net-host") == ours
    assert ctr.out(["readlink", "/proc/self/ns/net"]) != ours


def test_loopback_is_up(ctr: Ctr) -> None:
    assert "127.0.0.1" in ctr.out(["ip", "addr", "show", "lo"])


def test_bridge_network(ctr: Ctr) -> None:
    text = ctr.out(["sh", "-c", "ip -4 addr show eth0 && ping -c 1 -W 5 10.88.7.1"], "--cni")
    assert "inet 10.88.7." in text and "1 packets received" in text


@pytest.mark.runc_fails("1.1 leaves the root private there")
def test_propagation_of_the_root(ctr: Ctr) -> None:
    assert "shared:" in ctr.out(["sh", "-c", "grep ' / / ' /proc/self/mountinfo"], "--rootfs-propagation", "shared")


def test_cgroup_path_is_used(ctr: Ctr) -> None:
    ctr.start("c", "--cgroup", f"{ctr.ground.cgroup}/of-its-own")
    assert Path("/sys/fs/cgroup/memory" + ctr.ground.cgroup + "/of-its-own/cgroup.procs").read_text() != ""


def test_pivot_root_can_be_left_out(ctr: Ctr) -> None:
    assert ctr.out(["cat", "/data/file"], "--no-pivot") == "of the image\n"


def test_state_directory_of_the_runtime(ctr: Ctr) -> None:
    root = ctr.ground.directory / "elsewhere"
    ctr.start("c", "--runc-root", str(root))
    assert [path.name for path in root.glob("*/*")] == ["c"]
    ctr.remove_all()
    assert list(root.glob("*/*")) == []


def test_terminal_has_the_size(ctr: Ctr) -> None:
    terminal = ctr.terminal(
        "run",
        "--rm",
        "-t",
        *ctr.flags(),
        IMAGE,
        "c",
        "sh",
        "-c",
        "until stty size 2>&1 | grep -v stty; do sleep 0.1; done; tty",
        rows=31,
        columns=97,
    )
    assert terminal.wait() == 0
    assert "31 97" in terminal.text and "/dev/pts/0" in terminal.text


def test_terminal_is_resized(ctr: Ctr) -> None:
    script = "trap 'exit 3' INT; while :; do stty size; sleep 0.1; done"
    terminal = ctr.terminal("run", "--rm", "-t", *ctr.flags(), IMAGE, "c", "sh", "-c", script)
    terminal.expect("24 80")
    terminal.resize(40, 132)
    terminal.expect("40 132")
    terminal.send("\x03")
    assert terminal.wait() == 3


def test_terminal_interrupt_reaches_the_process(ctr: Ctr) -> None:
    terminal = ctr.terminal(
        "run",
        "--rm",
        "-t",
        *ctr.flags(),
        IMAGE,
        "c",
        "sh",
        "-c",
        "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done",
    )
    terminal.expect("ready")
    terminal.send("\x03")
    terminal.expect("caught")
    assert terminal.wait() == 9


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


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nonesuch"], 'exec: "nonesuch": executable file not found in $PATH'),
        (["/no/such"], 'exec: "/no/such": stat /no/such: no such file or directory'),
        (["/etc/plain"], 'exec: "/etc/plain": permission denied'),
        (["/data"], 'exec: "/data": '),
    ],
    ids=["missing", "missing path", "not executable", "directory"],
)
def test_wrong_command_is_told(ctr: Ctr, args: list[str], words: str) -> None:
    done = ctr.run(args)
    assert done.returncode == 1 and words in done.stderr, done.stderr
    assert ctr.out(["echo", "next"]) == "next\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cwd", "/data/file"], ["/data/file", "not a directory"]),
        (["--mount", "type=bind,src=/no/such,dst=/mnt,options=rbind"], ["/no/such", "no such file or directory"]),
        (["--mount", "type=nonesuch,src=x,dst=/mnt"], ["/mnt", "no such device"]),
        (["--memory-limit", "4096"], []),
        (["--with-ns", "network:/no/such"], ["/no/such", "no such file or directory"]),
        pytest.param(
            ["--with-ns", "network:/proc/1/ns/ipc"], ["/proc/1/ns/ipc"], marks=pytest.mark.runc_fails("names no path")
        ),
    ],
    ids=["directory", "mount source", "mount type", "memory limit", "namespace path", "namespace of another kind"],
)
def test_bad_option_is_told(ctr: Ctr, options: list[str], words: list[str]) -> None:
    done = ctr.run(["true"], *options)
    assert done.returncode == 1 and all(word in done.stderr for word in words), (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
    assert ctr.out(["echo", "next"]) == "next\n"


def test_bad_seccomp_action_is_told(ctr: Ctr) -> None:
    done = ctr.run(["true"], "--seccomp", "--seccomp-profile", ctr.profile({"defaultAction": "SCMP_ACT_NONESUCH"}))
    assert done.returncode == 1 and "SCMP_ACT_NONESUCH" in done.stderr
    assert ctr.out(["echo", "next"]) == "next\n"


def test_unknown_capability_is_told_or_left_out(ctr: Ctr) -> None:
    done = ctr.run(["echo", "ran"], "--cap-add", "CAP_NONESUCH")
    assert done.stdout == "ran\n" or "CAP_NONESUCH" in done.stderr


@pytest.mark.runc_fails("its message has no reason in it")
def test_full_state_directory_leaves_nothing(ctr: Ctr) -> None:
    root = ctr.ground.directory / "full"
    root.mkdir(exist_ok=True)
    ctr.ground.ok("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(root))
    try:
        ctr.ground.call("dd", "if=/dev/zero", f"of={root}/fill", "bs=4k")
        done = ctr.run(["true"], "--runc-root", str(root))
        assert done.returncode == 1 and "no space left on device" in done.stderr
        assert ctr.ground.ok("find", str(root), "-name", "c") == ""
    finally:
        ctr.ground.ok("umount", str(root))


def test_read_only_state_directory_leaves_nothing(ctr: Ctr) -> None:
    root = ctr.ground.directory / "read-only"
    root.mkdir(exist_ok=True)
    ctr.ground.ok("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(root))
    try:
        done = ctr.run(["true"], "--runc-root", str(root))
        assert done.returncode == 1 and "read-only file system" in done.stderr
    finally:
        ctr.ground.ok("umount", str(root))


def test_checkpoint_that_fails_leaves_the_container_running(ctr: Ctr) -> None:
    ctr.start("c", "--null-io")
    # Debian's CRIU does not know every kernel: where it does, this one cannot be written.
    done = ctr.call("tasks", "checkpoint", "--image-path", "/proc/no/such", "c")
    assert done.returncode == 1 and done.stderr.strip()
    assert ctr.status() == "RUNNING" and ctr.exec("echo", "still").stdout == "still\n"


def test_killed_shim_leaves_nothing(ctr: Ctr) -> None:
    ctr.start(args=["sh", "-c", "sleep 1001 & exec sleep 1000"])
    ctr.kill_shim()
    wait_for(lambda: ctr.status() in ("", "STOPPED", "UNKNOWN"), "the task's end")
    ctr.remove_all()
    ctr.ground.settle()
    assert ctr.out(["echo", "next"]) == "next\n"


def test_engine_restarts_while_a_container_runs(ctr: Ctr) -> None:
    ctr.start(args=["sh", "-c", "trap 'exit 6' TERM; while :; do sleep 0.1; done"])
    ctr.restart()
    assert ctr.status() == "RUNNING"
    assert ctr.exec("echo", "still").stdout == "still\n"
    ctr.ok("tasks", "kill", "c")
    ctr.await_status("STOPPED")


def test_engine_killed_and_restarted(ctr: Ctr) -> None:
    ctr.start()
    ctr.restart(signal.SIGKILL)
    assert ctr.status() == "RUNNING"
    ctr.ok("tasks", "kill", "-s", "SIGKILL", "c")
    ctr.await_status("STOPPED")
