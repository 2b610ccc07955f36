"""The command line: the fast parser agrees with click; the hot commands import almost nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from pyrunc.cli.app import Command, cli
from pyrunc.cli.commands import COMMANDS
from pyrunc.cli.dispatch import run
from pyrunc.cli.options import GLOBAL
from pyrunc.cli.parser import Unusual, definition, parse, resolve
from pyrunc.errors import PyruncError
from pyrunc.linux.signals import number
from pyrunc.spec.default import config as default_config

HEAVY = {"click", "pydantic", "pydantic_core", "pyroute2", "typing", "re", "logging", "json", "subprocess", "pathlib"}


def by_click(args: list[str]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Parses a command line by click, without running anything."""
    common = cli.make_context("pyrunc", list(args), resilient_parsing=False)
    # click 8.2 renamed protected_args; both hold the command's name first.
    rest = [*getattr(common, "_protected_args", []), *common.args]
    command = Command(definition(rest[0]))
    context = command.make_context(rest[0], rest[1:], parent=common)
    return rest[0], common.params, resolve(command.table.options, context.params)


@pytest.mark.parametrize(
    "line",
    [
        "--root /r --log /l --log-format json create --bundle /b --pid-file /p id",
        "create -b /b --console-socket /s id",
        "create id",
        "run -d --keep --preserve-fds 3 -b /b --no-pivot id",
        "run --preload-lib /a --preload-lib=/b --preload-at init --placement legacy id",
        "start id",
        "state id",
        "--systemd-cgroup --cgroup-manager systemd start id",
        "exec --process /p --detach --pid-file /f id",
        "exec -t -u 1:2 -e A=b -e C=d --cap CAP_KILL id sh -c exit --not-ours",
        "exec id ls -l --all",
        "exec id -- ls -l",
        "exec -- id --detach",
        "exec id -h",
        "exec -d - -x",
        "create -- --id",
        "--debug -- start id",
        "kill id -- -9",
        "kill --all id 9",
        "kill id",
        "delete --force id",
        "list --format json -q",
        "ps --format json id",
        "ps id -e -o pid,args",
        "update --memory 1g --cpu-shares 5 --pids-limit -1 id",
        "events --stats id",
        "spec --rootless -b /x",
        "plan --format json",
        "features",
        "checkpoint --image-path /i --leave-running id",
    ],
)
def test_both_paths_parse_the_same(line: str) -> None:
    assert parse(line.split()) == by_click(line.split())


VALUES = {"int": "-7", "float": "2.5", "positive": "3", "numbers": "5"}
ARGUMENTS = {"verify-preload": ["/lib.so"], "audit-lib": ["/lib.so"], "exec": ["id", "ls", "--all", "-e"]}
NO_ARGUMENTS = ("list", "spec", "features", "plan", "check")


def spellings() -> list[Any]:
    """Returns every option of every command in each spelling that Go's flag package accepts."""
    found = []
    for name in ("", *COMMANDS):
        options = definition(name).options if name else GLOBAL
        for spelling, kind in [(spelling, option.kind) for option in options for spelling in option.names]:
            bare = spelling.lstrip("-")
            value = kind[-1] if type(kind) is tuple else VALUES.get(kind, "a b=c")
            ways = [[f"--{bare}"], [f"-{bare}"], [f"--{bare}=true"], [f"-{bare}=f"], [f"--{bare}", f"--{bare}=0"]]
            if kind != "flag":
                ways = [[f"--{bare}", value], [f"-{bare}", value], [f"--{bare}={value}"], [f"-{bare}={value}"]]
                ways += [[f"--{bare}={value}", f"-{bare}", value]]
            found += [pytest.param(name, way, id=f"{name} {' '.join(way)}") for way in ways]
    return found


@pytest.mark.parametrize(("name", "way"), spellings())
def test_both_paths_read_every_spelling_the_same(name: str, way: list[str]) -> None:
    arguments = [] if name in NO_ARGUMENTS else ARGUMENTS.get(name, ["id"])
    line = [name, *way, *arguments] if name else [*way, "list"]
    assert parse(line) == by_click(line)
    if name and not definition(name).stops:
        after = [name, *arguments, *way]
        assert by_click(after) == by_click(line)


