"""Podman: shared and user namespaces, networks, pods, secrets and builds."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ground import Ground, cgroup_tops, remove_cgroups
from podman import Podman, prepared

pytestmark = pytest.mark.usefixtures("clean")
MAPS = ["--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536"]


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with prepared("podman-namespaces", archive) as made:
        yield made


def own(podman: Podman, kind: str, pid: str = "self") -> str:
    """Returns a namespace as seen in the ground's own /proc."""
    return podman.ground.ok("readlink", f"/proc/{pid}/ns/{kind}").strip()


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts", "net", "cgroupns"])
def test_namespace_of_the_host(podman: Podman, kind: str) -> None:
    name = kind.removesuffix("ns")
    seen = podman.out(
        ["readlink", f"/proc/self/ns/{name}"], f"--{kind}", "host", network="" if kind == "net" else "none"
    )
    assert seen.strip() == own(podman, name)


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts", "net"])
def test_namespace_of_another_container(podman: Podman, kind: str) -> None:
    # Podman shares System V IPC only of containers that allow it.
    podman.start("c", *(["--ipc", "shareable"] if kind == "ipc" else []))
    options = [f"--{kind}", "container:c"]
    seen = podman.out(["readlink", f"/proc/self/ns/{kind}"], *options, network="" if kind == "net" else "none")
    assert seen.strip() == own(podman, kind, podman.inspect("State.Pid"))


def test_namespaces_are_its_own_by_default(podman: Podman) -> None:
    podman.start("c", "--cgroupns", "private")
    pid = podman.inspect("State.Pid")
    assert not [
        kind for kind in ("cgroup", "ipc", "mnt", "net", "pid", "uts") if own(podman, kind, pid) == own(podman, kind)
    ]


def test_network_namespace_of_a_path(podman: Podman) -> None:
    podman.ground.ok("ip", "netns", "add", "given")
    try:
        podman.ground.ok("ip", "-n", "given", "link", "add", "here", "type", "veth", "peer", "name", "there")
        assert "there" in podman.out(["ip", "link"], "--network", "ns:/run/netns/given", network="")
    finally:
        podman.ground.ok("ip", "netns", "delete", "given")


def test_bridge_network(podman: Podman) -> None:
    podman.start("c", network="podman")
    address = podman.inspect("NetworkSettings.IPAddress")
    assert address in podman.ok("exec", "c", "ip", "-4", "addr", "show", "dev", "eth0")
    assert "1 packets received" in podman.out(["ping", "-c", "1", "-W", "5", address], network="podman")


def test_port_is_published(podman: Podman) -> None:
    script = "echo answer | nc -l -p 80"
    podman.start("c", "--publish", "127.0.0.1:8099:80", network="podman", args=["sh", "-c", script])
    podman.ok("exec", "c", "sh", "-c", "until netstat -ltn | grep -q :80; do sleep 0.05; done")
    assert podman.ground.ok("busybox", "nc", "-w", "5", "127.0.0.1", "8099", input="") == "answer\n"


def test_user_namespace_with_mapped_ids(podman: Podman) -> None:
    podman.start("c", *MAPS)
    pid = podman.inspect("State.Pid")
    assert podman.ground.path(f"/proc/{pid}/uid_map").read_text().split() == ["0", "100000", "65536"]
    assert podman.ground.path(f"/proc/{pid}/gid_map").read_text().split() == ["0", "200000", "65536"]
    assert os.stat(podman.ground.path(f"/proc/{pid}")).st_uid == 100000
    assert podman.ok("exec", "c", "sh", "-c", "touch /mine; stat -c %u:%g /mine /bin/busybox") == "0:0\n0:0\n"


def test_user_namespace_with_a_volume(podman: Podman) -> None:
    script = "echo x > /mnt/f; stat -c %u /mnt/f; cat /data/file; touch /tmp/a /dev/shm/b"
    assert podman.out(script, *MAPS, "--volume", "mapped:/mnt", "--tmpfs", "/data") == "0\nof the image\n"


