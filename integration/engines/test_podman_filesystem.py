"""Podman: mounts, volumes and limits of `podman run`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ground import Ground
from podman import Podman, prepared

pytestmark = pytest.mark.usefixtures("clean")
MIB = 1 << 20


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with prepared("podman-files", archive) as made:
        yield made


def test_root_file_system_is_read_only(podman: Podman) -> None:
    done = podman.run(["touch", "/x"], "--read-only")
    assert done.returncode == 1 and "Read-only file system" in done.stderr


def test_read_only_root_has_tmpfs(podman: Podman) -> None:
    script = "touch /tmp/x /run/x /var/tmp/x /dev/shm/x && stat -c %a /tmp"
    assert podman.out(script, "--read-only") == "1777\n"


def test_read_only_root_without_tmpfs(podman: Podman) -> None:
    done = podman.run(["touch", "/tmp/x"], "--read-only", "--read-only-tmpfs=false")
    assert done.returncode == 1 and "Read-only file system" in done.stderr


def test_bind_mount_is_written_through(podman: Podman) -> None:
    source = podman.source("bind")
    podman.out("echo inside > /mnt/it/file", "--volume", f"{source}:/mnt/it")
    assert (source / "file").read_text() == "inside\n"


def test_bind_mount_is_read_only(podman: Podman) -> None:
    source = podman.source("bind-ro")
    podman.ground.ok("sh", "-c", f"mkdir {source}/below && mount -t tmpfs tmpfs {source}/below")
    try:
        done = podman.run(["touch", "/mnt/x"], "--volume", f"{source}:/mnt:ro")
        assert done.returncode == 1 and "Read-only file system" in done.stderr
    finally:
        podman.ground.ok("umount", f"{source}/below")


def test_bind_mount_of_a_file(podman: Podman) -> None:
    file = podman.source("bind-file") / "f"
    file.write_text("one file\n")
    assert podman.out(["cat", "/etc/one"], "--volume", f"{file}:/etc/one:ro") == "one file\n"


def test_bind_mount_has_its_flags(podman: Podman) -> None:
    source = podman.source("bind-flags")
    mount = f"type=bind,src={source},dst=/mnt,bind-nonrecursive"
    options = ["--mount", mount, "--volume", f"{source}:/data/x:noexec,nodev,nosuid"]
    text = podman.out("grep ' /data/x ' /proc/mounts; grep -c ' /mnt ' /proc/mounts", *options)
    assert all(flag in text for flag in ("noexec", "nodev", "nosuid")) and text.endswith("\n1\n")


@pytest.mark.parametrize("propagation", ["rshared", "rslave", "rprivate"])
def test_propagation_of_a_bind_mount(podman: Podman, propagation: str) -> None:
    source = podman.source("bind-" + propagation)
    inside, outside = source / "inside", source / "outside"
    inside.mkdir()
    outside.mkdir()
    podman.ground.ok("sh", "-c", f"mount --bind {source} {source} && mount --make-shared {source}")
    try:
        podman.start("c", "--privileged", "--volume", f"{source}:/mnt:{propagation}")
        podman.ok("exec", "c", "mount", "-t", "tmpfs", "tmpfs", "/mnt/inside")
        podman.ground.ok("mount", "-t", "tmpfs", "tmpfs", str(outside))
        seen = podman.ok("exec", "c", "cat", "/proc/mounts")
        assert (" /mnt/outside " in seen) == (propagation != "rprivate")
        of_host = podman.ground.path("/proc/1/mountinfo").read_text()
        assert (f" {inside} " in of_host) == (propagation == "rshared")
    finally:
        podman.ground.call("sh", "-c", f"umount {inside}; umount {outside}; umount {source}")


def test_tmpfs_has_its_options(podman: Podman) -> None:
    line = podman.out("grep ' /scratch ' /proc/mounts", "--tmpfs", "/scratch:size=1m,noexec,mode=1770")
    assert "noexec" in line and "size=1024k" in line and "mode=1770" in line


def test_tmpfs_has_what_the_image_has_there(podman: Podman) -> None:
    assert podman.out("cat /data/file; echo > /data/more", "--tmpfs", "/data") == "of the image\n"


def test_tmpfs_is_empty_when_asked(podman: Podman) -> None:
    assert podman.out("ls -A /data", "--mount", "type=tmpfs,dst=/data,notmpcopyup") == ""


def test_volume_keeps_what_is_written(podman: Podman) -> None:
    podman.out("echo kept >> /data/kept", "--volume", "kept:/data")
    assert podman.out("cat /data/file /data/kept", "--volume", "kept:/data") == "of the image\nkept\n"


def test_volume_is_read_only(podman: Podman) -> None:
    done = podman.run(["touch", "/mnt/x"], "--mount", "type=volume,src=fixed,dst=/mnt,ro")
    assert done.returncode == 1 and "Read-only file system" in done.stderr


def test_volumes_of_another_container(podman: Podman) -> None:
    podman.start("c", "--volume", "shared:/mnt")
    podman.ok("exec", "c", "sh", "-c", "echo of c > /mnt/f")
    assert podman.out("cat /mnt/f", "--volumes-from", "c") == "of c\n"


def test_image_is_mounted(podman: Podman) -> None:
    mount = "type=image,src=localhost/busybox:latest,dst=/img"
    done = podman.run(["sh", "-c", "cat /img/data/file; touch /img/x"], "--mount", mount)
    assert done.stdout == "of the image\n" and "Read-only file system" in done.stderr


def test_overlay_of_a_host_directory(podman: Podman) -> None:
    if podman.ground.driver != "overlay":
        pytest.skip("an overlay can't lie on an overlay")
    source = podman.source("overlay")
    (source / "f").write_text("host\n")
    assert podman.out("echo changed > /mnt/f; cat /mnt/f", "--volume", f"{source}:/mnt:O") == "changed\n"
    assert (source / "f").read_text() == "host\n"


def test_masked_and_read_only_paths(podman: Podman) -> None:
    script = "wc -c < /proc/timer_list; ls -A /sys/firmware; echo x > /proc/sys/kernel/hostname"
    assert podman.out(script, code=1) == "0\n"


def test_masked_paths_are_unmasked(podman: Podman) -> None:
    script = "test $(wc -c < /proc/timer_list) -gt 0; echo $?; wc -c < /data/file"
    options = ["--security-opt", "unmask=/proc/timer_list", "--security-opt", "mask=/data/file"]
    assert podman.out(script, *options) == "0\n0\n"


def test_all_paths_are_unmasked(podman: Podman) -> None:
    assert podman.out("ls /sys/firmware | wc -l", "--security-opt", "unmask=ALL") != "0\n"


def test_other_processes_are_hidden(podman: Podman) -> None:
    options = ["--security-opt", "proc-opts=hidepid=2", "--user", "guest"]
    assert podman.out("ls -d /proc/1; id -u", *options) == "/proc/1\n1000\n"
    assert "hidepid=" in podman.out("grep ' /proc ' /proc/mounts", *options)


def test_shared_memory_has_the_size(podman: Podman) -> None:
    assert "size=4096k" in podman.out("grep ' /dev/shm ' /proc/mounts", "--shm-size", "4m")


def test_devices_are_there(podman: Podman) -> None:
    script = "cd /dev; ls -d console null zero full random urandom tty ptmx pts shm mqueue fd stdin stdout stderr"
    assert len(podman.out(script, "--tty").split()) == 15


def test_cgroup_file_system_is_read_only(podman: Podman) -> None:
    done = podman.run(["sh", "-c", "ls -d /sys/fs/cgroup/memory && mkdir /sys/fs/cgroup/memory/x"])
    assert done.returncode == 1 and "Read-only file system" in done.stderr and done.stdout


def test_systemd_gets_its_mounts(podman: Podman) -> None:
    script = "for d in /run /run/lock /tmp /sys/fs/cgroup/systemd; do touch $d/x || mkdir $d/x; done 2>/dev/null; echo $container"
    assert podman.out(script, "--systemd=always") == "podman\n"


def test_memory_limit_is_set(podman: Podman) -> None:
    podman.start("c", "--memory", "32m", "--memory-swap", "48m", "--memory-reservation", "16m")
    files = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes")
    assert [int(podman.limit("memory", file)) // MIB for file in files] == [32, 48, 16]


def test_cpu_quota_and_shares(podman: Podman) -> None:
    podman.start("c", "--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0")
    assert [podman.limit("cpu", file) for file in ("cpu.cfs_quota_us", "cpu.shares")] == ["50000", "512"]
    assert podman.limit("cpuset", "cpuset.cpus") == "0"


def test_pids_limit_holds(podman: Podman) -> None:
    podman.start("c", "--pids-limit", "20")
    assert podman.limit("pids", "pids.max") == "20"
    done = podman.call("exec", "c", "sh", "-c", "for i in $(seq 30); do sleep 2 & done")
    assert "can't fork" in done.stderr


def test_out_of_memory_is_reported(podman: Podman) -> None:
    # conmon 2.1.6 writes its report to the directory that it was started in; Podman reads it in the container's.
    podman.ok(*podman.made("create", ("--name", "c", "--memory", "16m")), "localhost/busybox", "tail", "/dev/zero")
    directory = podman.ok("container", "inspect", "--format", "{{.StaticDir}}", "c").strip()
    assert podman.ground.call("env", "-C", directory, *podman.words("start", "--attach", "c")).returncode == 137
    assert podman.inspect("State.OOMKilled") is True and podman.inspect("State.ExitCode") == 137


@pytest.mark.runc_fails("Podman does not know it to do without cgroups")
def test_container_without_cgroups(podman: Podman) -> None:
    sleep = ["localhost/busybox", "sh", "-c", 'trap "exit 0" TERM; sleep 1000 & wait']
    podman.ok("run", "--detach", "--name", "c", "--network", "none", "--cgroups", "disabled", *sleep)
    assert not podman.ground.cgroups()
    assert podman.ok("exec", "c", "cat", "/proc/1/cgroup") == podman.ok("exec", "c", "cat", "/proc/self/cgroup")
    podman.ok("stop", "--time", "5", "c")
    assert podman.inspect("State.ExitCode") == 0


def test_conmon_stays_in_the_cgroup_of_the_caller(podman: Podman) -> None:
    podman.start("c", "--cgroups", "no-conmon")
    conmon = podman.ground.path(f"/proc/{podman.inspect('State.ConmonPid')}/cgroup").read_text()
    assert podman.ground.cgroup not in conmon and podman.limit("memory", "memory.limit_in_bytes")
