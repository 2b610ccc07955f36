"""pyrunc as root of a user namespace of an unprivileged user, as rootless Podman and nested runtimes call it."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import PYRUNC, ROOTFS, base_config, namespace, skip_unless_a_user_may_run_it
from pyrunc.spec.json_text import dumps

HOST = 100000
MAPPED_USER = ["setpriv", f"--reuid={HOST}", f"--regid={HOST}", "--clear-groups"]
# As Podman does: a user namespace whose root is that user, and a mount namespace owned by it.
MAPPED = ["unshare", "--user", "--mount", "sh", "-c", 'echo ready; read go; exec "$@"', "sh"]


@pytest.fixture
def bundle() -> Iterator[Path]:
    """A bundle and a state directory that the user can reach."""
    skip_unless_a_user_may_run_it()
    made = Path(tempfile.mkdtemp(prefix="pyrunc-rootless-", dir="/tmp"))
    # Without devices that a container without its own /dev left there: copying /dev/full fills the disk.
    shutil.copytree(
        ROOTFS, made / "rootfs", symlinks=True, ignore=lambda parent, names: names if parent.endswith("/dev") else []
    )
    subprocess.run(["chown", "-R", f"{HOST}:{HOST}", str(made)], check=True)
    yield made
    shutil.rmtree(made)


def run(bundle: Path, script: str, *words: str, change: Any = None) -> "subprocess.CompletedProcess[str]":
    config = base_config()
    config["root"] = {"path": "rootfs"}
    config["process"]["args"] = ["sh", "-c", script]
    if change is not None:
        change(config)
    (bundle / "config.json").write_text(dumps(config))
    command = [PYRUNC, "--root", str(bundle / "state"), *words, "run", "--bundle", str(bundle), "mapped-root"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*MAPPED_USER, *MAPPED, *command], text=True, **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for kind in ("uid", "gid"):
            Path(f"/proc/{process.pid}/{kind}_map").write_text(f"0 {HOST} 65536\n")
        out, errors = process.communicate("go\n", timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, out, errors)


def test_a_container_in_the_user_namespace_that_is_there(bundle: Path) -> None:
    done = run(bundle, "id -u; cat /proc/self/uid_map; : > /dev/null && head -c 3 /dev/zero | wc -c")
    assert (done.stdout.split(), done.stderr) == (["0", "0", str(HOST), "65536", "3"], "")
    assert list((bundle / "state").glob("[!.]*")) == []


def test_a_container_in_a_user_namespace_below_it(bundle: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        namespace(config, "user")
        for kind in ("uidMappings", "gidMappings"):
            config["linux"][kind] = [{"containerID": 0, "hostID": 0, "size": 1000}]

    done = run(bundle, "cat /proc/self/uid_map; ls -ln /dev/null | cut -c1-10", change=change)
    assert (done.stdout.split(), done.stderr) == (["0", "0", "1000", "crw-rw-rw-"], "")


def test_a_limit_that_cannot_be_set_is_refused(bundle: Path) -> None:
    done = run(bundle, "true", change=lambda config: config["linux"].update(resources={"pids": {"limit": 9}}))
    assert done.returncode == 1 and "not ours to write" in done.stderr and done.stderr.count("\n") == 1
