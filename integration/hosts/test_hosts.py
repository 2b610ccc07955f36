"""Hosts that a container has to cope with: filesystems mounted noexec, a /proc that hides processes, standard
streams that are sockets or the null device, users without a session, AppArmor without the profile."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers import also_on, is_peer

from harness import NOBODY, PYRUNC, ROOTFS, Box, base_config, namespace, skip_unless_a_user_may_run_it, wait_for

SYSTEMD = pytest.mark.skipif(not Path("/run/systemd/system").is_dir(), reason="systemd does not run this machine")
HOT = Path(__file__).resolve().parents[2] / "pyrunc" / "_bin" / "hot" / "state"
USER = 1000
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env", "-u", "XDG_RUNTIME_DIR"]


@pytest.fixture
def noexec(tmp_path: Path) -> Iterator[Path]:
    """A rootfs on a filesystem that the host mounted noexec."""
    mount = tmp_path / "noexec"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,nosuid,nodev", "none", str(mount)], check=True)
    try:
        shutil.copytree(ROOTFS, mount / "rootfs", symlinks=True, ignore=shutil.ignore_patterns("full", "zero"))
        yield mount / "rootfs"
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@also_on("runc")
@pytest.mark.parametrize("readonly", [True, False])
def test_a_root_on_a_file_system_mounted_noexec(box: Box, noexec: Path, readonly: bool) -> None:
    if is_peer(box) and not readonly:
        pytest.skip("runc executes nothing there, unless the root is read-only")
    change = lambda config: config.update(root={"path": str(noexec), "readonly": readonly})  # noqa: E731
    options = box.out("grep ' / / \\|/rootfs / ' /proc/self/mountinfo | cut -d' ' -f6", change).strip().split(",")
    assert "noexec" not in options
    if not is_peer(box):
        assert {"nosuid", "nodev"} <= set(options)


@pytest.mark.rootless
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.skipif(not HOT.exists(), reason="no archives of hot modules were built")
def test_a_command_starts_from_its_archive(box: Box) -> None:
    """And from nothing else: an archive whose sources have another time than it knows is left, and all is imported."""
    log = box.directory / "opened"
    traced = ["strace", "-f", "-e", "trace=openat", "-o", str(log)]
    subprocess.run([*traced, PYRUNC, "--root", str(box.root), "state", "nosuch"], capture_output=True, check=False)
    opened = log.read_text()
    assert str(HOT) in opened and "/encodings/" not in opened


@pytest.mark.rootless
def test_a_volume_mounted_noexec_stays_so(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "x", "options": ["noexec"]})

    done = box.run("cp /bin/busybox /tmp/ls; exec /tmp/ls", change)
    assert done.returncode == 126 and "ermission denied" in done.stderr


@pytest.mark.rootless
def test_a_program_on_a_mount_with_noexec_is_told_so(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["mounts"].append(
            {"destination": "/tmp", "type": "bind", "source": f"{ROOTFS}/bin", "options": ["bind", "noexec"]}
        )
        config["process"].update(args=["busybox"], env=["PATH=/tmp"])

    done = box.run("", change)
    assert done.returncode == 1 and "/tmp/busybox is on a mount with noexec: permission denied" in done.stderr


@pytest.fixture
def user_bundle() -> Iterator[Path]:
    """A rootless bundle of user 1000."""
    skip_unless_a_user_may_run_it()
    made = Path(tempfile.mkdtemp(prefix="pyrunc-hosts-", dir="/tmp"))
    config = base_config()
    config["root"] = {"path": str(ROOTFS), "readonly": True}
    config["process"]["args"] = ["sleep", "100"]
    namespace(config, "user")
    config["linux"].pop("resources", None)
    config["linux"]["namespaces"] = [s for s in config["linux"]["namespaces"] if s["type"] != "network"]
    config["mounts"] = [m for m in config["mounts"] if m["destination"] in ("/proc", "/dev")]
    for kind in ("uidMappings", "gidMappings"):
        config["linux"][kind] = [{"containerID": 0, "hostID": USER, "size": 1}]
    (made / "config.json").write_text(json.dumps(config))
    subprocess.run(["chown", "-R", f"{USER}:{USER}", str(made)], check=True)
    yield made
    shutil.rmtree(made)


LIFE = """
set -eu
mount -t proc -o hidepid=2 proc /proc
cd $1
state() { $AS $P --root state state $1 | grep -E '"(status|pid)"' | tr -d ' ,\\n'; echo; }
AS="$2" P=$3
$AS $P --root state create one </dev/null >/dev/null 2>log || cat log; state one
$AS $P --root state start one; state one
$AS $P --root state exec one echo inside
$AS $P --root state kill one KILL
for try in $(seq 100); do case $(state one) in *stopped*) break;; esac; sleep 0.05; done
state one
$AS $P --root state delete one; echo deleted
$AS $P --root state create two </dev/null >/dev/null 2>&1
$AS $P --root state delete --force two; $AS $P --root state list -q; echo end
"""


@pytest.mark.parametrize("runtime", [PYRUNC, "runc"], ids=["pyrunc", "runc"])
def test_a_proc_that_hides_processes(user_bundle: Path, runtime: str) -> None:
    """hidepid=2 hides init from its own user until the execve, because init is not dumpable."""
    if not (path := shutil.which(os.environ.get(runtime.upper(), runtime))):
        pytest.skip(f"{runtime} is not installed")
    words = ["unshare", "--mount", "sh", "-c", LIFE, "sh", str(user_bundle), " ".join(AS_USER), path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.stdout, done.stderr)
    created, started, inside, stopped, *rest = done.stdout.splitlines()
    assert '"status":"created"' in created and '"pid":0' not in created
    assert '"status":"running"' in started and '"pid":0' not in started
    assert inside == "inside" and '"status":"stopped"' in stopped
    assert rest == ["deleted", "end"]


@pytest.mark.parametrize("verb", ["create", "list"])
def test_a_user_without_a_session_is_told_how_to_get_one(user_bundle: Path, verb: str) -> None:
    """The kernel's error alone (mkdir /run/pyrunc/x: permission denied) does not say what to do."""
    os.makedirs("/run/pyrunc", mode=0o700, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    user_bundle.chmod(0o755)
    words = [PYRUNC, verb, *(["x"] if verb == "create" else [])]
    done = subprocess.run(
        words, text=True, capture_output=True, env=environment, **{**NOBODY, "cwd": user_bundle}, timeout=60
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "permission denied; XDG_RUNTIME_DIR is not set" in done.stderr and "--root" in done.stderr


@pytest.mark.rootless
@also_on("runc")
def test_standard_streams_that_are_sockets(box: Box) -> None:
    """The kernel cannot open a socket by a path, so /dev/stdout has to be something else."""
    ours, theirs = socket.socketpair()
    words = [box.program, "--root", str(box.root), "run", "-b"]
    script = (
        "cat /dev/stdin; echo direct; echo out >/dev/stdout; echo err >/dev/stderr; head -c 200000 /dev/zero; exit 3"
    )
    bundle = str(box.bundle(script))
    with subprocess.Popen([*words, bundle, box.new_id()], stdin=theirs, stdout=theirs, stderr=theirs) as process:
        theirs.close()
        ours.sendall(b"input\n")
        ours.shutdown(socket.SHUT_WR)
        parts = []
        while part := ours.recv(65536):
            parts.append(part)
        ours.close()
        assert process.wait(30) == 3
    output = b"".join(parts)
    assert output.count(b"\0") == 200000, output[:300]
    assert sorted(output.replace(b"\0", b"").split()) == sorted([b"input", b"direct", b"out", b"err"])


@pytest.mark.rootless
def test_a_reader_that_has_gone_is_told_to_the_writer(box: Box) -> None:
    ours, theirs = socket.socketpair()
    words = [PYRUNC, "--root", str(box.root), "run", "-b", str(box.bundle("yes")), box.new_id()]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs) as process:
        theirs.close()
        assert ours.recv(4096)
        ours.close()
        assert process.wait(30) == 1  # init does not receive SIGPIPE, but write(2) fails with EPIPE


@SYSTEMD
@also_on("runc")
def test_a_service_has_its_output_in_the_journal(box: Box) -> None:
    unit = f"pyrunc-test-{os.getpid()}-{Path(box.program).name}"
    bundle = str(box.bundle("echo direct; echo out >/dev/stdout; echo err >/dev/stderr"))
    service = ["systemd-run", "--quiet", "--wait", "--collect", f"--unit={unit}"]
    subprocess.run([*service, box.program, "--root", str(box.root), "run", "-b", bundle, box.new_id()], check=True)
    subprocess.run(["journalctl", "--sync"], check=True)
    read = ["journalctl", "--quiet", f"--unit={unit}", "--output=cat"]
    lines = subprocess.run(read, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line for line in lines if line in ("direct", "out", "err")] == ["direct", "out", "err"]


@pytest.mark.rootless
@also_on("runc")
def test_the_null_device_is_the_containers_own(box: Box) -> None:
    """CRIU finds no mount for a descriptor of the host's /dev/null."""
    name = box.start("sleep 100")
    look = 'for n in 0 1; do m=$(grep mnt_id /proc/1/fdinfo/$n | tr -dc 0-9); grep -c "^$m " /proc/1/mountinfo; done'
    assert box.ok("exec", name, "sh", "-c", look).split() == ["1", "1"]


@pytest.mark.rootless
def test_a_null_device_that_has_become_something_else(box: Box) -> None:
    """A file other than the null device is not opened: a FIFO would block exec for ever."""
    name = box.start("rm /dev/null; mkfifo /dev/null; : >/dev/shm/made; sleep 100")
    wait_for(lambda: box.call("exec", name, "ls", "/dev/shm/made").returncode == 0, "the FIFO")
    done = box.call("exec", name, "echo", "works", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, "works\n")


APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


@pytest.mark.skipif(not APPARMOR.exists(), reason="this kernel has no AppArmor")
def test_a_missing_profile_is_named(box: Box) -> None:
    done = box.run("true", lambda config: config["process"].update(apparmorProfile="no-such-profile"))
    assert done.returncode == 1 and not box.leftovers()
    assert done.stderr == 'pyrunc: process.apparmorProfile: AppArmor has no profile "no-such-profile" loaded\n'


PROFILE = """
profile pyrunc-test flags=(attach_disconnected,mediate_deleted) {
    file, capability, network, signal, ptrace, unix, mount, umount, pivot_root,
    deny /home/** w,
}
"""


@pytest.fixture
def profile() -> Iterator[str]:
    """An AppArmor profile that allows everything except writing below /home."""
    if not shutil.which("apparmor_parser"):
        pytest.skip("apparmor_parser is not installed")
    for word in ("--replace", "--remove"):
        done = subprocess.run(["apparmor_parser", "--skip-cache", word], input=PROFILE, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        if word == "--replace":
            yield "pyrunc-test"


@pytest.mark.skipif(not APPARMOR.exists(), reason="this kernel has no AppArmor")
@also_on("runc")
def test_a_profile_confines_the_container_and_what_is_executed_in_it(box: Box, profile: str) -> None:
    def change(config: dict[str, Any]) -> None:
        box.own_rootfs(config)
        config["process"]["apparmorProfile"] = profile

    script = "cat /proc/self/attr/current; echo x >/etc/made && echo made; echo x >/home/made || echo denied"
    wanted = f"{profile} (enforce)\nmade\ndenied\n"
    assert box.out(script, change) == wanted
    name = box.start("sleep 100", change)
    assert box.ok("exec", name, "sh", "-c", script) == wanted
    free = box.ok("exec", "--apparmor", "unconfined", name, "cat", "/proc/self/attr/current")
    assert free == "unconfined\n"


@SYSTEMD
@pytest.mark.skipif(shutil.which("criu") is None, reason="criu is not installed")
@also_on("runc")
def test_what_was_started_detached_is_dumped_and_restored(box: Box) -> None:
    """With the null device for standard streams, as engines start it."""
    name, nowhere = box.new_id(), {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "capture_output": False}
    # A loop, because a dumped sleep ends with EINTR after the restore.
    bundle = str(box.bundle("while true; do sleep 1; done"))
    box.call("run", "--detach", "-b", bundle, name, stderr=subprocess.DEVNULL, **nowhere)
    images = ["--image-path", str(box.directory / "images"), "--work-path", str(box.directory / "work")]
    box.ok("checkpoint", *images, name)
    words = ["restore", "--detach", *images, "--bundle", bundle, name]
    assert box.call(*words, stderr=subprocess.DEVNULL, **nowhere).returncode == 0
    assert box.state(name)["status"] == "running"
