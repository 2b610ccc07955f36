"""The grid of verify-preload as a page: one file, the picture inside."""

from html import escape

from pyrunc.hostile.verify import BACK, ELSEWHERE, HOME, REFUSED, TOP, Series

COLOURS = {HOME: "#2f9e5f", BACK: "#e0a800", TOP: "#c92a2a", ELSEWHERE: "#7048e8", REFUSED: "#868e96"}
WORDS = {
    HOME: "where it belongs",
    BACK: "put back",
    TOP: "in the root cgroup",
    ELSEWHERE: "elsewhere",
    REFUSED: "refused",
}
CELL, LABEL = 12, 120


def picture(series: Series) -> str:
    """An SVG: a row a hierarchy, a column a run."""
    names = list(series.runs[0].marks) if series.runs else []
    width, height = LABEL + CELL * len(series.runs), CELL * len(names)
    cells = []
    for row, name in enumerate(names):
        y = row * CELL
        cells.append(f'<text x="{LABEL - 6}" y="{y + CELL - 2}" text-anchor="end">{escape(name or "cgroup2")}</text>')
        for column, run in enumerate(series.runs):
            mark = run.marks[name]
            x = LABEL + column * CELL
            cells.append(
                f'<rect x="{x}" y="{y}" width="{CELL - 1}" height="{CELL - 1}" fill="{COLOURS[mark]}">'
                f"<title>run {column + 1}: {WORDS[mark]}</title></rect>"
            )
    style = 'font-family="monospace" font-size="10" fill="#495057"'
    view = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view} {style}>{"".join(cells)}</svg>'


def page(library: str, all_series: "list[Series]") -> str:
    """The whole page."""
    legend = " ".join(f'<span style="color:{COLOURS[mark]}">&#9632;</span> {word}' for mark, word in WORDS.items())
    parts = [f"<h2>{escape(series.sentence())}</h2>{picture(series)}" for series in all_series]
    return (
        "<!doctype html><meta charset=utf-8><title>verify-preload</title>"
        "<body style='font-family:sans-serif;margin:2em'>"
        f"<h1>{escape(library)} in a container's init path</h1><p>A row is a cgroup hierarchy, a column a container."
        f"</p><p>{legend}</p>{''.join(parts)}</body>\n"
    )
