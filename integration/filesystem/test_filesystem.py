"""The container's filesystem: mounts, propagation, devices, masks; read from /proc/self/mountinfo inside."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import ROOTFS, Box, namespace, user_namespace
from limits import LAYOUT


def mounts(text: str) -> dict[str, dict[str, str]]:
    """Parses mountinfo: {mount point: root, options, optional fields, type, source, superblock options} of the last."""
    found = {}
    for line in text.splitlines():
        if " - " not in line:
            continue
        first, _, last = line.partition(" - ")
        fields, (kind, source, superblock) = first.split(), last.split(" ", 2)
        found[fields[4]] = {
            "root": fields[3],
            "options": fields[5],
            "shared": " ".join(fields[6:]),
            "type": kind,
            "source": source,
            "super": superblock,
        }
    return found


def inside(box: Box, change: Any = None) -> dict[str, dict[str, str]]:
    return mounts(box.out("cat /proc/self/mountinfo", change))


def add(config: dict[str, Any], destination: str, kind: str, source: str, *options: str) -> None:
    config["mounts"].append({"destination": destination, "type": kind, "source": source, "options": list(options)})


def test_default_mounts(box: Box) -> None:
    found = inside(box)
    assert "ro" in found["/"]["options"].split(",")
    assert found["/proc"]["type"] == "proc"
    assert found["/dev"]["type"] == "tmpfs" and "mode=755" in found["/dev"]["super"]
    assert found["/dev/pts"]["type"] == "devpts" and "ptmxmode=666" in found["/dev/pts"]["super"]
    assert {"nosuid", "nodev", "noexec"} <= set(found["/dev/shm"]["options"].split(","))
    assert "ro" in found["/sys"]["options"].split(",")
    assert not any("shared:" in mount["shared"] for mount in found.values())


def test_the_root_is_ours_alone(box: Box) -> None:
    assert box.out("ls /").split() == sorted(os.listdir(ROOTFS)) or ".made" in os.listdir(ROOTFS)
    assert box.run("touch /x").returncode != 0


def test_bind_of_a_directory_and_a_file(box: Box) -> None:
    source = box.directory / "source"
    source.mkdir()
    (source / "a").write_text("from the host")

    def change(config: dict[str, Any]) -> None:
        box.own_rootfs(config)
        add(config, "/new/dir", "bind", str(source), "rbind", "ro", "nosuid")
        add(config, "/new/file", "bind", str(source / "a"), "bind")

    out = box.out("cat /new/dir/a /new/file; touch /new/dir/b; cat /proc/self/mountinfo", change)
    assert out.startswith("from the hostfrom the host")
    found = mounts(out)
    assert {"ro", "nosuid"} <= set(found["/new/dir"]["options"].split(","))
    assert not (source / "b").exists()


def test_relative_bind_source_is_of_the_bundle(box: Box) -> None:
    bundle = box.bundle("cat /mnt/x", lambda c: (box.own_rootfs(c), add(c, "/mnt", "bind", "data", "bind")))
    (bundle / "data").mkdir()
    (bundle / "data" / "x").write_text("mine")
    assert box.ok("run", "-b", str(bundle), box.new_id()) == "mine"


def test_recursive_options(box: Box) -> None:
    source = box.directory / "tree"
    (source / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "below", source / "below"], check=True)
    try:
        found = inside(
            box, lambda c: (box.own_rootfs(c), add(c, "/mnt", "bind", str(source), "rbind", "rro", "rnosuid"))
        )
    finally:
        subprocess.run(["umount", source / "below"], check=True)
    for path in ("/mnt", "/mnt/below"):
        assert {"ro", "nosuid"} <= set(found[path]["options"].split(","))


@pytest.mark.parametrize(
    ("option", "field"), [("shared", "shared:"), ("slave", ""), ("private", ""), ("unbindable", "unbindable")]
)
def test_propagation_of_a_mount(box: Box, option: str, field: str) -> None:
    found = inside(box, lambda c: (box.own_rootfs(c), add(c, "/mnt", "tmpfs", "t", option)))
    shared = found["/mnt"]["shared"]
    assert shared.startswith(field) if field else "shared:" not in shared


@pytest.mark.parametrize(
    ("value", "field"), [("shared", "shared:"), ("private", ""), ("rslave", ""), ("unbindable", "unbindable")]
)
def test_rootfs_propagation(box: Box, value: str, field: str) -> None:
    found = inside(box, lambda c: c["linux"].update(rootfsPropagation=value))
    assert field in found["/"]["shared"]


def test_tmpfs_options_reach_the_file_system(box: Box) -> None:
    found = inside(
        box, lambda c: (box.own_rootfs(c), add(c, "/mnt", "tmpfs", "t", "size=1m", "mode=700,nr_inodes=50", "noatime"))
    )
    assert {"size=1024k", "mode=700", "nr_inodes=50"} <= set(found["/mnt"]["super"].split(","))
    assert "noatime" in found["/mnt"]["options"].split(",")


def test_unknown_option_is_told_in_the_kernels_words(box: Box) -> None:
    done = box.run("true", lambda c: (box.own_rootfs(c), add(c, "/mnt", "tmpfs", "t", "nonsense=1")))
    assert done.returncode == 1
    assert done.stderr.startswith("pyrunc: mounts[7]: ") and "nonsense" in done.stderr


def test_tmpcopyup(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        root = box.own_rootfs(config)
        (root / "data" / "sub").mkdir(parents=True)
        (root / "data" / "sub" / "file").write_text("kept")
        (root / "data" / "sub" / "file").chmod(0o644)
        os.chown(root / "data" / "sub" / "file", 12, 34)
        (root / "data" / "link").symlink_to("sub/file")
        add(config, "/data", "tmpfs", "t", "tmpcopyup")

    out = box.out(
        "cat /data/link; stat -c '%a %u %g' /data/sub/file; echo x > /data/new; grep ' /data ' /proc/mounts", change
    )
    assert out.startswith("kept644 12 34\n") and "tmpfs" in out


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        (["noatime"], {"rw", "noatime"}),
        (["strictatime"], {"rw"}),
        (["noatime", "nodiratime", "ro"], {"ro", "noatime", "nodiratime"}),
        (["nosuid", "nodev", "noexec", "relatime"], {"rw", "nosuid", "nodev", "noexec", "relatime"}),
    ],
)
def test_tmpcopyup_with_attributes_of_the_mount(box: Box, options: "list[str]", flags: "set[str]") -> None:
    def change(config: dict[str, Any]) -> None:
        root = box.own_rootfs(config)
        (root / "data").mkdir()
        (root / "data" / "file").write_text("kept\n")
        add(config, "/data", "tmpfs", "t", *options, "tmpcopyup")

    kept, mounted = box.out("cat /data/file; grep ' /data ' /proc/self/mountinfo", change).splitlines()
    assert kept == "kept" and set(mounted.split()[5].split(",")) == flags


def test_symlinks_of_the_image_lead_nowhere(box: Box) -> None:
    """CVE-2021-30465 and similar: a mount point that is a link to the host's root."""
    victim = box.directory / "victim"
    victim.mkdir()

    def change(config: dict[str, Any]) -> None:
        root = box.own_rootfs(config)
        (root / "evil").symlink_to(f"../../../../../..{victim}")
        (root / "dangling").symlink_to("/not/there")
        add(config, "/evil", "tmpfs", "t")
        add(config, "/evil/deeper", "tmpfs", "t")
        add(config, "/dangling", "tmpfs", "t")

    found = inside(box, change)
    assert found[str(victim)]["type"] == "tmpfs" and found["/not/there"]["type"] == "tmpfs"
    assert not list(victim.iterdir())


