"""`start`: lets the init that `create` left waiting execute the program, and runs the poststart hooks."""

import posix
from _socket import CMSG_LEN, MSG_CMSG_CLOEXEC

from pyrunc import interrupts, log
from pyrunc.cgroup.groups import Groups
from pyrunc.container import start_socket
from pyrunc.container.store import NOTIFY
from pyrunc.errors import NotRunning, PyruncError, StepError
from pyrunc.launch.placement import verify_placement
from pyrunc.linux import procfs
from pyrunc.linux.signals import SIGKILL
from pyrunc.plan.protocol import MESSAGE_ERROR, MESSAGE_GO, MESSAGE_SIZE, MESSAGE_SYNC

RIGHTS = CMSG_LEN(4)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.record import Record


def start(container: "Record", service_manager: str = "") -> None:
    """Starts the container. WrongStatus if it is not ``created``, StepError if the program cannot be executed.

    ``service_manager``: the path of its notify socket. The function then returns after the program has reported that it
    is ready.
    """
    listener = None
    with container.locked():
        container.require("start")
        cgroups = Groups(container.state.cgroups)
        _verify(container, cgroups)
        if service_manager and NOTIFY in posix.listdir(container.directory):
            from pyrunc.resources import notify_socket

            listener = notify_socket.listen(container.lock)
        _let_go(container)
        posix.unlink(container.socket)
        log.debug(f"process {container.state.pid}: executed the program")
        # A daemon, or a thread of a library, may have moved init late. If init has ended, it is in no cgroup: no error.
        _verify(container, cgroups)
        _poststart(container)
    if listener is not None:
        with interrupts.allowed:
            notify_socket.forward(listener, service_manager, container.state.pid, True)


def _verify(container: "Record", cgroups: Groups) -> None:
    """Checks that init is in its cgroups. If it cannot be kept there, destroys the container and raises PyruncError."""
    if not container.state.cgroups or container.state.placement == "legacy":
        return
    try:
        verify_placement(cgroups, container.state.pid)
    except PyruncError:
        _destroy(container)
        raise


def _destroy(container: "Record") -> None:
    from pyrunc.container import delete, kill

    kill.kill_everyone(container, SIGKILL)
    delete.destroy(container)


def _let_go(container: "Record") -> None:
    """Tells init to execute the program, and waits for the result. End of file means success: execve has closed the
    connection. Before that init may send an error, or a seccomp listener."""
    connection = None
    try:
        connection = start_socket.connect(container.lock)
        connection.send(MESSAGE_GO)
        answer, rights, _, _ = _answer(connection)
        if answer[:1] == MESSAGE_SYNC:
            _hand_over(container, rights)
            connection.send(MESSAGE_GO)
            answer = _answer(connection)[0]
    except OSError as error:
        if procfs.exiting(container.state.pid):
            raise NotRunning from None
        raise PyruncError(f"container {container.id}: init does not answer: {(error.strerror or '').lower()}") from None
    finally:
        if connection is not None:
            connection.close()
    if answer[:1] == MESSAGE_ERROR:
        import sys

        errno = int.from_bytes(answer[5:9], sys.byteorder, signed=True)
        raise StepError(0, "", answer[9:].decode("utf-8", "replace"), errno)


def _answer(connection: "Any") -> "Any":
    """Returns the result of recvmsg(2). Init reads the image and runs hooks, so the wait is unbounded. After PATIENCE
    seconds it can be interrupted by a signal."""
    connection.settimeout(interrupts.PATIENCE)
    try:
        return connection.recvmsg(MESSAGE_SIZE, RIGHTS, MSG_CMSG_CLOEXEC)
    except TimeoutError:
        connection.settimeout(None)
        with interrupts.allowed:
            return connection.recvmsg(MESSAGE_SIZE, RIGHTS, MSG_CMSG_CLOEXEC)


def _hand_over(container: "Record", rights: "Any") -> None:
    from pyrunc.container.state_json import state_text
    from pyrunc.resources import seccomp_listener

    seccomp = container.config.linux.seccomp
    assert seccomp is not None
    listener = seccomp_listener.descriptor(rights)
    try:
        state = state_text(container, "created", container.pid)
        seccomp_listener.send(seccomp.listener_path, seccomp.listener_metadata, listener, container.pid, state)
    finally:
        posix.close(listener)


def _poststart(container: "Record") -> None:
    """Runs the poststart hooks. If one fails, destroys the container (runtime.md "Lifecycle", step 9)."""
    if "hooks" not in container.state.config:
        return
    config = container.config
    if config.hooks is None or not config.hooks.poststart:
        return
    from pyrunc.container.state_json import state_text
    from pyrunc.launch import hooks

    text = state_text(container, "running", container.state.pid)
    try:
        hooks.run("poststart", config.hooks.poststart, text.encode(), container.state.bundle)
    except BaseException:  # also for a signal: the hook that it interrupts has not succeeded
        _destroy(container)
        raise
