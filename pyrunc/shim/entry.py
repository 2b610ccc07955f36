"""`containerd-shim-pyrunc-v1`: the command line that containerd executes (containerd's core/runtime/v2/README.md).

start    binds a socket, forks the pod's server, and prints its address; or prints that of the existing server
delete   removes what a killed server has left; prints a DeleteResponse
-info    prints a RuntimeInfo;  -v  the version
"""

import posix
import sys

from pyrunc import interpreter
from pyrunc.errors import PyruncError
from pyrunc.linux.files import read, write
from pyrunc.shim import bootstrap, runtime_options
from pyrunc.shim.messages import decode, encode, timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

NAME = "io.containerd.pyrunc.v1"
TEXTS = ("namespace", "id", "socket", "debug-socket", "bundle", "address", "publish-binary")
FLAGS = ("debug", "v", "version", "info")
INPUT = 10 << 20
"""The most bytes that are read from standard input."""
KILLED = 128 + 9
OOM_SCORE = "-999"


def parse(arguments: "list[str]") -> "tuple[dict[str, Any], str]":
    """Returns (options by name, the action) as Go's package flag parses them. Raises PyruncError for what that
    refuses."""
    values: dict[str, Any] = {**dict.fromkeys(TEXTS, ""), **dict.fromkeys(FLAGS, False)}
    rest = list(arguments)
    while rest and rest[0][:1] == "-" and rest[0] not in ("-", "--"):
        name, equals, value = rest.pop(0).removeprefix("-").removeprefix("-").partition("=")
        if name in FLAGS:
            if equals and value.lower() not in ("1", "t", "true", "0", "f", "false"):
                raise PyruncError(f"invalid boolean value {value!r} for -{name}")
            values[name] = not equals or value.lower() in ("1", "t", "true")
        elif name not in TEXTS:
            raise PyruncError(f"flag provided but not defined: -{name}")
        elif equals:
            values[name] = value
        elif not rest:
            raise PyruncError(f"flag needs an argument: -{name}")
        else:
            values[name] = rest.pop(0)
    if rest[:1] == ["--"]:
        del rest[0]
    return values, rest[0] if rest else ""


def main(child: int = 0) -> "NoReturn":
    """Never returns. ``child`` is used by the launcher's other program only."""
    status = 1
    try:
        status = run(sys.argv[1:])
    except PyruncError as error:
        _say(str(error))
    except BaseException as error:
        from pyrunc.shim.failures import failure_of

        _say(str(failure_of(error)))
    posix._exit(status)


def run(arguments: "list[str]") -> int:
    """Executes the command line. Returns the exit status."""
    values, action = parse(arguments)
    if values["v"] or values["version"]:
        posix.write(1, _version().encode())
        return 0
    if values["info"]:
        posix.write(1, _info())
        return 0
    if not values["namespace"]:
        raise PyruncError("shim namespace cannot be empty")
    if values["id"] in ("", ".", "..") and action:
        raise PyruncError("the container's id is missing")
    if action == "start":
        return _start(values)
    if action == "delete":
        return _delete(values)
    if action:
        raise PyruncError(f"unknown action {action!r}")
    _serve(values, bootstrap.inherited(values["socket"]), values["socket"])
    return 0


def _say(words: str) -> None:
    posix.write(2, f"containerd-shim-pyrunc-v1: {words}\n".encode("utf-8", "surrogateescape"))


def _variable(name: str) -> str:
    return posix.environ.get(name.encode(), b"").decode("utf-8", "surrogateescape")


# -- start -----------------------------------------------------------------------------------------------------


def _start(values: "dict[str, Any]") -> int:
    given = bootstrap.Parameters(values, _input(), _variable)
    if given.options:
        runtime_options.remember(".", given.options)
    path = bootstrap.socket_path(given.address, given.namespace, bootstrap.group(".", given.container_id))
    listener = bootstrap.listen(path)
    if listener >= 0:
        try:
            _fork(given, listener, path)
        except BaseException:
            posix.unlink(path)
            raise
    address = f"unix://{path}"
    bootstrap.write_address(address)
    posix.write(1, given.answer(address, _variable("MAX_SHIM_VERSION")))
    return 0


def _input() -> bytes:
    """Reads standard input to its end."""
    data = b""
    while len(data) < INPUT and (part := posix.read(0, 1 << 16)):
        data += part
    return data


def _fork(given: "bootstrap.Parameters", listener: int, path: str) -> None:
    """Forks the server from this process, so that it need not start an interpreter or import modules again."""
    if _variable("SCHED_CORE"):
        from pyrunc.ffi._sys import lib

        if (answer := lib.pyrunc_schedule_core()) < 0:
            raise PyruncError(f"enable sched core support: {posix.strerror(-answer).lower()}")
    pid = posix.fork()
    if pid == 0:
        try:
            # A process group, not a session: a session leader would get any terminal that it opens.
            posix.setpgid(0, 0)
            null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
            for number in range(3):
                posix.dup2(null, number)
            posix.close(null)
            _serve(given.values, listener, path)
            posix._exit(0)
        finally:
            posix._exit(1)
    try:
        if given.options.get("shim_cgroup"):
            bootstrap.place(pid, str(given.options["shim_cgroup"]))
    except BaseException:
        posix.kill(pid, 9)
        posix.waitpid(pid, 0)
        raise


def _serve(values: "dict[str, Any]", listener: int, path: str) -> None:
    try:
        write("/proc/self/oom_score_adj", OOM_SCORE)
    except OSError:
        pass  # keeps containerd's value: lowering it needs CAP_SYS_RESOURCE
    interpreter.load("shim-serve")
    from pyrunc.shim.server import serve

    serve(values, listener, path, _variable("TTRPC_ADDRESS"))


# -- the others ------------------------------------------------------------------------------------------------


def _delete(values: "dict[str, Any]") -> int:
    from time import time_ns

    from pyrunc import log
    from pyrunc.shim import leftovers

    log.begin()
    bundle = values["bundle"] or posix.getcwd()
    pid = leftovers.remove(values["id"], bundle, values["namespace"])
    bootstrap.forget(bundle)
    answer = {"pid": pid, "exit_status": KILLED, "exited_at": timestamp(time_ns())}
    posix.write(1, encode("DeleteResponse", answer))
    return 0


def _commit() -> str:
    from pyrunc.launch.helper import BINARIES

    try:
        return read(f"{BINARIES}/commit").decode().strip()
    except OSError:
        return "unknown"


def _version() -> str:
    from pyrunc.version import VERSION

    version = sys.version.split()[0]
    return (
        f"containerd-shim-pyrunc-v1:\n  Version:  {VERSION}\n  Revision: {_commit()}\n  Python version: {version}\n\n"
    )


def _info() -> bytes:
    """Returns a RuntimeInfo, which repeats the options of the request."""
    interpreter.complete()
    from pyrunc.container.features import features
    from pyrunc.shim.messages import SPEC, any_of
    from pyrunc.spec.json_text import dumps
    from pyrunc.version import VERSION

    try:
        options = decode("Any", _input())
    except ValueError:
        options = {}
    described = dumps(features()).encode()
    return encode(
        "RuntimeInfo",
        {
            "name": NAME,
            "version": {"version": VERSION, "revision": _commit()},
            "options": options or None,
            "features": any_of(f"{SPEC}features/Features", described),
        },
    )
