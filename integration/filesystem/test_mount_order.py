"""Sources that are opened at their mount's turn, spellings of destinations, and remounts."""

import ctypes
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers import also_on

from harness import Box, user_namespace


def bind(destination: str, source: str | Path, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": "bind", "source": str(source), "options": ["rbind", *options]}


def attributes(text: str, target: str) -> set[str]:
    """Returns the per-mount options of the mount at ``target``, from mountinfo."""
    return set(next(line.split()[5].split(",") for line in text.splitlines()[::-1] if line.split()[4] == target))


@pytest.mark.parametrize("mapped", [False, True], ids=["host", "user"])
def test_a_source_may_lie_in_what_an_earlier_mount_provides(box: Box, mapped: bool) -> None:
    data = box.directory / "data"
    data.mkdir()
    (data / "inside").write_text("of the volume\n")

    def change(config: dict[str, Any]) -> None:
        root = box.own_rootfs(config)
        (root / "a").mkdir()
        (root / "b").write_text("")
        config["mounts"] += [bind("/a", data), bind("/b", root / "a" / "inside")]
        if mapped:
            user_namespace(config)
            box.open_to_all()

    assert box.out("cat /b", change) == "of the volume\n"


@pytest.mark.parametrize("mapped", [False, True], ids=["host", "user"])
def test_descriptors_do_not_grow_with_the_mounts(box: Box, mapped: bool) -> None:
    """With a user namespace they do grow, up to the hard limit; the process does not keep the raised limit."""
    data = box.directory / "data"
    data.mkdir()

    def change(config: dict[str, Any]) -> None:
        del config["process"]["rlimits"]
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
        config["mounts"] += [bind(f"/tmp/m{number}", data) for number in range(300)]
        if mapped:
            user_namespace(config)
            box.open_to_all()

    bundle = box.bundle("grep -c /tmp/m /proc/self/mountinfo; ulimit -n", change)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512 if mapped else 256))

    done = box.call("run", "-b", str(bundle), box.new_id(), preexec_fn=limit)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["300", "256"]


@pytest.mark.parametrize("mapped", [False, True], ids=["host", "user"])
def test_what_is_unbindable_on_the_host_is_bound(box: Box, mapped: bool) -> None:
    source = box.directory / "unbindable"
    source.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", source], check=True)
    try:
        subprocess.run(["mount", "--make-unbindable", source], check=True)
        (source / "inside").write_text("of the volume\n")

        def change(config: dict[str, Any]) -> None:
            config["mounts"].append(bind("/tmp", source))
            if mapped:
                user_namespace(config)
                box.open_to_all()

        assert box.out("cat /tmp/inside", change) == "of the volume\n"
    finally:
        subprocess.run(["umount", source], check=True)


@also_on("runc>=1.5")
@pytest.mark.parametrize("mapped", [False, True], ids=["host", "user"])
def test_a_root_that_is_unbindable_on_the_host_is_one(box: Box, mapped: bool) -> None:
    place = box.directory / "unbindable"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    try:

        def change(config: dict[str, Any]) -> None:
            shutil.copytree(box.own_rootfs(config), place / "rootfs", symlinks=True)
            config["root"]["path"] = str(place / "rootfs")
            if mapped:
                user_namespace(config)
                box.open_to_all()

        bundle = box.bundle("echo in", change)
        subprocess.run(["mount", "--make-unbindable", place], check=True)
        assert box.ok("run", "-b", str(bundle), box.new_id()) == "in\n"
    finally:
        subprocess.run(["umount", place], check=True)


