"""Plots of a rate-distortion study: SVG files that stand alone, on white."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from html import escape

COLOURS = ("#2a78d6", "#159a6b", "#c08000", "#4a3aa7", "#de3f3e", "#d55181", "#d95926", "#7a818c")
WIDTH, HEIGHT = 900, 480
LEFT, RIGHT, TOP, BOTTOM = 70.0, 650.0, 46.0, 420.0
"""The frame; the legend is right of it."""
STYLE = (
    "text{font:13px system-ui,'DejaVu Sans',sans-serif;fill:#16181d}.soft{fill:#5a606b}.grid{stroke:#dcdedf}"
    ".middle{text-anchor:middle}.end{text-anchor:end}.title{font-size:15px;font-weight:600}.small{font-size:11px}"
)

Place = Callable[[float, float], tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Series:
    """One codec's points."""

    label: str
    points: tuple[tuple[float, float, str], ...]
    """Bytes per splat (above 0), value, and setting, in order of bytes; joined by a line."""


def curves(series: Sequence[Series], title: str, y_label: str, level: float | None = None) -> str:
    """Values over bytes per splat (logarithmic); empty without points.

    Args:
        series: at most a few; colours repeat after eight.
        title: above the plot.
        y_label: along the axis.
        level: a value to mark by a dashed line: the source's own.
    """
    points = [point for item in series for point in item.points]
    if not points:
        return ""
    xs = [math.log2(x) for x, _, _ in points]
    ys = [y for _, y, _ in points] + ([] if level is None else [level])
    margin = max(0.05, 0.06 * (max(ys) - min(ys)))
    span_x, span_y = (min(xs) - 0.2, max(xs) + 0.2), (min(ys) - margin, max(ys) + margin)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (math.log2(x) - span_x[0]) / (span_x[1] - span_x[0]) * (RIGHT - LEFT),
            BOTTOM - (y - span_y[0]) / (span_y[1] - span_y[0]) * (BOTTOM - TOP),
        )

    marks = _grid(place, span_x, span_y)
    if level is not None:
        y = place(1, level)[1]
        marks.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="#16181d" stroke-dasharray="5 4"/>')
        marks.append(f'<text x="{LEFT + 6}" y="{y - 6:.1f}" class="soft small">source, {level:.2f} dB</text>')
    for k, item in enumerate(series):
        marks += _drawn(item, COLOURS[k % len(COLOURS)], place, TOP + 10 + 22 * k, k == 0)
    marks.append(f'<text x="{LEFT}" y="24" class="title">{escape(title)}</text>')
    marks.append(f'<text x="{-(TOP + BOTTOM) / 2}" y="18" transform="rotate(-90)" class="middle soft">')
    marks.append(f"{escape(y_label)}</text>")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' role="img" aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(marks)}</svg>\n'
    )


def _drawn(item: Series, colour: str, place: Place, legend_y: float, named: bool) -> list[str]:
    """Line, marks and legend of one series; `named`: with the settings beside the marks."""
    places = [place(x, y) for x, y, _ in item.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    marks = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for (x, y), (rate, value, setting) in zip(places, item.points, strict=True):
        tip = f"{escape(item.label)} {escape(setting)}: {rate:.2f} B/splat, {value:.2f} dB"
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"><title>{tip}</title></circle>')
        if named:
            marks.append(f'<text x="{x - 8:.1f}" y="{y - 7:.1f}" class="end small">{escape(setting)}</text>')
    marks.append(f'<circle cx="{RIGHT + 20}" cy="{legend_y}" r="5" fill="{colour}"/>')
    marks.append(f'<text x="{RIGHT + 32}" y="{legend_y + 4}">{escape(item.label)}</text>')
    return marks


def _grid(place: Place, span_x: tuple[float, float], span_y: tuple[float, float]) -> list[str]:
    marks = []
    steps = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
    step = next((s for s in steps if (span_y[1] - span_y[0]) / s <= 8), 50.0)
    for k in range(math.ceil(span_y[0] / step), math.floor(span_y[1] / step) + 1):
        y = place(1, k * step)[1]
        marks.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" class="grid"/>')
        marks.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" class="end soft">{k * step:g}</text>')
    for power in range(math.ceil(span_x[0]), math.floor(span_x[1]) + 1):
        x = place(2.0**power, span_y[0])[0]
        marks.append(f'<path d="M{x:.1f} {TOP}V{BOTTOM}" class="grid"/>')
        marks.append(f'<text x="{x:.1f}" y="{BOTTOM + 20}" class="middle soft">{2.0**power:g}</text>')
    middle = (LEFT + RIGHT) / 2
    marks.append(f'<text x="{middle}" y="{BOTTOM + 42}" class="middle soft">bytes per splat (logarithmic)</text>')
    return marks
