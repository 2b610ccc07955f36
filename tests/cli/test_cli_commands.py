"""list, ps, state, spec and plan, on state files of the test: no container is needed."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launched import TOP, pyrunc, python

from pyrunc.cli.commands.list import table
from pyrunc.cli.commands.ps import chosen
from pyrunc.errors import PyruncError
from pyrunc.linux.procfs import stat

RUNC = shutil.which("runc")
CREATED = "2026-01-02T03:04:05.000000006Z"


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process in place of a container's init. Its command line is not valid text."""
    process = subprocess.Popen([b"sh", b"-c", b"read line", b"odd\xff name"], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def record(root: Path, name: str, pid: int, **changes: Any) -> None:
    """Writes the state of a container without cgroups whose init is ``pid``."""
    (root / name).mkdir(parents=True)
    state = {
        "id": name,
        "pid": pid,
        "start_time": stat(pid)[1] if pid else 0,
        "bundle": "/b",
        "rootfs": "/b/rootfs",
        "created": CREATED,
        "owner": 0,
        "version": "1.3.0",
        "annotations": {},
        "cgroups": {},
        "config": {},
        **changes,
    }
    (root / name / "state.json").write_text(json.dumps(state))


@pytest.fixture
def root(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> Path:
    """A state directory: ``up`` is running, ``down`` has ended."""
    record(tmp_path / "root", "up", sleeper.pid, annotations={"a": "b"})
    record(tmp_path / "root", "down", 0, bundle="/a/long/path/to/\udcff")
    return tmp_path / "root"


def out(*words: Any, **settings: Any) -> str:
    """Returns the output of a command that must succeed."""
    done = pyrunc(*words, **settings)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode("utf-8", "surrogateescape")


# -- list, state -----------------------------------------------------------------------------------------------------


def test_the_table_is_cut_where_runc_cuts_it(root: Path) -> None:
    lines = out("--root", root, "list", env={"LC_ALL": "C"}).splitlines()
    assert [line.split()[0] for line in lines] == ["ID", "down", "up"]
    assert len({line.find(word) for line, word in zip(lines, ("CREATED", CREATED, CREATED), strict=True)}) == 1
    assert lines[1].split()[1:4] == ["0", "stopped", "/a/long/path/to/\udcff"]


@pytest.mark.skipif(RUNC is None, reason="no runc here to compare with")
def test_an_empty_table_is_runcs(tmp_path: Path) -> None:
    theirs = subprocess.run(["runc", "--root", tmp_path, "list"], capture_output=True, text=True, check=True).stdout
    assert out("--root", tmp_path, "list") == theirs
    theirs = subprocess.run(
        ["runc", "--root", tmp_path, "list", "-f", "json"], capture_output=True, text=True, check=True
    ).stdout
    assert out("--root", tmp_path, "list", "-f", "json").strip() == theirs.strip() == "null"


def test_columns_are_as_wide_as_go_makes_them() -> None:
    assert table([("A", "B"), ("x" * 9, "y")]) == "A           B\nxxxxxxxxx   y"
    assert table([("A", "B"), ("x" * 10, "y")]) == "A            B\nxxxxxxxxxx   y"


def test_a_path_that_is_no_text_in_a_locale_that_wants_some(root: Path) -> None:
    command = [sys.executable, "-c", "from pyrunc.cli.dispatch import main; main()", "--root", str(root), "list"]
    variables = {"PYTHONIOENCODING": "ascii:strict", "PYTHONPATH": str(TOP)}
    done = subprocess.run(command, env=variables, capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"") and b"/a/long/path/to/\xff" in done.stdout


def test_ids_only(root: Path) -> None:
    assert out("--root", root, "list", "-q") == "down\nup\n"


def test_json_of_list_is_the_states(root: Path) -> None:
    states = json.loads(out("--root", root, "list", "--format", "json"))
    assert [state.pop("owner") for state in states] == ["root", "root"]
    shown = [json.loads(out("--root", root, "state", name)) for name in ("down", "up")]
    assert [state.pop("owner") for state in shown] == ["", ""] and states == shown


def test_state_has_runcs_keys_in_runcs_order(root: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    text = out("--root", root, "state", "up")
    state = json.loads(text)
    keys = ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"]
    assert list(state) == keys and text.startswith('{\n  "ociVersion": "1.3.0",\n  "id": "up",\n')
    assert (state["pid"], state["status"], state["owner"]) == (sleeper.pid, "running", "")
    sleeper.kill()
    sleeper.wait()
    state = json.loads(out("--root", root, "state", "up"))
    assert (state["pid"], state["status"]) == (0, "stopped")


@pytest.mark.parametrize("text", [None, "", "[", "[]", "{}", '{"pid": "x"}', '{"pid": null}', "\udcff", "[" * 100000])
def test_a_damaged_state_hides_no_other(text: str | None, root: Path) -> None:
    (root / "broken").mkdir()
    (root / "no-directory").touch()
    if text is not None:
        (root / "broken" / "state.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = pyrunc("--root", root, "list", "-q")
    assert (done.returncode, done.stdout) == (0, b"down\nup\n")
    assert done.stderr.count(b"\n") == 1 and b"load container broken: " in done.stderr


# -- ps --------------------------------------------------------------------------------------------------------------


def test_json_of_ps_is_an_array_of_pids(root: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    assert json.loads(out("--root", root, "ps", "--format", "json", "up")) == [sleeper.pid]
    assert out("--root", root, "ps", "-f", "json", "down").strip() == "null"


@pytest.mark.parametrize("args", [[], ["-e", "-o", "pid,args"], ["aux"]])
def test_ps_shows_only_its_processes(args: list[str], root: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    if shutil.which("ps") is None:
        pytest.skip("no ps(1) here: apt-get install procps")
    title, *lines = out("--root", root, "ps", "up", *args).splitlines()
    assert "PID" in title.split()
    assert [line.split()[title.split().index("PID")] for line in lines] == [str(sleeper.pid)]
    assert len(out("--root", root, "ps", "down", *args).splitlines()) == 1


def test_ps_keeps_command_lines_that_are_no_text() -> None:
    lines = ["  PID CMD", "    1 init", "   12 a\udcff\u2028b 1", "", "  x", "   \u0661\u0662 digit"]
    assert chosen(lines, {12}) == [lines[0], lines[2]]
    assert chosen(["CMD   PID", "a 12", "12 1"], {12}) == ["CMD   PID", "a 12"]


def test_ps_lines_end_where_ps_ends_them(root: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    own = root.parent / "ps"
    own.write_text(f"#!/bin/sh\nprintf 'PID CMD\\n{sleeper.pid} a\u2028{sleeper.pid}\\f b\\n'\n")
    own.chmod(0o755)
    text = out("--root", root, "ps", "up", env={"PATH": f"{root.parent}:/usr/bin:/bin"})
    assert text == f"PID CMD\n{sleeper.pid} a\u2028{sleeper.pid}\f b\n"


def test_ps_without_the_column(root: Path) -> None:
    with pytest.raises(PyruncError, match="couldn't find PID field in ps output"):
        chosen(["COMMAND", "sh"], {1})
    with pytest.raises(PyruncError, match="couldn't find PID"):
        chosen([""], {1})


def test_ps_tells_the_complaint_of_ps(root: Path) -> None:
    if shutil.which("ps") is None:
        pytest.skip("no ps(1) here: apt-get install procps")
    done = pyrunc("--root", root, "ps", "up", "--nonsense")
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"pyrunc: ps --nonsense: error: ")


def test_ps_is_not_there(root: Path) -> None:
    done = pyrunc("--root", root, "ps", "up", env={"PATH": "/nowhere"})
    assert (done.returncode, done.stderr) == (1, b"pyrunc: ps: executable file not found in $PATH\n")


# -- spec ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [[], ["--rootless"]])
def test_spec_writes_the_default_and_never_over_a_config(flags: list[str], tmp_path: Path) -> None:
    from pyrunc.cgroup.host import discover
    from pyrunc.spec.default import config

    assert out("spec", *flags, "--bundle", tmp_path) == ""
    written = (tmp_path / "config.json").read_bytes()
    expected = config(bool(flags))
    if discover().mode != "unified":
        expected["linux"]["namespaces"].remove({"type": "cgroup"})
    assert json.loads(written) == expected
    done = pyrunc("spec", *flags, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"pyrunc: File config.json exists. Remove it first\n")
    assert (tmp_path / "config.json").read_bytes() == written


@pytest.mark.skipif(RUNC is None, reason="no runc here to compare with")
@pytest.mark.parametrize("flags", [[], ["--rootless"]])
def test_spec_has_runcs_namespaces_on_this_host(flags: list[str], tmp_path: Path) -> None:
    """A cgroup namespace only on a host with v2 alone: a caller that adds its own would have two."""
    found = []
    for program in ("pyrunc", "runc"):
        (tmp_path / program).mkdir()
        words = ["spec", *flags, "--bundle", str(tmp_path / program)]
        if program == "pyrunc":
            assert out(*words) == ""
        else:
            subprocess.run([program, *words], check=True)
        made = json.loads((tmp_path / program / "config.json").read_text())
        found.append({space["type"] for space in made["linux"]["namespaces"]})
    assert found[0] == found[1]


def test_spec_leaves_no_half(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = pyrunc("spec", "-b", tmp_path, preexec_fn=limit)
    assert (done.returncode, done.stderr) == (1, f"pyrunc: {tmp_path}/config.json: file too large\n".encode())
    assert os.listdir(tmp_path) == []


# -- plan ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The default config over an empty rootfs."""
    assert out("spec", "-b", tmp_path) == ""
    (tmp_path / "rootfs").mkdir()
    return tmp_path


def test_plan_as_text_and_as_json_are_the_same_steps(bundle: Path) -> None:
    steps = json.loads(out("plan", "-b", bundle, "--format", "json"))
    lines = out("plan", cwd=bundle).splitlines()
    assert len(lines) == len(steps) > 30
    for line, step in zip(lines, steps, strict=True):
        assert re.match(rf" *{step['step']}  {step['actor']} +{step['kind']}\b", line)
        assert not step["where"] or line.endswith(f"({step['where']})")


def test_plan_without_a_rootfs(bundle: Path) -> None:
    (bundle / "rootfs").rmdir()
    done = pyrunc("plan", "-b", bundle)
    assert done.returncode == 1 and done.stderr.startswith(b"pyrunc: root.path: ")


def test_plan_touches_nothing(bundle: Path) -> None:
    before = sorted(bundle.rglob("*"))
    out("--root", bundle / "state", "plan", "-b", bundle)
    assert sorted(bundle.rglob("*")) == before


def test_plan_needs_no_root(bundle: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("nobody is root here, so the other tests have shown it")
    # First as root, because the interpreter can read some of its files only then; then as nobody.
    code = (
        "import os\nfrom pyrunc.cli.dispatch import run\nassert run(sys.argv[1:]) == 0\nprint('nobody:', flush=True)\n"
    )
    code += "os.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\nsys.exit(run(sys.argv[1:]))"
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(bundle, directory, dirs_exist_ok=True)
        os.chmod(directory, 0o755)
        done = python(code, "plan", "-b", directory)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.partition(b"nobody:\n")[2].count(b"\n") > 30


def test_plan_of_another_config(bundle: Path) -> None:
    config = json.loads((bundle / "config.json").read_text())
    config["hostname"] = "elsewhere"
    (bundle / "other.json").write_text(json.dumps(config))
    assert "elsewhere" in out("plan", "-b", bundle, "-f", "other.json")
    assert "elsewhere" not in out("plan", "-b", bundle)
    config["hostname"] = 5
    (bundle / "other.json").write_text(json.dumps(config))
    done = pyrunc("plan", "-b", bundle, "-f", bundle / "other.json")
    assert done.returncode == 1 and done.stderr.startswith(b"pyrunc: hostname: ") and done.stderr.count(b"\n") == 1
