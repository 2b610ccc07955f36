"""SCMP_ACT_NOTIFY: an agent, a thread of the test, receives the listener and answers a container's system calls."""

import array
import fcntl
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Box, wait_for

RECEIVE, SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_*, linux/seccomp.h
CONTINUE = 1
ENOSPC, EACCES = 28, 13


class Agent:
    """Listens at ``path``; answers every call with ``errno``, or lets it continue if that is 0."""

    def __init__(self, path: Path, errno: int) -> None:
        self.path = path
        self.errno = errno
        self.states: list[dict[str, Any]] = []
        self.calls: list[int] = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        self.stopped, self.stopping = socket.socketpair()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        listeners: list[int] = []
        while True:
            ready = select.select([self.server, self.stopped, *listeners], [], [])[0]
            if self.stopped in ready:
                break
            if self.server in ready:
                listeners.append(self._accept())
            for listener in [known for known in listeners if known in ready]:
                if not self._answer(listener):
                    listeners.remove(listener)
                    os.close(listener)
        for listener in listeners:
            os.close(listener)

    def _accept(self) -> int:
        connection, _ = self.server.accept()
        with connection:
            data, rights, _, _ = connection.recvmsg(65536, socket.CMSG_LEN(4))
            while more := connection.recv(65536):
                data += more
        self.states.append(json.loads(data))
        descriptors = array.array("i")
        descriptors.frombytes(rights[0][2])
        return descriptors[0]

    def _answer(self, listener: int) -> bool:
        """Answers one call. False if the last process with the filter has ended."""
        notice = bytearray(80)
        try:
            fcntl.ioctl(listener, RECEIVE, notice)
            identity, _, _, number = struct.unpack_from("QIIi", notice)
            self.calls.append(number)
            answer = struct.pack("QqiI", identity, 0, -self.errno, 0 if self.errno else CONTINUE)
            fcntl.ioctl(listener, SEND, answer)
        except FileNotFoundError:
            return bool(select.select([listener], [], [], 0)[0] == [])  # the caller was killed meanwhile, or all were
        return True

    def close(self) -> None:
        self.stopping.send(b"x")
        self.thread.join()
        for open_ in (self.server, self.stopped, self.stopping):
            open_.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path / "agent", ENOSPC)
    yield made
    made.close()


def notify(agent: Agent, *names: str, **more: Any) -> Any:
    def change(config: dict[str, Any]) -> None:
        rule = {"names": list(names or ("mkdir", "mkdirat")), "action": "SCMP_ACT_NOTIFY"}
        config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": str(agent.path),
            "listenerMetadata": "some words",
            "syscalls": [rule],
            **more,
        }
        config["annotations"] = {"org.example": "x"}

    return change


@pytest.mark.parametrize("unprivileged", [True, False])
def test_the_agent_answers_for_run(box: Box, agent: Agent, unprivileged: bool) -> None:
    def change(config: dict[str, Any]) -> None:
        notify(agent)(config)
        config["process"]["noNewPrivileges"] = unprivileged

    out = box.run("mkdir /tmp/x 2>&1; ls -l /proc/self/fd | grep -c seccomp", change).stdout
    assert "No space left" in out and out.endswith("0\n") and len(agent.calls) == 1


def test_the_agent_lets_a_call_go_on(box: Box, agent: Agent) -> None:
    agent.errno = 0
    assert box.out("mkdir /tmp/x && ls /tmp", lambda c: (box.own_rootfs(c), notify(agent)(c))) == "x\n"
    assert len(agent.calls) == 1


def test_the_state_that_comes_with_the_listener(box: Box, agent: Agent) -> None:
    name = box.create("sleep 100", notify(agent))
    assert agent.states == []  # `start` loads the filter
    box.ok("start", name)
    wait_for(lambda: agent.states, "the agent to read the state")
    (told,) = agent.states
    pid = box.state(name)["pid"]
    assert set(told) == {"ociVersion", "fds", "pid", "metadata", "state"}
    assert (told["fds"], told["pid"], told["metadata"]) == (["seccompFd"], pid, "some words")
    state = told["state"]
    assert (state["id"], state["status"], state["pid"]) == (name, "created", pid)
    assert state["annotations"] == {"org.example": "x"} and state["bundle"].startswith(str(box.directory))


def test_an_execd_process_has_its_own_listener(box: Box, agent: Agent) -> None:
    name = box.start("sleep 100", notify(agent))
    agent.errno = EACCES
    done = box.call("exec", "--pid-file", "pid", name, "mkdir", "/tmp/x")
    assert "Permission denied" in done.stderr
    wait_for(lambda: len(agent.states) == 2, "the agent to read both states")
    init, execd = agent.states
    assert execd["pid"] == int((box.directory / "pid").read_text()) != init["pid"]
    assert (execd["state"]["status"], execd["state"]["pid"]) == ("running", init["pid"])


@pytest.mark.parametrize("calls", [("sendmsg", "write", "recvfrom"), ("execve", "exit_group", "brk", "mmap")])
def test_no_call_of_ours_stands_in_the_way(box: Box, agent: Agent, calls: tuple[str, ...]) -> None:
    """The runtime's own system calls would wait for an agent that does not have the listener yet."""
    agent.errno = 0
    assert box.out("echo hello", notify(agent, *calls)) == "hello\n"
    assert agent.calls


def test_flags_of_a_listener(box: Box, agent: Agent) -> None:
    flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"]
    assert "No space left" in box.run("mkdir /tmp/x 2>&1", notify(agent, flags=flags)).stdout


@pytest.mark.parametrize("command", ["run", "start", "exec"])
def test_no_agent_listens(box: Box, agent: Agent, command: str) -> None:
    """The error is one line that names the property, and nothing is left."""
    name = "" if command == "run" else box.create("sleep 100", notify(agent))
    if command == "exec":
        box.ok("start", name)
    agent.path.unlink()
    if command == "run":
        done = box.run("true", notify(agent))
    else:
        done = box.call(command, name, *(["true"] if command == "exec" else []))
    assert done.returncode == (255 if command == "exec" else 1)
    assert done.stderr == f"pyrunc: linux.seccomp.listenerPath: {agent.path}: no such file or directory\n"
    if command == "run":
        assert not box.leftovers()
    else:
        box.await_status(name, "running" if command == "exec" else "stopped")
    if command == "exec":
        assert json.loads(box.ok("ps", "--format", "json", name)) == [box.state(name)["pid"]]