@pytest.mark.parametrize("target", ["/proc/self/attr", "/proc/sys", "/proc/1", "/proc/self/exe"])
def test_nothing_is_mounted_over_proc(box: Box, target: str) -> None:
    """CVE-2019-16884, 2019-19921, 2023-27561: labels and sysctls are written there."""
    done = box.run(
        "true", lambda c: add(c, target, "bind", "/tmp" if target != "/proc/self/exe" else "/etc/hostname", "bind")
    )
    assert done.returncode == 1 and "mounts[7]" in done.stderr
    assert not box.leftovers()


def test_what_lxcfs_mounts_over_proc(box: Box) -> None:
    file = box.directory / "uptime"
    file.write_text("1 2\n")
    assert box.out("cat /proc/uptime", lambda c: add(c, "/proc/uptime", "bind", str(file), "bind")) == "1 2\n"


def test_devices_and_links(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["devices"] = [
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 1, "gid": 2},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
        ]

    out = box.out(
        "cd /dev; stat -c '%n %F %t:%T %a %u:%g' null zero full random urandom tty fuse pipe; for l in fd stdin stdout stderr ptmx; do readlink $l; done",
        change,
    )
    lines = out.splitlines()
    assert lines[0] == "null character special file 1:3 666 0:0"
    assert lines[5] == "tty character special file 5:0 666 0:0"
    assert lines[6] == "fuse character special file a:e5 640 1:2"
    assert lines[7].startswith("pipe fifo") and lines[7].endswith("600 0:0")
    assert lines[8:] == ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx"]


