"""Kubernetes' side, containerd's CRI plugin with pyrunc as a runtime handler: pods, their containers' files, limits and rights."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cri import DEPLOY, Cri, ready
from ground import IMAGE, Ground

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture(scope="module")
def ground(archive: Path) -> Iterator[Ground]:
    with ready("cri", archive) as made:
        yield made


def test_engine_is_ready_and_knows_the_runtime(cri: Cri) -> None:
    answer = cri.call("Status", verbose=True)
    assert all(condition.status for condition in answer.status.conditions), answer.status
    assert cri.runtime in json.loads(answer.info["config"])["containerd"]["runtimes"]


def test_pod_is_ready_until_it_is_stopped(cri: Cri) -> None:
    pod = cri.pod()
    status = cri.call("PodSandboxStatus", pod_sandbox_id=pod).status
    assert status.state == cri.types.SANDBOX_READY and status.network.ip.startswith("10.88.7.")
    assert [item.runtime_handler for item in cri.call("ListPodSandbox").items] == [cri.runtime]
    cri.call("StopPodSandbox", pod_sandbox_id=pod)
    assert cri.call("PodSandboxStatus", pod_sandbox_id=pod).status.state == cri.types.SANDBOX_NOTREADY


def test_pod_is_stopped_and_removed_twice(cri: Cri) -> None:
    pod = cri.pod()
    for method in ("StopPodSandbox", "StopPodSandbox", "RemovePodSandbox", "RemovePodSandbox"):
        cri.call(method, pod_sandbox_id=pod)


def test_unknown_handler_is_told(cri: Cri) -> None:
    words = cri.error("RunPodSandbox", config=cri.pod_config(), runtime_handler="nonesuch")
    assert "nonesuch" in words


def test_run_prints_and_exits_with_the_status(cri: Cri) -> None:
    assert cri.out("echo out; echo err >&2; exit 7", code=7) in ("out\nerr\n", "err\nout\n")


def test_states_of_a_life(cri: Cri) -> None:
    pod = cri.pod()
    container = cri.create(pod)
    assert cri.status(container).state == cri.types.CONTAINER_CREATED
    cri.call("StartContainer", container_id=container)
    status = cri.status(container)
    assert status.state == cri.types.CONTAINER_RUNNING and status.started_at > 0
    cri.call("StopContainer", container_id=container, timeout=0)
    assert cri.status(container).state == cri.types.CONTAINER_EXITED and cri.status(container).exit_code == 137
    cri.call("RemoveContainer", container_id=container)
    assert list(cri.call("ListContainers").containers) == []


def test_environment_is_set(cri: Cri) -> None:
    assert cri.out("echo $A", envs=[{"key": "A", "value": "b c"}]) == "b c\n"


def test_working_directory_is_set(cri: Cri) -> None:
    assert cri.out("pwd", working_dir="/home") == "/home\n"


def test_user_by_name_has_its_group_and_home(cri: Cri) -> None:
    assert cri.out("id -u; id -g; echo $HOME", security={"run_as_username": "guest"}) == "1000\n1000\n/home/guest\n"


def test_user_by_number_with_more_groups(cri: Cri) -> None:
    security = {"run_as_user": {"value": 1234}, "run_as_group": {"value": 55}, "supplemental_groups": [66, 77]}
    assert set(cri.out("id -u; id -G", security=security).split()) == {"1234", "55", "66", "77"}


def test_root_file_system_is_read_only(cri: Cri) -> None:
    assert "Read-only file system" in cri.out("touch /x", code=1, security={"readonly_rootfs": True})


def test_bind_mount_is_written_through(cri: Cri) -> None:
    source = cri.source("bind")
    cri.out("echo inside > /mnt/it/file", mounts=[{"container_path": "/mnt/it", "host_path": str(source)}])
    assert (source / "file").read_text() == "inside\n"


def test_bind_mount_is_read_only(cri: Cri) -> None:
    mount = {"container_path": "/mnt", "host_path": str(cri.source("bind-ro")), "readonly": True}
    assert "Read-only file system" in cri.out("touch /mnt/x", code=1, mounts=[mount])


def test_bind_mount_propagation(cri: Cri) -> None:
    source = cri.source("propagation")
    cri.ground.ok("mount", "--bind", str(source), str(source))
    cri.ground.ok("mount", "--make-shared", str(source))
    try:
        mount = {"container_path": "/mnt", "host_path": str(source), "propagation": "PROPAGATION_HOST_TO_CONTAINER"}
        pod = cri.pod()
        container = cri.start(pod, mounts=[mount])
        cri.ground.ok("mkdir", "-p", f"{source}/later")
        cri.ground.ok("mount", "-t", "tmpfs", "tmpfs", f"{source}/later")
        assert "/mnt/later" in cri.said(container, "cat", "/proc/mounts")
        cri.remove_all()
    finally:
        cri.ground.ok("umount", "--recursive", str(source))


def test_volume_is_shared_by_the_containers_of_a_pod(cri: Cri) -> None:
    pod, mounts = cri.pod(), [{"container_path": "/mnt", "host_path": str(cri.source("shared"))}]
    cri.out("echo from the first > /mnt/file", pod, mounts=mounts)
    assert cri.out("cat /mnt/file", pod, mounts=mounts) == "from the first\n"


def test_device_is_added(cri: Cri) -> None:
    device = {"container_path": "/dev/mine", "host_path": "/dev/fuse", "permissions": "rwm"}
    assert cri.out("exec 3<>/dev/mine && ls -l /dev/mine", devices=[device]).startswith("crw")


def test_masked_and_read_only_paths(cri: Cri) -> None:
    security = {"masked_paths": ["/proc/timer_list", "/data"], "readonly_paths": ["/tmp"]}
    text = cri.out("wc -c < /proc/timer_list; ls /data; touch /tmp/x", code=1, security=security)
    # The log's order of the two streams may differ from the process's.
    assert "0" in text.splitlines() and "Read-only file system" in text and "file\n" not in text


def test_memory_limit_is_set(cri: Cri) -> None:
    container = cri.start(cri.pod(), resources={"memory_limit_in_bytes": 33554432})
    assert cri.limit(container, "memory", "memory.limit_in_bytes") == "33554432"


def test_out_of_memory_is_reported(cri: Cri) -> None:
    script = "tail -c 200m /dev/zero; code=$?; sleep 0.5; exit $code"
    container = cri.start(cri.pod(), script, resources={"memory_limit_in_bytes": 16777216})
    status = cri.await_exit(container)
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


def test_cpu_quota_and_shares(cri: Cri) -> None:
    resources = {"cpu_period": 100000, "cpu_quota": 50000, "cpu_shares": 512, "cpuset_cpus": "0"}
    container = cri.start(cri.pod(), resources=resources)
    assert [cri.limit(container, "cpu", file) for file in ("cpu.cfs_quota_us", "cpu.shares")] == ["50000", "512"]
    assert cri.limit(container, "cpuset", "cpuset.cpus") == "0"


def test_score_for_the_memory_killer(cri: Cri) -> None:
    # Above containerd's own inherited score: containerd sets no lower one (restrict_oom_score_adj).
    score = (int(Path("/proc/self/oom_score_adj").read_text()) + 1000) // 2
    assert cri.out("cat /proc/self/oom_score_adj", resources={"oom_score_adj": score}) == f"{score}\n"


def test_capabilities_added_and_dropped(cri: Cri) -> None:
    security = {"capabilities": {"add_capabilities": ["SYS_ADMIN"], "drop_capabilities": ["CHOWN"]}}
    text = cri.out("grep CapEff /proc/self/status", security=security)
    assert int(text.split()[1], 16) & (1 << 21 | 1) == 1 << 21


def test_every_capability_dropped(cri: Cri) -> None:
    text = cri.out("grep Cap /proc/self/status", security={"capabilities": {"drop_capabilities": ["ALL"]}})
    assert {line.split()[1] for line in text.splitlines()} == {"0000000000000000"}


def test_privileged(cri: Cri) -> None:
    pod = cri.pod(privileged=True)
    script = "mount -t tmpfs tmpfs /mnt && test -c /dev/fuse && grep -w Seccomp /proc/self/status"
    assert cri.out(script, pod, security={"privileged": True}) == "Seccomp:\t0\n"


def test_no_new_privileges(cri: Cri) -> None:
    assert cri.out("grep NoNewPrivs /proc/self/status", security={"no_new_privs": True}).split()[1] == "1"
    assert cri.out("grep NoNewPrivs /proc/self/status").split()[1] == "0"


def test_seccomp_default_profile(cri: Cri) -> None:
    security = {"seccomp": {"profile_type": "RuntimeDefault"}}
    text = cri.out("grep -w Seccomp /proc/self/status; unshare -U true 2>/dev/null; echo $?", security=security)
    assert text == "Seccomp:\t2\n1\n"


def test_seccomp_profile_of_a_file(cri: Cri) -> None:
    profile = cri.ground.directory / "profile.json"
    profile.write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}'
    )
    security = {"seccomp": {"profile_type": "Localhost", "localhost_ref": str(profile)}}
    assert "Operation not permitted" in cri.out("mkdir /tmp/x", code=1, security=security)


def test_seccomp_off(cri: Cri) -> None:
    security = {"seccomp": {"profile_type": "Unconfined"}}
    assert cri.out("grep -w Seccomp /proc/self/status", security=security) == "Seccomp:\t0\n"


def test_hostname_and_names_of_the_pod(cri: Cri) -> None:
    pod = cri.pod(hostname="the-pod", dns_config={"servers": ["10.1.2.3"], "searches": ["example"]})
    assert cri.out("hostname; grep -c 10.1.2.3 /etc/resolv.conf || true", pod).startswith("the-pod\n")


def test_kernel_setting_of_a_namespace(cri: Cri) -> None:
    pod = cri.pod(sysctls={"net.ipv4.ip_default_ttl": "33", "kernel.shm_rmid_forced": "1"})
    assert cri.out("cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/shm_rmid_forced", pod) == "33\n1\n"


def namespaces(cri: Cri, container: str, *kinds: str) -> list[str]:
    return [cri.ground.namespace(cri.pid(container), kind) for kind in kinds]


def test_containers_of_a_pod_share_its_namespaces(cri: Cri) -> None:
    pod = cri.pod()
    first, second = cri.start(pod), cri.start(pod)
    shared = ("net", "ipc", "uts")
    assert namespaces(cri, first, *shared) == namespaces(cri, second, *shared)
    assert namespaces(cri, first, "pid", "mnt") != namespaces(cri, second, "pid", "mnt")
    assert cri.said(first, "hostname") == cri.said(second, "hostname")


def test_pid_namespace_of_the_pod(cri: Cri) -> None:
    pod = cri.pod(pid="POD")
    first = cri.start(pod, "exec sleep 1001", security={"namespace_options": {"pid": "POD"}})
    second = cri.start(pod, security={"namespace_options": {"pid": "POD"}})
    assert namespaces(cri, first, "pid") == namespaces(cri, second, "pid")
    assert "sleep 1001" in cri.said(second, "ps") and "sleep 100000000" in cri.said(second, "ps")


def test_pid_namespace_of_another_container(cri: Cri) -> None:
    pod = cri.pod()
    target = cri.start(pod, "exec sleep 1001")
    debug = cri.start(pod, security={"namespace_options": {"pid": "TARGET", "target_id": target}})
    assert namespaces(cri, target, "pid") == namespaces(cri, debug, "pid")


def test_namespaces_of_the_host(cri: Cri) -> None:
    options = {"network": "NODE", "pid": "NODE", "ipc": "NODE"}
    pod = cri.pod(**options)
    container = cri.start(pod, security={"namespace_options": options})
    there = [cri.ground.ok("readlink", f"/proc/self/ns/{kind}").strip() for kind in ("net", "pid", "ipc")]
    assert namespaces(cri, container, "net", "pid", "ipc") == there


def test_pods_reach_each_other_by_network(cri: Cri) -> None:
    pod = cri.pod()
    cri.start(pod, "echo from pod to pod > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    address = cri.call("PodSandboxStatus", pod_sandbox_id=pod).status.network.ip
    assert cri.out(f"until wget -q -O - http://{address}/ 2>/dev/null; do sleep 0.1; done") == "from pod to pod\n"


def test_sample_pod_of_the_runtime_class_runs(cri: Cri) -> None:
    kind = yaml.safe_load((DEPLOY / "runtimeclass.yaml").read_text())
    sample = yaml.safe_load((DEPLOY / "pod.yaml").read_text())["spec"]
    assert sample["runtimeClassName"] == kind["metadata"]["name"] == kind["handler"] == "pyrunc"
    settings = (DEPLOY / "containerd-config.toml").read_text()
    assert re.search(rf"\[.*\.containerd\.runtimes\.{kind['handler']}\]", settings)
    container, person = sample["containers"][0], sample["securityContext"]
    wanted = container["securityContext"]
    security = {
        "run_as_user": {"value": person["runAsUser"]},
        "run_as_group": {"value": person["runAsGroup"]},
        "no_new_privs": not wanted["allowPrivilegeEscalation"],
        "readonly_rootfs": wanted["readOnlyRootFilesystem"],
        "capabilities": {"drop_capabilities": wanted["capabilities"]["drop"]},
        "seccomp": {"profile_type": wanted["seccompProfile"]["type"]},
    }
    text = cri.out(
        container["command"] + container["args"],
        security=security,
        resources={"memory_limit_in_bytes": 64 << 20, "cpu_quota": 50000, "cpu_period": 100000},
        image={"image": IMAGE},
    )
    words = text.split()
    assert text.startswith("hello from pyrunc\n") and words[words.index("Uid:") + 1] == "1000"
    assert words[words.index("NoNewPrivs:") + 1] == "1" and words[words.index("Seccomp:") + 1] == "2"
    assert words[words.index("CapEff:") + 1] == "0" * 16
