"""The settings of the container's cgroups, and of those above, are config.json's, whatever a library wrote."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile_box import AT, HOSTILE, Stage

from harness import Box, cgroups_of
from limits import LAYOUT, UNIFIED, has_controller, limit, weight

LOG = "c 1:11 rw"
"""/dev/kmsg: open(2) for writing needs only the permission of the device cgroup."""


def allows_by_default(config: dict[str, Any]) -> None:
    """Allows all devices but one. No cgroup namespace, so that the library finds its cgroup at ``init`` as well."""
    config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != "cgroup"]
    config["linux"]["resources"]["devices"] = [
        {"allow": True, "access": "rwm"},
        {"allow": False, "type": "c", "major": 1, "minor": 11, "access": "rw"},
    ]
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind].append("CAP_MKNOD")


TRY = "mknod /dev/k c 1 11 && (: > /dev/k) 2>/dev/null && echo opened || echo refused"


@pytest.mark.skipif(LAYOUT == "v2", reason="v2 has no file that lifts a device rule")
@pytest.mark.parametrize("at", AT)
def test_what_is_denied_of_all_devices_stays_denied(stage: Stage, at: str) -> None:
    """No file shows an exception of "all devices", so the rules are set again (cgroup-v1/devices.rst)."""
    lifting = [
        "--preload-lib",
        made(stage.box.directory, f'put_cgroup("devices", "devices.allow", "{LOG}");'),
        "--preload-at",
        at,
    ]
    bundle = str(stage.box.bundle(TRY, allows_by_default))
    for without, said in (("", "refused\n"), ("cgroup limits", "opened\n")):
        done = stage.pyrunc("run", "-b", bundle, *lifting, stage.box.new_id(), without=without)
        assert done.stdout == said, done.stderr


@pytest.mark.skipif(LAYOUT == "v2", reason="v2 has no file that lifts a device rule")
def test_exec_knows_what_is_denied_of_all_devices(stage: Stage) -> None:
    name = stage.box.start(change=allows_by_default)
    lifting = ["--preload-lib", made(stage.box.directory, f'put_cgroup("devices", "devices.allow", "{LOG}");')]
    script = ["sh", "-c", TRY.replace("mknod", "rm -f /dev/k; mknod")]
    assert stage.pyrunc("exec", name, *script).stdout == "refused\n"
    for without, said in (("cgroup limits", "opened\n"), ("", "refused\n")):
        done = stage.pyrunc("exec", *lifting, name, *script, without=without)
        assert done.stdout == said, done.stderr


@pytest.mark.skipif(LAYOUT == "v2", reason="v2 has no file that lifts a device rule")
def test_device_rules_are_set_again_after_a_cgroup_below_is_removed(stage: Stage) -> None:
    """The kernel refuses rules while there are cgroups below, and counts those that are being removed."""
    script = f'put_cgroup("devices", "devices.allow", "{LOG}"); below("devices");'
    below = """
        static void below(const char *hierarchy) {
            char line[4096], path[8192];
            FILE *own = fopen("/proc/self/cgroup", "re");
            while (fgets(line, sizeof line, own) != NULL) {
                line[strcspn(line, "\\n")] = 0;
                char *place = strstr(line, ":devices:");
                if (place == NULL) continue;
                snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/below", hierarchy, place + 9);
                mkdir(path, 0755);
            }
            fclose(own);
        }
    """
    path = stage.box.directory / "below.so"
    source = f'#include "{HOSTILE}/libraries/library.h"\n{below}\nON_LOAD {{ {script} }}'
    subprocess.run(["gcc", "-x", "c", "-", "-shared", "-fPIC", "-o", path], input=source, text=True, check=True)
    words = ["--preload-lib", str(path), "-b", str(stage.box.bundle(TRY, allows_by_default))]
    done = stage.pyrunc("run", *words, stage.box.new_id())
    assert done.stdout == "refused\n" and "below removed" in done.stderr, done.stderr


def no_cgroup_namespace(config: dict[str, Any]) -> None:
    """Removes the cgroup namespace, so that the library finds its cgroup at ``init`` as well."""
    config["linux"]["namespaces"] = [space for space in config["linux"]["namespaces"] if space["type"] != "cgroup"]


MIB = 1 << 20
LIFTED = {
    "memory.max": (
        {"memory": {"limit": 64 * MIB, "swap": 64 * MIB}},
        """put_cgroup("memory", "memory.memsw.limit_in_bytes", "-1"); put_cgroup("memory", "memory.limit_in_bytes", "-1");
           put_cgroup("unified", "memory.max", "max");""",
        str(64 * MIB),
    ),
    "memory.low": (
        {"memory": {"reservation": 8 * MIB}},
        """put_cgroup("memory", "memory.soft_limit_in_bytes", "-1"); put_cgroup("unified", "memory.low", "0");""",
        str(8 * MIB),
    ),
    "pids.max": (
        {"pids": {"limit": 33}},
        """put_cgroup("pids", "pids.max", "max"); put_cgroup("unified", "pids.max", "max");""",
        "33",
    ),
    "cpu.max": (
        {"cpu": {"quota": 30000, "period": 60000}},
        """put_cgroup("cpu", "cpu.cfs_quota_us", "-1"); put_cgroup("unified", "cpu.max", "max");""",
        "30000 60000",
    ),
    "cpu.weight": (
        {"cpu": {"shares": 512}},
        """put_cgroup("cpu", "cpu.shares", "2"); put_cgroup("unified", "cpu.weight", "1");""",
        weight(512),
    ),
    "hugetlb.2MB.max": (
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
        """put_cgroup("hugetlb", "hugetlb.2MB.limit_in_bytes", "-1"); put_cgroup("unified", "hugetlb.2MB.max", "max");""",
        str(4 * MIB),
    ),
}
"""{file of v2: (linux.resources, a library's write, the value afterwards)}: on v1 the same with other names."""


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize("file", LIFTED)
def test_a_limit_that_is_lifted_holds(box: Box, file: str, at: str) -> None:
    if not has_controller(file.partition(".")[0]):
        pytest.skip(f"this host has no controller for {file}")
    resources, body, expected = LIFTED[file]

    words = ["--preload-lib", made(box.directory, body), "--preload-at", at]
    mutated = [sys.executable, str(HOSTILE / "mutated.py"), "cgroup limits", "--root", str(box.root)]
    for command, holds in ((box.command, True), (mutated, False)):
        name = box.new_id()

        def change(config: dict[str, Any], path: str = f"/{name}") -> None:
            no_cgroup_namespace(config)
            config["linux"]["resources"].update(resources)
            # Not below this process's cgroup: on v2 a cgroup with processes cannot enable controllers for its children.
            config["linux"]["cgroupsPath"] = path

        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        bundle = str(box.bundle("sleep 100", change))
        subprocess.run([*command, "create", "-b", bundle, *words, name], check=True, **quiet)
        assert (limit(name, file) == expected) == holds
        box.ok("delete", "--force", name)


MANY = [
    {"path": f"/dev/made{minor}", "type": "c", "major": 1, "minor": minor, "fileMode": 0o666, "uid": 0, "gid": 0}
    for minor in range(3, 203)
]
UNMAKES = {
    "another limit": 'put_cgroup("pids", "pids.max", "max");',
    "the device rules": 'put_cgroup("devices", "devices.deny", "c *:* m"); put_cgroup("devices", "devices.allow", "a");',
}


@pytest.mark.skipif(LAYOUT == "v2", reason="v2 has no file that lifts a device rule")
@pytest.mark.parametrize("what", UNMAKES)
def test_devices_are_made_while_settings_are_restored(box: Box, what: str) -> None:
    """The helper continues while the runtime restores settings. mknod(2) fails where the rules are away for a moment."""

    def change(config: dict[str, Any]) -> None:
        no_cgroup_namespace(config)
        config["linux"]["devices"] = MANY
        config["linux"]["resources"]["pids"] = {"limit": 33}
        config["linux"]["resources"]["devices"] = [
            {"allow": False, "access": "rwm"},
            *({"allow": True, "type": "c", "major": 1, "minor": d["minor"], "access": "rw"} for d in MANY),
        ]

    library = made(box.directory, UNMAKES[what])
    for _ in range(5):
        done = box.call(
            "run", "-b", str(box.bundle("true", change)), "--preload-at", "init", "--preload-lib", library, box.new_id()
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("at", AT)
def test_a_cgroup_that_is_frozen_is_thawed_or_no_container(box: Box, at: str) -> None:
    body = 'put_cgroup("freezer", "freezer.state", "FROZEN"); put_cgroup("unified", "cgroup.freeze", "1");'
    words = ["-b", str(box.bundle("true", no_cgroup_namespace)), "--preload-at", at, "--preload-timeout", "2"]
    done = box.call("run", *words, "--preload-lib", made(box.directory, body), box.new_id())
    assert done.returncode == 0 or "made.so: loading did not end within 2 s" in done.stderr, done.stderr
    assert not box.leftovers()


@pytest.mark.skipif(LAYOUT == "v1", reason="no v2 hierarchy")
@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize(
    ("file", "value"), [("cgroup.max.depth", "1"), ("cgroup.max.descendants", "0"), ("cgroup.pressure", "0")]
)
def test_settings_of_v2_that_no_controller_has_are_restored(box: Box, file: str, value: str, at: str) -> None:
    library = made(box.directory, f'put_cgroup("unified", "{file}", "{value}");')
    name = box.create("sleep 100", no_cgroup_namespace, "--preload-at", at, "--preload-lib", library)
    unified = next(Path(path) for path in cgroups_of(name) if str(path).startswith(str(UNIFIED)))
    assert (unified / file).read_text().strip() == ("1" if file == "cgroup.pressure" else "max")


@pytest.mark.skipif(LAYOUT == "v1", reason="no v2 hierarchy")
def test_controllers_are_handed_down_as_before(box: Box) -> None:
    """With a cgroup below, a library can disable a controller for it, and enable it again."""
    controllers = (UNIFIED / "cgroup.subtree_control").read_text().split()
    if not controllers:
        pytest.skip("v2 has no controller here")
    name = box.start("sleep 100", no_cgroup_namespace)
    unified = next(Path(path) for path in cgroups_of(name) if str(path).startswith(str(UNIFIED)))
    before = (unified / "cgroup.subtree_control").read_text()
    library = made(box.directory, f'put_cgroup("unified", "cgroup.subtree_control", "+{controllers[0]}");')
    box.call("exec", "--preload-lib", library, name, "true")
    assert (unified / "cgroup.subtree_control").read_text() == before


def made(directory: Path, body: str) -> str:
    """Builds a library that executes ``body`` when it is loaded; returns its path."""
    path = directory / "made.so"
    source = f'#include "{HOSTILE}/libraries/library.h"\nON_LOAD {{ {body} }}'
    subprocess.run(["gcc", "-x", "c", "-", "-shared", "-fPIC", "-o", path], input=source, text=True, check=True)
    return str(path)
