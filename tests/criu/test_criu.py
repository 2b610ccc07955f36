"""CRIU's messages as bytes, and the external resources of a container that are passed to CRIU."""

import pytest

from pyrunc.criu import external, swrk
from pyrunc.criu.messages import DUMP, decode, encode
from pyrunc.criu.mountpoints import preparing
from pyrunc.criu.options import CriuOptions
from pyrunc.errors import PyruncError
from pyrunc.plan.steps import Step


def test_messages_are_protocol_buffers() -> None:
    # By hand from the encoding's description: field 1 varint 1; field 2 with 7 bytes: field 2 varint 300, field 13 "ab".
    request = {"type": DUMP, "opts": {"pid": 300, "root": "ab"}}
    assert encode("request", request) == b"\x08\x01\x12\x07\x10\xac\x02\x6a\x02ab"
    assert decode("request", encode("request", request)) == request


def test_a_negative_number_takes_ten_bytes() -> None:
    data = encode("response", {"cr_errno": -1})
    assert data == b"\x38" + b"\xff" * 9 + b"\x01"
    assert decode("response", data) == {"cr_errno": -1}


def test_repeated_and_absent_fields() -> None:
    twice = encode("options", {"external": ["a", "b"], "ps": None, "root": ""})
    assert twice == b"\xaa\x02\x01a\xaa\x02\x01b\x6a\x00"


def test_unknown_fields_are_skipped() -> None:
    fixed = b"\x81\x01" + bytes(8) + b"\x85\x01" + bytes(4)  # fixed-size numbers, which no message here uses
    assert decode("response", b"\xa2\x06\x03xyz\xa8\x06\x05" + fixed + b"\x08\x0a") == {"type": 10}


@pytest.mark.parametrize(
    "data", [b"\x08", b"\x2a\x05ab", b"\x08" + b"\xff" * 11, b"\x29\x01", b"\x2b", b"\x2a\x01\x08"]
)
def test_damaged_messages_are_refused(data: bytes) -> None:
    with pytest.raises(PyruncError, match="can't be read"):
        decode("response", data)


def test_external_mounts_are_what_the_plan_attaches() -> None:
    steps = [Step("open-tree", "", "/host/a", 0, 20, 0, 0), Step("open-tree", "", "/rootfs", 1, 21, 0, 0)]
    steps += [Step("root", "", "/rootfs", 21, 8), Step("attach", "", 20, "/in//side/../a", 0, 0, 0, 0, 0, 0)]
    assert external.mounts(steps) == [("/in/a", "/host/a")]


def test_mount_points_are_made_in_a_namespace_of_their_own() -> None:
    steps = [Step("cgroup-create", "", []), Step("open-tree", "", "/r", 1, 20, 0, 0), Step("clone", "", 0x6C020000)]
    steps += [Step("root", "", "/r", 20, 8), Step("hostname", "hostname", "x"), Step("pivot", "")]
    made = preparing(steps)
    assert [step.kind for step in made] == ["open-tree", "clone", "root", "record"]
    assert made[1].args == (0x00020000,)
    assert preparing([step for step in steps if step.kind != "root"]) == []


def test_page_server() -> None:
    assert CriuOptions().page_server_address() is None
    assert CriuOptions(page_server="h:1").page_server_address() == {"address": "h", "port": 1}
    for wrong in ("h", ":1", "h:", "h:x", "h:70000"):
        with pytest.raises(PyruncError, match="is not ADDRESS:PORT"):
            CriuOptions(page_server=wrong).page_server_address()


def test_errors_of_the_log_in_one_line() -> None:
    log = "(1) fine\n(2) Error (a.c:1): one\n(3) Warn  (b.c:2): no\n" + "".join(
        f"(4) Error (c.c:3): {word}\n" for word in ("two", "three", "four")
    )
    assert swrk.errors(log) == "two; three; four"
    assert swrk.errors("nothing") == ""
