"""buildah: containers that it runs to build an image. It calls create, start, state until it stops, kill, delete."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ground import RUNTIMES, Ground, wait_for
from podman import PodmanGround, prepared
from terminal import Terminal

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with prepared("buildah", archive) as made:
        yield made


class Buildah:
    """`buildah` of one test, with a working container ``name`` of the image."""

    def __init__(self, ground: Ground, runtime: str) -> None:
        assert isinstance(ground, PodmanGround)
        self.ground: PodmanGround = ground
        self.runtime = runtime
        self.name = self.ok("from", "--cgroup-parent", f"{ground.cgroup}/b", "localhost/busybox:latest").strip()

    def words(self, verb: str, *args: str) -> list[str]:
        chosen = ["--runtime", RUNTIMES[self.runtime]] if verb in ("run", "build") else []
        return ["buildah", *self.ground.storage(), verb, *chosen, *args]

    def call(self, *args: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        return self.ground.call(*self.words(*args), **settings)

    def ok(self, *args: str, **settings: Any) -> str:
        return self.ground.ok(*self.words(*args), **settings)

    def run(self, args: list[str] | str, *options: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        """`buildah run` of a command, or of a shell script."""
        command = ["sh", "-c", args] if isinstance(args, str) else args
        return self.call("run", *options, self.name, "--", *command, **settings)

    def out(self, args: list[str] | str, *options: str, **settings: Any) -> str:
        done = self.run(args, *options, **settings)
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    def context(self, text: str) -> Path:
        """A directory with a Containerfile and a file ``given``."""
        made = self.ground.directory / f"context-{len(list(self.ground.directory.glob('context-*')))}"
        made.mkdir()
        (made / "Containerfile").write_text("FROM localhost/busybox\n" + text)
        (made / "given").write_text("copied\n")
        return made

    def build(self, text: str, *options: str) -> "subprocess.CompletedProcess[str]":
        """`buildah build` of a Containerfile's ``text``; the image is called like its directory."""
        made = self.context(text)
        words = ["--quiet", "--no-cache", "--cgroup-parent", f"{self.ground.cgroup}/b", *options]
        return self.call("build", *words, "--tag", f"localhost/{made.name}", str(made))


@pytest.fixture
def buildah(ground: Ground, runtime: str) -> Iterator[Buildah]:
    made = Buildah(ground, runtime)
    yield made
    made.ok("rm", "--all")
    state = ground.path(f"/run/{runtime}")
    left = [path.name for path in state.iterdir() if path.name[0] != "."] if state.exists() else []
    assert not left, "buildah's containers leave no state"


def test_run_prints_and_exits_with_the_status(buildah: Buildah) -> None:
    done = buildah.run("echo out; echo err >&2; exit 7")
    assert (done.stdout, done.returncode) == ("out\n", 7) and done.stderr.startswith("err\n")


def test_run_exits_with_the_signal(buildah: Buildah) -> None:
    done = buildah.run("sh -c 'kill -9 $$'; exit $?")
    assert done.returncode == 137


def test_standard_input_is_read_to_its_end(buildah: Buildah) -> None:
    assert buildah.out(["wc", "-c"], input="x" * 100_000) == "100000\n"


def test_environment_is_set(buildah: Buildah) -> None:
    assert buildah.out("echo $A $PATH", "--env", "A=b") == "b /usr/sbin:/usr/bin:/sbin:/bin\n"


def test_working_directory_is_set(buildah: Buildah) -> None:
    assert buildah.out(["pwd"], "--workingdir", "/home") == "/home\n"


def test_user_by_name(buildah: Buildah) -> None:
    assert buildah.out("id -u; id -g", "--user", "guest") == "1000\n1000\n"


def test_hostname_is_set(buildah: Buildah) -> None:
    assert buildah.out(["hostname"], "--hostname", "given") == "given\n"


def test_terminal_has_the_size(buildah: Buildah) -> None:
    words = buildah.words("run", "--terminal", buildah.name, "--", "sh", "-c", "stty size; tty")
    terminal = Terminal(buildah.ground, words, rows=31, columns=99)
    terminal.expect("31 99")
    terminal.expect("/dev/pts/")
    assert terminal.wait() == 0


