"""The rows of `pyrunc check`: what was tried on this host for this user, and how to get what is missing."""

from collections.abc import Callable

YES, NO, LIMITED = "yes", "no", "limited"


class Row:
    """The result of one check. ``works``: YES, NO or LIMITED. ``required``: without it no container runs.

    ``detail``: what was found; ``remedy``: how to get what is missing, "" if there is nothing to do.
    """

    def __init__(
        self, area: str, name: str, works: str, detail: str = "", remedy: str = "", required: bool = False
    ) -> None:
        self.area, self.name, self.works = area, name, works
        self.detail, self.remedy, self.required = detail, remedy, required

    def data(self) -> dict[str, object]:
        """Returns the row as JSON has it."""
        return {
            "area": self.area,
            "name": self.name,
            "works": self.works,
            "detail": self.detail,
            "remedy": self.remedy,
            "required": self.required,
        }


def tried(area: str, name: str, attempt: Callable[[], str], remedy: str = "", required: bool = False) -> Row:
    """Makes a row from ``attempt``, which returns the detail, or raises OSError if the host refuses it."""
    try:
        return Row(area, name, YES, attempt(), required=required)
    except OSError as error:
        return Row(area, name, NO, (error.strerror or str(error)).lower(), remedy, required)


def table(rows: list[Row]) -> str:
    """Formats one line for each row, and below it the remedy."""
    widths = [max(len(getattr(row, column)) for row in rows) for column in ("area", "name", "works")]
    lines = []
    for row in rows:
        cells = (row.area, row.name, row.works)
        head = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append(f"{head}  {row.detail}".rstrip())
        if row.remedy:
            lines.append(f"{'':{sum(widths) + 6}}-> {row.remedy}")
    return "\n".join(lines)
