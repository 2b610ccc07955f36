"""Freezes a container by the v1 freezer (cgroup-v1/freezer-subsystem.rst) or v2's cgroup.freeze (cgroup-v2.rst)."""

from pyrunc import interrupts
from pyrunc.errors import PyruncError
from pyrunc.linux.files import read, write

FREEZE_TIMEOUT = 10.0
"""Seconds."""


class Freezer:
    """Freezes a container whose cgroups are ``dirs`` {hierarchy: directory}.

    ``directory``: the cgroup whose freezer is used, "" if there is none. ``v2``: whether it is a v2 cgroup."""

    __slots__ = ("directory", "v2")

    def __init__(self, dirs: "dict[str, str]") -> None:
        legacy = next((directory for name, directory in dirs.items() if "freezer" in name.split(",")), "")
        self.directory = legacy or dirs.get("", "")
        self.v2 = not legacy

    @property
    def frozen(self) -> bool:
        """Whether the processes are frozen, or being frozen."""
        try:
            text = read(f"{self.directory}/{'cgroup.freeze' if self.v2 else 'freezer.state'}").strip()
        except OSError:
            return False
        return bool(self.directory) and text in (b"1", b"FROZEN", b"FREEZING")

    def freeze(self) -> None:
        """Freezes every process and returns when all are frozen. After FREEZE_TIMEOUT thaws them again and raises
        PyruncError."""
        import time

        if not self.directory:
            raise PyruncError("the host has no freezer for this container")
        end = time.monotonic() + FREEZE_TIMEOUT
        self._set(True)
        try:
            while not self._settled():
                if time.monotonic() > end:
                    raise PyruncError("the container does not freeze (a process is in the kernel and can't be stopped)")
                if not self.v2:
                    # v1 freezes a child process that was forked in the meantime only after another write.
                    self._set(True)
                with interrupts.allowed:
                    time.sleep(0.001)
        except BaseException:
            try:
                self._set(False)
            except PyruncError:
                pass  # the error of the freeze is the one to report
            raise

    def thaw(self) -> None:
        """Lets the processes run again."""
        if self.directory:
            self._set(False)

    def _set(self, on: bool) -> None:
        file, value = ("cgroup.freeze", str(int(on))) if self.v2 else ("freezer.state", "FROZEN" if on else "THAWED")
        try:
            write(f"{self.directory}/{file}", value)
        except FileNotFoundError:
            return
        except OSError as error:
            raise PyruncError(f"{self.directory}: freeze: {(error.strerror or '').lower()}") from None

    def _settled(self) -> bool:
        if self.v2:
            return b"frozen 1" in read(f"{self.directory}/cgroup.events")
        return read(f"{self.directory}/freezer.state").strip() == b"FROZEN"