def test_bind_mount_is_written_through(buildah: Buildah) -> None:
    source = buildah.context("")
    buildah.out("echo inside > /mnt/file", "--volume", f"{source}:/mnt")
    assert (source / "file").read_text() == "inside\n"


def test_bind_mount_is_read_only(buildah: Buildah) -> None:
    source = buildah.context("")
    done = buildah.run("cat /mnt/given; touch /mnt/x", "--volume", f"{source}:/mnt:ro")
    assert done.stdout == "copied\n" and "Read-only file system" in done.stderr and done.returncode == 1


def test_tmpfs_has_its_options(buildah: Buildah) -> None:
    line = buildah.out("grep ' /scratch ' /proc/mounts", "--mount", "type=tmpfs,dst=/scratch,tmpfs-size=1048576")
    assert "tmpfs" in line and "size=1024k" in line


def test_capabilities_added_and_dropped(buildah: Buildah) -> None:
    options = ["--cap-add", "CAP_SYS_ADMIN", "--cap-drop", "CAP_CHOWN"]
    value = int(buildah.out(["grep", "CapEff", "/proc/self/status"], *options).split()[1], 16)
    assert value & 1 << 21 and not value & 1 << 0


def test_capabilities_all_dropped(buildah: Buildah) -> None:
    assert buildah.out(["grep", "CapEff", "/proc/self/status"], "--cap-drop", "all").split()[1] == "0" * 16


def test_namespaces_are_its_own_by_default(buildah: Buildah) -> None:
    script = "for n in ipc mnt net pid uts; do readlink /proc/self/ns/$n; done"
    options = ["--isolation", "oci", "--network", "none"]
    inside, outside = buildah.out(script, *options).split(), buildah.ground.ok("sh", "-c", script).split()
    assert len(inside) == 5 and not set(inside) & set(outside)


def test_namespace_of_the_host(buildah: Buildah) -> None:
    inside = buildah.out(["readlink", "/proc/self/ns/net"], "--network", "host")
    assert inside == buildah.ground.ok("readlink", "/proc/self/ns/net")


def test_loopback_is_up(buildah: Buildah) -> None:
    assert "1 packets received" in buildah.out(["ping", "-c", "1", "127.0.0.1"], "--network", "none")


def test_user_namespace_with_mapped_ids(buildah: Buildah) -> None:
    # buildah mounts below /run, which the container's root could not make in a directory of the host's root.
    buildah.out("mkdir -p /run")
    image = f"localhost/with-run-{buildah.runtime}"
    buildah.ok("commit", "--quiet", buildah.name, image)
    maps = ["--userns-uid-map", "0:100000:65536", "--userns-gid-map", "0:200000:65536"]
    name = buildah.ok("from", "--cgroup-parent", f"{buildah.ground.cgroup}/b", *maps, image).strip()
    text = buildah.ok("run", name, "--", "sh", "-c", "cat /proc/self/uid_map; touch /tmp/x; stat -c %u /tmp/x")
    assert text.split() == ["0", "100000", "65536", "0"]


def test_masked_and_read_only_paths(buildah: Buildah) -> None:
    done = buildah.run("wc -c < /proc/timer_list; echo x > /proc/sys/kernel/hostname")
    assert done.stdout == "0\n" and "Read-only file system" in done.stderr


def test_seccomp_default_profile(buildah: Buildah) -> None:
    assert buildah.out(["grep", "-w", "Seccomp", "/proc/self/status"]).split() == ["Seccomp:", "2"]


def test_changes_are_committed(buildah: Buildah) -> None:
    buildah.out("echo new > /new")
    buildah.ok("config", "--cmd", "cat /new", buildah.name)
    buildah.ok("commit", "--quiet", buildah.name, f"localhost/committed-{buildah.runtime}")
    name = buildah.ok("from", f"localhost/committed-{buildah.runtime}").strip()
    assert buildah.ok("run", name, "--", "cat", "/new") == "new\n"


def test_files_are_copied_in(buildah: Buildah) -> None:
    buildah.ok("copy", "--quiet", "--chown", "guest", buildah.name, str(buildah.context("") / "given"), "/home/g")
    assert buildah.out("cat /home/g; stat -c %u /home/g") == "copied\n1000\n"


