"""Compiles ``process.selinuxLabel`` and ``process.apparmorProfile``, which apply to the next execve (proc(5),
attr/exec), and ``linux.mountLabel``, a mount option."""

import posix

from pyrunc.errors import SpecError
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.types import Process

MODULES = {
    # {property: (a file that exists if the module is active, attribute, prefix of the written label)}
    "selinuxLabel": ("/sys/fs/selinux/enforce", "exec", ""),
    "apparmorProfile": ("/sys/module/apparmor/parameters/enabled", "apparmor/exec", "exec "),
}


def steps(process: "Process") -> "list[Step]":
    """Raises SpecError if the config names a security module that is not enabled, because the label would confine
    nothing."""
    result = []
    for name, value in (("selinuxLabel", process.selinux_label), ("apparmorProfile", process.apparmor_profile)):
        if not value:
            continue
        _, attribute, prefix = MODULES[name]
        _require(name, f"process.{name}")
        result.append(Step("security-label", f"process.{name}", attribute, prefix + value))
    return result


def mount_option(label: str) -> "list[str]":
    """Returns the mount option for ``linux.mountLabel`` (mount(8) "context")."""
    if not label:
        return []
    _require("selinuxLabel", "linux.mountLabel")
    return [f"context={label}"]


def _require(name: str, where: str) -> None:
    try:
        posix.stat(MODULES[name][0])
    except OSError:
        module = "SELinux" if name == "selinuxLabel" else "AppArmor"
        raise SpecError(where, f"{module} is not enabled on this host") from None
