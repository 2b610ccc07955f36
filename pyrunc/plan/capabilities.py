"""Names of capabilities and their bits (capabilities(7), linux/capability.h: the same on every architecture)."""

from pyrunc import log
from pyrunc.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrunc.spec.types import Capabilities

NAMES = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID"),
    *("CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST"),
    *("CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"),
    *("CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE"),
    *("CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE"),
    *("CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM"),
    *("CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"),
)
BITS = {name: 1 << number for number, name in enumerate(NAMES)}


def mask(names: "Iterable[str]") -> int:
    """Returns the bits of ``names``. An unknown name has none."""
    bits = 0
    for name in names:
        bits |= BITS.get(name, 0)
    return bits


def check(sets: "Capabilities") -> None:
    """Warns about unknown names, as runc does. Ambient capabilities that the kernel will not raise are logged at level
    debug only, unlike runc's warning: buildah passes some with every RUN, whose output the line would be part of.

    Raises SpecError for an effective capability that is not permitted, because capset(2) refuses it. So does runc.
    """
    asked = {*sets.bounding, *sets.effective, *sets.inheritable, *sets.permitted, *sets.ambient}
    if unknown := asked - BITS.keys():
        log.warning(f"process.capabilities: ignoring unknown capabilities {', '.join(sorted(unknown))}")
    for index, name in enumerate(sets.effective):
        if name in BITS and name not in sets.permitted:
            raise SpecError(f"process.capabilities.effective[{index}]", f"{name} is not in permitted")
    for name in sets.ambient:
        if name in BITS and not (name in sets.permitted and name in sets.inheritable):
            log.debug(f"process.capabilities.ambient: can't raise {name}: it is not both permitted and inheritable")
