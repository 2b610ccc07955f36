"""Podman: the process of `podman run`, checked from inside."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ground import Ground
from podman import Podman, prepared

pytestmark = pytest.mark.usefixtures("clean")

DEFAULT_CAPABILITIES = 0x800005FB  # Debian's containers.conf, without those that the host lacks


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with prepared("podman", archive) as made:
        yield made


def effective(text: str) -> int:
    """Returns the capability set of a ``CapEff`` line."""
    return int(text.split("CapEff:")[1].split()[0], 16)


def test_run_prints_and_exits_with_the_status(podman: Podman) -> None:
    done = podman.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_run_exits_with_the_signal(podman: Podman) -> None:
    assert podman.run(["sh", "-c", "kill -SEGV $$"], "--init").returncode == 139


def test_standard_input_is_read_to_its_end(podman: Podman) -> None:
    assert podman.out(["wc", "-c"], "--interactive", input="x" * 100_000) == "100000\n"


def test_big_output_is_whole(podman: Podman) -> None:
    assert len(podman.out("head -c 3000000 /dev/zero | tr '\\0' y")) == 3_000_000


def test_environment_is_set(podman: Podman) -> None:
    assert podman.out('echo "$A $PATH"', "--env", "A=b c") == "b c /usr/sbin:/usr/bin:/sbin:/bin\n"


def test_environment_file_is_read(podman: Podman) -> None:
    file = podman.ground.directory / "env"
    file.write_text("ONE=1\nTWO=2\n")
    assert podman.out("echo $ONE$TWO", "--env-file", str(file)) == "12\n"


def test_working_directory_is_set(podman: Podman) -> None:
    assert podman.out(["pwd"], "--workdir", "/home") == "/home\n"


def test_user_by_name(podman: Podman) -> None:
    text = podman.out("id -u; id -g; echo $HOME", "--user", "guest")
    assert text == "1000\n1000\n/home/guest\n"


def test_user_and_group_by_number(podman: Podman) -> None:
    assert podman.out("id -u; id -g", "--user", "77:88") == "77\n88\n"


def test_supplementary_groups(podman: Podman) -> None:
    assert podman.out(["id", "-G"], "--user", "guest", "--group-add", "777").split() == ["1000", "10", "777"]


def test_umask_is_set(podman: Podman) -> None:
    assert podman.out("umask", "--umask", "0077") == "0077\n"


def test_entrypoint_is_replaced(podman: Podman) -> None:
    assert podman.out(["-n", "x"], "--entrypoint", "/bin/echo") == "x"


def test_oom_score_is_set(podman: Podman) -> None:
    assert podman.out(["cat", "/proc/self/oom_score_adj"], "--oom-score-adj", "700") == "700\n"


def test_resource_limits_are_set(podman: Podman) -> None:
    options = ["--ulimit", "nofile=100:200", "--ulimit", "nproc=300:300", "--ulimit", "core=0:0"]
    assert podman.out("ulimit -Sn; ulimit -Hn; ulimit -c", *options) == "100\n200\n0\n"


def test_sysctl_is_set(podman: Podman) -> None:
    assert podman.out(["cat", "/proc/sys/kernel/msgmax"], "--sysctl", "kernel.msgmax=4321") == "4321\n"


def test_hostname_is_set(podman: Podman) -> None:
    assert podman.out("hostname; grep -c given /etc/hosts /etc/hostname", "--hostname", "given") == (
        "given\n/etc/hosts:1\n/etc/hostname:1\n"
    )


def test_init_reaps_and_passes_on(podman: Podman) -> None:
    script = "head -c 16 /proc/1/cmdline; cut -d' ' -f4 /proc/$$/stat; exit 6"
    assert podman.out(script, "--init", code=6) == "/run/podman-init1\n"


def test_descriptors_are_preserved(podman: Podman) -> None:
    # nsenter, the client, conmon and the runtime pass descriptor 3 on.
    with (podman.ground.directory / "handed").open("w+") as file:
        file.write("through\n")
        file.seek(0)
        os.dup2(file.fileno(), 3) if file.fileno() != 3 else None
        assert podman.out("cat <&3", "--preserve-fds", "1", pass_fds=[3]) == "through\n"


def test_terminal_has_the_size(podman: Podman) -> None:
    terminal = podman.terminal(*podman.made("run", ("--rm", "-it")), "localhost/busybox", "sh", rows=33, columns=111)
    terminal.send("stty size; test -t 1 && exit 9\n")
    terminal.expect("33 111")
    assert terminal.wait() == 9


def test_terminal_is_resized(podman: Podman) -> None:
    terminal = podman.terminal(*podman.made("run", ("--rm", "-it")), "localhost/busybox", "sh")
    terminal.send("trap 'stty size; exit' WINCH; echo rea''dy; while :; do sleep 0.1; done\n")
    terminal.expect("ready")
    terminal.resize(40, 50)
    terminal.expect("40 50")
    assert terminal.wait() == 0


def test_terminal_interrupt_reaches_the_process(podman: Podman) -> None:
    terminal = podman.terminal(
        *podman.made("run", ("--rm", "-it")), "localhost/busybox", "sh", "-c", "trap 'exit 5' INT; echo go; sleep 99"
    )
    terminal.expect("go")
    terminal.send("\x03")
    assert terminal.wait() == 5


def test_hooks_of_a_directory_run(podman: Podman) -> None:
    hooks = podman.source("hooks")
    told = hooks / "told"
    script = hooks / "hook"
    script.write_text(f'#!/bin/sh\necho "$1 $(cat | grep -o \\"status\\"[^,]*)" >> {told}\n')
    script.chmod(0o755)
    stages = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    for stage in ["prestart", "createRuntime", "poststart", "poststop"]:
        hook = f'{{"path": "{script}", "args": ["hook", "{stage}"]}}'
        text = f'{{"version": "1.0.0", "hook": {hook}, "when": {{"always": true}}, "stages": ["{stage}"]}}'
        (hooks / f"{stage}.json").write_text(text)
    done = podman.call("--hooks-dir", str(hooks), *podman.made("run", ("--rm",)), "localhost/busybox", "true")
    assert done.returncode == 0, done.stderr
    podman.ground.settle()
    seen = [line.split()[0] for line in told.read_text().splitlines()]
    assert seen == [stage for stage in stages if stage != "createContainer"]


def test_failing_hook_is_told(podman: Podman) -> None:
    hooks = podman.source("failing-hooks")
    text = '{"version": "1.0.0", "hook": {"path": "/bin/false"}, "when": {"always": true}, "stages": ["createRuntime"]}'
    (hooks / "false.json").write_text(text)
    done = podman.call("--hooks-dir", str(hooks), *podman.made("run", ("--rm",)), "localhost/busybox", "true")
    assert done.returncode == 126 and "hook" in done.stderr
    assert podman.run(["true"]).returncode == 0


def test_root_file_system_of_a_directory(podman: Podman) -> None:
    rootfs = podman.source("rootfs")
    (rootfs / "bin").mkdir()
    (rootfs / "bin/sh").write_bytes(Path("/bin/busybox").read_bytes())
    (rootfs / "bin/sh").chmod(0o755)
    done = podman.call(*podman.made("run", ("--rm", "--rootfs")), str(rootfs), "/bin/sh", "-c", "echo in /bin/*")
    assert done.stdout == "in /bin/sh\n", done.stderr


def test_state_directory_by_default(podman: Podman) -> None:
    podman.start()
    directory = podman.ground.path(f"/run/{podman.runtime}") / podman.inspect("ID")
    assert (directory / "state.json").exists()
    podman.ok("rm", "--force", "--time", "0", "c")
    assert not directory.exists()


def test_pid_is_that_of_the_container(podman: Podman) -> None:
    podman.start()
    namespace = os.readlink(podman.ground.path(f"/proc/{podman.inspect('State.Pid')}/ns/mnt"))
    assert podman.ok("exec", "c", "readlink", "/proc/self/ns/mnt").strip() == namespace


def test_capabilities_by_default(podman: Podman) -> None:
    text = podman.out("grep CapEff /proc/self/status; grep CapInh /proc/self/status")
    assert effective(text) & ~(1 << 13 | 1 << 18 | 1 << 27 | 1 << 29) == DEFAULT_CAPABILITIES
    assert text.split()[-1] == "0" * 16


def test_capabilities_added_and_dropped(podman: Podman) -> None:
    text = podman.out("grep CapEff /proc/self/status", "--cap-drop", "all", "--cap-add", "sys_admin,net_raw")
    assert effective(text) == 1 << 21 | 1 << 13


def test_capabilities_of_a_user_that_is_not_root(podman: Podman) -> None:
    assert effective(podman.out("grep CapEff /proc/self/status", "--user", "guest")) == 0
    given = podman.out("grep CapEff /proc/self/status", "--user", "guest", "--cap-add", "net_admin")
    assert effective(given) == 1 << 12


def test_privileged(podman: Podman) -> None:
    script = "mount -t tmpfs tmpfs /mnt && test -e /dev/kmsg && grep CapEff /proc/self/status"
    assert effective(podman.out(f"mkdir /mnt; {script}", "--privileged")) & 1 << 21


def test_no_new_privileges(podman: Podman) -> None:
    script = "grep NoNewPrivs /proc/self/status"
    assert podman.out(script).split()[1] == "0"
    assert podman.out(script, "--security-opt", "no-new-privileges").split()[1] == "1"


def test_seccomp_default_profile(podman: Podman) -> None:
    script = "grep -w Seccomp /proc/self/status; swapoff /etc/plain"
    done = podman.run(["sh", "-c", script], "--cap-add", "sys_admin")
    assert done.stdout == "Seccomp:\t2\n" and "Operation not permitted" in done.stderr


def test_seccomp_profile_of_a_file(podman: Podman) -> None:
    profile = podman.ground.directory / "seccomp.json"
    rule = '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}'
    profile.write_text(f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}')
    done = podman.run(["mkdir", "/x"], "--security-opt", f"seccomp={profile}")
    assert done.returncode == 1 and "No space left" in done.stderr


def test_seccomp_off(podman: Podman) -> None:
    script = "grep -w Seccomp /proc/self/status; swapoff /etc/plain"
    done = podman.run(["sh", "-c", script], "--cap-add", "sys_admin", "--security-opt", "seccomp=unconfined")
    assert done.stdout == "Seccomp:\t0\n" and "Invalid argument" in done.stderr


def test_device_is_added(podman: Podman) -> None:
    script = "test -c /dev/other && head -c 4 /dev/other | wc -c"
    assert podman.out(script, "--device", "/dev/zero:/dev/other:r") == "4\n"


def test_device_that_was_not_given_is_refused(podman: Podman) -> None:
    done = podman.run(["sh", "-c", "mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg"], "--cap-add", "mknod")
    assert done.returncode == 1 and "Operation not permitted" in done.stderr


def test_device_rule_is_followed(podman: Podman) -> None:
    script = "mknod /tmp/mem c 1 5 2>/dev/null; mknod /tmp/d c 1 11 && : < /tmp/d; : > /tmp/d"
    done = podman.run(["sh", "-c", script], "--cap-add", "mknod", "--device-cgroup-rule", "c 1:11 rm")
    assert done.returncode == 1 and done.stderr.count("not permitted") == 1
