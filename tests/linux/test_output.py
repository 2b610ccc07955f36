"""Files that pyrunc writes at a path of the caller, in directories that other users write to."""

import os
import socket
from pathlib import Path

import pytest

from pyrunc import log
from pyrunc.linux import output, unix_socket


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    path = tmp_path / "shared"
    path.mkdir()
    return path


def test_a_name_that_was_put_there_before_is_replaced(victim: Path, shared: Path) -> None:
    for name, put in (("link", os.symlink), ("hard", os.link)):
        put(victim, shared / name)
        output.replace(str(shared / name), b"12")
        assert (shared / name).read_text() == "12" and not (shared / name).is_symlink()
    assert victim.read_text() == "precious"


def test_no_temporary_can_be_guessed(victim: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a guessed name must not exist before."""
    monkeypatch.setattr("posix.urandom", bytes)
    (shared / (".pyrunc." + bytes(8).hex())).symlink_to(victim)
    with pytest.raises(FileExistsError):
        output.replace(str(shared / "pid"), b"12")
    assert victim.read_text() == "precious"


def test_a_link_in_a_device_s_place_is_not_followed(
    victim: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was a device when it was looked at."""
    (shared / "name").symlink_to(victim)
    monkeypatch.setattr(output, "_is_special", lambda *_: True)
    with pytest.raises(OSError, match="symbolic links"):
        output.replace(str(shared / "name"), b"12")
    assert victim.read_text() == "precious"


def test_a_failure_leaves_nothing(shared: Path) -> None:
    (shared / "name").mkdir()
    with pytest.raises(IsADirectoryError):
        output.replace(str(shared / "name"), b"12")
    assert os.listdir(shared) == ["name"]


def test_the_longest_name(shared: Path) -> None:
    output.replace(str(shared / ("x" * 255)), b"12")
    assert (shared / ("x" * 255)).read_text() == "12"


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a device")
def test_what_is_no_file_is_written_to_and_stays(shared: Path) -> None:
    os.mknod(shared / "null", 0o020666, os.makedev(1, 3))
    output.replace(str(shared / "null"), b"12")
    output.remove(str(shared / "null"))
    assert (shared / "null").is_char_device()


def test_a_pipe(shared: Path) -> None:
    os.mkfifo(shared / "pipe")
    with pytest.raises(OSError, match="No such device"):  # no reader, and no waiting for one
        output.replace(str(shared / "pipe"), b"12")
    reading = os.open(shared / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    output.replace(str(shared / "pipe"), b"12")
    assert os.read(reading, 10) == b"12"
    os.close(reading)


def test_a_descriptor_of_ours() -> None:
    reading, writing = os.pipe()
    for name in (f"/dev/fd/{writing}", f"/proc/self/fd/{writing}"):
        output.replace(name, b"12")
        assert os.read(reading, 10) == b"12"
    os.close(log.append(f"/dev/fd/{writing}"))
    os.close(reading)
    os.close(writing)


def test_the_log_follows_no_link(victim: Path, shared: Path) -> None:
    (shared / "log").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        log.append(str(shared / "log"))
    (shared / "hard").hardlink_to(victim)
    with pytest.raises(OSError, match="more than one name"):
        log.append(str(shared / "hard"))
    os.close(log.append(str(shared / "new")))
    os.close(log.append(str(shared / "new")))


def test_a_socket_is_no_link_and_accepts(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.socket(socket.AF_UNIX)
    path = shared / ("long" * 20)
    monkeypatch.chdir(shared)
    server.bind(path.name)
    server.listen(2)
    unix_socket.connect(str(path)).close()  # longer than sun_path
    (shared / "link").symlink_to(path)
    with pytest.raises(OSError, match="symbolic link"):
        unix_socket.connect(str(shared / "link"))
    monkeypatch.setattr(unix_socket, "TIMEOUT", 1)
    held = [unix_socket.connect(str(path))]
    with pytest.raises(TimeoutError, match="not accepted within 1 s"):
        for _ in range(3):
            held.append(unix_socket.connect(str(path)))
    for connection in (server, *held):
        connection.close()
