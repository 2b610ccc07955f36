"""The counters in a cgroup's files."""

from pyrunc.linux.files import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNLIMITED = (1 << 64) - 1


class Files:
    """Reads the files of one cgroup. A missing file counts as empty or zero. Lines end at ``\\n`` only: the name of a
    device or an interface may contain other characters at which str.splitlines would split."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def text(self, name: str) -> str:
        try:
            return read(f"{self.directory}/{name}").decode("utf-8", "replace")
        except OSError:
            return ""

    def lines(self, name: str) -> "list[str]":
        return [line for line in self.text(name).split("\n") if line]

    def number(self, name: str) -> int:
        """Reads one number. Returns UNLIMITED for ``max``."""
        value = self.text(name).strip()
        digits = value.removeprefix("-")
        return UNLIMITED if value == "max" else int(value) if digits.isascii() and digits.isdigit() else 0

    def table(self, name: str) -> "dict[str, int]":
        """Reads a file whose lines are a key and a number. Other lines are skipped."""
        rows = (line.split(" ") for line in self.lines(name))
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isascii() and row[1].isdigit()}


def pressure(files: Files, name: str) -> "dict[str, Any]":
    """Returns ``psi`` if the kernel counts it: averages in percent, total in microseconds (accounting/psi.rst)."""
    found: dict[str, Any] = {}
    for line in files.lines(name):
        kind, *pairs = line.split(" ")
        values = (pair.partition("=")[::2] for pair in pairs)
        found[kind] = {key: int(value) if key == "total" else float(value) for key, value in values}
    return {"psi": found} if found else {}
