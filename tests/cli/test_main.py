"""Common to all commands: an error of one line, a log that engines can read, an exit status."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from launched import PACKAGES, START, TOP, pyrunc, python

from pyrunc import log
from pyrunc.cli.dispatch import _failure, run
from pyrunc.container.store import Store

FRESH = dict(vars(log._log))
"""The log's state in a program that uses pyrunc as a library."""
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Sets up the log as in a command's process, and restores it."""
    log.begin()
    yield
    if log._log.descriptor != 2:
        os.close(log._log.descriptor)
    vars(log._log).update(FRESH)


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("nonsense", 3, "pyrunc: No such command 'nonsense'. (see pyrunc --help)"),
        ("create", 1, "pyrunc: Missing argument 'ID'. (see pyrunc create --help)"),
        ("create --nonsense id", 1, "pyrunc: No such option '--nonsense'. (see pyrunc create --help)"),
        (
            "run exec --bundel=x",
            1,
            "pyrunc: No such option '--bundel'. Did you mean '--bundle'? (see pyrunc run --help)",
        ),
        ("-root", 1, "pyrunc: Option '--root' requires an argument. (see pyrunc --help)"),
        (
            "exec --tty=maybe id",
            1,
            "pyrunc: Option '--tty': 'maybe' is neither true nor false. (see pyrunc exec --help)",
        ),
        (
            "exec -dt id ls",
            1,
            "pyrunc: No such option '-dt'. (Did you mean one of: '-d', '-t'?) (see pyrunc exec --help)",
        ),
        ("--rootless perhaps list", 1, "pyrunc: --rootless perhaps: is not auto, true or false"),
        ("--log-level loud list", 1, "pyrunc: --log-level loud: is not one of debug, info, warning, error"),
        ("--log /nowhere/log list", 1, "pyrunc: --log /nowhere/log: no such file or directory"),
        ("--log / exec id ls", 1, "pyrunc: --log /: is a directory"),
        ("--root /dev/null/x list", 1, "pyrunc: /dev/null/x: not a directory"),
    ],
)
def test_a_wrong_line_is_one_line(line: str, status: int, message: str) -> None:
    done = pyrunc(*line.split())
    assert (done.returncode, done.stdout) == (status, b"")
    assert done.stderr.count(b"\n") == 1
    # click's hints differ between versions; the error and the pointer to the help do not.
    head, tail = message.partition(" (Did")[0].partition(" Did")[0], message.rpartition(" (see")[2]
    assert done.stderr.decode().startswith(head.rpartition(" (see")[0] or head) and tail in done.stderr.decode()


BUG = """
from pyrunc.cli import dispatch
from pyrunc.cli.commands import state
state.run = lambda options: {}["pid"]
dispatch.main()
"""


def test_a_bug_is_one_line_without_a_traceback() -> None:
    done = python(BUG, "state", "id")
    assert done.returncode == 1 and done.stderr == b"pyrunc: internal error: KeyError: 'pid'\n"


def test_a_traceback_only_for_debug_and_only_in_the_log(tmp_path: Path) -> None:
    words = ["--log", tmp_path / "log", "--log-format", "json"]
    for debug, levels in (([], ["error"]), (["--debug"], ["debug", "error"])):
        (tmp_path / "log").unlink(missing_ok=True)
        done = python(BUG, *words, *debug, "state", "id")
        assert done.stderr.count(b"\n") == 1
        rows = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
        assert [row["level"] for row in rows] == levels
        assert [row["level"] for row in rows if "Traceback" in row["msg"]] == levels[:-1]


def test_an_interrupt_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    held = Store(str(tmp_path), "id")
    held.make()
    held.save()
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        assert run(["--root", str(tmp_path), "delete", "id"]) == 130  # it waits for the lock
    finally:
        held.release()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert capfd.readouterr().err == "pyrunc: interrupted\n"


def test_no_memory_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert _failure(["exec", "id"], MemoryError()) == 255
    assert capfd.readouterr().err == "pyrunc: cannot allocate memory\n"


