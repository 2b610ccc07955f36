"""containerd alone, through its own client `ctr`: the process, its files, its limits, its rights."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctr import Ctr
from ground import Ground

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with Ctr.ready("ctr", archive) as made:
        yield made


def test_run_prints_and_exits_with_the_status(ctr: Ctr) -> None:
    done = ctr.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_standard_input_is_read(ctr: Ctr) -> None:
    # This ctr never closes the container's standard input, so it cannot be read to its end.
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
    # Opening the device has no effect.
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
    ctr.start("c", *ctr.root_flags(root))
    assert [path.name for path in root.glob("*/*")] == ["c"]
    ctr.remove_all()
    assert list(root.glob("*/*")) == []


def test_terminal_has_the_size(ctr: Ctr) -> None:
    terminal = ctr.run_in_terminal("until stty size 2>&1 | grep -v stty; do sleep 0.1; done; tty", rows=31, columns=97)
    assert terminal.wait() == 0
    assert "31 97" in terminal.text and "/dev/pts/0" in terminal.text


def test_terminal_is_resized(ctr: Ctr) -> None:
    script = "trap 'exit 3' INT; while :; do stty size; sleep 0.1; done"
    terminal = ctr.run_in_terminal(script)
    terminal.expect("24 80")
    terminal.resize(40, 132)
    terminal.expect("40 132")
    terminal.send("\x03")
    assert terminal.wait() == 3


def test_terminal_interrupt_reaches_the_process(ctr: Ctr) -> None:
    terminal = ctr.run_in_terminal("trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done")
    terminal.expect("ready")
    terminal.send("\x03")
    terminal.expect("caught")
    assert terminal.wait() == 9
