"""What is set in the container's cgroups, and above them, is what config.json says, whatever a library wrote."""

import subprocess
from typing import Any

import pytest
from hostile_box import AT, HOSTILE, Stage

from limits import LAYOUT

LOG = "c 1:11 rw"
"""/dev/kmsg: open(2) for writing asks for nothing but the permission of the device cgroup."""


def library(stage: Stage, body: str) -> str:
    """One that does ``body`` when it is loaded; ``put_cgroup`` writes to files of its own cgroup."""
    path = stage.box.directory / "made.so"
    source = f'#include "{HOSTILE}/libraries/library.h"\nON_LOAD {{ {body} }}'
    subprocess.run(["gcc", "-x", "c", "-", "-shared", "-fPIC", "-o", path], input=source, text=True, check=True)
    return str(path)


def allows_by_default(config: dict[str, Any]) -> None:
    """All devices but one; and no cgroup namespace, so that the library finds its cgroup at ``init`` as well."""
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
    """An exception of "all devices" is shown by no file: the rules are set again (cgroup-v1/devices.rst)."""
    lifting = ["--preload-lib", library(stage, f'put_cgroup("devices", "devices.allow", "{LOG}");'), "--preload-at", at]
    bundle = str(stage.box.bundle(TRY, allows_by_default))
    for without, said in (("", "refused\n"), ("cgroup limits", "opened\n")):
        done = stage.pyrunc("run", "-b", bundle, *lifting, stage.box.new_id(), without=without)
        assert done.stdout == said, done.stderr


@pytest.mark.skipif(LAYOUT == "v2", reason="v2 has no file that lifts a device rule")
def test_exec_knows_what_is_denied_of_all_devices(stage: Stage) -> None:
    name = stage.box.start(change=allows_by_default)
    lifting = ["--preload-lib", library(stage, f'put_cgroup("devices", "devices.allow", "{LOG}");')]
    script = ["sh", "-c", TRY.replace("mknod", "rm -f /dev/k; mknod")]
    assert stage.pyrunc("exec", name, *script).stdout == "refused\n"
    for without, said in (("cgroup limits", "opened\n"), ("", "refused\n")):
        done = stage.pyrunc("exec", *lifting, name, *script, without=without)
        assert done.stdout == said, done.stderr


@pytest.mark.skipif(LAYOUT == "v2", reason="v2 has no file that lifts a device rule")
def test_device_rules_are_set_again_after_a_cgroup_below_is_removed(stage: Stage) -> None:
    """The kernel sets none while there are cgroups below, and counts those that are about to go."""
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
