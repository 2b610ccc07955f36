"""Attacks through descriptors of the host that are open while execve(2) looks up paths (CVE-2024-21626 and similar).

CLOEXEC acts after execve has found the program, its ``#!`` interpreter and its ELF interpreter; each of them may be
named ``/proc/self/fd/N/...``, and so may a working directory that is to be made.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hostile_box import Stage

from harness import PYRUNC, Box, Change

LEAKED = 9


def leaking(box: Box, opened: Path, *words: str, number: int = LEAKED) -> "subprocess.CompletedProcess[str]":
    """Runs pyrunc with ``words``; the caller leaks the host's ``opened`` as descriptor ``number``."""
    shell = ["sh", "-c", f'exec {number}<"$1"; shift; exec "$@"', "sh", str(opened)]
    command = [*shell, PYRUNC, "--root", str(box.root), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=box.directory)


def run(box: Box, opened: Path, args: list[str] | str, change: Change, *words: str, number: int = LEAKED) -> Any:
    """`run` with that leak."""
    return leaking(box, opened, "run", "-b", str(box.bundle(args, change)), *words, box.new_id(), number=number)


def nothing(config: dict[str, Any]) -> None:
    """Changes nothing."""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of the host with a busybox that is not the container's."""
    path = tmp_path / "outside"
    path.mkdir()
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, path / "busybox")
    return path


def script(box: Box, config: dict[str, Any], interpreter: str) -> None:
    """Makes the program of ``config`` a script for ``interpreter``."""
    entry = box.own_rootfs(config) / "entry"
    entry.write_text(f"#!{interpreter} sh\necho of the host\n")
    entry.chmod(0o755)
    config["process"]["args"] = ["/entry"]


@pytest.mark.parametrize("where", ["/proc/self/fd/9", "/dev/fd/9", "/proc/1/fd/9", "/proc/thread-self/fd/9", "/link"])
def test_a_script_is_not_interpreted_by_a_file_of_a_leaked_directory(box: Box, outside: Path, where: str) -> None:
    def change(config: dict[str, Any]) -> None:
        script(box, config, f"{where}/busybox")
        (Path(config["root"]["path"]) / "link").symlink_to("/proc/self/fd/9")

    done = run(box, outside, "", change)
    assert done.returncode != 0 and not done.stdout
    assert "pyrunc: " in done.stderr


@pytest.mark.parametrize("descriptor", range(3, 40))
def test_a_script_reaches_no_descriptor_of_the_helpers(box: Box, descriptor: int) -> None:
    done = box.run("", lambda c: script(box, c, f"/proc/self/fd/{descriptor}/../../../../../../../bin/sh"))
    assert done.returncode != 0 and not done.stdout


@pytest.mark.parametrize("verb", ["run", "create"])
def test_an_interpreter_is_not_reached_through_a_link_of_procfs(box: Box, outside: Path, verb: str) -> None:
    """Also if the descriptor may be open: a preserved one, and a script that is the interpreter of another script."""

    def change(config: dict[str, Any]) -> None:
        script(box, config, "/second")
        second = Path(config["root"]["path"]) / "second"
        second.write_text("#! \t/proc/self/fd/3 sh\n")
        second.chmod(0o755)

    words = (verb, "-b", str(box.bundle("", change)), "--preserve-fds", "1", box.new_id())
    done = leaking(box, outside / "busybox", *words, number=3)
    assert done.returncode != 0 and not done.stdout
    assert 'exec: "/entry": interpreter /proc/self/fd/3: too many levels of symbolic links' in done.stderr


