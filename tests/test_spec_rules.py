"""What a wrong config is answered: one line that names the property."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pyrunc.errors import SpecError
from pyrunc.spec.default import config as default_config
from pyrunc.spec.load import load, parse


def refused(change: Any) -> str:
    made = copy.deepcopy(default_config())
    change(made)
    with pytest.raises(SpecError) as caught:
        parse(json.dumps(made).encode())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def mapped(config: dict[str, Any], **user: Any) -> None:
    config["linux"]["namespaces"].append({"type": "user"})
    for kind in ("uidMappings", "gidMappings"):
        config["linux"][kind] = [{"containerID": 0, "hostID": 1, "size": 10}]
    config["process"]["user"].update(user)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("ociVersion"), "ociVersion: required"),
        (lambda c: c.update(ociVersion="1.4.0"), "ociVersion: 1.4.0 is not supported"),
        (lambda c: c.update(ociVersion="2.0.0"), "ociVersion: 2.0.0"),
        (lambda c: c.update(ociVersion="one"), "ociVersion: 'one'"),
        (lambda c: c.pop("root"), "root: required"),
        (lambda c: c["root"].update(path=""), "root.path: required"),
        (lambda c: c["root"].update(path="a\0b"), "root.path: holds a NUL byte"),
        (lambda c: c["mounts"][2].update(destination="dev"), "mounts[2].destination: 'dev' is not an absolute path"),
        (lambda c: c["mounts"][1].update(source="a\0"), "mounts[1].source: holds a NUL byte"),
        (lambda c: c["process"].update(args=[]), "process.args: must not be empty"),
        (lambda c: c["process"].update(args="sh"), "process.args: must be an array, not a string"),
        (lambda c: c["process"].update(cwd="tmp"), "process.cwd: 'tmp' is not an absolute path"),
        (lambda c: c["process"].update(env=["NOVALUE"]), "process.env[0]: 'NOVALUE' is not NAME=value"),
        (
            lambda c: c["process"]["rlimits"].append(c["process"]["rlimits"][0]),
            "process.rlimits[1].type: RLIMIT_NOFILE is",
        ),
        (lambda c: c["process"]["rlimits"][0].update(type="NOFILE"), "process.rlimits[0].type: 'NOFILE' is not one of"),
        (lambda c: c["process"]["rlimits"][0].update(soft=2000), "process.rlimits[0].soft: 2000 is above hard"),
        (lambda c: c["process"]["user"].update(uid=-1), "process.user.uid: -1 is out of range"),
        (lambda c: c["process"].update(oomScoreAdj=2000), "process.oomScoreAdj: 2000"),
        (lambda c: c["linux"]["namespaces"].append({"type": "pid"}), "linux.namespaces[6].type: pid is given twice"),
        (lambda c: c["linux"]["namespaces"].append({"type": "moon"}), "linux.namespaces[6].type: 'moon' is not one of"),
        (lambda c: c["linux"]["namespaces"].append({"type": "user"}), "linux.uidMappings: required"),
        (
            lambda c: c["linux"].update(uidMappings=[{"containerID": 0, "hostID": 0, "size": 1}]),
            "linux.uidMappings: given",
        ),
        (lambda c: mapped(c, uid=10), "process.user.uid: 10 is not mapped"),
        (lambda c: mapped(c, gid=10), "process.user.gid: 10 is not mapped"),
        (lambda c: mapped(c, additionalGids=[1, 99]), "process.user.additionalGids[1]: 99 is not mapped"),
        (lambda c: c["linux"].update(sysctl={"kernel.panic": "1"}), "linux.sysctl.kernel.panic: is of the whole host"),
        (lambda c: c["linux"].update(sysctl={"../x": "1"}), "linux.sysctl.../x: not the name"),
        (lambda c: c["linux"].update(maskedPaths=["proc"]), "linux.maskedPaths[0]: 'proc' is not an absolute path"),
        (lambda c: c["linux"].update(timeOffsets={"monotonic": {}}), "linux.timeOffsets: needs a new time namespace"),
        (lambda c: c["linux"].update(devices=[{"path": "/dev/x", "type": "c"}]), "linux.devices[0].major: required"),
        (lambda c: c["linux"].update(rootfsPropagation="some"), "linux.rootfsPropagation: 'some' is not one of"),
        (
            lambda c: c["linux"]["resources"].update(memory={"limit": "1g"}),
            "linux.resources.memory.limit: must be an integer",
        ),
        (
            lambda c: c.update(hooks={"poststop": [{"path": "x"}]}),
            "hooks.poststop[0].path: 'x' is not an absolute path",
        ),
        (lambda c: c.update(hooks={"poststop": [{"path": "/x", "timeout": 0}]}), "hooks.poststop[0].timeout: must be"),
        (lambda c: c.update(hostname="\ud800"), "hostname: holds half of a surrogate pair"),
    ],
)
def test_rule(change: Any, words: str) -> None:
    assert refused(change).startswith(words)


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.1.0+dev", "1.3.0", "1.3.7"])
def test_versions_that_are_taken(version: str) -> None:
    parse(json.dumps({**default_config(), "ociVersion": version}).encode())


def test_unknown_properties_are_ignored() -> None:
    made = default_config()
    made["of tomorrow"] = {"x": 1}
    made["process"]["of tomorrow"] = 1
    parse(json.dumps(made).encode())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b'{"a": 1', "cut short"),
        (b'{"a": \xff}', "not UTF-8 at byte 6"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"{} {}", "Extra data"),
        (b"[]", "must be an object, not an array"),
        (b"null", "must be an object, not null"),
        (b'{"a": NaN}', "not JSON"),
    ],
)
def test_what_is_no_config(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(data)
    with pytest.raises(SpecError) as caught:
        load(str(path))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "fifo")
    big = tmp_path / "big"
    with open(big, "wb") as file:
        file.truncate(50 << 20)
    cases = {
        "absent": "no such file",
        "fifo": "not a regular file",
        ".": "not a regular file",
        "big": "larger than 16 MiB",
    }
    for name, words in cases.items():
        with pytest.raises(SpecError, match=words):
            load(str(tmp_path / name))
