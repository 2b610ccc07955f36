"""containerd-shim-pyrunc-v1: the mounts of a rootfs."""

import os
from collections.abc import Iterator

import pytest

from ground import Ground
from pod import (
    ROOTFS,
    Pod,
    Refused,
    bind,
    finish,
    mounts,
    name,
    opened,
    read_until,
)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with Ground("shim-rootfs") as made:
        yield made


def test_an_overlay_with_options_longer_than_a_page(pod: Pod) -> None:
    c = name(pod)
    top = pod.ground.directory / pod.group / "layers"
    pod.ground.ok("mkdir", "-p", str(top))
    pod.ground.ok("mount", "-t", "tmpfs", "tmpfs", str(top))
    layers = [f"{top}/{number}-{'x' * 150}" for number in range(60)]
    for path in (*layers, f"{top}/upper", f"{top}/work"):
        pod.ground.ok("mkdir", path)
    pod.ground.ok("sh", "-c", f"echo deep > {layers[-1]}/deep")
    lower = "lowerdir=" + ":".join([*layers, str(ROOTFS)])
    assert len(lower) > 8192
    mount = {"type": "overlay", "source": "overlay", "options": [lower, f"upperdir={top}/upper", f"workdir={top}/work"]}
    out = pod.fifo("out")
    reader = opened(out)
    change = lambda config: config["root"].update(readonly=False)  # noqa: E731
    link = pod.run(c, "cat /deep; echo new > /new", mounts=[mount], stdout=str(out), change=change)
    read_until(reader, b"deep\n")
    link.call("Wait", id=c)
    link.call("Delete", id=c)
    assert not any(path.endswith(f"{c}/rootfs") for path in mounts(pod))
    assert pod.ground.ok("cat", f"{top}/upper/new") == "new\n"
    pod.ground.ok("umount", str(top))
    os.close(reader)


def test_several_mounts_on_each_other_are_all_undone(pod: Pod) -> None:
    c = name(pod)
    empty = pod.ground.directory / pod.group / "empty"
    empty.mkdir()
    first = {"type": "bind", "source": str(empty), "options": ["bind"]}
    link = pod.run(c, "exec sleep 100", mounts=[first, *bind()])
    assert sum(path.endswith(f"{c}/rootfs") for path in mounts(pod)) == 2
    finish(pod, link, c)
    assert not any(path.endswith(f"{c}/rootfs") for path in mounts(pod))


def test_a_mount_that_fails_undoes_those_before_it(pod: Pod) -> None:
    c = name(pod)
    bundle = pod.bundle(c, "true")
    link = pod.start(c, bundle)
    wrong = {"type": "overlay", "source": "overlay", "options": ["lowerdir=/nonesuch"]}
    with pytest.raises(Refused, match=r"rootfs\[1\]: mount overlay: "):
        pod.create(link, c, bundle, mounts=[*bind(), wrong])
    assert not any(path.endswith(f"{c}/rootfs") for path in mounts(pod))
