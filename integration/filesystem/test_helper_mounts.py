"""The helper's steps on paths and mounts against hostile images, checked from inside and from the host.

Plans are written here step by step and executed by the compiled helper, without a config.json: plans that pyrunc's
compiler never emits must be safe as well.
"""

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from helper_plan import (
    BUSYBOX,
    CHAR,
    DEVPTS,
    FILE,
    NULL,
    PROC,
    PROC_SYS,
    PROCFS,
    VOLUME,
    Image,
    attach,
    hook,
    mount,
    step,
)

from pyrunc.errors import StepError
from pyrunc.launch import helper
from pyrunc.plan.mount_options import MS_PRIVATE, MS_SHARED, MS_SLAVE, RDONLY
from pyrunc.plan.steps import Step

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts take root"),
    pytest.mark.skipif(BUSYBOX is None, reason="busybox is not installed"),
    pytest.mark.skipif(not os.path.exists(helper.STATIC), reason="the helper is not built"),
]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


@pytest.mark.parametrize(
    ("link", "leads", "found"),
    [
        ("l", "/tmp", "/tmp"),
        ("l", "../../../../../../tmp", "/tmp"),
        ("l", "/not/there", "/not/there"),
        ("etc/l", "../tmp/not/there", "/tmp/not/there"),
    ],
)
def test_a_symlink_in_the_image_never_leads_a_mount_outside(
    image: Image, capfd: pytest.CaptureFixture[str], link: str, leads: str, found: str
) -> None:
    (image.root / link).symlink_to(leads)
    name = f"pyrunc-{uuid.uuid4().hex}"
    assert image.run([attach(f"/{link}/{name}")], f"cat {found}/{name}/inside") == 0
    assert capfd.readouterr().out == "of the volume\n"
    assert not Path("/not").exists()
    assert not Path("/tmp", name).exists()


def test_a_missing_mount_point_is_made_where_a_dangling_link_leads(
    image: Image, capfd: pytest.CaptureFixture[str]
) -> None:
    (image.root / "etc" / "l").symlink_to("../tmp/made")
    assert image.run([attach("/etc/l", FILE)], "cat /tmp/made") == 0
    assert capfd.readouterr().out == "of the file\n"


@pytest.mark.parametrize("target", ["/", "/etc/..", "/self"])
def test_nothing_is_mounted_over_the_root(image: Image, target: str) -> None:
    (image.root / "self").symlink_to("/")
    for mounting in (attach(target), mount("tmpfs", target), mount("proc", target, on_proc=1)):
        with pytest.raises(StepError, match=r"is the container's root|must be mounted on an ordinary directory"):
            image.run([mounting])


@pytest.mark.parametrize(
    ("mounting", "words"),
    [
        (attach("/proc"), "not of type proc"),
        (mount("tmpfs", "/proc"), "not of type proc"),
        (attach("/proc", PROC_SYS), "not of type proc"),
        (attach("/proc/sys"), "inside /proc"),
        (attach("/link/sys"), "inside /proc"),
        (attach("/proc/self/attr/current", FILE), "inside /proc"),
        (attach("/proc/version", FILE), "inside /proc"),
    ],
)
def test_procfs_is_covered_by_nothing_else(image: Image, mounting: Step, words: str) -> None:
    (image.root / "link").symlink_to("proc")
    with pytest.raises(StepError, match=words):
        image.run([PROCFS, mounting])


@pytest.mark.parametrize("mounting", [attach("/proc/cpuinfo", FILE), attach("/proc", PROC), attach("/tmp/p", PROC)])
def test_what_lxcfs_emulates_and_a_whole_procfs_may_be_mounted(image: Image, mounting: Step) -> None:
    assert image.run([PROCFS, mounting]) == 0


def test_proc_is_not_mounted_through_a_symlink(image: Image) -> None:
    (image.root / "proc").rmdir()
    (image.root / "proc").symlink_to("tmp")
    with pytest.raises(StepError, match="must be mounted on an ordinary directory"):
        image.run([PROCFS])