def test_the_reader_of_our_output_has_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = pyrunc("--root", "/nowhere", "list", stdout=writing, stderr=subprocess.PIPE, capture_output=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_another_broken_pipe_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert _failure(["start", "id"], BrokenPipeError(32, "Broken pipe")) == 1
    assert capfd.readouterr().err == "pyrunc: broken pipe\n"


def test_no_room_for_our_output() -> None:
    with open("/dev/full", "w") as full:
        done = pyrunc("--root", "/nowhere", "list", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert (done.returncode, done.stderr) == (1, b"pyrunc: no space left on device\n")


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>&-", ">&- 2>&-"])
def test_a_closed_standard_descriptor_is_not_reused(closed: str, tmp_path: Path) -> None:
    """Otherwise the log would become descriptor 2, and receive the output for standard error."""
    code = START + "from pyrunc.cli.dispatch import main; main()"
    words = [sys.executable, "-I", "-S", "-c", code, f"{TOP}:{PACKAGES}", "--log", str(tmp_path / "log"), "state", "id"]
    subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *words], check=False, timeout=30)
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 1 and " level=error " in lines[0]


# -- the log ---------------------------------------------------------------------------------------------------------


def test_text_as_logrus_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert pyrunc("--root", tmp_path, "--log", file, "state", "id").returncode == 1
    assert re.fullmatch(rf'time="{STAMP}" level=error msg="container \\"id\\" does not exist"\n', file.read_text()), (
        file.read_text()
    )
    log.configure(str(file), "text", "warn", False)
    log.warning("word")
    log.warning("")
    log.log("info", "not wanted")
    bare, empty = file.read_text().splitlines()[1:]
    assert bare.endswith(" level=warning msg=word") and empty.endswith(' level=warning msg=""')


def test_json_as_logrus_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert pyrunc("--root", tmp_path, "--log", file, "--log-format", "json", "state", "id").returncode == 1
    (line,) = file.read_text().splitlines()
    assert list(json.loads(line)) == ["level", "msg", "time"]
    assert json.loads(line)["level"] == "error" and re.fullmatch(STAMP, json.loads(line)["time"])


def test_without_a_log_json_is_what_standard_error_gets(tmp_path: Path) -> None:
    done = pyrunc("--root", tmp_path, "--log-format", "json", "state", "id")
    assert json.loads(done.stderr)["msg"] == 'container "id" does not exist'


def test_the_log_is_appended_to(tmp_path: Path) -> None:
    file = tmp_path / "log"
    for _ in range(2):
        pyrunc("--root", tmp_path, "--log", file, "--log-format", "json", "start", "id")
    assert len(file.read_text().splitlines()) == 2
    assert file.stat().st_mode & 0o777 == 0o644 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("form", ["text", "json"])
def test_names_can_not_forge_lines(form: str, tmp_path: Path) -> None:
    file, name = tmp_path / "log", b'x\n{"level":"error","msg":"forged"}\ntime="" level=error msg=forged\x1b[2J\xff'
    done = pyrunc("--log", file, "--log-format", form, "spec", "-b", name)
    assert done.stderr.count(b"\n") == 1 and b"\x1b" not in done.stderr and b"\xff" in done.stderr
    (line,) = file.read_bytes().splitlines()
    if form == "json":
        assert json.loads(line.decode())["msg"].endswith("\\xff/config.json: no such file or directory")


def test_a_log_that_is_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert pyrunc("--root", tmp_path, "--log", tmp_path / "log", "start", "id").returncode == 1
        assert b"does not exist" in os.read(reader, 4096)
    finally:
        os.close(reader)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_log_that_is_a_descriptor(kind: str, tmp_path: Path) -> None:
    if kind == "pipe":
        reader, writer = os.pipe()
    else:
        one, other = socket.socketpair()
        reader, writer = one.detach(), other.detach()
    try:
        words = ["--root", tmp_path, "--log", f"/dev/fd/{writer}", "start", "id"]
        assert pyrunc(*words, pass_fds=[writer]).stderr == b'pyrunc: container "id" does not exist\n'
        assert b"does not exist" in os.read(reader, 4096)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_notice_is_seen_and_logged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.configure(str(tmp_path / "log"), "json", None, False)
    log.notice("loud")
    assert capfd.readouterr().err == "pyrunc: loud\n"
    assert json.loads((tmp_path / "log").read_text())["level"] == "warning"


# -- the rest --------------------------------------------------------------------------------------------------------


def test_version_as_engines_read_it() -> None:
    from pyrunc import __version__

    name, commit, spec, *rest = pyrunc("--version").stdout.decode().splitlines()
    assert name == f"pyrunc version {__version__}" and commit.startswith("commit: ") and spec == "spec: 1.3.0"
    assert all(re.fullmatch(r"libseccomp: \d+\.\d+\.\d+", line) for line in rest)
    assert pyrunc("-v").stdout == pyrunc("--version").stdout


