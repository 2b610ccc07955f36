"""pyrunc/protobuf.py compared with the ``protobuf`` package: same bytes, same values, also for damaged messages."""

import random
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from pyrunc.protobuf import Codec
from pyrunc.shim import metrics
from pyrunc.shim.messages import MESSAGES

FIELD = descriptor_pb2.FieldDescriptorProto
KINDS = {
    "int": FIELD.TYPE_INT64,
    "uint": FIELD.TYPE_UINT64,
    "int32": FIELD.TYPE_INT32,
    "uint32": FIELD.TYPE_UINT32,
    "bool": FIELD.TYPE_BOOL,
    # Not TYPE_STRING, which would refuse invalid UTF-8: paths are bytes.
    "text": FIELD.TYPE_BYTES,
    "bytes": FIELD.TYPE_BYTES,
}
TABLES = {"task": MESSAGES, "v1": metrics.V1, "v2": metrics.V2}


def classes(package: str, messages: dict[str, Any]) -> dict[str, Any]:
    """Returns the messages of a table as classes of ``protobuf``."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            made = message.field.add(name=field, number=number, label=FIELD.LABEL_OPTIONAL)
            if kind.endswith("[]") or kind == "map":
                made.label = FIELD.LABEL_REPEATED
            if kind == "map":
                entry = message.nested_type.add(name="".join(p.capitalize() for p in field.split("_")) + "Entry")
                entry.options.map_entry = True
                for at, part in enumerate(("key", "value")):
                    # A map's key must not be bytes.
                    entry.field.add(name=part, number=at + 1, label=FIELD.LABEL_OPTIONAL, type=FIELD.TYPE_STRING)
                made.type, made.type_name = FIELD.TYPE_MESSAGE, f".{package}.{name}.{entry.name}"
            elif kind.removesuffix("[]") in KINDS:
                made.type = KINDS[kind.removesuffix("[]")]
            else:
                made.type, made.type_name = FIELD.TYPE_MESSAGE, f".{package}.{kind.removesuffix('[]')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


CLASSES = {package: classes(package, messages) for package, messages in TABLES.items()}
EVERY = [(package, name) for package, messages in TABLES.items() for name in messages]


def some(source: random.Random, kind: str, messages: dict[str, Any], depth: int = 3) -> Any:
    """Returns a random value of ``kind``."""
    if kind.endswith("[]"):
        return [some(source, kind[:-2], messages, depth) for _ in range(source.randrange(1, 4))]
    if kind == "map":
        return {f"k{at}": source.choice(("", "ä", "value")) for at in range(source.randrange(1, 3))}
    if kind in ("int", "int32"):
        return source.choice((1, -1, 300, -(1 << 31), (1 << 31) - 1))
    if kind in ("uint", "uint32"):
        return source.choice((1, 127, 128, (1 << 32) - 1, *([(1 << 64) - 1] if kind == "uint" else [])))
    if kind == "bool":
        return True
    if kind == "text":
        return source.choice(("x", "/run/ä", "y" * 200, "\udcff"))
    if kind == "bytes":
        return source.choice((b"\0", b"\xff" * 130))
    fields = messages[kind].items() if depth else ()
    return {field: some(source, inner, messages, depth - 1) for field, (_, inner) in fields if source.random() < 0.7}


def plain(message: Any, name: str, messages: dict[str, Any]) -> dict[str, Any]:
    """Converts a message of ``protobuf`` to the result of pyrunc's decoder."""
    found: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        kind = messages[name][descriptor.name][1]
        inner = kind.removesuffix("[]")

        def one(item: Any, inner: str = inner) -> Any:
            if inner in messages:
                return plain(item, inner, messages)
            return item.decode("utf-8", "surrogateescape") if inner == "text" else item

        found[descriptor.name] = (
            dict(value) if kind == "map" else [one(v) for v in value] if kind != inner else one(value)
        )
    return found


def dense(values: Any) -> Any:
    """Removes values that proto3 treats as absent: zeros and empty lists. An empty message is present."""
    if isinstance(values, dict):
        return {key: dense(value) for key, value in values.items() if value or isinstance(value, dict)}
    return [dense(value) for value in values] if isinstance(values, list) else values


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_the_same_bytes_and_the_same_values(package: str, name: str) -> None:
    messages, codec = TABLES[package], Codec(TABLES[package])
    for seed in range(6):
        values = some(random.Random(f"{name}{seed}"), name, messages)
        data = codec.encode(name, values)
        theirs = CLASSES[package][name].FromString(data)
        assert dense(plain(theirs, name, messages)) == dense(values)
        assert dense(codec.decode(name, theirs.SerializeToString())) == dense(values)
        ordered = dict(sorted(values.items(), key=lambda item: messages[name][item[0]][0]))
        if all(kind != "map" for _, kind in messages[name].values()) and not any(
            isinstance(v, (dict, list)) for v in values.values()
        ):
            assert codec.encode(name, ordered) == theirs.SerializeToString()


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_fuzzed_bytes_are_read_or_refused_alike(package: str, name: str) -> None:
    messages, codec = TABLES[package], Codec(TABLES[package])
    source = random.Random(name)
    if any(kind == "map" for _, kind in messages[name].values()):
        pytest.skip("a map's text is checked by protobuf, and not here")
    for _ in range(60):
        data = bytearray(codec.encode(name, some(source, name, messages)))
        for _ in range(source.randrange(1, 4)):
            at = source.randrange(len(data) + 1)
            data[at : at + source.randrange(2)] = source.randbytes(source.randrange(3))
        try:
            theirs = dense(plain(CLASSES[package][name].FromString(bytes(data)), name, messages))
        except DecodeError:
            with pytest.raises(ValueError):
                codec.decode(name, bytes(data))
            continue
        assert dense(codec.decode(name, bytes(data))) == theirs, bytes(data)


def test_unknown_fields_are_skipped_whatever_their_kind() -> None:
    codec = Codec({"M": {"a": (1, "int")}})
    group = b"\x7b\x08\x05\x73\x74\x7c"  # field 15: a group that holds a varint and an empty group (field 14)
    unknown = [b"\x10\x05", b"\x11" + bytes(8), b"\x12\x02ab", b"\x15" + bytes(4), group, b"\x0a\x01x"]
    for data in unknown:
        assert codec.decode("M", data + b"\x08\x07") == {"a": 7}


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x12\x05ab",
        b"\x08" + b"\xff" * 10,
        b"\x11\x01",
        b"\x7b",
        b"\x7b\x74",
        b"\x7c",
        b"\x0e",
        b"\x00",
        b"\x7b" * 200,
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Codec({"M": {"a": (1, "int")}}).decode("M", data)


def test_a_message_in_parts_is_merged() -> None:
    codec = Codec({"M": {"m": (1, "N")}, "N": {"a": (1, "int"), "b": (2, "int")}})
    assert codec.decode("M", b"\x0a\x02\x08\x01\x0a\x02\x10\x02") == {"m": {"a": 1, "b": 2}}