def test_an_elf_file_is_not_loaded_by_a_file_of_a_leaked_directory(box: Box, outside: Path) -> None:
    source, loader = box.directory / "program.c", outside / "loader"
    source.write_text('#include <unistd.h>\nint main(void) { return write(1, "of the host\\n", 12) < 0; }\n')
    subprocess.run(["gcc", "-static", "-o", loader, source], check=True)

    def change(config: dict[str, Any]) -> None:
        program = box.own_rootfs(config) / "program"
        flags = ["-Wl,--dynamic-linker=/proc/self/fd/9/loader", "-o", str(program)]
        subprocess.run(["gcc", *flags, source], check=True)
        config["process"]["args"] = ["/program"]

    done = run(box, outside, "", change)
    assert done.returncode != 0 and not done.stdout


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_the_program_is_no_file_of_a_leaked_directory(box: Box, outside: Path, verb: str) -> None:
    program = ["/proc/self/fd/9/busybox", "echo", "of the host"]
    name = box.start()
    done = run(box, outside, program, nothing) if verb == "run" else leaking(box, outside, "exec", name, *program)
    assert done.returncode != 0 and not done.stdout
    assert "/proc/self/fd/9/busybox" in done.stderr


@pytest.mark.parametrize("cwd", ["/nonexist/../proc/self/fd/9/made", "/proc/self/fd/9/made", "/link/made"])
def test_a_missing_working_directory_is_not_made_on_the_host(box: Box, outside: Path, cwd: str) -> None:
    def change(config: dict[str, Any]) -> None:
        (box.own_rootfs(config) / "link").symlink_to("/proc/self/fd/9")
        config["process"]["cwd"] = cwd

    done = run(box, outside, "pwd", change)
    assert done.returncode != 0 and "cwd" in done.stderr
    assert [path.name for path in outside.iterdir()] == ["busybox"]


def test_a_preserved_directory_of_the_host_is_refused(box: Box, outside: Path) -> None:
    done = run(box, outside, "true", nothing, "--preserve-fds", "1", number=3)
    assert done.returncode != 0 and "descriptor 3 is a directory of the host" in done.stderr
    done = leaking(box, outside, "exec", "--preserve-fds", "1", box.start(), "true", number=3)
    assert done.returncode != 0 and "descriptor 3 is a directory of the host" in done.stderr
    done = run(box, outside, "ls /proc/self/fd/3/", nothing, "--preserve-fds", "1", "--preserve-directories", number=3)
    assert (done.returncode, done.stdout) == (0, "busybox\n")


def test_a_directory_as_standard_input_is_refused(box: Box, outside: Path) -> None:
    opened = os.open(outside, os.O_RDONLY)
    try:
        done = box.run("ls /proc/self/fd/0/..", stdin=opened)
    finally:
        os.close(opened)
    # If the whole interpreter is started, Python itself refuses the directory.
    assert done.returncode != 0 and "is a directory" in done.stderr


def test_a_preserved_file_reaches_the_program(box: Box) -> None:
    file = box.directory / "file"
    file.write_text("of the caller\n")
    done = run(box, file, "cat <&3", nothing, "--preserve-fds", "1", number=3)
    assert (done.returncode, done.stdout) == (0, "of the caller\n")


@pytest.mark.parametrize("at", ["exec", "init"])
@pytest.mark.parametrize("placement", ["hardened", "legacy"])
def test_a_script_reaches_nothing_that_loading_a_library_left_open(stage: Stage, at: str, placement: str) -> None:
    box = stage.box
    here = Path.cwd()
    words = stage.preload("lxc1", "--preload-at", at, "--placement", placement)
    for descriptor in range(3, 40):
        path = f"/proc/self/fd/{descriptor}/../../../../../../../../../../..{here}/../../../../bin/busybox"
        done = box.run("", lambda c, path=path: script(box, c, path), *words)
        assert done.returncode != 0 and not done.stdout, descriptor


def test_init_that_waits_for_start_has_its_streams_and_one_socket(box: Box) -> None:
    """All other descriptors are closed, not only marked close-on-exec: an open one is a way out during a look-up."""
    pid = box.state(box.create())["pid"]
    opened = {int(entry.name): os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    more = {number: path for number, path in opened.items() if number > 2}
    assert len(more) == 1 and all(path.startswith("socket:") for path in more.values()), opened
