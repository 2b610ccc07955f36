"""Docker, the runtime chosen by `--runtime`: the process, its files, its limits, its rights."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerd import Docker
from ground import RUNTIMES, Ground

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with Ground("docker") as made:
        Docker.prepare(made, archive)
        yield made


def test_run_prints_and_exits_with_the_status(docker: Docker) -> None:
    done = docker.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_runtime_is_the_chosen_one(docker: Docker) -> None:
    docker.start()
    assert docker.show(".HostConfig.Runtime") == docker.runtime
    assert docker.runtime in docker.ok("info", "--format", "{{json .Runtimes}}")
    # pyrunc's own state shows it too; Docker gives the directory this name for every runtime.
    root = "/run/docker/runtime-runc/moby"
    assert docker.show(".Id") in docker.ground.ok(RUNTIMES[docker.runtime], "--root", root, "list")


def test_standard_input_is_read_to_its_end(docker: Docker) -> None:
    assert docker.out("wc -c", "-i", input="x" * 100_000) == "100000\n"


def test_big_output_is_whole(docker: Docker) -> None:
    assert len(docker.out("head -c 3000000 /dev/zero | tr '\\0' y")) == 3_000_000


def test_environment_is_set(docker: Docker) -> None:
    assert docker.out('echo "$A $HOME"', "--env", "A=b c") == "b c /root\n"


def test_environment_file_is_read(docker: Docker) -> None:
    file = docker.ground.directory / "env"
    file.write_text("ONE=1\nTWO=2\n")
    assert docker.out("echo $ONE$TWO", "--env-file", str(file)) == "12\n"


def test_working_directory_is_set(docker: Docker) -> None:
    assert docker.out("pwd", "--workdir", "/home") == "/home\n"


def test_working_directory_that_is_absent_is_made(docker: Docker) -> None:
    assert docker.out("pwd", "--workdir", "/not/there/yet") == "/not/there/yet\n"


def test_user_by_name_has_its_group_and_home(docker: Docker) -> None:
    assert docker.out("id -u; id -g; echo $HOME", "--user", "guest") == "1000\n1000\n/home/guest\n"


def test_user_by_number_with_more_groups(docker: Docker) -> None:
    text = docker.out("id -u; id -G", "--user", "1234:55", "--group-add", "66", "--group-add", "wheel")
    assert text.split()[:2] == ["1234", "55"] and set(text.split()[2:]) == {"66", "10"}


def test_root_file_system_is_read_only(docker: Docker) -> None:
    done = docker.run(["touch", "/x"], "--read-only")
    assert done.returncode == 1 and "Read-only file system" in done.stderr


def test_bind_mount_is_written_through(docker: Docker) -> None:
    source = docker.source("bind")
    docker.out("echo inside > /mnt/it/file", "--volume", f"{source}:/mnt/it")
    assert (source / "file").read_text() == "inside\n"


def test_bind_mount_is_read_only(docker: Docker) -> None:
    source = docker.source("bind-ro")
    assert "Read-only file system" in docker.run(["touch", "/mnt/x"], "-v", f"{source}:/mnt:ro").stderr


def test_bind_mount_of_a_file(docker: Docker) -> None:
    file = docker.source("bind-file") / "f"
    file.write_text("one file\n")
    assert docker.out("cat /etc/one", "--mount", f"type=bind,src={file},dst=/etc/one,ro") == "one file\n"


def test_bind_mount_propagation(docker: Docker) -> None:
    source = docker.source("propagation")
    docker.ground.ok("mount", "--bind", str(source), str(source))
    docker.ground.ok("mount", "--make-shared", str(source))
    try:
        text = docker.out("grep ' /mnt ' /proc/self/mountinfo", "-v", f"{source}:/mnt:rslave")
        assert "master:" in text and "shared:" not in text
    finally:
        docker.ground.ok("umount", str(source))


def test_tmpfs_has_its_options(docker: Docker) -> None:
    line = docker.out("grep ' /scratch ' /proc/mounts", "--tmpfs", "/scratch:size=1m,mode=1777,exec")
    assert "noexec" not in line and "size=1024k" in line and "nosuid" in line


def test_volume_keeps_what_was_written(docker: Docker) -> None:
    docker.out("echo kept > /v/file", "--volume", "kept:/v")
    assert docker.out("cat /v/file", "--volume", "kept:/v") == "kept\n"


def test_volume_begins_with_the_content_of_the_image(docker: Docker) -> None:
    assert docker.out("cat /data/file", "--volume", "begun:/data") == "of the image\n"


def test_volumes_of_another_container(docker: Docker) -> None:
    docker.start("-v", "/v", args="echo there > /v/file; exec sleep 1000")
    assert docker.out("until cat /v/file 2>/dev/null; do sleep 0.1; done", "--volumes-from", "box") == "there\n"


def test_shared_memory_has_the_size(docker: Docker) -> None:
    assert "size=8192k" in docker.out("grep ' /dev/shm ' /proc/mounts", "--shm-size", "8m")


def test_masked_and_read_only_paths(docker: Docker) -> None:
    script = "wc -c < /proc/timer_list; ls /sys/firmware; echo x > /proc/sys/kernel/hostname"
    assert docker.out(script, code=1) == "0\n"


def test_memory_limit_is_set(docker: Docker) -> None:
    docker.start("--memory", "32m", "--memory-reservation", "16m")
    assert docker.limit("memory", "memory.limit_in_bytes") == "33554432"
    assert docker.limit("memory", "memory.soft_limit_in_bytes") == "16777216"


def test_memory_limit_is_seen_inside(docker: Docker) -> None:
    assert docker.out("cat /sys/fs/cgroup/memory/memory.limit_in_bytes", "--memory", "32m") == "33554432\n"


def test_out_of_memory_is_reported(docker: Docker) -> None:
    docker.start(
        "--memory", "16m", "--memory-swap", "16m", args="tail -c 200m /dev/zero; code=$?; sleep 0.5; exit $code"
    )
    docker.await_status("exited")
    assert docker.show(".State.OOMKilled") == "true" and docker.show(".State.ExitCode") == "137"


def test_cpu_quota_and_shares(docker: Docker) -> None:
    docker.start("--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0")
    assert [docker.limit("cpu", file) for file in ("cpu.cfs_quota_us", "cpu.shares")] == ["50000", "512"]
    assert docker.limit("cpuset", "cpuset.cpus") == "0"


def test_pids_limit_holds(docker: Docker) -> None:
    done = docker.run(["sh", "-c", "for n in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait"], "--pids-limit", "5")
    assert "can't fork" in done.stderr


def test_block_device_weight_is_set(docker: Docker) -> None:
    done = docker.run(["true"], "--blkio-weight", "300")
    assert done.returncode == 0


def test_capabilities_by_default(docker: Docker) -> None:
    assert docker.out("grep CapEff /proc/self/status").split()[1] == "00000000a80425fb"


def test_capabilities_added_and_dropped(docker: Docker) -> None:
    text = docker.out("grep CapEff /proc/self/status", "--cap-add", "SYS_ADMIN", "--cap-drop", "CHOWN")
    assert int(text.split()[1], 16) == (0xA80425FB | 1 << 21) & ~1


def test_every_capability_dropped(docker: Docker) -> None:
    text = docker.out("grep Cap /proc/self/status", "--cap-drop", "ALL")
    assert {line.split()[1] for line in text.splitlines()} == {"0000000000000000"}


def test_capabilities_of_a_user_that_is_not_root(docker: Docker) -> None:
    text = docker.out("grep -E 'CapEff|CapBnd' /proc/self/status", "--user", "guest")
    assert text.split() == ["CapEff:", "0000000000000000", "CapBnd:", "00000000a80425fb"]


@pytest.mark.runc_fails("1.1 needs every capability, and root has not CAP_SYS_RESOURCE on some machines")
def test_privileged(docker: Docker) -> None:
    script = "mount -t tmpfs tmpfs /mnt && test -c /dev/fuse && cat /proc/timer_list | head -1 && grep -w Seccomp /proc/self/status"
    text = docker.out(script, "--privileged")
    assert text.startswith("Timer List") and text.endswith("Seccomp:\t0\n")


def test_no_new_privileges(docker: Docker) -> None:
    text = docker.out("grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges")
    assert text.split() == ["NoNewPrivs:", "1"]
    assert docker.out("grep NoNewPrivs /proc/self/status").split() == ["NoNewPrivs:", "0"]


def test_seccomp_default_profile(docker: Docker) -> None:
    assert docker.out("grep -w Seccomp /proc/self/status; unshare -U true 2>/dev/null; echo $?") == "Seccomp:\t2\n1\n"


def test_seccomp_profile_of_a_file(docker: Docker) -> None:
    profile = docker.ground.directory / "profile.json"
    profile.write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}'
    )
    done = docker.run(["mkdir", "/tmp/x"], "--security-opt", f"seccomp={profile}")
    assert done.returncode == 1 and "Operation not permitted" in done.stderr


def test_seccomp_off(docker: Docker) -> None:
    assert docker.out("grep -w Seccomp /proc/self/status", "--security-opt", "seccomp=unconfined") == "Seccomp:\t0\n"


def test_device_is_added(docker: Docker) -> None:
    assert docker.out("exec 3<>/dev/mine && ls -l /dev/mine", "--device", "/dev/fuse:/dev/mine").startswith("crw")


def test_device_that_was_not_given_is_refused(docker: Docker) -> None:
    done = docker.run(["sh", "-c", "mknod /tmp/fuse c 10 229 && exec 3<>/tmp/fuse"])
    assert done.returncode != 0 and "Operation not permitted" in done.stderr


def test_device_rule_of_a_user(docker: Docker) -> None:
    assert (
        docker.out("mknod /tmp/fuse c 10 229 && exec 3<>/tmp/fuse && echo open", "--device-cgroup-rule", "c 10:229 rwm")
        == "open\n"
    )


def test_resource_limits_of_the_process(docker: Docker) -> None:
    text = docker.out("ulimit -n; ulimit -Hn; ulimit -c", "--ulimit", "nofile=100:200", "--ulimit", "core=0")
    assert text.split() == ["100", "200", "0"]


def test_kernel_setting_of_a_namespace(docker: Docker) -> None:
    assert docker.out("cat /proc/sys/net/ipv4/ip_default_ttl", "--sysctl", "net.ipv4.ip_default_ttl=33") == "33\n"


def test_hostname_and_domain_name(docker: Docker) -> None:
    text = docker.out(
        "hostname; cat /proc/sys/kernel/domainname; cat /etc/hostname", "--hostname", "box", "--domainname", "example"
    )
    assert text.split() == ["box", "example", "box.example"] or text.split() == ["box", "example", "box"]


def test_hosts_file_has_an_entry(docker: Docker) -> None:
    assert "10.1.2.3\tother" in docker.out("cat /etc/hosts", "--add-host", "other:10.1.2.3")


def test_init_reaps_and_passes_the_status(docker: Docker) -> None:
    docker.start("--init", args="(sh -c 'sleep 0.01 & exec true') & sleep 0.2; echo ready; exec sleep 1000")
    docker.await_log("ready")
    assert "docker-init" in docker.exec("cat", "/proc/1/cmdline").stdout
    assert "Z" not in docker.exec("ps", "-o", "stat").stdout
    assert docker.run(["sh", "-c", "exit 9"], "--init").returncode == 9


def test_score_for_the_memory_killer(docker: Docker) -> None:
    assert docker.out("cat /proc/self/oom_score_adj", "--oom-score-adj", "500") == "500\n"


def test_cgroup_namespace_of_its_own(docker: Docker) -> None:
    text = docker.out("grep :memory: /proc/self/cgroup", "--cgroupns", "private")
    assert text.endswith(":memory:/\n")


def test_cgroup_path_is_used(docker: Docker) -> None:
    docker.start("--cgroup-parent", docker.ground.cgroup + "/of-its-own", "--memory", "64m")
    name = f"of-its-own/{docker.show('.Id')}"
    assert docker.ground.limit("memory", name, "memory.limit_in_bytes") == "67108864"
    docker.remove_all()
    docker.ground.drop("of-its-own")


def test_namespaces_shared_with_another_container(docker: Docker) -> None:
    docker.start("--ipc", "shareable")
    script = "for n in pid ipc net; do readlink /proc/self/ns/$n; done; ps"
    text = docker.out(script, "--pid", "container:box", "--ipc", "container:box", "--network", "container:box")
    pid = int(docker.show(".State.Pid"))
    assert "sleep 1000" in text
    assert text.splitlines()[:3] == [docker.ground.namespace(pid, kind) for kind in ("pid", "ipc", "net")]


def test_namespaces_of_the_host(docker: Docker) -> None:
    script = "for n in pid ipc net uts; do readlink /proc/self/ns/$n; done"
    text = docker.out(script, "--pid", "host", "--ipc", "host", "--network", "host", "--uts", "host")
    assert text.split() == [
        docker.ground.ok("readlink", f"/proc/self/ns/{kind}").strip() for kind in ("pid", "ipc", "net", "uts")
    ]


def test_network_of_none(docker: Docker) -> None:
    assert docker.out("ls /sys/class/net", "--network", "none") == "lo\n"


def test_bridge_network(docker: Docker) -> None:
    docker.start(args="echo over the bridge > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    address = docker.show(".NetworkSettings.IPAddress")
    assert docker.out(f"until wget -q -O - http://{address}/ 2>/dev/null; do sleep 0.1; done") == "over the bridge\n"


def test_published_port_is_reached(docker: Docker) -> None:
    docker.start("--publish", "18080:80", args="echo published > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    script = "until wget -q -O - http://172.17.0.1:18080/ 2>/dev/null; do sleep 0.1; done"
    assert docker.out(script, "--network", "host") == "published\n"


def test_terminal_has_the_size(docker: Docker) -> None:
    script = "until stty size 2>&1 | grep -v stty | grep -v '^0 0'; do sleep 0.1; done; tty"
    terminal = docker.terminal(
        "run", "--rm", "-it", *docker.flags, "localhost/busybox", "sh", "-c", script, rows=31, columns=97
    )
    assert terminal.wait() == 0
    assert "31 97" in terminal.text and "/dev/" in terminal.text


def test_terminal_is_resized(docker: Docker) -> None:
    script = "trap 'exit 3' INT; while :; do stty size; sleep 0.1; done"
    terminal = docker.terminal("run", "--rm", "-it", *docker.flags, "localhost/busybox", "sh", "-c", script)
    terminal.expect("24 80")
    terminal.resize(40, 132)
    terminal.expect("40 132")
    terminal.send("\x03")
    assert terminal.wait() == 3


def test_image_brings_user_command_and_environment(docker: Docker, tmp_path: Path) -> None:
    from ground import image

    settings = {"User": "guest", "Cmd": ["-c", "id -un; echo $OF; pwd"], "Entrypoint": ["sh"], "WorkingDir": "/data"}
    file = image(tmp_path / "other.tar", "localhost/other:latest", Env=["PATH=/bin", "OF=image"], **settings)
    docker.ok("load", "--input", str(file))
    assert docker.out([], image="localhost/other") == "guest\nimage\n/data\n"


# Exit codes as with runc under this Docker: 125 Docker's own error, 126 not executable, 127 not found.
COMMANDS = {
    "missing": (["nonesuch"], 127, 'exec: "nonesuch": executable file not found in $PATH'),
    "missing path": (["/no/such"], 127, "/no/such: no such file or directory"),
    "not executable": (["/etc/plain"], 126, "permission denied"),
    "directory": (["/data"], 126, "/data"),
}


@pytest.mark.parametrize(("args", "code", "words"), COMMANDS.values(), ids=list(COMMANDS))
def test_wrong_command_is_told(docker: Docker, args: list[str], code: int, words: str) -> None:
    done = docker.run(args)
    assert done.returncode == code and words in done.stderr, done.stderr
    assert docker.out("echo next") == "next\n"


OPTIONS = {
    "directory": (["--workdir", "/data/file"], ["/data/file", "not a directory"]),
    "mount source": (["--mount", "type=bind,src=/no/such,dst=/mnt"], ["/no/such"]),
    "mount target": (["-v", "/tmp:/data/file"], ["/data/file", "not a directory"]),
    "user": (["--user", "nonesuch"], ["nonesuch"]),
    "device": (["--device", "/dev/nonesuch"], ["/dev/nonesuch"]),
    "memory limit": (["--memory", "1k"], ["emory"]),
    "capability": (["--cap-add", "NONESUCH"], ["NONESUCH"]),
    "seccomp file": (["--security-opt", "seccomp=/no/such"], ["/no/such"]),
    "kernel setting": (["--sysctl", "net.nonesuch=1"], ["nonesuch", "no such file or directory"]),
    "cpus": (["--cpuset-cpus", "99"], ["99"]),
    "network": (["--network", "nonesuch"], ["nonesuch"]),
    "root that is a link": (["--tmpfs", "/proc/self/fd"], []),
}


@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=list(OPTIONS))
def test_bad_option_is_told(docker: Docker, options: list[str], words: list[str]) -> None:
    done = docker.run(["true"], *options)
    assert done.returncode != 0 and all(word in done.stderr for word in words), (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert docker.out("echo next") == "next\n"


def test_unknown_seccomp_action_is_told(docker: Docker) -> None:
    profile = docker.ground.directory / "bad.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_NONESUCH"}')
    done = docker.run(["true"], "--security-opt", f"seccomp={profile}")
    assert done.returncode == 125 and "SCMP_ACT_NONESUCH" in done.stderr
    assert docker.out("echo next") == "next\n"
