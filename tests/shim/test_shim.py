"""Parts of the shim that need no containers: command line, bootstrap, options, streams' names, failures, statistics."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyrunc.errors import ContainerExists, NoSuchContainer, NotRunning, PyruncError, SpecError, StepError, WrongStatus
from pyrunc.shim import bootstrap, entry, leftovers, metrics, rootfs, runtime_options, streams
from pyrunc.shim.failures import failure_of
from pyrunc.shim.messages import decode, encode
from pyrunc.shim.ttrpc import (
    ALREADY_EXISTS,
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    UNKNOWN,
    Failure,
)


def test_command_line_as_go_reads_it() -> None:
    words = ["-namespace", "ns", "--id=c", "-debug", "-v=false", "-address", "-odd", "start", "-id", "other"]
    values, action = entry.parse(words)
    assert (values["namespace"], values["id"], values["debug"], values["v"]) == ("ns", "c", True, False)
    assert (values["address"], action) == ("-odd", "start")
    assert entry.parse(["-id", "x", "--", "delete"])[1] == "delete"


@pytest.mark.parametrize("words", [["-nonesuch"], ["-id"], ["-debug=perhaps", "start"]])
def test_wrong_options_are_refused(words: list[str]) -> None:
    with pytest.raises(PyruncError, match=r"-(nonesuch|id|debug)"):
        entry.parse(words)


def parameters(given: bytes, **variables: str) -> bootstrap.Parameters:
    values, _ = entry.parse(["-namespace", "ns", "-id", "c", "-address", "/a.sock", "start"])
    return bootstrap.Parameters(values, given, lambda name: variables.get(name, ""))


def options(**fields: Any) -> dict[str, Any]:
    return {"type_url": "containerd.runc.v1.Options", "value": encode("Options", fields)}


def test_answer_of_containerd_1() -> None:
    asked = parameters(encode("Any", options(shim_cgroup="/shims")))
    assert (asked.modern, asked.options) == (False, {"shim_cgroup": "/shims"})
    assert asked.answer("unix:///s", "") == asked.answer("unix:///s", "2") == b"unix:///s"


def test_answer_of_containerd_2() -> None:
    answer = json.loads(parameters(b"").answer("unix:///s", "3"))
    assert answer == {"version": 3, "address": "unix:///s", "protocol": "ttrpc"}


def test_bootstrap_protocol_of_containerd_2_3() -> None:
    given = {"instance_id": "c", "namespace": "ns", "log_level": -4, "containerd_ttrpc_address": "/t.sock"}
    given |= {"containerd_binary": "/bin/containerd", "extensions": [{"value": options(root="/r")}]}
    asked = parameters(encode("BootstrapParams", given))
    assert asked.modern and asked.options == {"root": "/r"}
    assert (asked.values["debug"], asked.values["ttrpc"]) == (True, "/t.sock")
    assert asked.values["publish-binary"] == "/bin/containerd"
    result = decode("BootstrapResult", asked.answer("unix:///s", "3"))
    assert result == {"version": 3, "address": "unix:///s", "protocol": "ttrpc"}


def test_parameters_of_another_container_are_not_taken() -> None:
    asked = parameters(encode("BootstrapParams", {"instance_id": "other", "namespace": "ns", "log_level": -4}))
    assert not asked.modern and not asked.values["debug"]
    assert not parameters(b"\xff\xff").modern


@pytest.mark.parametrize(
    ("annotations", "group"),
    [
        ({}, "c"),
        ({"io.kubernetes.cri.sandbox-id": "pod"}, "pod"),
        ({"io.containerd.runc.v2.group": "g", "io.kubernetes.cri.sandbox-id": "pod"}, "g"),
        (None, "c"),
        (["wrong"], "c"),
    ],
)
def test_group_of_a_container(tmp_path: Path, annotations: Any, group: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"annotations": annotations}))
    assert bootstrap.group(str(tmp_path), "c") == group


def test_group_without_a_config(tmp_path: Path) -> None:
    assert bootstrap.group(str(tmp_path), "c") == "c"
    (tmp_path / "config.json").write_text("[")
    assert bootstrap.group(str(tmp_path), "c") == "c"


def test_sockets_are_apart_and_short() -> None:
    places = [("/a", "ns", "c"), ("/b", "ns", "c"), ("/a", "ms", "c"), ("/a", "ns", "d" * 76)]
    paths = {bootstrap.socket_path(*place) for place in places}
    assert len(paths) == 4 and max(map(len, paths)) < 108
    assert bootstrap.socket_path("/a", "ns", "c") in paths


def test_a_socket_that_answers_is_another_shims_and_a_dead_one_gives_way(tmp_path: Path) -> None:
    path = str(tmp_path / "s" / "socket")
    first = bootstrap.listen(path)
    assert first >= 0 and bootstrap.listen(path) == -1
    os.close(first)
    second = bootstrap.listen(path)
    assert second >= 0
    os.close(second)


def test_options_of_every_kind() -> None:
    assert runtime_options.read(None) == {}
    assert runtime_options.read({"type_url": "nonesuch", "value": b"\1"}) == {}
    assert runtime_options.read(options(systemd_cgroup=True, io_uid=5)) == {"systemd_cgroup": True, "io_uid": 5}
    legacy = encode("LegacyCreateOptions", {"no_new_keyring": True, "io_gid": 7})
    assert runtime_options.read({"type_url": "containerd.linux.runc.CreateOptions", "value": legacy}) == {
        "no_new_keyring": True,
        "io_gid": 7,
    }


def foreign(**fields: Any) -> dict[str, Any]:
    kind = "types.containerd.io/runtimeoptions.v1.Options"
    return {"type_url": kind, "value": encode("RuntimeOptions", fields)}


def test_options_of_a_config_file(tmp_path: Path) -> None:
    text = 'SystemdCgroup = true\nRoot = "/r"\nSomethingNew = 3\n'
    assert runtime_options.read(foreign(config_body=text.encode())) == {"systemd_cgroup": True, "root": "/r"}
    (tmp_path / "c.toml").write_text(text)
    assert runtime_options.read(foreign(config_path=str(tmp_path / "c.toml"))) == {"systemd_cgroup": True, "root": "/r"}


@pytest.mark.parametrize(
    "given", [foreign(config_body=b"SystemdCgroup = 1"), foreign(config_body=b"["), foreign(config_path="/none")]
)
def test_wrong_options_are_an_invalid_argument(given: dict[str, Any]) -> None:
    with pytest.raises(Failure) as caught:
        runtime_options.read(given)
    assert caught.value.code == INVALID_ARGUMENT


def test_options_are_remembered(tmp_path: Path) -> None:
    assert runtime_options.remembered(str(tmp_path)) == {}
    runtime_options.remember(str(tmp_path), {"root": "/r"})
    assert runtime_options.remembered(str(tmp_path)) == {"root": "/r"}
    assert runtime_options.state_root({"root": "/r"}, "ns") == "/r/ns"
    assert runtime_options.state_root({}, "ns") == "/run/containerd/pyrunc/ns"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (NoSuchContainer("c"), NOT_FOUND, 'container "c" does not exist'),
        (ContainerExists("c"), ALREADY_EXISTS, "container with given ID already exists: c"),
        (NotRunning(), NOT_FOUND, "container not running"),
        (WrongStatus("no"), FAILED_PRECONDITION, "no"),
        (SpecError("process.cwd", "bad"), INVALID_ARGUMENT, "process.cwd: bad"),
        (StepError(1, "root", "mount", errno.EPERM), UNKNOWN, "root: mount"),
        (StepError(1, "root", "mount", errno.ENOSPC), RESOURCE_EXHAUSTED, "root: mount"),
        (PyruncError("execute the helper: too many open files"), RESOURCE_EXHAUSTED, "too many open files"),
        (OSError(errno.EMFILE, "Too many open files", "/x"), RESOURCE_EXHAUSTED, "/x: too many open files"),
        (MemoryError(), RESOURCE_EXHAUSTED, "cannot allocate memory"),
        (KeyError("x"), INTERNAL, "internal error: KeyError"),
        (PyruncError("a\nb\x1b[31m"), UNKNOWN, "a b [31m"),
    ],
)
def test_failures_have_containerds_codes_and_one_line(error: Exception, code: int, text: str) -> None:
    failure = failure_of(error)
    assert failure.code == code and text in str(failure) and "\n" not in str(failure)


def test_failures_of_the_runtime_are_introduced() -> None:
    assert str(failure_of(PyruncError("why"), "OCI runtime create failed")) == "OCI runtime create failed: why"
    assert str(failure_of(Failure(3, "why"), "OCI runtime create failed")) == "why"


def test_uris_of_streams() -> None:
    assert streams._split("/run/fifo?x") == ("fifo", "/run/fifo?x")
    assert streams._split("file:///var/log/a%20b.log") == ("file", "/var/log/a b.log")
    command = streams._command("binary:///bin/log%67er?tag=a+b&flag&x=%2F")
    assert command == ("/bin/logger", ["tag", "a b", "flag", "x", "/"])
    assert streams.unquote("100%%2x%zz%41") == "100%%2x%zzA"


def test_layers_of_an_overlay() -> None:
    assert rootfs._layers("/a:/b") == ["/a", "/b"]
    assert rootfs._layers(r"/a\:b:/c\\d") == ["/a:b", r"/c\d"]


def test_mounts_are_found_by_their_exact_path() -> None:
    assert leftovers.mounted("/proc")
    assert not leftovers.mounted("/proc/self")


CGROUP = {
    "cgroup.controllers": "cpu memory pids io hugetlb",
    "pids.current": "3",
    "pids.max": "max",
    "cpu.stat": "usage_usec 70\nuser_usec 50\nsystem_usec 20\nnr_periods 1\nnr_throttled 2\nthrottled_usec 3",
    "memory.current": "4096",
    "memory.max": "max",
    "memory.swap.current": "0",
    "memory.swap.max": "8192",
    "memory.stat": "anon 100\nfile 200\nworkingset_refault_anon 3\nworkingset_refault_file 4\npgfault 9",
    "memory.events": "low 0\nhigh 0\nmax 1\noom 1\noom_kill 1",
    "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
    "hugetlb.2MB.current": "0",
    "hugetlb.2MB.max": "max",
}


def test_statistics_of_cgroup_v2(tmp_path: Path) -> None:
    for name, text in CGROUP.items():
        (tmp_path / name).write_text(text.rstrip() + "\n")
    kind, data = metrics.metrics({"": str(tmp_path)}, 0)
    found = metrics.CODECS[kind].decode("Metrics", data)
    assert kind == "io.containerd.cgroups.v2.Metrics"
    assert found["pids"] == {"current": 3, "limit": (1 << 64) - 1}
    assert found["cpu"]["usage_usec"] == 70 and found["cpu"]["throttled_usec"] == 3
    memory = found["memory"]
    assert (memory["anon"], memory["usage"], memory["usage_limit"]) == (100, 4096, (1 << 64) - 1)
    assert (memory["workingset_refault"], memory["swap_limit"]) == (7, 8192)
    assert found["memory_events"] == {"max": 1, "oom": 1, "oom_kill": 1}
    assert found["io"]["usage"] == [{"major": 8, "rbytes": 1, "wbytes": 2, "rios": 3, "wios": 4}]
    assert found["hugetlb"] == [{"max": (1 << 64) - 1, "pagesize": "2MB"}]


def test_statistics_of_cgroup_v1(tmp_path: Path) -> None:
    files = {
        "memory.stat": "cache 1\nrss 2\ntotal_rss 3\ntotal_inactive_file 4\nhierarchical_memory_limit 5",
        "memory.usage_in_bytes": "100",
        "memory.limit_in_bytes": "200",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 6",
        "cpuacct.usage": "1000",
        "cpuacct.usage_percpu": "600 400",
        "pids.current": "2",
        "pids.max": "10",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text.rstrip() + "\n")
    kind, data = metrics.metrics(dict.fromkeys(("memory", "cpuacct", "pids"), str(tmp_path)), os.getpid())
    found = metrics.CODECS[kind].decode("Metrics", data)
    assert kind == "io.containerd.cgroups.v1.Metrics"
    memory = found["memory"]
    assert (memory["rss"], memory["total_rss"], memory["total_inactive_file"]) == (2, 3, 4)
    assert memory["usage"] == {"usage": 100, "limit": 200}
    assert found["memory_oom_control"] == {"oom_kill": 6}
    assert found["cpu"]["usage"] == {"total": 1000, "per_cpu": [600, 400]}
    assert found["pids"] == {"current": 2, "limit": 10}
