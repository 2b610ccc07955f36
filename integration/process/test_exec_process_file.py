"""`exec --process`: sources of the file, and defaults from the container."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peers import also_on

from harness import Box

STATUS = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Umask|Cpus_allowed_list)' /proc/self/status; ulimit -n; cat /proc/self/oom_score_adj"


def process(args: Any, **more: Any) -> dict[str, Any]:
    return {"args": ["sh", "-c", args] if isinstance(args, str) else args, "cwd": "/", "env": ["PATH=/bin"], **more}


def shown(box: Box, name: str, **more: Any) -> str:
    file = box.directory / "process.json"
    file.write_text(json.dumps(process(STATUS, **more)))
    return box.ok("exec", "--process", str(file), name)


@contextmanager
def pipe(text: bytes, wait: float = 0.0) -> Iterator[str]:
    """The path of a pipe with ``text``, as a shell's <(...) makes it."""
    reading, writing = os.pipe()

    def write() -> None:
        time.sleep(wait)  # a slow writer
        with open(writing, "wb") as file:
            file.write(text)

    writer = threading.Thread(target=write)
    writer.start()
    os.set_inheritable(reading, True)
    try:
        yield f"/dev/fd/{reading}"
    finally:
        writer.join()
        os.close(reading)


@pytest.mark.parametrize("wait", [0.0, 0.5])
@also_on("runc")
def test_a_process_from_a_pipe(box: Box, wait: float) -> None:
    name = box.start()
    with pipe(json.dumps(process("echo here", env=["PATH=/bin", "LONG=" + "x" * 50_000])).encode(), wait) as path:
        assert box.ok("exec", "-p", path, name, pass_fds=(int(path.rpartition("/")[2]),)) == "here\n"


@also_on("runc")
def test_a_process_from_a_fifo_whose_writer_comes_later(box: Box) -> None:
    name = box.start()
    fifo = box.directory / "fifo"
    os.mkfifo(fifo)
    words = [*box.command, "exec", "-p", str(fifo), name]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        fifo.write_text(json.dumps(process("echo here")))  # the open blocks until there is a reader
        assert running.communicate(timeout=20)[0] == "here\n"


@also_on("runc")
def test_a_process_from_standard_input(box: Box) -> None:
    name = box.start()
    assert box.ok("exec", "-p", "/dev/stdin", name, input=json.dumps(process("echo here"))) == "here\n"


def test_a_pipe_that_brings_nothing_or_too_much_or_never_ends(box: Box) -> None:
    name = box.start()
    with pipe(b"") as path:
        done = box.call("exec", "-p", path, name, pass_fds=(int(path.rpartition("/")[2]),))
        assert done.returncode == 255 and done.stderr.endswith(": empty\n"), done.stderr
    flood = subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE)
    done = box.call("exec", "-p", "/dev/stdin", name, stdin=flood.stdout)
    flood.kill()
    flood.communicate()
    assert done.returncode == 255 and "larger than 16 MiB" in done.stderr
    fifo = box.directory / "fifo"
    os.mkfifo(fifo)
    done = box.call("exec", "-p", str(fifo), name, timeout=30)
    assert done.returncode == 255 and "did not come to its end within 10 s" in done.stderr


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/"])
def test_what_is_neither_file_nor_pipe_is_refused(box: Box, path: str) -> None:
    name = box.start()
    done = box.call("exec", "-p", path, name)
    assert done.returncode == 255 and done.stderr == f"pyrunc: {path}: neither a regular file nor a pipe\n"


def test_a_config_and_resources_from_a_pipe(box: Box) -> None:
    bundle = box.bundle("echo here")
    with pipe((bundle / "config.json").read_bytes()) as path:
        number = int(path.rpartition("/")[2])
        assert box.ok("run", "-b", str(bundle), "--config", path, box.new_id(), pass_fds=(number,)) == "here\n"
    name = box.start()
    with pipe(b'{"pids": {"limit": 77}}') as path:
        box.ok("update", "--resources", path, name, pass_fds=(int(path.rpartition("/")[2]),))
    assert "77" in box.ok(
        "exec", name, "sh", "-c", "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; :"
    )


def test_a_bundles_config_is_a_file(box: Box) -> None:
    bundle = box.bundle("true")
    (bundle / "config.json").unlink()
    os.mkfifo(bundle / "config.json")
    done = box.call("run", "-b", str(bundle), box.new_id(), timeout=5)
    assert done.returncode == 1 and done.stderr == f"pyrunc: {bundle}/config.json: not a regular file\n"


