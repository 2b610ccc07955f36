"""pyrunc as a library: what a long-running program with several threads does with containers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from library import children, output_of

import pyrunc
from harness import TOP, Box, base_config
from pyrunc import (
    Config,
    Container,
    ContainerExists,
    NoSuchContainer,
    NotRunning,
    PyruncError,
    Resources,
    SpecError,
    StepError,
    WrongStatus,
)

DEVNULL = open(os.devnull, "r+b", buffering=0)
pytestmark = pytest.mark.usefixtures("nothing_of_the_process_changes")


def test_a_life(make: Callable[..., Container]) -> None:
    container = make("exit 7", lambda c: c.update(annotations={"a": "b"}))
    assert (container.status, container.annotations) == ("created", {"a": "b"})
    assert container.pid in children()
    container.start()
    assert container.wait(10) == 7
    assert container.wait() == 7, "it may be asked for again"
    assert (container.status, container.pid) == ("stopped", 0)
    assert container.state()["status"] == "stopped"
    container.destroy()
    assert children() == []
    with pytest.raises(NoSuchContainer):
        container.destroy()


def test_run_is_create_and_start(make: Callable[..., Container], tmp_path: Path) -> None:
    with open(tmp_path / "out", "w+") as out:
        container = make("echo to a file; echo there >&2; exit 3", run=True, stdout=out, stderr=out)
        assert container.wait(10) == 3
        out.seek(0)
        assert out.read() == "to a file\nthere\n"
    container.destroy()


def test_a_signal_is_128_more(make: Callable[..., Container]) -> None:
    container = make(["sleep", "100"], lambda c: c["linux"]["namespaces"].pop(0), run=True)
    with pytest.raises(TimeoutError):
        container.wait(0.01)
    container.signal(signal.SIGTERM)
    assert container.wait(10) == 128 + 15
    with pytest.raises(NotRunning, match="container not running"):
        container.signal("TERM")
    with pytest.raises(PyruncError, match="unknown signal"):
        container.signal("NONSENSE")
    container.destroy()


def test_configs_are_bundles_dicts_and_models(box: Box) -> None:
    config = base_config()
    config["process"]["args"] = ["true"]
    for number, given in enumerate((config, Config.model_validate(config), None)):
        if given is None:
            (box.directory / "config.json").write_text(json.dumps(config))
        container = Container.run(box.new_id(), str(box.directory), config=given, root=str(box.root))
        assert container.wait(10) == 0, number
        assert container.config.process is not None and container.config.process.args == ["true"]
        container.destroy()


def test_errors_are_of_a_kind(make: Callable[..., Container], box: Box) -> None:
    with pytest.raises(SpecError) as wrong:
        make(change=lambda c: c["process"].update(cwd=7))
    assert wrong.value.where == "process.cwd"
    model = Config.model_validate(base_config())
    model.hostname = "a\0b"
    with pytest.raises(SpecError, match="hostname"):
        Container.create(box.new_id(), config=model, root=str(box.root))
    with pytest.raises(StepError) as refused:
        make(change=lambda c: c["mounts"].append({"destination": "/x", "type": "bind", "source": "/absent"}))
    assert refused.value.errno == 2 and refused.value.where.startswith("mounts[")
    with pytest.raises(NoSuchContainer, match="does not exist"):
        Container.load("absent", str(box.root))
    with pytest.raises(TypeError, match="no such option"):
        make(nonsense=1)
    container = make()
    with pytest.raises(ContainerExists):
        Container.create(container.id, config=base_config(), root=str(box.root))
    with pytest.raises(WrongStatus, match="not paused"):
        container.resume()
    container.start()
    with pytest.raises(WrongStatus, match="cannot start a container that is running"):
        container.start()
    with pytest.raises(WrongStatus, match="not stopped"):
        container.destroy()
    container.destroy(force=True)
    assert not box.leftovers() and children() == []
    with pytest.raises(AttributeError):
        pyrunc.nonsense  # noqa: B018


def test_exec(make: Callable[..., Container], tmp_path: Path) -> None:
    container = make(run=True)
    assert output_of(container, ["echo", "hi"]) == (0, "hi\n")
    assert output_of(container, ["sh", "-c", "echo $A-$B; pwd; exit 4"], env={"A": "1", "B": "2"}, cwd="/tmp") == (
        4,
        "1-2\n/tmp\n",
    )
    assert output_of(container, ["id"], user="7:8", additional_gids=[9])[1].strip() == "uid=7 gid=8 groups=9"
    bounded = output_of(container, ["grep", "CapBnd", "/proc/self/status"], capabilities=["CAP_SYS_TIME"])[1]
    assert int(bounded.split()[1], 16) >> 25 & 1
    whole = {
        "args": ["sh", "-c", "umask"],
        "cwd": "/",
        "user": {"uid": 0, "gid": 0, "umask": 0o77},
        "env": ["PATH=/bin"],
    }
    assert output_of(container, [], process=whole) == (0, "0077\n")
    with open(tmp_path / "in", "w+") as file:
        file.write("from a file")
        file.seek(0)
        reading, writing = os.pipe()
        process = container.exec(
            ["sh", "-c", "cat; cat <&3 >&4"],
            stdin=file,
            stdout=writing,
            stderr=DEVNULL,
            pass_fds=[file.fileno(), writing],
        )
        os.close(writing)
        assert process.wait(10) == 0
        assert os.read(reading, 100) == b"from a file"
        os.close(reading)
    with pytest.raises(StepError) as missing:
        container.exec(["absent"])
    assert "executable file not found" in str(missing.value)
    with pytest.raises(SpecError, match=r"process\.cwd"):
        container.exec(["true"], cwd="relative")
    for wrong, words in (({"user": "root"}, "--user"), ({"env": ["=x"]}, "--env")):
        with pytest.raises(PyruncError, match=words):
            container.exec(["true"], **wrong)
    with pytest.raises(PyruncError, match="args cannot be empty"):
        container.exec([])
    sleeper = container.exec(["sleep", "100"], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    assert sleeper.poll() is None and sleeper.pid in container.processes()
    with pytest.raises(TimeoutError):
        sleeper.wait(0.01)
    sleeper.signal("KILL")
    assert sleeper.wait(10) == sleeper.poll() == 128 + 9
    sleeper.signal("KILL")  # has no effect, on no other process either
    container.exec(["sleep", "100"], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    container.destroy(force=True)
    assert children() == [], "exec'ed processes are reaped with the container"


def test_a_terminal_comes_through_a_socket(make: Callable[..., Container]) -> None:
    import socket

    container = make(run=True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = container.exec(["sh", "-c", "tty; stty size"], terminal=True, console=theirs.fileno())
        master = socket.recv_fds(ours, 100, 1)[1][0]
    assert process.wait(10) == 0
    assert b"/dev/pts/" in os.read(master, 1000)
    os.close(master)
    container.destroy(force=True)


def test_pause_update_stats_events(make: Callable[..., Container], box: Box) -> None:
    container = make(run=True)
    other = Container.load(container.id, str(box.root))
    container.pause()
    assert container.status == other.status == "paused"
    container.resume()
    container.update({"pids": {"limit": 77}})
    assert container.stats()["pids"]["limit"] == 77
    container.update(Resources.model_validate({"pids": {"limit": 78}}))
    assert other.stats()["pids"]["limit"] == 78
    assert container.config.linux.resources is not None and container.config.linux.resources.pids is not None
    assert container.config.linux.resources.pids.limit == 78
    other.refresh()
    assert other.config.linux.resources is not None and other.config.linux.resources.pids is not None
    assert other.config.linux.resources.pids.limit == 78
    with pytest.raises(SpecError, match=r"linux\.resources"):
        container.update({"pids": {"limit": "many"}})
    events = container.events(0.01)
    event = next(events)
    assert (event["type"], event["id"]) == ("stats", container.id) and event["data"]["memory"]["usage"]["usage"] > 0
    container.signal(9)
    assert [event["type"] for event in events if event["type"] != "stats"] == []
    assert container.wait(10) == 137
    with pytest.raises(NotRunning):
        container.stats()
    container.destroy()


def test_finding_containers(make: Callable[..., Container], box: Box) -> None:
    one, two = make(), make()
    root = str(box.root)
    assert [container.id for container in Container.all(root)] == sorted([one.id, two.id])
    assert Container.matching(f"^{one.id}$", root) == [one.id]
    with pytest.raises(PyruncError, match="--regex"):
        Container.matching("(", root)
    Container.remove(one.id, root)
    Container.remove(one.id, root)
    (box.root / "half-made").mkdir()
    Container.remove("half-made", root)
    assert [container.id for container in Container.all(root)] == [two.id]
    two.destroy()
    assert children() == []


def test_only_the_parent_is_told_the_status(box: Box, make: Callable[..., Container]) -> None:
    name = box.start("exec sleep 0.2")
    assert Container.load(name, str(box.root)).wait(10) is None


def test_a_handle_sees_what_became_of_its_container(make: Callable[..., Container], box: Box) -> None:
    container = make()
    other = Container.load(container.id, str(box.root))
    other.start()
    assert container.status == "running"
    other.destroy(force=True)
    assert container.status == "stopped"
    with pytest.raises(NoSuchContainer):
        container.start()


def test_warnings_go_to_logging(make: Callable[..., Container], caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo gone wrong >&2; exit 1"]}
    make("true", lambda c: c.update(hooks={"poststop": [hook]})).destroy()
    assert "gone wrong" in caplog.text
    assert capfd.readouterr().err == ""


def test_the_examples_of_the_page(box: Box) -> None:
    """Every example of docs/library.md, one after the other, as one program."""
    page = (TOP / "docs" / "library.md").read_text()
    examples = [part.partition("```")[0] for part in page.split("```python\n")[1:]]
    assert len(examples) >= 10
    name = box.new_id()
    program = "\n".join(examples).replace("/srv/web", str(box.bundle("sleep 100"))).replace('"web', f'"{name}')
    # Uses the test's own state directory by default.
    head = f"import pyrunc.container.container as c\nc.Container.load.__func__.__defaults__ = ({str(box.root)!r},)\n"
    head += f"c.Container.all.__func__.__defaults__ = c.Container.remove.__func__.__defaults__ = ({str(box.root)!r},)\n"
    head += f"c.Container.matching.__defaults__ = ({str(box.root)!r},)\n"
    head += f"c.Container.create.__func__.__kwdefaults__['root'] = {str(box.root)!r}\n"
    program = head + program.replace('"^w"', f'"^{name}"')
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=box.directory)
    box.ids += [f"{name}-{end}" for end in ("run", "dict")]
    assert done.returncode == 0, done.stderr
    assert "still there" in done.stdout
    assert not box.leftovers()
