"""`start`: the word to the init that `create` left waiting, and the hooks around it."""

import posix
from _socket import AF_UNIX, SOCK_SEQPACKET, socket

from pyrunc.container import hooks, process
from pyrunc.container.actions import verify_placement
from pyrunc.container.create import state_parts
from pyrunc.container.state import SOCKET
from pyrunc.errors import PyruncError, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.container import Container
    from pyrunc.container.state import State


def start(container: "Container", state: "State") -> None:
    """Raises PyruncError when it is not ``created``, StepError when the program can't be executed."""
    state.take_lock()
    try:
        state.reload()
        status = container.status
        if status != "created":
            raise PyruncError(f"cannot start a container that is {status}: {container.id}")
        _verify(container, state)
        _say_go(container, state)
        posix.unlink(state.socket)
        # A daemon or a thread may have moved it late; a program that has already ended is nowhere.
        _verify(container, state)
        _poststart(container, state)
    finally:
        state.release()


def _verify(container: "Container", state: "State") -> None:
    """Whether init is in its cgroups; one that can't be kept there is stopped, and nothing of it is left."""
    if not state.data["cgroups"] or state.data.get("placement") == "legacy":
        return
    try:
        verify_placement(container.cgroups, state.data["pid"])
    except PyruncError:
        from pyrunc.container import delete, kill

        kill.kill_everyone(container, kill.SIGKILL)
        delete.destroy(container, state)
        raise


def _say_go(container: "Container", state: "State") -> None:
    """End of file means that execve closed the connection; anything else is init's error."""
    connection = socket(AF_UNIX, SOCK_SEQPACKET)
    try:
        connection.connect(f"/proc/self/fd/{state.lock}/{SOCKET}")
        connection.send(b"G")
        answer = connection.recv(8192)
    except OSError as error:
        raise PyruncError(f"container {container.id}: init does not answer: {error.strerror}") from None
    finally:
        connection.close()
    if answer[:1] == b"E":
        import sys

        errno = int.from_bytes(answer[5:9], sys.byteorder, signed=True)
        raise StepError(0, "", answer[9:].decode("utf-8", "replace"), errno)


def _poststart(container: "Container", state: "State") -> None:
    """Hooks of poststart; one that fails undoes the container (runtime-spec runtime.md "Lifecycle", step 8)."""
    if "hooks" not in state.data["config"]:
        return
    config = container.config
    if config.hooks is None or not config.hooks.poststart:
        return
    head, tail = state_parts(container.id, container.bundle, container.annotations)
    text = f"{head.replace('STATUS', 'running', 1)}{state.data['pid']}{tail}"
    try:
        hooks.run("poststart", config.hooks.poststart, text.encode())
    except PyruncError:
        process.send(state.data["pid"], state.data["start_time"], 9)
        raise