@pytest.mark.parametrize(
    "line",
    [
        "create",
        "create a b",
        "create --nonsense id",
        "create -bundle",
        "create --no-pivot=maybe id",
        "run --preserve-fds x id",
        "run --preserve-fds --5 id",
        "run --preserve-fds= id",
        "run --preserve-fds \u00b2 id",
        "run --preload-timeout 1.2.3 id",
        "run --preload-timeout \u00b2 id",
        "run --placement Legacy id",
        "exec -dt id ls",
        "exec --nonsense id ls",
        "exec",
        "list id",
        "--nonsense list",
        "--log-format yaml list",
        "--root",
    ],
)
def test_both_paths_refuse_the_same(line: str) -> None:
    with pytest.raises(Unusual):
        parse(line.split())
    with pytest.raises(click.UsageError):
        by_click(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "create",
        "create --bundle",
        "create --nonsense id",
        "nonsense",
        "",
        "start a b",
        "run --preserve-fds x id",
    ],
)
def test_what_is_left_to_click(line: str) -> None:
    with pytest.raises(Unusual):
        parse(line.split())


def test_go_style_flags() -> None:
    name, common, own = parse(["-root", "/r", "--debug=false", "exec", "--tty=true", "-detach=false", "id", "ls"])
    assert (name, common["root"], common["debug"]) == ("exec", "/r", False)
    assert (own["tty"], own["detach"], own["args"]) == (True, False, ("ls",))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_each_option_does(name: str) -> None:
    command = definition(name)
    assert command.help and all(option.help for option in command.options)
    shown = Command(command).params
    assert [option.help for option in command.options] == [p.help for p in shown if isinstance(p, click.Option)]


@pytest.mark.parametrize("command", ["create", "start", "run", "exec", "kill", "delete", "state"])
def test_hot_commands_import_nothing_heavy(command: str, tmp_path: Path) -> None:
    """In an interpreter as the launcher starts it, up to the command's look-up of its container or bundle."""
    code = (
        "import sys; sys.path[:0] = sys.argv.pop(1).split(':')\n"
        "from pyrunc.cli.dispatch import run\n"
        "status = run(sys.argv[1:])\n"
        "print(status, *sys.modules)\n"
    )
    top = str(Path(__file__).resolve().parents[2])
    from pyrunc.spec.default import config

    made = config()
    made["root"]["path"] = "/nowhere"
    made["process"]["terminal"] = False
    (tmp_path / "config.json").write_text(json.dumps(made))
    words = ["--root", str(tmp_path / "state"), command]
    words += {"create": ["-b", str(tmp_path), "x"], "run": ["-b", str(tmp_path), "x"], "exec": ["x", "ls"]}.get(
        command, ["x"]
    )
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, f"{top}:{packages}", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    status, *modules = done.stdout.split()
    assert status in ("1", "255") and done.stderr.count("\n") == 1
    assert not HEAVY & set(modules)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "x" * 256, "é", "a b", "a\n"])
def test_ids_that_are_refused(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--root", str(tmp_path), "state", name]) == 1
    assert "container id" in capfd.readouterr().err


def test_signal_numbers() -> None:
    import signal

    assert number("9") == number("KILL") == number("SIGKILL") == number("sigkill") == 9
    assert number("RTMIN+1") == signal.SIGRTMIN + 1 and number("SIGRTMAX-2") == signal.SIGRTMAX - 2
    for wrong in ("", "NOPE", "99", "-1", "SIG", "RTMIN-1", "RTMAX+1", "_IGN", "_DFL"):
        with pytest.raises(PyruncError, match="unknown signal"):
            number(wrong)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["kill", "x", "9" * 5000], "unknown signal '9999"),
        (["kill", "x", "RTMIN+²"], "unknown signal 'RTMIN+²'"),
        (["run", "--preserve-fds", "9" * 5000, "x"], "--preserve-fds"),
    ],
)
def test_numbers_that_are_none_are_no_internal_error(
    words: list[str], told: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(default_config()))
    where = ["-b", str(tmp_path)] if words[0] == "run" else []
    assert run(["--root", str(tmp_path / "root"), words[0], *where, *words[1:]]) == 1
    printed = capfd.readouterr().err
    assert told in printed and "internal error" not in printed and printed.count("\n") == 1


def test_sizes_and_durations_that_are_none() -> None:
    from pyrunc.cli.commands.events import seconds
    from pyrunc.cli.commands.update import size

    for call in (
        lambda: size("9" * 5000, "memory"),
        lambda: size("9" * 400 + ".5g", "memory"),
        lambda: seconds("9" * 400 + "s"),
    ):
        with pytest.raises(PyruncError, match="99: is not a|99': is not a"):
            call()