def test_an_unbindable_mount_below_a_source_is_bound_with_it(box: Box) -> None:
    source = box.directory / "source"
    (source / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", source / "below"], check=True)
    try:
        subprocess.run(["mount", "--make-unbindable", source / "below"], check=True)
        (source / "below" / "inside").write_text("of the volume\n")
        assert box.out("cat /tmp/below/inside", lambda c: c["mounts"].append(bind("/tmp", source))) == "of the volume\n"
    finally:
        subprocess.run(["umount", source / "below"], check=True)


@pytest.mark.parametrize("destination", ["tmp/x", "tmp/x/", "/tmp/x/.", "/tmp//x/./"])
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_destination_may_be_relative_and_end_in_a_slash(box: Box, destination: str, kind: str) -> None:
    source = box.directory / "source"
    if kind == "file":
        source.write_text("of the host\n")
    else:
        source.mkdir()
        (source / "file").write_text("of the host\n")

    def change(config: dict[str, Any]) -> None:
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
        config["mounts"].append(bind(destination, source))

    assert box.out("cat /tmp/x" if kind == "file" else "cat /tmp/x/file", change) == "of the host\n"


@pytest.mark.parametrize("destination", ["C:\\data", "c:/data", "\\\\host\\share", "\\data"])
def test_a_destination_of_windows_is_refused(box: Box, destination: str) -> None:
    done = box.run("true", lambda c: c["mounts"].append({"destination": destination, "type": "tmpfs"}))
    assert done.returncode != 0 and "destination" in done.stderr


SOURCES = [
    [],
    ["ro"],
    ["noexec"],
    ["nosuid"],
    ["nodev"],
    ["noatime"],
    ["relatime"],
    ["nosymfollow"],
    ["nodiratime"],
    ["noatime", "nodiratime"],
    ["ro", "nosuid", "nodev", "noexec", "nosymfollow", "noatime"],
]
PLAIN = {"ro": "rw", "noexec": "exec", "nosuid": "suid", "nodev": "dev", "nosymfollow": "symfollow"}
"""Attributes that a mount has only if requested, and their opposites."""
KINDS = ["noatime", "relatime", "strictatime"]
LATER = [f"{no}{kind}" for kind in ("atime", "relatime", "strictatime") for no in ("", "no")]
OPTIONS = [
    [],
    *([option] for pair in PLAIN.items() for option in pair),
    *([option] for option in (*LATER, "nodiratime", "diratime")),
    *(
        [option]
        for option in ("sync", "async", "dirsync", "mand", "lazytime", "silent", "loud", "iversion", "noiversion")
    ),
    *([option] for option in ("private", "rprivate", "slave", "shared")),
    *([f"r{option}"] for pair in PLAIN.items() for option in pair),
    *([a, b] for a in ("ro", "noatime", "nosuid") for b in ("rw", "ro", "exec", "relatime", "nodiratime", "rprivate")),
    *([a, b] for a in LATER for b in LATER if a != b),
    *([a, "nodiratime"] for a in KINDS),
    ["diratime", "noatime"],
    ["nodiratime", "diratime", "noatime"],
    ["ro", "rrw"],
    ["rw", "rro"],
    ["rnoexec", "exec"],
    ["ro", "nosuid", "nodev", "noexec", "nosymfollow", "noatime", "nodiratime"],
]


def bound(source: list[str], options: list[str]) -> set[str]:
    """Returns the flags of a bind mount of ``source`` by mount(2): with any flag a second call, MS_REMOUNT | MS_BIND,
    sets all of them anew, except those of atime if none of these is requested (path_mount, MNT_ATIME_MASK)."""
    single = [option for option in options if option in {*PLAIN, *PLAIN.values()}]
    flags = [option for option in options if not (option[0] == "r" and option[1:] in {*PLAIN, *PLAIN.values()})]
    flags = [option for option in flags if option not in ("private", "rprivate", "slave", "shared")]
    found = set(source)
    if flags:
        asked: set[str] = set()
        for option in flags:
            off = option.removeprefix("no") if option.startswith("no") and option[2:] in KINDS else ""
            asked.discard(off or {"atime": "noatime", "diratime": "nodiratime"}.get(option, ""))
            if option in (*KINDS, "nodiratime"):
                asked.add(option)
        kept = set() if asked else found & {"noatime", "relatime", "nodiratime"}
        kind = next(
            (kind for kind in ("strictatime", "noatime", "relatime") if kind in asked), "relatime" if asked else ""
        )
        found = {name for name, opposite in PLAIN.items() if last(single, name, opposite) == name}
        found |= kept | (asked & {"nodiratime"}) | ({kind} - {"", "strictatime"})
    for option in options:
        if option[0] == "r" and option[1:] in PLAIN:
            found.add(option[1:])
        elif option[0] == "r" and option[1:] in PLAIN.values():
            found -= {name for name, opposite in PLAIN.items() if opposite == option[1:]}
    return found


def last(options: list[str], *wanted: str) -> str:
    """Returns the last of ``wanted`` that is among ``options``."""
    return next((option for option in reversed(options) if option in wanted), "")


FLAGS = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "nosymfollow": 256}
FLAGS |= {"noatime": 1 << 10, "nodiratime": 1 << 11, "relatime": 1 << 21, "strictatime": 1 << 24}


@pytest.fixture
def sources(box: Box) -> Iterator[list[Path]]:
    """A mount of the host with each of SOURCES."""
    made: list[Path] = []
    library = ctypes.CDLL(None, use_errno=True)
    try:
        for number, source in enumerate(SOURCES):
            path = box.directory / f"source{number}"
            path.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
            made.append(path)
            kinds = [] if {"noatime", "relatime"} & {*source} else ["strictatime"]
            flags = sum(FLAGS[name] for name in [*source, *kinds])
            # mount(8) may be older than nosymfollow.
            assert library.mount(b"none", bytes(path), None, ctypes.c_ulong(32 | 4096 | flags), None) == 0
        yield made
    finally:
        for path in made:
            subprocess.run(["umount", path], check=True)


@also_on("runc>=1.5")
def test_flags_of_a_bind_mount(box: Box, sources: list[Path]) -> None:
    """Tests every set of options with every source."""
    wrong = []
    for options in OPTIONS:

        def change(config: dict[str, Any], options: list[str] = options) -> None:
            config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
            config["mounts"] += [bind(f"/tmp/{number}", path, *options) for number, path in enumerate(sources)]

        text = box.out("cat /proc/self/mountinfo", change)
        for number, source in enumerate(SOURCES):
            found = attributes(text, f"/tmp/{number}") & {*FLAGS}
            if found != bound(source, options):
                wrong.append((source, options, found, bound(source, options)))
    assert wrong == []