def test_image_from_scratch(buildah: Buildah) -> None:
    name = buildah.ok("from", "--cgroup-parent", f"{buildah.ground.cgroup}/b", "scratch").strip()
    buildah.ok("copy", "--quiet", name, "/bin/busybox", "/bin/sh")
    assert buildah.ok("run", name, "--", "/bin/sh", "-c", "echo /*") == "/bin /dev /etc /proc /run /sys\n"


def test_image_is_built(buildah: Buildah) -> None:
    text = 'ENV A=b\nARG G\nRUN echo "$A$G" > /made\nUSER guest\nWORKDIR /home/guest\nRUN id -u > /tmp/id\nCOPY given /given\n'
    done = buildah.build(text, "--build-arg", "G=arg")
    assert done.returncode == 0, done.stderr
    name = buildah.ok("from", done.stdout.strip()).strip()
    assert buildah.ok("run", name, "--", "sh", "-c", "cat /made /tmp/id /given") == "barg\n1000\ncopied\n"


def test_build_has_secrets_and_mounts(buildah: Buildah) -> None:
    secret = buildah.context("") / "given"
    run = "RUN --mount=type=secret,id=s --mount=type=bind,src=.,dst=/ctx cat /run/secrets/s /ctx/given > /both\n"
    done = buildah.build(run, "--secret", f"id=s,src={secret}")
    assert done.returncode == 0, done.stderr
    name = buildah.ok("from", done.stdout.strip()).strip()
    assert buildah.ok("run", name, "--", "cat", "/both") == "copied\ncopied\n"


def test_build_limits_its_commands(buildah: Buildah) -> None:
    script = "RUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes > /limit; ulimit -n >> /limit\n"
    done = buildah.build(script, "--memory", "64m", "--ulimit", "nofile=99:99")
    assert done.returncode == 0, done.stderr
    name = buildah.ok("from", done.stdout.strip()).strip()
    assert buildah.ok("run", name, "--", "cat", "/limit") == f"{64 << 20}\n99\n"


def test_build_fails_as_its_command_does(buildah: Buildah) -> None:
    done = buildah.build("RUN exit 42\n")
    assert done.returncode == 42 and "exit status 42" in done.stderr
    assert buildah.out(["echo", "next"]) == "next\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("nosuch", "executable file not found"),
        ("/no/such", "no such file or directory"),
        ("/etc/plain", "permission denied"),
    ],
    ids=["missing", "missing path", "not executable"],
)
def test_wrong_command_is_told(buildah: Buildah, command: str, words: str) -> None:
    done = buildah.run([command])
    assert done.returncode == 1 and words in done.stderr
    assert buildah.out(["echo", "next"]) == "next\n"


BAD_OPTIONS = {
    "user": (["--user", "nobodyhere"], 125, "nobodyhere"),
    "mount source": (["--volume", "/no/such:/mnt"], 125, "/no/such"),
    "capability": (["--cap-add", "CAP_NOSUCH"], 125, "NOSUCH"),
    "mount target": (["--volume", "/etc:/etc/plain"], 1, "/etc/plain"),
}


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_bad_option_is_told(buildah: Buildah, what: str) -> None:
    options, code, words = BAD_OPTIONS[what]
    done = buildah.run(["true"], *options)
    assert done.returncode == code and words in done.stderr, done.stderr
    assert buildah.out(["echo", "next"]) == "next\n"


def test_interrupted_run_leaves_nothing(buildah: Buildah) -> None:
    words = buildah.words("run", buildah.name, "--", "sleep", "4321")
    client = buildah.ground.popen(*words, stderr=subprocess.DEVNULL)
    wait_for(lambda: "/bin/sleep 4321" in buildah.ground.processes().values(), "the command")
    # Between `start` and the first `state` the signal would end buildah, but no process of the container.
    wait_for(lambda: any(" state " in line for line in buildah.ground.processes().values()), "buildah to ask")
    pid = next(pid for pid, line in buildah.ground.processes().items() if line == " ".join(words))
    buildah.ground.ok("kill", "-INT", str(pid))
    client.wait(20)
    wait_for(lambda: "/bin/sleep 4321" not in buildah.ground.processes().values(), "the command's end")
