"""Curves as SVG, in plain text: panels side by side over one axis that counts in powers of ten.

A plotting library would be the largest dependency of the workshop, for a few lines and labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Points = Sequence[tuple[float, float]]

WIDE, HIGH = 300, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 44, 40
"""Room around the plot of a panel, in pixels."""
COLOURS = "#1f5fa8", "#c2571a", "#3f8f3f"
STEPS = 1, 2, 5, 10
LINES = 4
"""About as many lines across a panel."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: what its values are, and its curves by name."""

    what: str
    curves: Mapping[str, Points]


def picture(title: str, along: str, panels: Sequence[Panel]) -> str:
    """The SVG of these panels; values start at 0, `along` names the axis that they share."""
    wide = len(panels) * (LEFT + WIDE + RIGHT)
    high = TOP + HIGH + BOTTOM
    size = f'viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
    letters = 'font-family="sans-serif" font-size="11" fill="black"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {letters}>',
        f'<rect width="{wide}" height="{high}" fill="white"/>',
        _text(LEFT, 16, title, "start", ' font-size="13" font-weight="bold"'),
    ]
    for number, panel in enumerate(panels):
        lines += _panel(panel, along, number * (LEFT + WIDE + RIGHT) + LEFT)
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel, along: str, left: float) -> Iterator[str]:
    every = [point for curve in panel.curves.values() for point in curve]
    low, high = (math.log10(pick(x for x, _ in every)) for pick in (min, max))
    top, step = _scale(max(y for _, y in every))

    def at(x: float, y: float) -> tuple[float, float]:
        share = (math.log10(x) - low) / ((high - low) or 1.0)
        return left + share * WIDE, TOP + HIGH * (1 - y / top)

    yield _text(left, TOP - 10, panel.what, "start")
    y = 0.0
    while y <= top * 1.001:
        height = at(10**low, y)[1]
        yield _line((left, height), (left + WIDE, height), "lightgrey")
        yield _text(left - 6, height + 4, _short(y), "end")
        y += step
    for x in sorted({x for x, _ in every}):
        across = at(x, 0)[0]
        yield _line((across, TOP + HIGH), (across, TOP + HIGH + 4), "grey")
        yield _text(across, TOP + HIGH + 16, _short(x), "middle")
    yield _text(left + WIDE / 2, TOP + HIGH + 32, along, "middle")
    for number, (name, curve) in enumerate(panel.curves.items()):
        colour, spots = COLOURS[number], [at(*point) for point in curve]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, y in spots:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
        if len(panel.curves) > 1:
            yield _text(left + WIDE, TOP - 10 - 12 * number, name, "end", f' fill="{colour}"')


def _scale(highest: float) -> tuple[float, float]:
    """(top, step) of an axis that has room for it."""
    rough = max(highest, 1e-9) / LINES
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * each for each in STEPS if power * each >= rough * 0.999)
    return step * math.ceil(highest / step), step


def _short(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _line(start: tuple[float, float], end: tuple[float, float], colour: str) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
