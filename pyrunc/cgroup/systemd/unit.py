"""Starts, changes and stops a container's unit. Each function returns after systemd has completed the operation."""

from pyrunc.cgroup.systemd import names
from pyrunc.cgroup.systemd.bus import BusError
from pyrunc.cgroup.systemd.manager import DEADLINE, MANAGER, NAME, PAUSE, manager
from pyrunc.cgroup.systemd.values import decode
from pyrunc.errors import PyruncError
from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.cgroup.systemd.manager import Manager

EXISTS = f"{NAME}.UnitExists"
NO_UNIT = f"{NAME}.NoSuchUnit"
UNIT = f"{NAME}.Unit"
SETTLED = 1.0
"""Seconds without a signal after which the unit's state is queried: a signal may be lost during a reload."""


def start(unit: str, slice_: str, pid: int, properties: "Sequence[str]") -> None:
    """Makes ``unit`` in ``slice_`` with the process ``pid``, and waits until it is active. ``properties``: as returned
    by ``encode``. A failed unit of the same name is reset first. PyruncError if systemd refuses."""
    given: list[list[Any]] = [[name, [kind, value]] for name, kind, value in decode(properties)]
    if unit.endswith(".slice"):
        pid = 0  # systemd places processes only in scopes; pyrunc joins the slice's cgroup like any other
    else:
        given = [["Slice", ["s", slice_]], ["PIDs", ["au", [pid]]], *given]
    systemd = manager()
    job = _start(systemd, unit, pid, given)
    if job:
        result = _await(systemd, job, unit)
        if result != "done":
            raise PyruncError(f"systemd: {unit} was not started: {result}{_status(systemd, unit)}")


def _start(systemd: "Manager", unit: str, pid: int, properties: "list[Any]") -> str:
    """Returns the job's object path, or "" if an earlier call whose reply was lost has already started the unit."""
    from time import monotonic, sleep

    end = monotonic() + DEADLINE
    while True:
        try:
            arguments = [unit, "replace", properties, []]
            return str(systemd.call("StartTransientUnit", "ssa(sv)a(sa(sv))", arguments).read("o")[0])
        except BusError as error:
            if error.name != EXISTS:
                raise PyruncError(f"systemd: {unit}: {error}") from None
        if pid and _is_in(pid, unit):
            return ""
        state = _state(systemd, unit)
        if state in ("active", "activating", "reloading") or monotonic() > end:
            raise PyruncError(f"systemd: unit {unit} exists already ({state})")
        # The unit has failed, and systemd unloads it after ResetFailedUnit; or it is stopping, and ends soon.
        _forget(systemd, unit)
        if state != "failed":
            sleep(PAUSE / 10)


def _await(systemd: "Manager", job: str, unit: str) -> str:
    """Waits for the job; returns its result, or ``timeout`` after DEADLINE seconds."""
    from time import monotonic

    end = monotonic() + DEADLINE
    while monotonic() < end:
        try:
            message = systemd.connect().next(min(SETTLED, end - monotonic()))
        except BusError:
            systemd.drop()
            message = None
        if message is None:
            if not _has_job(systemd, unit):
                return "done" if _state(systemd, unit) in ("active", "inactive") else "failed"
        elif message.is_signal(MANAGER[2], "JobRemoved"):
            _, path, _, result = message.read("uoss")
            if path == job:
                return str(result)
    return "timeout"


def _has_job(systemd: "Manager", unit: str) -> bool:
    """Whether a job of ``unit`` is waiting or running."""
    try:
        # A structure (uo). Its id is 0 if there is no job.
        return bool(systemd.get(names.object_path(unit), UNIT, "Job", "(uo)"))
    except BusError:
        return False


def _state(systemd: "Manager", unit: str) -> str:
    try:
        return str(systemd.get(names.object_path(unit), UNIT, "ActiveState", "s"))
    except BusError:
        return "inactive"


def _status(systemd: "Manager", unit: str) -> str:
    try:
        path = names.object_path(unit)
        sub = systemd.get(path, UNIT, "SubState", "s")
        result = systemd.get(path, f"{NAME}.Scope", "Result", "s")
        return f" (state {_state(systemd, unit)}, {sub}; result {result})"
    except BusError:
        return ""


def _is_in(pid: int, unit: str) -> bool:
    try:
        text = read(f"/proc/{pid}/cgroup")
    except OSError:
        return False
    return any(line.endswith(b"/" + unit.encode()) for line in text.split(b"\n"))


def _forget(systemd: "Manager", unit: str) -> None:
    try:
        systemd.call("ResetFailedUnit", "s", [unit])
    except BusError:
        pass  # the unit has not failed, or no longer exists


def attach(unit: str, directory: str, pid: int) -> None:
    """Asks systemd to move ``pid`` into the cgroup ``directory``: the unit's cgroup, or one below it (delegated).
    A user's manager forwards the request to the system's if it is not permitted to do it itself
    (org.freedesktop.systemd1(5), AttachProcessesToUnit). PyruncError if systemd refuses."""
    below = directory.partition(f"/{unit}")[2]
    try:
        manager().call("AttachProcessesToUnit", "ssau", [unit, below, [pid]])
    except BusError as error:
        raise PyruncError(f"systemd: {unit}: attach process {pid}: {error}") from None


def set_properties(unit: str, properties: "Sequence[str]") -> None:
    """Changes properties of the running unit. The change lasts as long as the unit."""
    if not properties:
        return
    given = [[name, [kind, value]] for name, kind, value in decode(properties)]
    try:
        manager().call("SetUnitProperties", "sba(sv)", [unit, True, given])
    except BusError as error:
        raise PyruncError(f"systemd: {unit}: {error}") from None


def stop(unit: str) -> None:
    """Stops the unit and waits until it has stopped. A missing unit is ignored; a failed one is reset."""
    systemd = manager()
    try:
        job = str(systemd.call("StopUnit", "ss", [unit, "replace"]).read("o")[0])
    except BusError as error:
        if error.name == NO_UNIT:
            return
        raise PyruncError(f"systemd: {unit}: {error}") from None
    result = _await(systemd, job, unit)
    _forget(systemd, unit)
    if result not in ("done", "canceled", "skipped"):
        raise PyruncError(f"systemd: {unit} was not stopped: {result}{_status(systemd, unit)}")