@pytest.mark.parametrize(
    ("options", "outcome"),
    [(["rw"], 1), (["exec"], 1), (["rrw"], 1), (["rexec"], 1), (["ro"], 0), (["nosuid"], 0), ([], 0)],
)
def test_flags_of_the_host_are_locked_in_a_user_namespace(box: Box, options: list[str], outcome: int) -> None:
    path = box.directory / "source"
    path.mkdir()
    box.open_to_all()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro,noexec", path], check=True)

        def change(config: dict[str, Any]) -> None:
            user_namespace(config)
            config["mounts"].append(bind("/tmp", path, *options))

        done = box.run("cat /proc/self/mountinfo", change)
    finally:
        subprocess.run(["umount", path], check=True)
    assert (done.returncode != 0) == bool(outcome), done.stderr
    if outcome:
        assert "operation not permitted" in done.stderr
    else:
        assert {"ro", "noexec"} <= attributes(done.stdout, "/tmp")


def test_a_remount_applies_the_options_of_the_file_system(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["mounts"].append({"destination": "/dev/shm", "type": "tmpfs", "options": ["remount", "size=128m"]})
        config["mounts"].append({"destination": "/proc", "type": "proc", "options": ["remount", "hidepid=2"]})

    lines = box.out("cat /proc/self/mounts", change).splitlines()
    assert "size=131072k" in next(line for line in lines if " /dev/shm " in line)
    proc = next(line for line in lines if " /proc proc " in line)
    assert "hidepid=2" in proc or "hidepid=invisible" in proc


def test_an_unknown_option_of_a_remount_is_an_error(box: Box) -> None:
    mount = {"destination": "/dev/shm", "type": "tmpfs", "options": ["remount", "nonsense=1"]}
    done = box.run("true", lambda c: c["mounts"].append(mount))
    assert done.returncode != 0 and "nonsense" in done.stderr


def test_tmpcopyup_onto_a_missing_directory_is_open_to_all_users(box: Box) -> None:
    mount = {"destination": "/tmp/missing", "type": "tmpfs", "options": ["tmpcopyup"]}

    def change(config: dict[str, Any]) -> None:
        config["mounts"] += [{"destination": "/tmp", "type": "tmpfs"}, mount]

    assert box.out("stat -c %a /tmp/missing", change) == "1777\n"


@pytest.mark.parametrize(
    "path", ["/etc/secret", "/etc/secret/", "/etc/secret/.", "//etc//secret//", "/etc/../etc/secret"]
)
def test_a_masked_path_is_masked_however_it_is_written(box: Box, path: str) -> None:
    def change(config: dict[str, Any]) -> None:
        root = box.own_rootfs(config)
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc" / "secret").write_text("secret\n")
        config["linux"]["maskedPaths"] = [path]

    assert box.out("cat /etc/secret", change) == ""


def test_a_path_masked_twice_is_masked_once(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["maskedPaths"] = ["/proc/fs", "/proc/fs/", "/proc/fs"]
        config["linux"]["readonlyPaths"] = []

    assert box.out("grep -c ' /proc/fs ' /proc/self/mountinfo", change) == "1\n"


def test_the_root_cannot_be_masked(box: Box) -> None:
    done = box.run("true", lambda c: c["linux"].update(maskedPaths=["/"]))
    assert done.returncode != 0 and "cannot be masked" in done.stderr


@pytest.mark.parametrize("path", ["/", "//", "/.", "/link"])
def test_a_read_only_path_may_be_the_root(box: Box, path: str) -> None:
    def change(config: dict[str, Any]) -> None:
        (box.own_rootfs(config) / "link").symlink_to("/")
        config["linux"]["readonlyPaths"] = [path]
        config["process"]["cwd"] = "/made"

    assert (
        box.out("touch /x 2>/dev/null || echo read-only; touch /dev/shm/x && echo tmpfs", change)
        == "read-only\ntmpfs\n"
    )


@pytest.mark.parametrize("path", ["/etc/file/", "/etc/file/."])
def test_a_read_only_file_is_read_only_however_it_is_written(box: Box, path: str) -> None:
    def change(config: dict[str, Any]) -> None:
        (box.own_rootfs(config) / "etc" / "file").write_text("")
        config["linux"]["readonlyPaths"] = [path]

    assert box.out("echo x 2>/dev/null > /etc/file || echo read-only", change) == "read-only\n"


def test_a_missing_working_directory_is_made_although_the_root_is_read_only(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        box.own_rootfs(config)
        config["root"]["readonly"] = True
        config["process"]["cwd"] = "/new/directory"

    assert box.out("pwd; touch /new/x 2>/dev/null || echo read-only", change) == "/new/directory\nread-only\n"


def test_the_hostname_is_no_sysctl(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        del config["hostname"]
        config["linux"]["sysctl"] = {"kernel.hostname": "x"}

    done = box.run("true", change)
    assert done.returncode != 0 and 'conflicts with the OCI "hostname" field' in done.stderr
