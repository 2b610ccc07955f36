"""``process.selinuxLabel`` and ``process.apparmorProfile``: for the next execve (proc(5), attr/exec)."""

import posix

from pyrunc.errors import SpecError
from pyrunc.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.types import Process

MODULES = {
    # what must be there when the module is active: (path, attribute, prefix of what is written)
    "selinuxLabel": ("/sys/fs/selinux/enforce", "exec", ""),
    "apparmorProfile": ("/sys/module/apparmor/parameters/enabled", "apparmor/exec", "exec "),
}


def steps(process: "Process") -> "list[Step]":
    """SpecError when the config asks for a module that the kernel has not: it would silently not confine."""
    result = []
    for name, value in (("selinuxLabel", process.selinux_label), ("apparmorProfile", process.apparmor_profile)):
        if not value:
            continue
        path, attribute, prefix = MODULES[name]
        try:
            posix.stat(path)
        except OSError:
            module = "SELinux" if name == "selinuxLabel" else "AppArmor"
            raise SpecError(f"process.{name}", f"{module} is not enabled on this host") from None
        result.append(Step("security-label", f"process.{name}", attribute, prefix + value))
    return result
