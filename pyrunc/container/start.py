"""`start`: the word to the init that `create` left waiting, and the hooks around it."""

import posix
from _socket import AF_UNIX, CMSG_LEN, MSG_CMSG_CLOEXEC, SOCK_SEQPACKET, socket

from pyrunc.cgroup.existing import Existing
from pyrunc.container import process
from pyrunc.container.placement import verify_placement
from pyrunc.container.state import MESSAGE_SIZE, SOCKET, State
from pyrunc.errors import NotRunning, PyruncError, StepError, WrongStatus

RIGHTS = CMSG_LEN(4)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.container import Container


def start(container: "Container", state: "State", notify_socket: str = "") -> None:
    """Raises WrongStatus when it is not ``created``, StepError when the program can't be executed.

    ``notify_socket``: of the service manager; then it returns when the program has said that it is ready.
    """
    listener = None
    state.take_lock()
    try:
        state.reload()
        status = container.status
        if status != "created":
            raise WrongStatus(f"cannot start a container that is {status}: {container.id}")
        _verify(container, state)
        if notify_socket and State.NOTIFY in posix.listdir(state.directory):
            from pyrunc.container import notify

            listener = notify.listen(state)
        _say_go(container, state)
        posix.unlink(state.socket)
        # A daemon or a thread may have moved it late; a program that has already ended is nowhere.
        _verify(container, state)
        _poststart(container, state)
    finally:
        state.release()
    if listener is not None:
        from pyrunc import interrupts

        interrupts.allow()
        notify.forward(listener, notify_socket, state.data["pid"], True)


def _verify(container: "Container", state: "State") -> None:
    """Whether init is in its cgroups; one that can't be kept there is stopped, and nothing of it is left."""
    if not state.data["cgroups"] or state.data.get("placement") == "legacy":
        return
    try:
        verify_placement(Existing(state.data["cgroups"]), state.data["pid"])
    except PyruncError:
        from pyrunc.container import delete, kill

        kill.kill_everyone(container, kill.SIGKILL)
        delete.destroy(container, state)
        raise


def _say_go(container: "Container", state: "State") -> None:
    """End of file means that execve closed the connection; before it comes init's error, or a listener of seccomp."""
    connection = socket(AF_UNIX, SOCK_SEQPACKET)
    try:
        connection.connect(f"/proc/self/fd/{state.lock}/{SOCKET}")
        connection.send(b"G")
        answer, rights, _, _ = connection.recvmsg(MESSAGE_SIZE, RIGHTS, MSG_CMSG_CLOEXEC)
        if answer[:1] == b"S":
            _hand_over(container, rights)
            connection.send(b"G")
            answer = connection.recv(MESSAGE_SIZE)
    except OSError as error:
        if process.exiting(state.data["pid"]):
            raise NotRunning from None
        raise PyruncError(f"container {container.id}: init does not answer: {(error.strerror or '').lower()}") from None
    finally:
        connection.close()
    if answer[:1] == b"E":
        import sys

        errno = int.from_bytes(answer[5:9], sys.byteorder, signed=True)
        raise StepError(0, "", answer[9:].decode("utf-8", "replace"), errno)


def _hand_over(container: "Container", rights: "Any") -> None:
    from pyrunc.container import seccomp_listener
    from pyrunc.container.state_text import state_text

    seccomp = container.config.linux.seccomp
    assert seccomp is not None
    listener = seccomp_listener.descriptor(rights)
    try:
        state = state_text(container, "created", container.pid)
        seccomp_listener.send(seccomp.listener_path, seccomp.listener_metadata, listener, container.pid, state)
    finally:
        posix.close(listener)


def _poststart(container: "Container", state: "State") -> None:
    """Hooks of poststart; one that fails undoes the container (runtime-spec runtime.md "Lifecycle", step 8)."""
    if "hooks" not in state.data["config"]:
        return
    config = container.config
    if config.hooks is None or not config.hooks.poststart:
        return
    from pyrunc.container import hooks
    from pyrunc.container.state_text import state_text

    text = state_text(container, "running", state.data["pid"])
    try:
        hooks.run("poststart", config.hooks.poststart, text.encode())
    except PyruncError:
        process.send(state.data["pid"], state.data["start_time"], 9)
        raise
