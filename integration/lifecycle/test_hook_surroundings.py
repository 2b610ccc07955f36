"""The surroundings of a hook: environment, working directory, timeout, and the amount of its output."""

import json
import os
import subprocess
from typing import Any

import pytest
from peers import also_on

from harness import Box, cgroups_of, wait_for

SHOW = "pwd > $0; env >> $0"


def shown(box: Box, point: str, **hook: Any) -> Any:
    """Returns a hook of ``point`` that writes its directory and environment to a file shared by host and container."""
    record = box.directory / "record"
    record.mkdir(exist_ok=True)
    record.chmod(0o777)

    def change(config: dict[str, Any]) -> None:
        config["mounts"].append({"destination": "/record", "type": "bind", "source": str(record), "options": ["bind"]})
        place = "/record" if point == "startContainer" else str(record)
        config["hooks"] = {point: [{"path": "/bin/sh", "args": ["sh", "-c", SHOW, f"{place}/shown"], **hook}]}

    return change


def surroundings(box: Box) -> tuple[str, dict[str, str]]:
    directory, *lines = (box.directory / "record" / "shown").read_text().splitlines()
    found = dict(line.partition("=")[::2] for line in lines)
    for name in ("PWD", "SHLVL", "_", "OLDPWD"):  # set by the shell
        found.pop(name, None)
    return directory, found


def life(box: Box, change: Any, env: dict[str, str]) -> str:
    """Runs create, start and delete, each with ``env``; returns the bundle."""
    name = box.new_id()
    bundle = box.bundle("sleep 100", change)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": None, "capture_output": False}
    for words in (("create", "-b", str(bundle), name), ("start", name), ("delete", "--force", name)):
        assert box.call(*words, env={"PATH": os.environ["PATH"], **env}, **quiet).returncode == 0, words
    return str(bundle)


HOST = ["prestart", "createRuntime", "poststart", "poststop"]


@pytest.mark.parametrize("point", HOST)
@also_on("runc>=1.5")
def test_a_host_hook_without_env_has_the_runtimes_environment(box: Box, point: str) -> None:
    life(box, shown(box, point), {"FROM": "the engine", "ODD": "a=b=c"})
    found = surroundings(box)[1]
    assert found["FROM"] == "the engine" and found["ODD"] == "a=b=c"


@pytest.mark.parametrize("point", HOST)
@also_on("runc>=1.5")
def test_a_hook_with_env_has_nothing_else(box: Box, point: str) -> None:
    life(box, shown(box, point, env=["A=b", "PATH=/bin"]), {"FROM": "the engine"})
    assert surroundings(box)[1] == {"A": "b", "PATH": "/bin"}


@pytest.mark.parametrize("point", [*HOST, "createContainer"])
def test_an_empty_env_is_an_environment_without_variables(box: Box, point: str) -> None:
    life(box, shown(box, point, env=[]), {"FROM": "the engine"})
    assert set(surroundings(box)[1]) <= {"PATH"}  # a default of the shell


def test_create_container_has_the_runtimes_environment(box: Box) -> None:
    life(box, shown(box, "createContainer"), {"FROM": "the engine"})
    assert surroundings(box)[1]["FROM"] == "the engine"


@also_on("runc>=1.5")
def test_start_container_has_the_environment_of_the_process(box: Box) -> None:
    change = shown(box, "startContainer")

    def with_env(config: dict[str, Any]) -> None:
        change(config)
        config["process"]["env"] += ["OF=the process", "OF=the last one"]

    life(box, with_env, {"FROM": "the engine"})
    found = surroundings(box)[1]
    assert found["OF"] == "the last one" and "FROM" not in found and found["HOME"] == "/root"


@pytest.mark.parametrize("point", HOST)
def test_a_host_hook_runs_in_the_bundle(box: Box, point: str) -> None:
    bundle = life(box, shown(box, point), {})
    assert surroundings(box)[0] == bundle


@pytest.mark.parametrize("point", ["createContainer", "startContainer"])
def test_a_hook_of_the_container_runs_in_its_root(box: Box, point: str) -> None:
    change = shown(box, point)
    roots = []

    def with_cwd(config: dict[str, Any]) -> None:
        roots.append(str(box.own_rootfs(config)))
        change(config)
        config["process"]["cwd"] = "/tmp"

    life(box, with_cwd, {})
    assert surroundings(box)[0] == (roots[0] if point == "createContainer" else "/")


def test_poststop_runs_though_the_bundle_has_gone(box: Box) -> None:
    name = box.start("sleep 100", shown(box, "poststop"))
    (bundle,) = (path for path in box.directory.glob("bundle*"))
    (bundle / "config.json").unlink()
    bundle.rmdir()
    box.ok("delete", "--force", name)
    assert surroundings(box)[0] == "/"


