"""sd_notify(3): a program reports that it is ready, and the service manager that runs pyrunc receives the message."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import PYRUNC, Box, static_program

PROGRAM = r"""
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
int main(int argc, char **argv) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path, getenv("NOTIFY_SOCKET"), sizeof to.sun_path - 1);
    int made = socket(AF_UNIX, SOCK_DGRAM, 0);
    return sendto(made, argv[1], strlen(argv[1]), 0, (struct sockaddr *)&to, sizeof to) < 0;
}
"""


@pytest.fixture(scope="module")
def say(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static program that sends its argument."""
    return static_program(tmp_path_factory.mktemp("say"), "say", PROGRAM)


class Manager:
    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        self.socket.settimeout(20)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "NOTIFY_SOCKET": self.name}

    def hear(self) -> list[str]:
        """Returns the lines of one message, and closes the barrier after it."""
        lines = self.socket.recv(4096).decode().split()
        barrier, descriptors, _, _ = socket.recv_fds(self.socket, 100, 1)
        assert barrier == b"BARRIER=1"
        os.close(descriptors[0])
        return lines


@pytest.fixture(params=["path", "abstract"])
def manager(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "manager") if request.param == "path" else f"@pyrunc-test-{os.getpid()}")
    yield made
    made.socket.close()


def saying(box: Box, say: Path) -> Any:
    def change(config: dict[str, Any]) -> None:
        shutil.copy(say, box.own_rootfs(config) / "bin" / "say")

    return change


SCRIPT = "say STATUS=x; say \"$(printf 'STATUS=y\\nREADY=1')\"; ls -ld /run/notify | cut -c1-4; sleep 100"


@pytest.mark.parametrize("command", ["start", "run -d"])
def test_ready_is_passed_on_with_the_pid(box: Box, say: Path, manager: Manager, command: str) -> None:
    name, bundle = box.new_id(), str(box.bundle(SCRIPT, saying(box, say)))
    settings: dict[str, Any] = {"env": manager.environment, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    if command == "start":
        box.ok("create", "-b", bundle, name, capture_output=False, **settings)
    words = ["start", name] if command == "start" else ["run", "-d", "-b", bundle, name]
    with subprocess.Popen([PYRUNC, "--root", str(box.root), *words], **settings) as process:
        assert manager.hear() == ["READY=1", f"MAINPID={box.state(name)['pid']}"]
        assert process.wait(20) == 0


def test_in_the_foreground_we_are_the_services_process(box: Box, say: Path, manager: Manager) -> None:
    name, bundle = box.new_id(), str(box.bundle(SCRIPT, saying(box, say)))
    command = [PYRUNC, "--root", str(box.root), "run", "-b", bundle, name]
    with subprocess.Popen(command, env=manager.environment, stdout=subprocess.PIPE, text=True) as process:
        assert manager.hear() == ["READY=1"]
        assert process.stdout is not None and process.stdout.readline() == "drwx\n"
        box.ok("kill", name, "KILL")
        assert process.wait(20) == 137
    assert not box.leftovers()


def test_one_that_never_says_it(box: Box, say: Path, manager: Manager) -> None:
    """start returns after the container has ended; the socket is removed."""
    name, bundle = box.new_id(), str(box.bundle("say STATUS=x", saying(box, say)))
    settings: dict[str, Any] = {"env": manager.environment, "stdout": subprocess.DEVNULL, "capture_output": False}
    box.ok("create", "-b", bundle, name, **settings)
    box.ok("start", name, **settings)
    box.ok("delete", name)
    assert not box.leftovers()


def test_a_failing_create_leaves_no_socket(box: Box, manager: Manager) -> None:
    done = box.run(["/nothing"], box.own_rootfs, env=manager.environment)
    assert done.returncode == 1 and not box.leftovers()
