"""Draws a trace as a picture (SVG 1.1): a lane for the runtime and for the helper, and below them a row for each long
step."""

from html import escape

from pyrunc.launch.trace import LANES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyrunc.launch.trace_read import Bar

COLOURS = {"runtime": "#1971c2", "helper": "#e8590c"}
LEFT, RIGHT, WIDTH = 76, 20, 1100
"""Pixels: the left end of the time axis, the margin at its right, and the width of the picture."""
AXIS, TOP, LANE, ROW = 58, 70, 34, 17
"""Pixels: the positions of the axis and the first lane, and the heights of a lane and a row."""
CHARACTER = 6.3
"""Approximate width of a character in pixels."""
SHOWN = 0.005
"""Steps that take at least this share of the whole time have a row of their own."""
LONGEST = 70
"""The longest label, in characters."""
STYLE = 'font-family="sans-serif" font-size="11" fill="#343a40"'


def svg(bars: "Sequence[Bar]", everything: bool = False) -> str:
    """Returns the picture of ``bars``, which are sorted by start. ``everything``: every bar has a row, however
    short."""
    whole = max(max(bar.start + bar.ns for bar in bars), 1.0)
    scale = (WIDTH - LEFT - RIGHT) / whole
    rows = [bar for bar in bars if everything or bar.ns >= whole * SHOWN]
    bottom = TOP + LANE * len(LANES) + 14
    height = bottom + ROW * len(rows) + 30
    parts = [_head(bars, whole), *_axis(whole, scale, bottom + ROW * len(rows))]
    for number, lane in enumerate(LANES):
        y = TOP + LANE * number
        parts.append(f'<text x="{LEFT - 8}" y="{y + LANE / 2}" text-anchor="end">{lane}</text>')
        parts += [_in_lane(bar, y, scale) for bar in bars if bar.lane == lane]
    parts += [_row(bar, bottom + ROW * number, scale) for number, bar in enumerate(rows)]
    parts.append(_rest(bars, rows, whole, height))
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {STYLE}>\n{_patterns()}\n{body}\n</svg>\n'


def _patterns() -> str:
    """Returns the background and a hatching in each lane's colour, which marks waits."""
    made = []
    for lane, colour in COLOURS.items():
        made.append(f'<pattern id="{lane}-waits" width="6" height="6" patternUnits="userSpaceOnUse"')
        made.append(' patternTransform="rotate(45)"><rect width="6" height="6" fill="#f1f3f5"/>')
        made.append(f'<rect width="1.5" height="6" fill="{colour}" opacity="0.6"/></pattern>')
    return f'<defs>{"".join(made)}</defs><rect width="100%" height="100%" fill="#fff"/>'


def _head(bars: "Sequence[Bar]", whole: float) -> str:
    steps = sum(not bar.wait for bar in bars)
    title = f'<text x="{LEFT}" y="20" font-size="14">{steps} steps of pyrunc in {duration(whole)}</text>'
    legend, x = [], float(LEFT)
    for lane in LANES:
        for fill, words in ((COLOURS[lane], lane), (f"url(#{lane}-waits)", f"{lane} waits")):
            legend.append(f'<rect x="{x:.0f}" y="29" width="12" height="10" fill="{fill}"/>')
            legend.append(f'<text x="{x + 16:.0f}" y="38">{words}</text>')
            x += 40 + len(words) * CHARACTER
    return title + "".join(legend)


def _axis(whole: float, scale: float, bottom: float) -> "Iterator[str]":
    """Draws the times, and at each a vertical line through lanes and rows."""
    step = next(size for size in _sizes() if whole / size <= 10)
    for number in range(int(whole / step) + 1):
        x = LEFT + number * step * scale
        yield f'<line x1="{x:.1f}" y1="{AXIS + 4}" x2="{x:.1f}" y2="{bottom:.0f}" stroke="#dee2e6"/>'
        yield f'<text x="{x:.1f}" y="{AXIS}" text-anchor="middle" fill="#868e96">{duration(number * step)}</text>'


def _sizes() -> "Iterator[float]":
    """Yields 1, 2, 5, 10, 20, ... nanoseconds."""
    size = 1.0
    while True:
        yield from (size, 2 * size, 5 * size)
        size *= 10


def _in_lane(bar: "Bar", y: float, scale: float) -> str:
    width = max(bar.ns * scale, 0.4)
    words = name(bar) if len(name(bar)) * CHARACTER < width - 4 else bar.kind
    shown = len(words) * CHARACTER < width - 4
    # A label on a hatched bar needs a white outline to be readable.
    colour = '#343a40" stroke="#fff" stroke-width="4" paint-order="stroke' if bar.wait else "#fff"
    place = f'x="{LEFT + bar.start * scale + width / 2:.1f}" y="{y + LANE / 2 + 1:.1f}" text-anchor="middle"'
    text = f'<text {place} fill="{colour}">{_clean(words)}</text>'
    return _rectangle(bar, y, LANE - 8, scale) + (text if shown else "")


def _row(bar: "Bar", y: float, scale: float) -> str:
    """Draws the bar at its time, and its label on the side that has room."""
    words = f"{name(bar)}  {duration(bar.ns)}"
    begin = LEFT + bar.start * scale
    end = begin + max(bar.ns * scale, 0.4)
    after = end + 6 + len(words) * CHARACTER < WIDTH or begin - LEFT < WIDTH - RIGHT - end
    place = f'x="{end + 5:.1f}"' if after else f'x="{begin - 5:.1f}" text-anchor="end"'
    return _rectangle(bar, y, ROW - 5, scale) + f'<text {place} y="{y + ROW - 7:.1f}">{_clean(words)}</text>'


def _rectangle(bar: "Bar", y: float, height: float, scale: float) -> str:
    fill = f"url(#{bar.lane}-waits)" if bar.wait else COLOURS[bar.lane]
    box = f'x="{LEFT + bar.start * scale:.2f}" y="{y:.1f}" width="{max(bar.ns * scale, 0.4):.2f}" height="{height:.0f}"'
    words = f"{bar.lane}: {name(bar)}, {duration(bar.ns)} from {duration(bar.start)}"
    return f'<rect {box} fill="{fill}" stroke="#fff" stroke-width="0.3"><title>{_clean(words)}</title></rect>'


def _rest(bars: "Sequence[Bar]", rows: "Sequence[Bar]", whole: float, height: float) -> str:
    """Says how many steps have no row of their own."""
    left = [bar for bar in bars if not bar.wait and bar not in rows]
    if not left:
        return ""
    words = f"{len(left)} steps of less than {duration(whole * SHOWN)} each are drawn in the lanes only"
    words += f": {duration(sum(bar.ns for bar in left))} together."
    return f'<text x="{LEFT}" y="{height - 10:.0f}" fill="#868e96">{words}</text>'


def name(bar: "Bar") -> str:
    """Returns the step's kind and its place in config.json."""
    words = f"{bar.kind} ({bar.where})" if bar.where else bar.kind
    return words if len(words) <= LONGEST else words[: LONGEST - 3] + "..."


def duration(nanoseconds: float) -> str:
    """Formats a duration in the unit that leaves one to three digits before the decimal point."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("\u00b5s", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns" if nanoseconds else "0"


def _clean(words: str) -> str:
    """Replaces unprintable characters, which XML does not allow, and escapes the rest. A trace file may contain any."""
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in words))
