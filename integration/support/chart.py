"""A bar chart as SVG: one group for each operation, one bar for each runtime, as ratios to one of the runtimes."""

from html import escape

COLOURS = ("#1971c2", "#f08c00", "#2f9e44", "#ae3ec9")
BAR, GAP, LEFT, WIDTH = 14, 12, 170, 460


def bars(title: str, rows: dict[str, dict[str, float]], names: list[str], base: str) -> str:
    """``rows`` {operation: {name: value}}; the line at 1.0 is ``base``'s."""
    base = base if base in names else names[0]
    shares = {label: {name: row[name] / row[base] for name in names} for label, row in rows.items()}
    longest = max(max(row.values()) for row in shares.values())
    parts, y = [], 54
    for label, row in shares.items():
        middle = y + BAR * len(names) / 2 + 4
        parts.append(f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{escape(label)}</text>')
        for name, colour in zip(names, COLOURS, strict=False):
            width = WIDTH * row[name] / longest
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 2}" fill="{colour}"/>')
            words = f"{row[name]:.2f} ({rows[label][name]:.1f} ms)"
            parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + BAR - 4}" font-size="10">{words}</text>')
            y += BAR
        y += GAP
    line = LEFT + WIDTH / longest
    parts.append(
        f'<line x1="{line:.1f}" y1="48" x2="{line:.1f}" y2="{y - GAP}" stroke="#868e96" stroke-dasharray="4"/>'
    )
    legend = "".join(
        f'<tspan fill="{colour}"> \u25a0 </tspan>{escape(name)}' for name, colour in zip(names, COLOURS, strict=False)
    )
    parts.insert(
        0, f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text><text x="{LEFT}" y="40">{legend}</text>'
    )
    style = 'font-family="sans-serif" font-size="12" fill="#343a40"'
    size = f'width="{LEFT + WIDTH + 130}" height="{y}" viewBox="0 0 {LEFT + WIDTH + 130} {y}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