def test_alone_it_says_what_there_is() -> None:
    done = pyrunc()
    assert done.returncode == 0 and b"verify-preload" in done.stdout


def test_help_is_a_command_too() -> None:
    assert pyrunc("help").stdout == pyrunc("--help").stdout
    assert pyrunc("help", "create").stdout == pyrunc("h", "create").stdout == pyrunc("create", "--help").stdout
    done = pyrunc("help", "nonsense")
    assert (done.returncode, done.stderr) == (3, b"pyrunc: No such command 'nonsense'. (see pyrunc --help)\n")


ROOT_OF = "import os\nfrom pyrunc.cli.parser import default_root\nif len(sys.argv) > 1: os.setuid(int(sys.argv[1]))\nprint(default_root())"


@pytest.mark.parametrize(
    ("uid", "variables", "root"),
    [
        ("0", {}, "/run/pyrunc"),
        ("0", {"XDG_RUNTIME_DIR": "/x"}, "/run/pyrunc"),
        ("65534", {"XDG_RUNTIME_DIR": "/x"}, "/x/pyrunc"),
        ("65534", {}, "/run/pyrunc"),
    ],
)
def test_default_root(uid: str, variables: dict[str, str], root: str) -> None:
    if os.geteuid() != 0 and uid != str(os.geteuid()):
        pytest.skip("only root can become another user")
    assert python(ROOT_OF, uid, env=variables).stdout.decode().strip() == root


def test_default_root_of_a_root_in_a_user_namespace_only() -> None:
    try:
        subprocess.run(["unshare", "-Ur", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no user namespaces for us here: {error}")
    command = ["unshare", "-Ur", sys.executable, "-I", "-S", "-c", START + ROOT_OF, f"{TOP}:{PACKAGES}"]
    for user, root in (("somebody", "/x/pyrunc"), ("root", "/run/pyrunc")):
        environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": "/x", "USER": user}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == root


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    assert b"pyrunc" in pyrunc(env={"_PYRUNC_COMPLETE": f"{shell}_source", "PATH": os.environ["PATH"]}).stdout


def complete(*words: str) -> list[str]:
    """Returns bash's completions of the last word."""
    variables = {"_PYRUNC_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = pyrunc(env=variables)
    assert (done.returncode, done.stderr) == (0, b"")
    return [line.partition(",")[2] for line in done.stdout.decode().splitlines()]


def test_completion_of_commands_options_choices_and_ids(tmp_path: Path) -> None:
    for name in ("web", "work", "db"):
        (tmp_path / name).mkdir()
    assert complete("pyrunc", "ver") == ["verify-preload"]
    assert complete("pyrunc", "create", "--pid") == ["--pid-file", "--pidfd-socket"]
    assert complete("pyrunc", "create", "--placement", "l") == ["legacy"]
    assert complete("pyrunc", "--root", str(tmp_path), "start", "w") == ["web", "work"]


def test_the_fast_path_imports_next_to_nothing() -> None:
    code = "before = set(sys.modules)\nfrom pyrunc.cli import dispatch\nfrom pyrunc.cli.parser import parse\nparse(sys.argv[1:])\nprint(*set(sys.modules) - before)"
    line = "--root /r --log /l --log-format json create --bundle /b --pid-file /p id"
    found = set(python(code, *line.split()).stdout.decode().split())
    ours = {name for name in found if name.startswith("pyrunc")}
    # The parser of the command line, and the command's own modules; no module of another command.
    assert found - ours <= {"_json", "_socket", "errno", "fcntl", "time"}  # parts of the interpreter
    foreign = ("pyrunc.criu", "pyrunc.hostile", "pyrunc.shim", "pyrunc.ffi", "pyrunc.foreground", "pyrunc.cli.app")
    assert not {name for name in ours if name.startswith(foreign)}
    assert {name for name in ours if name.startswith("pyrunc.cli.commands.")} == {"pyrunc.cli.commands.create"}
    assert {name for name in ours if name.startswith(("pyrunc.cgroup.", "pyrunc.spec.checks", "pyrunc.plan.comp"))} <= {
        *("pyrunc.cgroup.groups", "pyrunc.cgroup.freezer", "pyrunc.cgroup.host"),
        *("pyrunc.cgroup.manager", "pyrunc.cgroup.paths"),  # a launch needs cgroups
    }