@pytest.mark.parametrize("slot", [VOLUME, FILE])
def test_files_and_directories_are_not_mixed(image: Image, slot: int) -> None:
    (image.root / "etc" / "f").touch()
    with pytest.raises(StepError, match="not a directory"):
        image.run([attach("/etc/f" if slot == VOLUME else "/etc", slot)])


def test_the_kernels_own_words_are_told(image: Image) -> None:
    with pytest.raises(StepError, match="option color=red: tmpfs: Unknown parameter 'color': invalid argument"):
        image.run([mount("tmpfs", "/tmp", "color=red")])


@pytest.mark.parametrize("kind", ["link", "file", "other device", "none"])
def test_only_the_null_device_masks_a_file(image: Image, kind: str) -> None:
    null = image.root / "dev" / "null"
    if kind == "link":
        null.symlink_to("/etc/secret")
    elif kind == "file":
        null.touch()
    elif kind == "other device":
        os.mknod(null, CHAR | 0o666, os.makedev(1, 5))
    (image.root / "etc" / "secret").write_text("secret")
    with pytest.raises(StepError, match="/dev/null"):
        image.run([step("mask", "/etc/secret", "")])


def test_masked_and_read_only_paths(image: Image, capfd: pytest.CaptureFixture[str]) -> None:
    (image.root / "etc" / "secret").write_text("secret")
    (image.root / "hidden").mkdir()
    (image.root / "hidden" / "secret").write_text("secret")
    masks = [step("mask", path, "") for path in ("/etc/secret", "/hidden", "/not/there")]
    script = "cat /etc/secret; ls /hidden; touch /hidden/x || touch /tmp/x || echo both read-only"
    assert image.run([NULL, *masks, step("read-only", "/tmp"), step("read-only", "/not/there")], script) == 0
    assert capfd.readouterr().out == "both read-only\n"


def test_a_sysctl_stays_below_proc_sys(image: Image) -> None:
    with pytest.raises(StepError, match="invalid cross-device link"):
        image.run([step("sysctl", "../sysrq-trigger", "h")])
    script = "test $(cat /proc/sys/net/ipv4/ip_forward) = 1"
    assert image.run([PROCFS, step("sysctl", "net/ipv4/ip_forward", "1")], script) == 0


def test_a_tmpfs_starts_with_what_it_covers(image: Image, capfd: pytest.CaptureFixture[str]) -> None:
    source = image.root / "data"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "program").write_text("x")
    os.chown(source / "deep" / "program", 5, 6)
    (source / "deep" / "program").chmod(0o4751)
    (source / "link").symlink_to("deep/program")
    os.utime(source / "deep", (1, 2))
    script = "cd /data; stat -c '%a %u %g' deep/program; readlink link; stat -c %Y deep; touch deep/x"
    assert image.run([step("copy-up", "/data", "tmpfs", (), 0, 0)], script) == 0
    assert capfd.readouterr().out == "4751 5 6\ndeep/program\n2\n"
    assert not (source / "deep" / "x").exists()


def test_what_is_no_file_is_not_read_for_a_tmpfs(image: Image, capfd: pytest.CaptureFixture[str]) -> None:
    """A device has no end, and a FIFO no writer: they are made again."""
    source = image.root / "data"
    source.mkdir()
    os.mknod(source / "endless", CHAR | 0o644, os.makedev(1, 5))
    os.mkfifo(source / "pipe")
    (source / "file").write_text("x")
    assert image.run([step("copy-up", "/data", "tmpfs", ("size=1m",), 0, 0)], "cd /data; stat -c '%F' *") == 0
    assert capfd.readouterr().out == "character special file\nregular file\nfifo\n"


@pytest.mark.parametrize(
    ("covered", "words"), [("/dev/pts/ptmx", "cross-device"), (None, "not a devpts"), ("/dev/console", "symbolic link")]
)
def test_a_console_comes_from_devpts_alone(image: Image, covered: "str | None", words: str) -> None:
    (image.root / "dev" / "pts").mkdir()
    steps = [] if covered is None else [DEVPTS]
    steps += [attach(covered, FILE)] if covered == "/dev/pts/ptmx" else []
    steps += [step("symlink", "/etc/f", "/dev/console")] if covered == "/dev/console" else []
    with pytest.raises(StepError, match=words):
        image.run([*steps, step("console", 0, 0, 1)])