def test_no_descriptor_of_ours_is_a_hooks(box: Box) -> None:
    script = f"ls /proc/self/fd > {box.directory}/descriptors"
    hooks = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    reading, writing = os.pipe()
    bundle = box.bundle("true", lambda c: c.update(hooks=hooks))
    done = box.call("run", "-b", str(bundle), box.new_id(), pass_fds=(reading, writing))
    os.close(reading)
    os.close(writing)
    assert done.returncode == 0, done.stderr
    assert (box.directory / "descriptors").read_text().split() == ["0", "1", "2", "3"]  # 3 is opened by ls


TIMES = [2147484, 2**31, 2**32, 2**62, 2**63 - 1]


@pytest.mark.parametrize("point", ["createRuntime", "createContainer", "startContainer", "poststart"])
def test_a_timeout_may_be_longer_than_poll_takes(box: Box, point: str) -> None:
    hooks = {point: [{"path": "/bin/sh", "args": ["sh", "-c", "exit 0"], "timeout": time} for time in TIMES]}
    done = box.run("sleep 0.2", lambda c: c.update(hooks=hooks))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("point", ["createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
def test_a_hook_may_say_any_amount_and_its_end_is_told(box: Box, point: str) -> None:
    """The output goes through a pipe: a file would keep all of it, in memory that no cgroup is charged for."""
    script = "head -c 33554432 /dev/zero | tr '\\0' x >&2; readlink /proc/$$/fd/2 >&2; echo end >&2; exit 3"
    hooks = {point: [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    done = box.run("sleep 0.2", lambda c: c.update(hooks=hooks))
    assert f"hooks.{point}[0]" in done.stderr and "end" in done.stderr and len(done.stderr) < 1200, done.stderr
    # createContainer runs in a pid namespace that the host's /proc does not show.
    assert "xpipe:[" in done.stderr or point == "createContainer", done.stderr


def test_what_a_hook_leaves_running_is_not_waited_for(box: Box) -> None:
    script = "sleep 5 & while :; do echo talks >&2; sleep 0.01; done & echo $! > $0; exit 0"
    file = box.directory / "pid"
    hooks = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script, str(file)]}]}
    done = box.run("true", lambda c: c.update(hooks=hooks), timeout=4)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("point", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"])
@also_on("runc>=1.5")
def test_poststop_runs_for_a_container_that_a_hook_ended(box: Box, point: str) -> None:
    """runtime.md "Lifecycle": after a failure the container is destroyed, and its poststop hooks run."""
    file = box.directory / "stopped"
    hooks = {
        point: [{"path": "/bin/false"}],
        "poststop": [{"path": "/bin/sh", "args": ["sh", "-c", "cat > $0", str(file)]}],
    }
    done = box.run("sleep 100", lambda c: c.update(hooks=hooks))
    assert done.returncode == (255 if point == "startContainer" else 1), done.stderr
    state = json.loads(file.read_text())
    assert state["status"] == "stopped" and not state.get("pid") and state["id"] == box.ids[-1]
    assert not box.leftovers()


def test_no_poststop_where_nothing_was_begun(box: Box) -> None:
    file = box.directory / "stopped"
    hooks = {"poststop": [{"path": "/bin/touch", "args": ["touch", str(file)]}]}
    name = box.start()
    done = box.call("create", "-b", str(box.bundle("true", lambda c: c.update(hooks=hooks))), name)
    assert done.returncode == 1 and not file.exists()


def test_a_failing_poststart_after_start_destroys_the_container(box: Box) -> None:
    file = box.directory / "stopped"
    hooks = {
        "poststart": [{"path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 3"]}],
        "poststop": [{"path": "/bin/touch", "args": ["touch", str(file)]}],
    }
    name = box.create("sleep 100", lambda c: c.update(hooks=hooks))
    done = box.call("start", name)
    assert done.returncode == 1 and done.stderr == "pyrunc: hooks.poststart[0]: hook /bin/sh: exit status 3: because\n"
    assert "does not exist" in box.call("state", name).stderr
    assert file.exists() and not cgroups_of(name)


def test_a_failing_poststart_is_told_though_init_has_ended(box: Box) -> None:
    """The error is the hook's, not that there is no process to stop."""
    pid = box.directory / "pid"
    script = (
        f"while kill -0 $(cat {pid}) 2>/dev/null && ! grep -q Z /proc/$(cat {pid})/stat; do sleep 0.01; done; exit 3"
    )
    name = box.new_id()
    change = lambda c: c.update(hooks={"poststart": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]})  # noqa: E731
    bundle = box.bundle("true", change)
    quiet = {"capture_output": False, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    assert box.call("create", "-b", str(bundle), "--pid-file", str(pid), name, **quiet).returncode == 0
    done = box.call("start", name)
    assert done.returncode == 1 and "hooks.poststart[0]: hook /bin/sh: exit status 3" in done.stderr
    wait_for(lambda: "does not exist" in box.call("state", name).stderr, "the container to be gone")