def test_a_file_that_is_too_large_is_refused(box: Box) -> None:
    """The file is valid JSON followed by spaces; pyrunc does not read it to the end."""
    name, bundle = box.start(), box.bundle("true")
    files = {bundle / "config.json": "", box.directory / "process.json": "", box.directory / "resources.json": "{}"}
    files[bundle / "config.json"] = (bundle / "config.json").read_text()
    files[box.directory / "process.json"] = json.dumps({"args": ["true"], "cwd": "/"})
    for file, text in files.items():
        file.write_text(text + " " * (17 << 20))
    for words in (
        ["run", "-b", str(bundle), box.new_id()],
        ["exec", "-p", "process.json", name],
        ["update", "-r", "resources.json", name],
    ):
        done = box.call(*words)
        assert done.returncode != 0 and "larger than 16 MiB" in done.stderr, words


def held(config: dict[str, Any]) -> None:
    """Configures more restrictions than the defaults."""
    process_ = config["process"]
    process_["capabilities"] = {kind: ["CAP_KILL", "CAP_CHOWN"] for kind in ("bounding", "effective", "permitted")}
    process_["user"]["umask"] = 0o27
    process_["oomScoreAdj"] = 321


@also_on("runc>=1.5")
def test_a_process_without_capabilities_has_the_containers(box: Box) -> None:
    name = box.start(change=held)
    found = shown(box, name)
    assert "CapEff:\t0000000000000021" in found and "CapBnd:\t0000000000000021" in found
    assert "CapBnd:\t0000000000000001" in shown(box, name, capabilities={"bounding": ["CAP_CHOWN"]})
    assert "CapEff:\t0000000000000000" in shown(box, name, capabilities={})


@also_on("runc>=1.5")
def test_a_process_has_the_containers_umask_and_oom_score(box: Box) -> None:
    lines = shown(box, box.start(change=held)).splitlines()
    assert "Umask:\t0027" in lines and lines[-1] == "321"


def test_what_a_process_says_is_what_it_has(box: Box) -> None:
    limits = [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]
    more = {"rlimits": limits, "oomScoreAdj": 500, "user": {"uid": 0, "gid": 0, "umask": 0o77}}
    lines = shown(box, box.start(change=held), **more).splitlines()
    assert "Umask:\t0077" in lines and lines[-2:] == ["50", "500"]


@also_on("runc>=1.5")
def test_a_process_says_itself_whether_it_may_gain_privileges(box: Box) -> None:
    name = box.start(change=lambda c: c["process"].update(noNewPrivileges=True))
    assert "NoNewPrivs:\t0" in shown(box, name)
    assert "NoNewPrivs:\t1" in shown(box, name, noNewPrivileges=True)


@also_on("runc>=1.5")
def test_a_process_has_the_containers_scheduler(box: Box) -> None:
    name = box.start(change=lambda c: c["process"].update(scheduler={"policy": "SCHED_BATCH", "nice": 5}))
    file = box.directory / "process.json"
    file.write_text(json.dumps(process("cut -d ' ' -f 19,41 /proc/self/stat")))
    assert box.ok("exec", "-p", str(file), name).split() == ["5", "3"]


def test_the_library_completes_a_process_too(box: Box) -> None:
    from pyrunc import Container

    container = Container.load(box.start(change=held), str(box.root))
    reading, writing = os.pipe()
    started = container.exec(process=process(STATUS), stdout=writing)
    os.close(writing)
    with open(reading) as file:
        assert "CapEff:\t0000000000000021" in file.read()
    assert started.wait(10) == 0


@pytest.mark.skipif(not Path("/proc/self/numa_maps").exists(), reason="the kernel has no memory policies")
@pytest.mark.parametrize("by_file", [False, True])
@also_on("runc>=1.5")
def test_exec_has_the_containers_memory_policy(box: Box, by_file: bool) -> None:
    policy = {"mode": "MPOL_INTERLEAVE", "nodes": "0"}
    name = box.start(change=lambda c: c["linux"].update(memoryPolicy=policy))
    file = box.directory / "process.json"
    file.write_text(json.dumps(process("cat /proc/self/numa_maps")))
    words = ["-p", str(file), name] if by_file else [name, "cat", "/proc/self/numa_maps"]
    assert "interleave:0" in box.ok("exec", *words)


def test_a_capability_can_be_added_where_the_container_has_none(box: Box) -> None:
    name = box.start(change=lambda c: c["process"].pop("capabilities"))
    assert "CapEff:\t0000000000000020" in box.ok(
        "exec", "--cap", "CAP_KILL", name, "grep", "CapEff", "/proc/self/status"
    )
