"""`start`: the word to the init that `create` left waiting, and the hooks around it."""

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
    """Raises WrongStatus when it is not ``created``, StepError when the program can't be executed.

    ``service_manager``: its notify socket; then it returns when the program has said that it is ready.
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
        # A daemon or a thread may have moved it late; a program that has already ended is nowhere.
        _verify(container, cgroups)
        _poststart(container)
    if listener is not None:
        with interrupts.allowed:
            notify_socket.forward(listener, service_manager, container.state.pid, True)


def _verify(container: "Record", cgroups: Groups) -> None:
    """Whether init is in its cgroups; one that can't be kept there is stopped, and nothing of it is left."""
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
    """End of file means that execve closed the connection; before it comes init's error, or a listener of seccomp."""
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
    """What recvmsg(2) gives. Init looks at the image, and runs hooks: it may take its time, and may be interrupted."""
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
    """Hooks of poststart; one that fails ends the container, and all of it goes (runtime.md "Lifecycle", step 9)."""
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
    except BaseException:  # also a signal: what it ends is a hook that has not succeeded
        _destroy(container)
        raise
