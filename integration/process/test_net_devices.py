"""linux.netDevices: one end of a pair of veths, moved from the host into a container."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from harness import Box, namespace


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


def links() -> str:
    return ip("-o", "link")


class Pair:
    """The interfaces ``one`` and ``other``, up, with addresses. One that a container took ends with the container."""

    def __init__(self) -> None:
        self.one, self.other = f"pra{os.getpid() % 100000}", f"prb{os.getpid() % 100000}"
        ip("link", "add", self.one, "type", "veth", "peer", "name", self.other)
        ip("link", "set", self.one, "mtu", "1400", "address", "02:00:00:00:00:77", "up")
        ip("address", "add", "10.77.0.1/24", "broadcast", "10.77.0.255", "dev", self.one)
        ip("address", "add", "10.78.0.1/32", "dev", self.one, "scope", "link")
        ip("-6", "address", "add", "fd77::1/64", "dev", self.one, "nodad")

    def addresses(self) -> set[str]:
        words = ip("-o", "address", "show", "dev", self.one, "scope", "global").split()
        return {word for word in words if "/" in word}

    def close(self) -> None:
        subprocess.run(["ip", "link", "delete", self.other], check=False, capture_output=True)


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def moving(pair: Pair, new: str = "", **more: Any) -> Any:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["netDevices"] = {pair.one: {"name": new} if new else {}, **more}

    return change


SHOW = "ip link show {0}; ip address show {0}"


@pytest.mark.parametrize("new", ["", "data0"])
def test_it_keeps_what_it_had(box: Box, pair: Pair, new: str) -> None:
    name = box.start("sleep 100", moving(pair, new))
    assert f" {pair.one}@" not in links()
    out = box.ok("exec", name, "sh", "-c", SHOW.format(new or pair.one))
    assert "10.77.0.1/24 brd 10.77.0.255 scope global" in out and "fd77::1/64 scope global" in out
    assert "10.78.0.1" not in out  # its scope is not global
    assert "mtu 1400" in out and "02:00:00:00:00:77" in out and ",UP" in out


def test_into_a_joined_namespace(box: Box, pair: Pair) -> None:
    first = box.start("sleep 100")
    path = f"/proc/{box.state(first)['pid']}/ns/net"

    def change(config: dict[str, Any]) -> None:
        moving(pair, "data0")(config)
        namespace(config, "network", path)

    box.start("sleep 100", change)
    assert "10.77.0.1/24" in box.ok("exec", first, "ip", "address", "show", "data0")


def test_into_a_user_namespace(box: Box, pair: Pair) -> None:
    from harness import user_namespace

    out = box.out("ip address show data0", lambda c: (moving(pair, "data0")(c), user_namespace(c)))
    assert "10.77.0.1/24" in out


@pytest.mark.parametrize("failure", ["program", "hook", "device"])
def test_a_failing_create_gives_it_back(box: Box, pair: Pair, failure: str) -> None:
    before = pair.addresses()

    def change(config: dict[str, Any]) -> None:
        moving(pair, "data0", **({"missing0": {}} if failure == "device" else {}))(config)
        if failure == "hook":
            config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}

    done = box.run(["/nothing"] if failure == "program" else "true", change)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    if failure == "device":
        assert done.stderr == "pyrunc: linux.netDevices.missing0: no such network device: missing0\n"
    assert pair.addresses() == before == {"10.77.0.1/24", "fd77::1/64"}
    assert ",UP" in ip("-o", "link", "show", pair.one)
    assert not box.leftovers()


def test_a_name_that_is_taken_there(box: Box, pair: Pair) -> None:
    done = box.run("true", moving(pair, "lo"))
    assert done.returncode == 1
    assert done.stderr == (f"pyrunc: linux.netDevices.{pair.one}: move network device {pair.one} as lo: file exists\n")
    assert f" {pair.one}@" in links() and not box.leftovers()


def test_loopback_stays_where_it_is(box: Box) -> None:
    done = box.run("true", lambda c: c["linux"].update(netDevices={"lo": {"name": "lo1"}}))
    assert done.returncode == 1 and done.stderr.startswith("pyrunc: linux.netDevices.lo: move network device lo as lo1")
