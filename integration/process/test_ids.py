"""Ids of users and groups in every input: 2^32 - 1 is (uid_t) -1, with which setresuid(2) changes nothing."""

from typing import Any

import pytest
from peers import also_on, is_peer

from harness import Box

NO_IDS = (2**32 - 1, 2**32, 2**64, -1)


def of_user(**user: Any) -> Any:
    return lambda c: c["process"]["user"].update(user)


def of_device(**owner: int) -> Any:
    device = {"path": "/dev/x", "type": "c", "major": 1, "minor": 3, **owner}
    return lambda c: c["linux"].update(devices=[device])


def of_mapping(name: str, **mapping: int) -> Any:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"].append({"type": "user"})
        for kind in ("uidMappings", "gidMappings"):
            config["linux"][kind] = [{"containerID": 0, "hostID": 100000, "size": 10}]
        config["linux"][name][0].update(mapping)

    return change


def of_mount(kind: str, option: str) -> Any:
    mount = {"destination": "/mnt", "type": kind, "source": kind, "options": ["nosuid", option]}
    return lambda c: c["mounts"].append(mount)


DOORS = [
    ("process.user.uid", lambda number: of_user(uid=number)),
    ("process.user.gid", lambda number: of_user(gid=number)),
    ("process.user.additionalGids[1]", lambda number: of_user(additionalGids=[1, number])),
    ("linux.devices[0].uid", lambda number: of_device(uid=number)),
    ("linux.devices[0].gid", lambda number: of_device(gid=number)),
    ("linux.uidMappings[0]", lambda number: of_mapping("uidMappings", containerID=number)),
    ("linux.gidMappings[0]", lambda number: of_mapping("gidMappings", hostID=number)),
    ("mounts[7].options", lambda number: of_mount("tmpfs", f"uid={number}")),
    ("mounts[7].options", lambda number: of_mount("tmpfs", f"mode=755,gid={number}")),
    ("mounts[7].options", lambda number: of_mount("devpts", f"gid={number}")),
    ("mounts[7].options", lambda number: of_mount("tmpfs", f"uid={number:#x}")),
]


@pytest.mark.parametrize(("place", "door"), DOORS)
def test_what_is_no_id_is_refused_by_name(box: Box, place: str, door: Any) -> None:
    for number in NO_IDS:
        done = box.run("id -u", door(number))
        assert done.returncode == 1 and done.stdout == "", (number, done)
        assert done.stderr.startswith(f"pyrunc: {place}") and done.stderr.count("\n") == 1, (number, done.stderr)


@pytest.mark.parametrize("user", [{"uid": 2**32 - 2, "gid": 2**32 - 2, "additionalGids": [2**32 - 2]}])
@also_on("runc>=1.5")
def test_the_last_id_is_one(box: Box, user: dict[str, Any]) -> None:
    assert box.out("id -u; id -g; id -G", of_user(**user)).split() == ["4294967294"] * 3


@also_on("runc>=1.5")
def test_mount_options_take_ids_as_the_kernel_reads_them(box: Box) -> None:
    """Decimal, and 0x… and 0… with base 0."""
    for written, number in (("01750", "1000"), ("0x3e8", "1000"), ("4294967294", "4294967294"), ("0", "0")):
        assert box.out("stat -c %u /mnt", of_mount("tmpfs", f"uid={written}")).strip() == number


TEXTS = ("4294967295", "4294967296", "99999999999999999999", "²", "-1", "+-1", "1_0", "0x1", " 1", "9" * 5000)


def test_exec_takes_no_other_user(box: Box) -> None:
    name = box.start()
    for text in (*TEXTS, *(f"0:{text}" for text in TEXTS), "1:", ":1", "1:2:3"):
        done = box.call("exec", f"--user={text}", name, "id", "-u")
        assert done.returncode == 255 and done.stdout == "", (text, done)
        assert done.stderr.startswith("pyrunc: --user ") and len(done.stderr) < 200, (text, done.stderr)


def test_exec_takes_no_other_group(box: Box) -> None:
    name = box.start()
    for text in (*TEXTS, "1,2", "1,4294967295", ""):
        done = box.call("exec", f"--additional-gids={text}", name, "id", "-u")
        # An invalid group number, or not a number at all, which is an error of the command line.
        status = 255 if text in ("4294967295", "4294967296", "-1") else 1
        assert done.returncode == status and done.stdout == "", (text, done)
        assert "--additional-gids" in done.stderr and len(done.stderr) < 200, (text, done.stderr)


def test_exec_of_a_process_file_takes_no_other_id(box: Box) -> None:
    name = box.start()
    for field in ("uid", "gid", "additionalGids"):
        for number in NO_IDS:
            value = [number] if field == "additionalGids" else number
            process = f'{{"args": ["id"], "cwd": "/", "user": {{"{field}": {value}}}}}'
            file = box.directory / "process.json"
            file.write_text(process)
            done = box.call("exec", "-p", str(file), name)
            assert done.returncode == 255 and done.stdout == "", (field, number, done)
            assert done.stderr.startswith(f"pyrunc: process.user.{field}"), done.stderr


@also_on("runc>=1.5")
def test_exec_takes_the_last_id(box: Box) -> None:
    name = box.start()
    group = [] if is_peer(box) else ["-g", "4294967294"]
    assert box.ok("exec", "-u", "4294967294:4294967294", *group, name, "id", "-u").strip() == "4294967294"


def test_the_library_takes_no_other_id(box: Box) -> None:
    from pyrunc import Container, PyruncError

    name = box.start()
    container = Container.load(name, str(box.root))
    for wrong in (*NO_IDS, True, "1:4294967295"):
        with pytest.raises(PyruncError, match="--user"):
            container.exec(["id"], user=wrong)
        with pytest.raises(PyruncError, match="--additional-gids"):
            container.exec(["id"], additional_gids=[wrong])
        with pytest.raises(PyruncError, match=r"process\.user\.uid"):
            container.exec(process={"args": ["id"], "cwd": "/", "user": {"uid": wrong}})
