"""A bar chart as SVG. Pure."""

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from benchmarks.stats import Row, Spread, rate

WIDTH, LEFT, RIGHT, LINE, HEAD = 800, 150, 90, 24, 40
COLOURS = {"journey": "#1f6feb", "analytic": "#1f6feb"}
"""Ours; the others are grey."""
GREY = "#8c959f"

Bars = dict[str, dict[str, Spread]]


def rates(*parts: Sequence[Row]) -> Bars:
    """Return the rates by database and contender; who was measured twice counts as in the first part."""
    found: Bars = {}
    for rows in parts:
        for row in rows:
            found.setdefault(row["database"], {}).setdefault(row["contender"], rate(row))
    return {
        database: dict(sorted(bars.items(), key=lambda bar: bar[1].median, reverse=True))
        for database, bars in found.items()
    }


def svg(title: str, groups: Bars) -> str:
    """Return the chart: a group for each database, a bar for each median, a line from the least to the most."""
    scale = (WIDTH - LEFT - RIGHT) / max(bar.most for bars in groups.values() for bar in bars.values())
    height = HEAD + sum(HEAD + LINE * len(bars) for bars in groups.values())
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        "<style>text { font: 13px sans-serif; fill: #24292f }</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(10, 24, title, "style='font-size: 15px; font-weight: bold'"),
    ]
    top = HEAD
    for name, bars in groups.items():
        lines.append(_text(10, top + 20, name, "style='font-weight: bold'"))
        top += 30
        for who, bar in bars.items():
            lines += _bar(who, bar, top, scale)
            top += LINE
        top += HEAD - 30
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(who: str, bar: Spread, top: int, scale: float) -> Iterator[str]:
    middle = top + LINE / 2 - 2
    yield _text(LEFT - 8, top + 14, who, "text-anchor='end'")
    yield (
        f'<rect x="{LEFT}" y="{top}" width="{max(1.0, bar.median * scale):.1f}" height="{LINE - 6}" '
        f'fill="{COLOURS.get(who, GREY)}"/>'
    )
    yield (
        f'<line x1="{LEFT + bar.least * scale:.1f}" x2="{LEFT + bar.most * scale:.1f}" y1="{middle:.1f}" '
        f'y2="{middle:.1f}" stroke="#24292f" stroke-width="2"/>'
    )
    yield _text(round(LEFT + bar.most * scale + 6), top + 14, f"{bar.median:,.0f}")


def _text(x: int, y: int, text: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" {more}>{escape(text)}</text>'
