"""Reading files and text: an invalid config gets one line that names file and reason, at once."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyrunc.errors import SpecError
from pyrunc.spec.default import config as default_config
from pyrunc.spec.json_text import dumps, loads
from pyrunc.spec.load import LIMIT, load, load_process, load_resources, parse, read, restore

HERE = Path(__file__).parent


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(SpecError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "config.json: empty"),
        (b"  \n", "config.json: empty"),
        (b'{"a": 1', "config.json: not JSON: Expecting ',' delimiter at line 1 column 8, cut short"),
        (b'{"a": "b', "config.json: not JSON: Unterminated string starting at at line 1 column 7, cut short"),
        (b'{"a": \xff}', "config.json: not UTF-8 at byte 6"),
        (b'{"a": "\xed\xa0\x80"}', "config.json: not UTF-8 at byte 7"),
        (b"\xef\xbb\xbf{}", "config.json: not JSON: Unexpected UTF-8 BOM"),
        (b"{}".decode().encode("utf-16"), "config.json: not UTF-8 at byte 0"),
        (b"[" * 100_000, "config.json: nested too deeply"),
        (b'{"a":' * 100_000, "config.json: nested too deeply"),
        (b'{"process": ' + b"[" * 500 + b"]" * 500 + b"}", "ociVersion: required"),
        (b"{} {}", "config.json: not JSON: Extra data at line 1 column 4"),
        (b"{'a': 1}", "config.json: not JSON: Expecting property name"),
        (b"[]", "must be an object, not an array"),
        (b"null", "must be an object, not null"),
        (b'"text"', "must be an object, not a string"),
        (b'{"a": NaN}', "config.json: not JSON: NaN is not JSON"),
        (b'{"a": "\t"}', "config.json: not JSON: Invalid control character"),
        (b'{"a": ' + b"9" * 5000 + b"}", "config.json: not JSON: Exceeds the limit"),
    ],
)
def test_what_is_no_config(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(data)
    assert refused(lambda: load(str(path))).startswith(words)


def test_a_file_that_is_cut_short_anywhere() -> None:
    data = json.dumps(default_config()).encode()
    for end in range(1, len(data)):
        answer = refused(lambda end=end: parse(data[:end]))
        in_a_word = data[end - 1 : end].isalpha() and data[:end].count(b'"') % 2 == 0  # such as "tru"
        assert answer.startswith("config.json: not JSON") and (in_a_word or answer.endswith("cut short")), end


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent", "absent: no such file or directory"),
        ("fifo", "fifo: not a regular file"),
        (".", "/.: not a regular file"),
        ("big", "big: larger than 16 MiB"),
        ("loop", "loop: too many levels of symbolic links"),
        ("x" * 300, ": file name too long"),
        ("a\0b", ("embedded null byte", "embedded null character in path")),  # Python 3.11, 3.13
    ],
)
def test_files_that_are_none(name: str, words: "str | tuple[str, ...]", tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    os.symlink("loop", tmp_path / "loop")
    with open(tmp_path / "big", "wb") as file:
        file.truncate(50 << 20)
    assert refused(lambda: load(f"{tmp_path}/{name}")).endswith(words)


def test_a_file_of_unknown_size_is_read_to_its_end() -> None:
    """Files of procfs have a size of 0 bytes."""
    assert read("/proc/self/status").startswith(b"Name:") and b"voluntary_ctxt_switches" in read("/proc/self/status")


def test_the_largest_config_is_taken(tmp_path: Path) -> None:
    made = json.dumps(default_config()).encode()
    path = tmp_path / "config.json"
    path.write_bytes(made + b" " * (LIMIT - len(made)))
    load(str(path))
    path.write_bytes(made + b" " * (LIMIT - len(made) + 1))
    refused(lambda: load(str(path)))


@pytest.mark.parametrize(
    ("section", "name", "value", "words"),
    [
        ("process", "args", [1] * 5_000_000, "process.args[0]: must be a string"),
        ("process", "args", ["x"] * 3_000_000 + [1], "process.args[3000000]: must be a string, not a number"),
        ("linux", "sysctl", {str(i): i for i in range(700_000)}, "linux.sysctl.0: must be a string"),
        ("linux", "uidMappings", [{"containerID": i, "hostID": i, "size": 1} for i in range(250_000)], "linux.uid"),
    ],
)
def test_sixteen_megabytes_of_harm_take_little_time_and_memory(
    section: str, name: str, value: Any, words: str, tmp_path: Path
) -> None:
    """pydantic alone takes 5 GB for the first. Runs in a separate process, because peak memory is never reset."""
    made = default_config()
    made[section][name] = value
    path = tmp_path / "config.json"
    path.write_text(json.dumps(made, separators=(",", ":")))
    assert 8 << 20 < path.stat().st_size <= LIMIT
    code = (
        "import sys, resource; from pyrunc.spec.load import load\n"
        "try: load(sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, cwd=HERE.parents[1], check=True, capture_output=True, text=True, timeout=20)
    line, peak = done.stdout.splitlines()
    assert line.startswith(f"SpecError {words}")
    assert int(peak) < 600 << 10


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("process.args[0]", ("process", "args", 0)),
        ("process.env[0]", ("process", "env", 0)),
        ("hostname", ("hostname",)),
        ("root.path", ("root", "path")),
        ("mounts[1].options[0]", ("mounts", 1, "options", 0)),
        ("mounts[0].source", ("mounts", 0, "source")),
        ("linux.cgroupsPath", ("linux", "cgroupsPath")),
        ("linux.readonlyPaths[2]", ("linux", "readonlyPaths", 2)),
        ("process.capabilities.bounding[0]", ("process", "capabilities", "bounding", 0)),
        ("annotations.a", ("annotations", "a")),
        ("linux.resources.unified.memory.high", ("linux", "resources", "unified", "memory.high")),
    ],
)
@pytest.mark.parametrize(("text", "why"), [("\0", "a NUL byte"), ("\udcff", "half of a surrogate pair")])
def test_characters_that_no_string_may_hold(place: str, path: "tuple[Any, ...]", text: str, why: str) -> None:
    made = default_config()
    made["annotations"] = {}
    made["linux"]["resources"]["unified"] = {}
    part: Any = made
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = f"/A={text}"
    assert refused(lambda: parse(json.dumps(made).encode())) == f"{place}: holds {why}" + (
        ", which is not a character" if text != "\0" else ""
    )
    part[path[-1]] = "/A=\U0001f433"
    parse(json.dumps(made).encode())


def test_keys_may_not_hold_them_either() -> None:
    made = {**default_config(), "annotations": {"a\0b": "x"}}
    assert refused(lambda: parse(json.dumps(made).encode())) == "annotations['a\\x00b']: holds a NUL byte"


def test_a_name_in_other_letter_case_is_another_name() -> None:
    made = default_config()
    made["Hostname"] = "other"
    assert parse(json.dumps(made).encode()).hostname == made["hostname"]
    made["process"]["ARGS"] = made["process"].pop("args")
    assert refused(lambda: parse(json.dumps(made).encode())) == "process.args: must not be empty"


def test_of_a_name_given_twice_the_last_counts() -> None:
    made = default_config()
    twice = json.dumps(made)[:-1] + ', "process": {"cwd": "/tmp", "args": ["last"]}}'
    read = parse(twice.encode()).process
    assert read is not None and (read.args, read.cwd, list(read.env)) == (["last"], "/tmp", [])
    half = json.dumps(made)[:-1] + ', "process": {"cwd": "/tmp"}}'
    assert refused(lambda: parse(half.encode())) == "process.args: must not be empty"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("process", "args"), "process.args[1]: must be a string, not null"),
        (("process", "env"), "process.env[1]: must be a string, not null"),
        (("mounts",), "mounts[1]: must be an object, not null"),
        (("linux", "namespaces"), "linux.namespaces[1]: must be an object, not null"),
        (("annotations",), "annotations.a: must be a string, not null"),
    ],
)
def test_null_is_no_element(path: "tuple[str, ...]", words: str) -> None:
    made = default_config()
    made["annotations"] = {}
    place: Any = made
    for name in path:
        place = place[name]
    if isinstance(place, dict):
        place["a"] = None
    else:
        place[1:] = [None]
    assert refused(lambda: parse(json.dumps(made).encode())) == words


def test_a_process_alone(tmp_path: Path) -> None:
    path = tmp_path / "process.json"
    path.write_text(json.dumps({"args": ["a"], "cwd": "/", "user": {"uid": 3}}))
    assert load_process(str(path)).user.uid == 3
    for wrong, words in (
        ({"args": ["a"]}, "process.cwd: required"),
        ({"args": ["a", 1], "cwd": "/"}, "process.args[1]: must be a string, not a number"),
        ({"args": ["\0"], "cwd": "/"}, "process.args[0]: holds a NUL byte"),
        ([], "process: must be an object, not an array"),
    ):
        path.write_text(json.dumps(wrong))
        assert refused(lambda: load_process(str(path))) == words
    path.write_text("{")
    assert refused(lambda: load_process(str(path))).startswith("process.json: not JSON")


def test_resources_alone() -> None:
    memory = load_resources(b'{"memory": {"limit": 5}}').memory
    assert memory is not None and (memory.limit, memory.swap) == (5, None)
    for wrong, words in (
        (b'{"memory": {"limit": "5"}}', "linux.resources.memory.limit: must be an integer, not a string"),
        (b'{"hugepageLimits": [{"pageSize": "2", "limit": 1}]}', "linux.resources.hugepageLimits[0].pageSize: '2'"),
        (b'{"cpu": {"cpus": "\\u0000"}}', "linux.resources.cpu.cpus: holds a NUL byte"),
        (b"[]", "linux.resources: must be an object"),
        (b"", "resources: empty"),
    ):
        assert refused(lambda data=wrong: load_resources(data)).startswith(words)


def test_a_stored_config_that_someone_changed() -> None:
    assert refused(lambda: restore({"ociVersion": "1.0.0", "root": {"path": 1}})).startswith("root.path: must be")


def test_several_threads_read_at_once() -> None:
    data = json.dumps(default_config()).encode()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(50):
                assert parse(data).process is not None
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_default_config_is_read_within_a_millisecond() -> None:
    data = json.dumps(default_config()).encode()
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        parse(data)
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.001


VALUES = (
    *(None, True, False, 0, -1, 2**64, 1.5, "", 'a"\\\n\t\x7fé\U0001f433', [], {}, [[]], {"a": []}),
    {"a": [1, {"b": [True, None]}], "é": {"c": {}}},
    [1, "a", [2, [3]]],
)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_json_that_is_written(value: Any) -> None:
    """Writes the same text as the standard library, without importing it."""
    assert dumps(value) == json.dumps(value, separators=(",", ":"))
    assert dumps(value, indent=2) == json.dumps(value, indent=2)
    assert loads(dumps(value).encode()) == loads(dumps(value, indent=4).encode()) == value


def test_json_that_cannot_be_written() -> None:
    with pytest.raises(ValueError):
        dumps(float("inf"))
    with pytest.raises(TypeError):
        dumps({"a": object()})
    with pytest.raises(ValueError):
        loop: list[Any] = []
        loop.append(loop)
        dumps(loop)
