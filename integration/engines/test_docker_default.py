"""Docker with the runtime as its default, so that builds use it too, and with `userns-remap`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerd import Docker
from ground import IMAGE, Ground

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path, runtime: str) -> Iterator[Ground]:
    with Ground("docker-default") as made:
        for kind in ("subuid", "subgid"):
            (made.directory / kind).write_text("nobody:300000:65536\n")
            made.ok("mount", "--bind", f"{made.directory}/{kind}", f"/etc/{kind}")
        # The remapped root must reach its storage.
        made.directory.chmod(0o755)
        Docker.prepare(made, archive, **{"default-runtime": runtime, "userns-remap": "nobody:nogroup"})
        yield made


@pytest.fixture
def docker(ground: Ground, runtime: str) -> Iterator[Docker]:
    made = Docker(ground, runtime, default=True)
    yield made
    made.remove_all()


def test_default_runtime_is_used(docker: Docker) -> None:
    docker.start()
    assert docker.show(".HostConfig.Runtime") == docker.runtime


def test_user_namespace_of_the_engine(docker: Docker) -> None:
    text = docker.out("cat /proc/self/uid_map /proc/self/gid_map; id -u; stat -c %u /bin/busybox")
    assert text.split() == ["0", "300000", "65536", "0", "300000", "65536", "0", "0"]


def test_user_namespace_can_be_the_hosts(docker: Docker) -> None:
    assert docker.out("cat /proc/self/uid_map", "--userns", "host").split() == ["0", "0", "4294967295"]


def test_files_of_a_volume_are_the_mapped_users(docker: Docker) -> None:
    docker.out("touch /v/file", "-v", "mapped:/v")
    owner = docker.ground.ok(
        "stat", "-c", "%u", docker.ok("volume", "inspect", "-f", "{{.Mountpoint}}", "mapped") + "/file"
    )
    assert owner == "300000\n"


def test_file_of_the_host_is_not_written(docker: Docker) -> None:
    source = docker.source("bind")
    source.chmod(0o755)
    done = docker.run(["touch", "/mnt/x"], "-v", f"{source}:/mnt")
    assert done.returncode == 1 and "Permission denied" in done.stderr


def test_devices_in_a_user_namespace(docker: Docker) -> None:
    assert docker.out(
        "echo x >/dev/null && head -c 2 /dev/zero | wc -c && ls -l /dev/tty /dev/random | wc -l"
    ).split() == ["2", "2"]


def test_exec_in_a_user_namespace(docker: Docker) -> None:
    docker.start()
    assert docker.exec("sh", "-c", "id -u; cat /proc/self/uid_map").stdout.split() == ["0", "0", "300000", "65536"]


def test_terminal_in_a_user_namespace(docker: Docker) -> None:
    terminal = docker.terminal(
        "run", "--rm", "-it", IMAGE, "sh", "-c", "echo typed > /dev/tty; test -w /dev/console && echo both"
    )
    assert terminal.wait() == 0 and "typed" in terminal.text and "both" in terminal.text


def test_kernel_setting_in_a_user_namespace(docker: Docker) -> None:
    assert docker.out("cat /proc/sys/net/ipv4/ip_default_ttl", "--sysctl", "net.ipv4.ip_default_ttl=33") == "33\n"


def test_limits_in_a_user_namespace(docker: Docker) -> None:
    docker.start("--memory", "32m", "--pids-limit", "50")
    assert docker.limit("memory", "memory.limit_in_bytes") == "33554432" and docker.limit("pids", "pids.max") == "50"


def test_network_in_a_user_namespace(docker: Docker) -> None:
    docker.start(args="echo mapped > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    address = docker.show(".NetworkSettings.IPAddress")
    assert docker.out(f"until wget -q -O - http://{address}/ 2>/dev/null; do sleep 0.1; done") == "mapped\n"


def build(docker: Docker, text: str) -> tuple[int, str]:
    """Runs `docker build` of a Dockerfile; returns its exit code and all of its output."""
    directory = docker.source("build")
    (directory / "Dockerfile").write_text(text)
    (directory / "given").write_text("given\n")
    done = docker.call(
        "build", "--tag", "localhost/built", str(directory), env={**docker.ground.environment, "DOCKER_BUILDKIT": "0"}
    )
    docker.ground.ok("rm", "-r", str(directory))
    return done.returncode, done.stdout + done.stderr


def test_build_runs_commands(docker: Docker) -> None:
    code, text = build(
        docker, f"FROM {IMAGE}\nCOPY given /given\nRUN cat /given > /made && echo more >> /made\nUSER guest\n"
    )
    assert code == 0, text
    assert docker.run(["sh", "-c", "cat /made; id -un"], image="localhost/built").stdout == "given\nmore\nguest\n"


def test_build_tells_a_command_that_fails(docker: Docker) -> None:
    code, text = build(docker, f"FROM {IMAGE}\nRUN exit 3\n")
    assert code == 3 and "returned a non-zero code: 3" in text


def test_wrong_command_is_told(docker: Docker) -> None:
    done = docker.run(["nonesuch"])
    assert done.returncode == 127 and "executable file not found in $PATH" in done.stderr
    assert docker.out("echo next") == "next\n"