def test_a_node_of_the_image_is_kept_only_if_it_is_the_same(image: Image) -> None:
    assert image.run([NULL, NULL]) == 0
    with pytest.raises(StepError, match="not the device that is asked for"):
        image.run([step("device", "/dev/null", CHAR, 1, 5, 0o666, 0, 0)])


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo first >&2; echo why >&2; exit 3", "hook /bin/sh: exit status 3: first why"),
        ("kill -9 $$", "signal 9"),
        ("echo slow >&2; sleep 100 & sleep 100", "timed out after 1 s: slow"),
        ("yes | head -c 200000 >&2; echo the end >&2; exit 1", "the end"),
        ("cat >&2; exit 1", '{"pid":1}'),
    ],
)
def test_a_hook_that_fails_is_quoted(image: Image, script: str, words: str) -> None:
    with pytest.raises(StepError) as caught:
        image.run([hook(script, timeout=1 if "slow" in script else 0)])
    assert words in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_hook_gets_no_descriptor_and_may_leave_its_state_unread(image: Image) -> None:
    assert image.run([PROCFS, hook('test "$(ls /proc/self/fd | wc -l)" -le 4; exit $?'), hook("exit 0")]) == 0


@pytest.mark.parametrize("last", ["pivot", "move-root"])
@pytest.mark.parametrize("propagation", [MS_SLAVE, MS_SHARED, MS_PRIVATE])
def test_nothing_of_the_container_shows_on_a_shared_host(tmp_path: Path, last: str, propagation: int) -> None:
    # A separate mount namespace acts as a host whose mounts are all shared, as systemd sets them up.
    script = 'mount -t tmpfs tmpfs "$3" && mount --make-rshared / && exec "$@"'
    host = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    play = [sys.executable, __file__, str(tmp_path), last, str(propagation)]
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    result = subprocess.run([*host, *play], capture_output=True, text=True, env=env)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def _run_and_compare_mounts(directory: str, last: str, propagation: str) -> None:
    # Opened before, because a failure may include the loss of /proc.
    with open("/proc/self/mountinfo") as mounts:
        before = mounts.read()
        steps = [PROCFS, NULL, attach("/volume"), mount("tmpfs", "/tmp"), step("mask", "/proc/fs", "")]
        Image(Path(directory)).run(steps, last=last, propagation=int(propagation))
        mounts.seek(0)
        print(*set(before.splitlines()) ^ set(mounts.read().splitlines()), sep="\n", end="")


def test_read_only_attributes_of_one_mount(image: Image) -> None:
    steps = [attach("/volume", set_=RDONLY)]
    assert image.run(steps, "! touch /volume/x 2>/dev/null") == 0
    assert image.run([*steps, step("mount-attributes", "/volume", 0, RDONLY, 0)], "touch /volume/x") == 0


def test_mount_points_are_made_while_another_container_changes_the_names(image: Image, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (image.root / "a").mkdir()
    (image.root / "b").symlink_to(outside)
    swapper = _swap_for_ever(image.root / "a", image.root / "b")
    try:
        for number in range(50):
            # The step may fail if the swapper wins every time; it must never act outside.
            with contextlib.suppress(StepError):
                image.run(
                    [attach(f"/a/{number}/f", FILE), step("device", f"/a/d{number}/null", CHAR, 1, 3, 0o666, 0, 0)]
                )
    finally:
        os.kill(swapper, 9)
        os.waitpid(swapper, 0)
    assert list(outside.iterdir()) == []


def _swap_for_ever(one: Path, other: Path) -> int:
    """Starts a process that exchanges two names as fast as it can (renameat2 RENAME_EXCHANGE)."""
    import ctypes

    exchange: Callable[..., int] = ctypes.CDLL(None).renameat2
    pid = os.fork()
    while pid == 0:
        exchange(-100, bytes(one), -100, bytes(other), 2)
    return pid


if __name__ == "__main__":
    _run_and_compare_mounts(*sys.argv[1:])
