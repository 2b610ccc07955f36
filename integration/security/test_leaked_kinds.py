"""Descriptors of every kind that a caller may leak or preserve, besides files and directories: no program of a
container, and no hook, inherits one that was not meant for it."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import PYRUNC, Box

LEAK = """
import ctypes, os, select, socket, sys
kind, number, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
libc = ctypes.CDLL(None, use_errno=True)
O_PATH = 0o10000000
kept = []
def passing():
    ours, theirs = socket.socketpair()
    socket.send_fds(ours, [b"x"], [os.open(directory, os.O_RDONLY)])
    kept.append(ours)
    return theirs.fileno() if not kept.append(theirs) else -1
def polling():
    made = select.epoll()
    ours, theirs = socket.socketpair()
    made.register(theirs.fileno(), select.EPOLLIN)
    kept.extend((made, ours, theirs))
    return made.fileno()
def ring():
    parameters = (ctypes.c_uint32 * 30)()
    made = libc.syscall(425, 4, parameters)  # io_uring_setup
    if made < 0:
        sys.exit(77)
    opened = (ctypes.c_int32 * 1)(os.open(directory, os.O_RDONLY))
    if libc.syscall(427, made, 2, opened, 1) != 0:  # IORING_REGISTER_FILES
        sys.exit(77)
    return made
opened = {
    "O_PATH of a file": lambda: os.open(f"{directory}/file", O_PATH),
    "O_PATH of a directory": lambda: os.open(directory, O_PATH),
    "memfd": lambda: os.memfd_create("leaked"),
    "pidfd": lambda: os.pidfd_open(os.getppid()),
    "namespace": lambda: os.open("/proc/self/ns/mnt", os.O_RDONLY),
    "socket with a directory in its queue": passing,
    "epoll": polling,
    "io_uring with a directory": ring,
    "inotify": lambda: libc.inotify_init1(0),
    "listening socket": lambda: (kept.append(socket.create_server(("127.0.0.1", 0))), kept[-1].fileno())[-1],
    "detached mount": lambda: libc.syscall(428, -100, directory.encode(), 1),  # open_tree, OPEN_TREE_CLONE
}[kind]()
assert opened >= 0
os.dup2(opened, number)
for each in range(3, 64):
    if each != number:
        try:
            os.close(each)
        except OSError:
            pass
os.set_inheritable(number, True)
os.execv(sys.argv[4], sys.argv[4:])
"""
KINDS = (
    *("O_PATH of a file", "O_PATH of a directory", "memfd", "pidfd", "namespace", "epoll", "inotify", "detached mount"),
    *("socket with a directory in its queue", "io_uring with a directory", "listening socket"),
)
SHOW = "for each in /proc/$$/fd/*; do readlink $each || true; done"
"""Prints the descriptors of the shell that inherited them; the glob has closed its own directory by then."""


@pytest.fixture(scope="module")
def leaker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("leak") / "leak.py"
    path.write_text(LEAK)
    return path


def leaking(box: Box, leaker: Path, kind: str, number: int, *words: str) -> Any:
    directory = box.directory / "leaked"
    directory.mkdir(exist_ok=True)
    (directory / "file").touch()
    command = [sys.executable, str(leaker), kind, str(number), str(directory), PYRUNC, "--root", str(box.root), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=box.directory)
    if done.returncode == 77:
        pytest.skip("the kernel makes none")
    return done


@pytest.mark.parametrize("number", [3, 9, 500])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_caller_leaks_reaches_neither_program_nor_hook(box: Box, leaker: Path, kind: str, number: int) -> None:
    seen = box.directory / "seen"
    script = f"({SHOW}) >> {seen}"
    hooks = {point: [{"path": "/bin/sh", "args": ["sh", "-c", script]}] for point in ("createRuntime", "poststop")}
    hooks["createContainer"] = [{"path": "/bin/sh", "args": ["sh", "-c", script]}]
    bundle = box.bundle(SHOW, lambda config: config.update(hooks=hooks))
    done = leaking(box, leaker, kind, number, "run", "-b", str(bundle), box.new_id())
    assert done.returncode == 0, done.stderr
    shown = done.stdout.split("\n")
    name = box.start()
    executed = leaking(box, leaker, kind, number, "exec", name, "sh", "-c", SHOW)
    assert executed.returncode == 0, executed.stderr
    shown += executed.stdout.split("\n") + seen.read_text().split("\n")
    allowed = ("/proc/", "/dev/null", "/memfd:state", "pipe:", str(seen))
    assert not [line for line in shown if line and not line.startswith(allowed)], shown


@pytest.mark.parametrize(
    ("kind", "passes"),
    [
        ("O_PATH of a directory", False),
        ("detached mount", False),
        ("O_PATH of a file", True),
        ("memfd", True),
        ("pidfd", True),
        ("socket with a directory in its queue", True),
    ],
)
def test_what_is_preserved_is_the_caller_s_promise_but_for_directories(
    box: Box, leaker: Path, kind: str, passes: bool
) -> None:
    bundle = box.bundle("test -e /proc/self/fd/3 || readlink /proc/self/fd/3")
    done = leaking(box, leaker, kind, 3, "run", "--preserve-fds", "1", "-b", str(bundle), box.new_id())
    assert (done.returncode == 0) == passes, done.stderr
    assert passes or "descriptor 3 is a directory of the host" in done.stderr


@pytest.mark.parametrize("kind", ["socket", "FIFO", "device"])
def test_what_lies_in_a_notify_directory(box: Box, kind: str) -> None:
    """A container that may write there made it, also in the socket's place: pyrunc removes it without waiting."""
    name = box.new_id()
    path = box.root / name / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, socket.socket(socket.AF_UNIX) as listener:
        manager.bind(str(box.directory / "manager"))
        env = {**os.environ, "NOTIFY_SOCKET": str(box.directory / "manager")}
        quiet: Any = {"capture_output": False, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        box.ok("create", "-b", str(box.bundle("sleep 100")), name, env=env, **quiet)
        for each in (path / "notify.sock", path / "other"):
            if kind == "socket":
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(str(each))
                listener.listen()
            elif kind == "FIFO":
                os.mkfifo(each)
            elif kind == "device":
                os.mknod(each, 0o20666, os.makedev(1, 5))
        done = box.call("start", name, env=env, timeout=15)
        assert done.returncode == 1 and "notify socket: address already in use" in done.stderr.lower(), done.stderr
        box.ok("delete", "--force", name, timeout=15)
        listener.close()
    assert not (box.root / name).exists()


def test_a_link_in_the_place_of_the_notify_socket(box: Box) -> None:
    """The socket's mode is changed by descriptor, so that a link made just after the bind(2) has no effect."""
    from pyrunc.resources import notify_socket

    victim, link = box.directory / "victim", box.directory / "link"
    victim.touch(0o600)
    link.symlink_to(victim)
    notify_socket._open_to_all(str(link))
    assert victim.stat().st_mode & 0o777 == 0o600
