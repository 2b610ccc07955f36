"""The features of this pyrunc, as the runtime-spec's features document (features.md, features-linux.md).

By the spec, most properties describe the runtime and not the host. Namespaces, capabilities and ``supportedFlags``
depend on the running kernel.
"""

import posix

from pyrunc.plan.capabilities import NAMES
from pyrunc.plan.mount_options import names
from pyrunc.plan.namespaces import PROC_NAMES
from pyrunc.plan.scheduling import MODE_FLAGS, MODES
from pyrunc.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

HOOKS: "Final" = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def exists(path: str) -> bool:
    """Whether ``path`` exists."""
    try:
        posix.stat(path)
        return True
    except OSError:
        return False


def features() -> "dict[str, Any]":
    """Returns the document."""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.3.0",
        "hooks": list(HOOKS),
        "mountOptions": names(),
        "linux": {
            "namespaces": [name for name, file in PROC_NAMES.items() if exists(f"/proc/self/ns/{file}")],
            "capabilities": known_capabilities(),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
            "seccomp": _seccomp(),
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
            "memoryPolicy": {"modes": list(MODES), "flags": list(MODE_FLAGS)},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": {
            "io.github.seccomp.libseccomp.version": _libseccomp(),
            "org.opencontainers.runtime-tools.pyrunc.version": VERSION,
        },
        # Names, or prefixes that end in a dot: properties of the systemd unit, and the file that CRIU is configured by.
        "potentiallyUnsafeConfigAnnotations": ["org.criu.config", "org.systemd.property."],
    }


def _seccomp() -> "dict[str, Any]":
    from typing import get_args

    from pyrunc.ffi._seccomp import lib
    from pyrunc.plan import seccomp
    from pyrunc.spec.seccomp import Architecture, Operator

    known_to_library = [
        name
        for name in get_args(Architecture)
        if lib.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
    ]
    # The kernel accepts WAIT_KILLABLE_RECV only together with NEW_LISTENER (seccomp(2)).
    listening = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": lib.SECCOMP_FILTER_FLAG_NEW_LISTENER}
    return {
        "enabled": True,
        "actions": [*seccomp.ACTIONS, "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"],
        "operators": list(get_args(Operator)),
        "archs": known_to_library,
        "knownFlags": list(seccomp.FLAGS),
        "supportedFlags": [
            name for name, flag in seccomp.FLAGS.items() if lib.pyrunc_knows_flag(flag | listening.get(name, 0))
        ],
    }


def _libseccomp() -> str:
    from pyrunc.ffi._seccomp import lib

    version = lib.seccomp_version()
    return f"{version.major}.{version.minor}.{version.micro}"


def known_capabilities() -> "list[str]":
    """Returns the names of the capabilities that the running kernel has."""
    from pyrunc.linux.files import read

    last = int(read("/proc/sys/kernel/cap_last_cap"))
    return list(NAMES[: last + 1])
