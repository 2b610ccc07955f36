"""--systemd-cgroup: systemd makes the cgroup, as a transient scope (systemd.scope(5)), asked for through busctl(1)."""

import posix

from pyrunc.errors import PyruncError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.types import Resources

PLACE = "linux.cgroupsPath"
NOT_RUNNING = "systemd not running on this host, cannot use systemd cgroups manager"
MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")


def parse(cgroups_path: str, container_id: str) -> "tuple[str, str]":
    """(slice, unit) of ``slice:prefix:name``; absent, ``system.slice`` and ``pyrunc-ID.scope``. SpecError otherwise."""
    if not cgroups_path:
        return "system.slice", f"pyrunc-{container_id}.scope"
    parts = cgroups_path.split(":")
    if len(parts) != 3 or not parts[2]:
        raise SpecError(PLACE, f"{cgroups_path!r} is not slice:prefix:name, as --systemd-cgroup wants it")
    slice_, prefix, name = parts
    unit = name if name.endswith(".slice") else f"{prefix}-{name}.scope" if prefix else f"{name}.scope"
    return slice_ or "system.slice", unit


def expand(slice_: str) -> str:
    """``a-b.slice`` lies in ``a.slice/a-b.slice`` (systemd.slice(5))."""
    if slice_ == "-.slice":
        return ""
    name = slice_.removesuffix(".slice")
    if name == slice_ or "/" in name or any(part == "" for part in name.split("-")):
        raise SpecError(PLACE, f"{slice_!r} is not the name of a slice")
    parts = name.split("-")
    return "/".join("-".join(parts[: count + 1]) + ".slice" for count in range(len(parts)))


def scope_path(cgroups_path: str, container_id: str) -> str:
    """Where the scope's cgroup is, from the top of each hierarchy."""
    slice_, unit = parse(cgroups_path, container_id)
    return f"/{expand(slice_)}/{unit}"


def properties(resources: "Resources | None", v2: bool) -> "list[tuple[str, str, str]]":
    """(name, D-Bus type, value) of the limits that systemd should know, so that a reload does not undo them."""
    found: list[tuple[str, str, str]] = []
    if resources is None:
        return found
    if resources.memory is not None and resources.memory.limit:
        limit = resources.memory.limit
        found.append(("MemoryMax" if v2 else "MemoryLimit", "t", str(limit if limit > 0 else (1 << 64) - 1)))
    cpu = resources.cpu
    if cpu is not None and cpu.shares:
        from pyrunc.cgroup.limits import shares_to_weight

        found.append(
            ("CPUWeight", "t", str(shares_to_weight(cpu.shares))) if v2 else ("CPUShares", "t", str(cpu.shares))
        )
    if cpu is not None and cpu.quota and cpu.quota > 0:
        period = cpu.period or 100000
        # systemd counts in steps of 10 ms a second.
        per_second = -(-cpu.quota * 1000000 // period // 10000) * 10000
        found.append(("CPUQuotaPerSecUSec", "t", str(per_second)))
    if resources.pids is not None and resources.pids.limit:
        limit = resources.pids.limit
        found.append(("TasksMax", "t", str(limit if limit > 0 else (1 << 64) - 1)))
    return found


def arguments(slice_: str, unit: str, pid: int, limits: "list[tuple[str, str, str]]") -> "list[str]":
    """The call of StartTransientUnit for busctl(1), signature ``ssa(sv)a(sa(sv))``."""
    settings: list[list[str]] = [
        ["Description", "s", f"pyrunc container {unit}"],
        ["Slice", "s", slice_],
        ["Delegate", "b", "true"],
        ["DefaultDependencies", "b", "false"],
        ["PIDs", "au", "1", str(pid)],
        *([name, kind, value] for name, kind, value in limits),
    ]
    if unit.endswith(".slice"):
        settings = [setting for setting in settings if setting[0] not in ("Slice", "PIDs", "Delegate")]
    flat = [word for setting in settings for word in setting]
    return [*MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "replace", str(len(settings)), *flat, "0"]


def check() -> None:
    """PyruncError in runc's words unless systemd is what runs this host (sd_booted(3))."""
    try:
        posix.stat("/run/systemd/system")
    except OSError:
        raise PyruncError(NOT_RUNNING) from None


def start(cgroups_path: str, container_id: str, pid: int, limits: "list[tuple[str, str, str]]") -> None:
    """Has systemd make the scope with ``pid`` in it, and waits until the cgroup is there."""
    check()
    _call(arguments(*parse(cgroups_path, container_id), pid, limits))


def change(unit: str, limits: "list[tuple[str, str, str]]") -> None:
    """Tells systemd the new limits of a running scope, which it would undo otherwise when it is reloaded."""
    if limits:
        _call(change_arguments(unit, limits))


def change_arguments(unit: str, limits: "list[tuple[str, str, str]]") -> "list[str]":
    """The call of SetUnitProperties for busctl(1), signature ``sba(sv)``; until the unit ends."""
    flat = [word for limit in limits for word in limit]
    return [*MANAGER, "SetUnitProperties", "sba(sv)", unit, "true", str(len(limits)), *flat]


def stop(unit: str) -> None:
    """Stops the scope; one that is gone is fine."""
    try:
        _call([*MANAGER, "StopUnit", "ss", unit, "replace"])
    except PyruncError as error:
        if "not loaded" not in str(error):
            raise


def _call(words: "list[str]") -> None:
    import subprocess

    try:
        done = subprocess.run(["busctl", "call", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PyruncError("busctl is missing: apt-get install systemd") from None
    if done.returncode:
        raise PyruncError(f"systemd: {done.stderr.strip()}")