def test_user_namespace_of_a_user_that_is_not_root(podman: Podman) -> None:
    assert podman.out("id -u; cat /proc/self/uid_map", *MAPS, "--user", "guest").split() == [
        "1000",
        "0",
        "100000",
        "65536",
    ]


def test_user_namespace_of_another_container(podman: Podman) -> None:
    podman.start("c", *MAPS)
    assert podman.out(["cat", "/proc/self/uid_map"], "--userns", "container:c").split() == ["0", "100000", "65536"]


def test_user_namespace_with_ids_found_by_the_engine(podman: Podman) -> None:
    files = [podman.ground.directory / kind for kind in ("subuid", "subgid")]
    for file in files:
        file.write_text("containers:300000:200000\n")
        podman.ground.ok("mount", "--bind", str(file), f"/etc/{file.name}")
    try:
        first, size = podman.out(["cat", "/proc/self/uid_map"], "--userns", "auto").split()[1:]
        assert int(first) >= 300000 and int(size) >= 1024
    finally:
        for file in files:
            podman.ground.ok("umount", f"/etc/{file.name}")


def test_secret_is_a_file_or_a_variable(podman: Podman) -> None:
    podman.ok("secret", "create", "word", "-", input="quiet")
    try:
        options = ["--secret", "word", "--secret", "word,type=env,target=WORD"]
        assert podman.out("cat /run/secrets/word; echo $WORD", *options) == "quietquiet\n"
    finally:
        podman.ok("secret", "rm", "word")


def pod(podman: Podman, *options: str) -> None:
    podman.ok("pod", "create", "--cgroup-parent", podman.ground.cgroup, "--name", "p", "--network", "none", *options)


def in_pod(podman: Podman, name: str, *args: str) -> str:
    return podman.ok("run", "--detach", "--pod", "p", "--name", name, "localhost/busybox", *(args or ("sleep", "1000")))


def test_pod_shares_its_sandbox(podman: Podman) -> None:
    pod(podman, "--hostname", "sandbox")
    in_pod(podman, "a")
    in_pod(podman, "b")
    a, b = (podman.inspect("State.Pid", name) for name in "ab")
    assert [kind for kind in ("ipc", "net", "uts") if own(podman, kind, a) != own(podman, kind, b)] == []
    assert own(podman, "pid", a) != own(podman, "pid", b) and own(podman, "mnt", a) != own(podman, "mnt", b)
    assert podman.ok("exec", "b", "hostname") == "sandbox\n"


def test_pod_shares_processes_when_asked(podman: Podman) -> None:
    pod(podman, "--share", "pid,net")
    in_pod(podman, "a", "sleep", "4321")
    in_pod(podman, "b")
    assert "sleep 4321" in podman.ok("exec", "b", "ps")


def test_pod_lies_in_a_cgroup_of_its_own(podman: Podman) -> None:
    pod(podman)
    in_pod(podman, "a")
    pid = podman.inspect("State.Pid", "a")
    line = next(
        line for line in podman.ground.path(f"/proc/{pid}/cgroup").read_text().splitlines() if ":memory:" in line
    )
    name = json.loads(podman.ok("pod", "inspect", "p"))["Id"]
    assert line.endswith(f"{podman.ground.cgroup}/{name}/libpod-{podman.inspect('ID', 'a')}")


def test_pod_is_paused_and_resumed(podman: Podman) -> None:
    pod(podman)
    in_pod(podman, "a")
    podman.ok("pod", "pause", "p")
    assert podman.status("a") == "paused"
    podman.ok("pod", "unpause", "p")
    assert podman.ok("exec", "a", "echo", "again") == "again\n"