def test_devices_in_a_user_namespace_work(box: Box) -> None:
    assert box.out("echo x > /dev/null; head -c 3 /dev/zero | wc -c", user_namespace) == "3\n"


def test_masked_paths(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["maskedPaths"] = ["/proc/kcore", "/sys/firmware", "/not/there", "/etc/passwd", "/etc"]

    out = box.out("head -c 1 /proc/kcore | wc -c; ls /sys/firmware | wc -l; ls /etc | wc -l", change)
    assert out.split() == ["0", "0", "0"]


def test_readonly_paths(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        box.own_rootfs(config)
        config["linux"]["readonlyPaths"] = ["/proc/sys", "/tmp"]

    out = box.out(
        "touch /tmp/x || echo refused; echo 1 > /proc/sys/vm/drop_caches || echo refused; touch /y && echo made", change
    )
    assert out == "refused\nrefused\nmade\n"


def test_readonly_dev_still_has_its_devices(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        next(m for m in config["mounts"] if m["destination"] == "/dev")["options"].append("ro")

    assert box.out("touch /dev/x 2>/dev/null || echo refused; ls -d /dev/null /dev/fd", change).startswith(
        "refused\n/dev/fd\n/dev/null"
    )


def test_nothing_is_mounted_on_the_host(box: Box) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    box.out(
        "true",
        lambda c: (box.own_rootfs(c), add(c, "/mnt", "tmpfs", "t"), c["linux"].update(rootfsPropagation="rshared")),
    )
    assert Path("/proc/self/mountinfo").read_text() == before


def test_no_pivot(box: Box) -> None:
    assert box.out(
        "ls / | head -1; test -e /proc/1/root/etc/debian_version || echo inside", None, "--no-pivot"
    ).endswith("inside\n")


def test_sysctl(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["sysctl"] = {
            "net.ipv4.ip_forward": "1",
            "kernel.shm_rmid_forced": "1",
            "net/ipv4/conf/lo/forwarding": "1",
        }

    before = Path("/proc/sys/kernel/shm_rmid_forced").read_text()
    out = box.out("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced", change)
    assert out == "1\n1\n"
    assert Path("/proc/sys/kernel/shm_rmid_forced").read_text() == before


CGROUP = "/sys/fs/cgroup" if LAYOUT == "v2" else "/sys/fs/cgroup/memory"


def test_cgroup_mount_with_a_cgroup_namespace(box: Box) -> None:
    out = box.out(f"cat {CGROUP}/cgroup.procs; cat /proc/self/mountinfo; mkdir {CGROUP}/x 2>/dev/null || echo refused")
    assert out.startswith("1\n") and "refused" in out
    found = mounts(out)[CGROUP]
    assert found["type"] == ("cgroup2" if LAYOUT == "v2" else "cgroup") and "ro" in found["options"].split(",")


def test_cgroup_mount_without_a_cgroup_namespace(box: Box) -> None:
    def change(config: dict[str, Any]) -> None:
        config["linux"]["namespaces"] = [s for s in config["linux"]["namespaces"] if s["type"] != "cgroup"]

    assert inside(box, change)[CGROUP]["root"].endswith(box.ids[-1])


def test_id_mapped_mount(box: Box) -> None:
    source = box.directory / "data"
    source.mkdir()
    (source / "file").touch()
    os.chown(source / "file", 1000, 1000)

    def change(config: dict[str, Any]) -> None:
        box.own_rootfs(config)
        add(config, "/mnt", "bind", str(source), "bind", "idmap")
        mapping = [{"containerID": 1000, "hostID": 2000, "size": 1}]
        config["mounts"][-1].update(uidMappings=mapping, gidMappings=mapping)

    try:
        assert box.out("stat -c %u:%g /mnt/file", change) == "2000:2000\n"
    except AssertionError as error:
        if "map the ids of the mount" in str(error) and "invalid argument" in str(error):
            pytest.skip("the file system of this machine's temporary directory can't be id-mapped")
        raise


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("option", ["idmap", "ridmap"])
def test_id_mapped_mount_follows_the_user_namespace(box: Box, joined: bool, option: str) -> None:
    """Without explicit mappings: uid 7 on disk is uid 7 in the container, which is 100007 on the host."""
    source = box.directory / "data"
    source.mkdir()
    os.chown(source, 7, 7)
    first = box.state(box.start("sleep 100", user_namespace))["pid"] if joined else 0

    def change(config: dict[str, Any]) -> None:
        if joined:
            namespace(config, "user", f"/proc/{first}/ns/user")
        else:
            user_namespace(config)
        add(config, "/tmp", "bind", str(source), "rbind", option)

    done = box.run("stat -c %u:%g /tmp", change)
    if "map the ids of the mount" in done.stderr and "invalid argument" in done.stderr:
        pytest.skip("the file system of this machine's temporary directory can't be id-mapped")
    assert done.stdout == "7:7\n", done.stderr


def test_an_id_mapped_mount_without_mappings(box: Box) -> None:
    done = box.run("true", lambda c: add(c, "/tmp", "bind", "/tmp", "bind", "idmap"))
    assert done.returncode == 1
    assert (
        done.stderr == "pyrunc: mounts[7].uidMappings: an id-mapped mount needs mappings, its own or those of linux\n"
    )


@pytest.mark.parametrize(
    ("place", "module", "path"),
    [
        ("linux.mountLabel", "SELinux", "/sys/fs/selinux/enforce"),
        ("process.selinuxLabel", "SELinux", "/sys/fs/selinux/enforce"),
        ("process.apparmorProfile", "AppArmor", "/sys/module/apparmor/parameters/enabled"),
    ],
)
def test_a_label_that_no_module_enforces_is_refused(box: Box, place: str, module: str, path: str) -> None:
    if os.path.exists(path):
        pytest.skip(f"this kernel has {module}")
    section, name = place.split(".")
    done = box.run("true", lambda c: c[section].update({name: "some_label"}))
    assert done.returncode == 1 and done.stderr == f"pyrunc: {place}: {module} is not enabled on this host\n"
    assert not box.leftovers()


def test_overlay_with_a_long_lowerdir(box: Box) -> None:
    """fsconfig(2) takes at most 255 bytes; Docker and Podman pass kilobytes."""
    lower = [box.directory / ("layer" * 10 + str(i)) for i in range(8)]
    for number, path in enumerate(lower):
        path.mkdir()
        (path / f"file{number}").touch()

    def change(config: dict[str, Any]) -> None:
        box.own_rootfs(config)
        add(config, "/mnt", "overlay", "overlay", "lowerdir=" + ":".join(map(str, lower)))

    done = box.run("ls /mnt", change)
    if "unknown filesystem" in done.stderr or "no such device" in done.stderr:
        pytest.skip("the kernel has no overlay")
    assert done.stdout.split() == [f"file{i}" for i in range(8)], done.stderr


def test_rootfs_that_cannot_be_one(box: Box) -> None:
    file, link = box.directory / "file", box.directory / "link"
    file.touch()
    link.symlink_to(ROOTFS)
    for path, words in ((box.directory / "absent", "no such file"), (file, "not a directory"), (link, "symbolic link")):
        done = box.run("true", lambda c, p=path: c["root"].update(path=str(p)))
        assert done.returncode == 1 and done.stderr.startswith("pyrunc: root.path: ") and words in done.stderr
    assert not box.leftovers()
