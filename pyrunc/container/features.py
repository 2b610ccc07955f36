"""What this pyrunc does on this kernel, as the runtime-spec's features document (features.md, features-linux.md)."""

import posix

from pyrunc import __version__
from pyrunc.plan.capabilities import known
from pyrunc.plan.namespaces import PROC_NAMES
from pyrunc.plan.options import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

HOOKS: "Final" = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def exists(path: str) -> bool:
    """Whether ``path`` is there."""
    try:
        posix.stat(path)
        return True
    except OSError:
        return False


def features() -> "dict[str, Any]":
    """The document; only what works is true in it."""
    from typing import get_args

    from pyrunc.ffi._seccomp import lib
    from pyrunc.plan import seccomp
    from pyrunc.spec.seccomp import Architecture, Operator

    version = lib.seccomp_version()
    flags = list(seccomp.FLAGS)
    architectures = [
        name
        for name in get_args(Architecture)
        if lib.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
    ]
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.3.0",
        "hooks": list(HOOKS),
        "mountOptions": names(),
        "linux": {
            "namespaces": [name for name, file in PROC_NAMES.items() if exists(f"/proc/self/ns/{file}")],
            "capabilities": known(),
            "cgroup": _cgroup(),
            "seccomp": {
                "enabled": exists("/proc/sys/kernel/seccomp/actions_avail"),
                "actions": [*seccomp.ACTIONS, "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"],
                "operators": list(get_args(Operator)),
                "archs": architectures,
                "knownFlags": flags,
                "supportedFlags": flags,
            },
            "apparmor": {"enabled": exists("/sys/module/apparmor")},
            "selinux": {"enabled": exists("/sys/fs/selinux/enforce")},
            "intelRdt": {"enabled": exists("/sys/fs/resctrl/info")},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": {
            "io.github.seccomp.libseccomp.version": f"{version.major}.{version.minor}.{version.micro}",
            "org.opencontainers.runtime-tools.pyrunc.version": __version__,
        },
    }


def _cgroup() -> "dict[str, bool]":
    from pyrunc.cgroup.host import discover

    host = discover()
    return {
        "v1": any(hierarchy.version == 1 for hierarchy in host.hierarchies),
        "v2": host.unified is not None,
        "systemd": exists("/run/systemd/system"),
        "systemdUser": False,
        "rdma": host.of("rdma") is not None,
    }
