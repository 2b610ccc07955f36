"""Podman of a user without root: the runtime is the root of a user namespace, and may write no cgroup."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ground import IMAGE, Ground
from harness import skip_unless_a_user_may_run_it
from podman import Podman, PodmanGround

pytestmark = pytest.mark.usefixtures("clean")
USER, UID = "engines", 12345
IDS = {"passwd": f"{USER}:x:{UID}:{UID}::{{home}}:/bin/sh", "group": f"{USER}:x:{UID}:"}
IDS |= dict.fromkeys(("subuid", "subgid"), f"{USER}:500000:65536")


class Rootless(Podman):
    """`podman` of that user, with the default storage."""

    def words(self, *args: str) -> list[str]:
        home = self.ground.directory / "user"
        become = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env", "-C", str(home)]
        become += [f"HOME={home}", f"TMPDIR={home}", f"XDG_RUNTIME_DIR=/run/user/{UID}"]
        return [*become, "podman", "--storage-driver", "vfs", "--runtime", self.runtime, *args]

    def made(self, verb: str, options: tuple[str, ...], network: str = "none") -> list[str]:
        return [verb, "--network", network, *options]

    def remove_all(self) -> None:
        super().remove_all()
        self.ok("system", "migrate")  # ends the process that keeps the user namespace


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    skip_unless_a_user_may_run_it()
    made = PodmanGround("podman-rootless")
    try:
        user = made.directory / "user"
        owned = [str(user), f"{made.directory}/networks", f"/run/user/{UID}"]
        made.ok("mkdir", "-p", *owned)
        made.ok("chown", f"{UID}:{UID}", *owned)
        for name, line in IDS.items():
            file = Path("/etc", name)
            (user / name).write_text((file.read_text() if file.exists() else "") + line.format(home=user) + "\n")
            if not file.exists():
                pytest.skip(f"no {file} on this host: no ids can be given to a user")
            made.ok("mount", "--bind", str(user / name), str(file))
        (user / "image.tar").write_bytes(archive.read_bytes())
        first = Rootless(made, "pyrunc")
        first.ok("load", "--quiet", "--input", str(user / "image.tar"))
        first.ok("system", "migrate")
        yield made
    finally:
        made.close()


@pytest.fixture
def podman(ground: Ground, runtime: str) -> Iterator[Podman]:
    made = Rootless(ground, runtime)
    yield made
    made.remove_all()


def test_run_without_root(podman: Podman) -> None:
    done = podman.run(["sh", "-c", "id -u; cat /proc/self/uid_map; echo x > /x; exit 7"])
    assert done.stdout.split() == ["0", "0", str(UID), "1", "1", "500000", "65536"] and done.returncode == 7


def test_user_is_kept_without_root(podman: Podman) -> None:
    assert podman.out(["id", "-u"], "--userns", "keep-id") == f"{UID}\n"


def test_user_by_name_without_root(podman: Podman) -> None:
    assert podman.out("id -u; id -G", "--user", "guest") == "1000\n1000 10\n"


def test_volume_without_root(podman: Podman) -> None:
    assert podman.out("echo kept > /mnt/f; cat /mnt/f", "--volume", "kept:/mnt", "--tmpfs", "/data") == "kept\n"


def test_devices_without_root(podman: Podman) -> None:
    assert podman.out("echo x > /dev/null; head -c 5 /dev/zero | wc -c; test -t 0 || ls /dev/pts") == "5\nptmx\n"


def test_terminal_without_root(podman: Podman) -> None:
    terminal = podman.terminal(*podman.made("run", ("--rm", "-it")), IMAGE, "sh", rows=20, columns=70)
    terminal.send("stty size; exit 3\n")
    terminal.expect("20 70")
    assert terminal.wait() == 3


def test_exec_and_kill_without_root(podman: Podman) -> None:
    podman.start()
    assert podman.ok("exec", "c", "id", "-u") == "0\n"
    assert podman.call("exec", "c", "nosuch").returncode == 127
    podman.ok("kill", "c")
    assert podman.ok("wait", "c") == "137\n"


def test_stop_without_root(podman: Podman) -> None:
    podman.start("c", args=["sh", "-c", 'trap "exit 6" TERM; echo up; while :; do sleep 0.05; done'])
    podman.await_log("up")
    podman.ok("stop", "--time", "20", "c")
    assert podman.inspect("State.ExitCode") == 6


def test_pod_without_root(podman: Podman) -> None:
    podman.ok("pod", "create", "--name", "p", "--network", "none", "--hostname", "sandbox")
    assert podman.ok("run", "--rm", "--pod", "p", IMAGE, "hostname") == "sandbox\n"


def test_image_is_built_without_root(podman: Podman) -> None:
    directory = podman.source("build")
    (directory / "Containerfile").write_text(f"FROM {IMAGE}\nRUN id -u > /made\nUSER guest\nRUN id -u > /tmp/made\n")
    podman.ok("build", "--quiet", "--no-cache", "--network", "none", "--tag", "localhost/made", str(directory))
    assert podman.out("cat /made /tmp/made", image="localhost/made") == "0\n1000\n"


def test_wrong_command_without_root_is_told(podman: Podman) -> None:
    done = podman.run(["nosuch"])
    assert done.returncode == 127 and "executable file not found" in done.stderr
    assert podman.out(["echo", "next"]) == "next\n"
