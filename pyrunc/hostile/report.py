"""Writes the grid of verify-preload as an SVG picture, or as an HTML page that contains the picture."""

from html import escape

from pyrunc.errors import PyruncError
from pyrunc.hostile.verify import BACK, ELSEWHERE, HOME, REFUSED, TOP, UNKNOWN, Series
from pyrunc.linux.output import replace

COLOURS = {
    HOME: "#2f9e5f",
    BACK: "#e0a800",
    TOP: "#c92a2a",
    ELSEWHERE: "#7048e8",
    REFUSED: "#868e96",
    UNKNOWN: "#dee2e6",
}
WORDS = {
    HOME: "where it belongs",
    BACK: "moved back",
    TOP: "in the root cgroup",
    ELSEWHERE: "elsewhere",
    REFUSED: "refused",
    UNKNOWN: "unknown",
}
IDS = {HOME: "h", BACK: "p", TOP: "r", ELSEWHERE: "e", REFUSED: "x", UNKNOWN: "u"}
CELL, LABEL, HEADING = 12, 110, 34
LEGEND = 150
"""Pixels: the side of a cell, the width of the row labels, the height of a heading, the width of a legend entry."""


def picture(all_series: "list[Series]") -> str:
    """Returns an SVG with a heading and a grid for each series. A row is a hierarchy, a column is a run."""
    widest = max((len(series.runs) for series in all_series), default=0)
    width = max(LABEL + CELL * widest, LEGEND * len(WORDS)) + CELL
    parts, top = [_cells(), _legend()], CELL * 2
    for series in all_series:
        parts.append(f'<text x="0" y="{top + HEADING - CELL}" font-weight="bold">{escape(series.sentence())}</text>')
        parts += _grid(series, top + HEADING)
        top += HEADING + CELL * _rows(series)
    style = 'font-family="monospace" font-size="10" fill="#495057"'
    view = f'width="{width}" height="{top + CELL}" viewBox="0 0 {width} {top + CELL}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view} {style}>\n' + "\n".join(parts) + "\n</svg>\n"


def _rows(series: Series) -> int:
    return len(series.runs[0].marks) if series.runs else 0


def _cells() -> str:
    """Defines a cell of each colour, which the grids reuse."""
    side = f'width="{CELL - 1}" height="{CELL - 1}"'
    return "".join(
        f'<defs><rect id="{IDS[mark]}" {side} fill="{colour}"><title>{WORDS[mark]}</title></rect></defs>'
        for mark, colour in COLOURS.items()
    )


def _legend() -> str:
    return "".join(
        f'<use href="#{IDS[mark]}" x="{LEGEND * at}" y="2"/><text x="{LEGEND * at + CELL + 4}" y="{CELL}">{word}</text>'
        for at, (mark, word) in enumerate(WORDS.items())
    )


def _grid(series: Series, top: int) -> "list[str]":
    rows = []
    for row, name in enumerate(series.runs[0].marks if series.runs else ()):
        y = top + row * CELL
        cells = [f'<text x="{LABEL - 6}" y="{y + CELL - 2}" text-anchor="end">{escape(name or "cgroup2")}</text>']
        cells += [
            f'<use href="#{IDS[run.marks[name]]}" x="{LABEL + column * CELL}" y="{y}"/>'
            for column, run in enumerate(series.runs)
        ]
        rows.append("".join(cells))
    return rows


def page(library: str, all_series: "list[Series]") -> str:
    """Returns an HTML page that contains the picture."""
    return (
        "<!doctype html><meta charset=utf-8><title>verify-preload</title>"
        "<body style='font-family:sans-serif;margin:2em'>"
        f"<h1>{escape(library)} in a container's init path</h1>"
        "<p>A row is a cgroup hierarchy, a column a container, in the order of their delays.</p>"
        f"{picture(all_series)}</body>\n"
    )


def write(path: str, library: str, all_series: "list[Series]") -> None:
    """Writes the report to ``path``: the picture alone if the name ends in ``.svg``, else the page."""
    text = picture(all_series) if path.endswith(".svg") else page(library, all_series)
    try:
        replace(path, text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise PyruncError(f"--report {path}: {(error.strerror or '').lower()}") from None