def test_pod_is_stopped_and_started(podman: Podman) -> None:
    pod(podman)
    in_pod(podman, "a", "sh", "-c", "echo x >> /log; cat /log; sleep 1000")
    podman.await_log("x", "a")
    podman.ok("pod", "stop", "--time", "0", "p")
    assert podman.status("a") == "exited"
    podman.ok("pod", "start", "p")
    podman.await_log("x\nx\nx\n", "a")


def test_pod_is_killed_and_removed(podman: Podman) -> None:
    pod(podman)
    in_pod(podman, "a")
    podman.ok("pod", "kill", "p")
    podman.await_status("exited", "a")
    podman.ok("pod", "rm", "--force", "--time", "0", "p")
    podman.ground.settle()
    assert podman.ok("ps", "--all", "--quiet") == ""


def test_pod_of_a_kubernetes_file(podman: Podman) -> None:
    file = podman.ground.directory / "pod.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: k}\nspec:\n  restartPolicy: Never\n  containers:\n"
        "  - name: one\n    image: localhost/busybox:latest\n    imagePullPolicy: Never\n"
        "    command: [sh, -c, 'echo $GIVEN; id -u; sleep 1000']\n    env: [{name: GIVEN, value: v}]\n"
        "    securityContext: {runAsUser: 1000, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n"
        "    resources: {limits: {memory: 48Mi}}\n"
    )
    # Podman chooses the place of these cgroups, not below the ground's: the file has no setting for it.
    parents = [Path(top, "libpod_parent") for top in cgroup_tops()]
    made = [path for path in parents if not path.exists()]
    podman.ok("play", "kube", "--network", "none", str(file))
    podman.await_log("v\n1000\n", "k-one")
    pid = podman.inspect("State.Pid", "k-one")
    lines = dict(line.split(":")[1:] for line in podman.ground.path(f"/proc/{pid}/cgroup").read_text().splitlines())
    assert Path(f"/sys/fs/cgroup/memory{lines['memory']}/memory.limit_in_bytes").read_text() == f"{48 << 20}\n"
    podman.ok("play", "kube", "--down", str(file))
    podman.ground.settle()
    for path in made:
        remove_cgroups(str(path))


def build(podman: Podman, text: str, *options: str) -> str:
    """Builds an image from a Containerfile's ``text``; returns its name."""
    directory = podman.source(f"build-{len(list(podman.ground.directory.glob('build-*')))}")
    (directory / "Containerfile").write_text("FROM localhost/busybox\n" + text)
    (directory / "given").write_text("copied\n")
    name = f"localhost/{directory.name}"
    words = ["build", "--quiet", "--no-cache", "--network", "none", "--cgroup-parent", podman.ground.cgroup + "/build"]
    podman.ok(*words, *options, "--tag", name, str(directory))
    return name


def test_image_is_built(podman: Podman) -> None:
    text = 'ENV A=b\nRUN echo "$A" > /made\nWORKDIR /srv/x\nUSER guest\nRUN id -u > /home/guest/id || id -u > /tmp/id\n'
    name = build(podman, text + "COPY given /given\nCMD cat /made /given /tmp/id; pwd")
    assert podman.out([], image=name) == "b\ncopied\n1000\n/srv/x\n"


def test_build_has_secrets_and_mounts(podman: Podman) -> None:
    secret = podman.ground.directory / "secret"
    secret.write_text("hidden\n")
    run = (
        "RUN --mount=type=secret,id=s --mount=type=tmpfs,dst=/scratch cat /run/secrets/s > /copy && touch /scratch/x\n"
    )
    name = build(podman, run, "--secret", f"id=s,src={secret}")
    assert podman.out("cat /copy; ls -A /run/secrets /scratch 2>/dev/null", image=name, code=1).startswith("hidden\n")


def test_build_fails_as_its_command_does(podman: Podman) -> None:
    with pytest.raises(AssertionError, match="while running runtime: exit status 42"):
        build(podman, "RUN exit 42\n")
    assert podman.run(["true"]).returncode == 0
