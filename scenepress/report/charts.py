"""The report's drawings, as inline SVG whose colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from scenepress.files import readable_size
from scenepress.inspection import Rate, by_stage
from scenepress.report import RatePoint

WIDTH, BARS_WIDTH, BARS_LEFT = 720, 590, 152
"""User units: the curve's width, the bars' width and baseline; the page scales charts to columns."""
COLOURS = 7
"""Stage colours in style.css: .c0 to .c6 for the largest stages, .rest for all others."""


def stage_bars(rates: Sequence[Rate], splats: int) -> str:
    """Bars of bytes per stage, largest first, each labelled with its share and bytes per splat."""
    totals = by_stage(rates)
    whole, top, row = sum(totals.values()), max(totals.values()), 34
    rows = []
    for k, (stage, count) in enumerate(totals.items()):
        y = k * row
        length = max(2, 175 * count / top)
        label = f"{readable_size(count)} · {100 * count / whole:.1f} %"
        if splats:
            label += f" · {count / splats:.2f} B/splat"
        rows.append(
            f'<text x="{BARS_LEFT - 8}" y="{y + 21}" class="end">{escape(stage)}</text>'
            f'<path d="{_bar(BARS_LEFT, y + 6, length, 22)}" class="{_colour(k)}"/>'
            f'<text x="{BARS_LEFT + length + 8:.1f}" y="{y + 21}" class="value">{label}</text>'
        )
    title = "Bytes per stage: " + ", ".join(
        f"{stage} {readable_size(count)}" for stage, count in totals.items()
    )
    return _svg(title, BARS_WIDTH, len(totals) * row, "".join(rows))


def level_bars(rates: Sequence[Rate]) -> str:
    """One stacked bar per level, in the colours of `stage_bars`; empty if there is one level."""
    order = {stage: _colour(k) for k, stage in enumerate(by_stage(rates))}
    levels = sorted({rate.level for rate in rates if rate.level is not None})
    if len(levels) < 2:
        return ""
    keys: list[int | None] = [*levels, *([None] if any(rate.level is None for rate in rates) else [])]
    totals = {key: sum(rate.bytes for rate in rates if rate.level == key) for key in keys}
    row, rows, scale = 34, [], 350 / max(1, *totals.values())
    for k, key in enumerate(keys):
        x, y = float(BARS_LEFT), k * row
        name = "all levels" if key is None else f"level {key}"
        rows.append(f'<text x="{BARS_LEFT - 8}" y="{y + 21}" class="end">{name}</text>')
        parts = by_stage([rate for rate in rates if rate.level == key])
        for stage in order:
            length = parts.get(stage, 0) * scale
            if length >= 0.5:
                tip = f"{name}, {escape(stage)}: {readable_size(parts[stage])}"
                rows.append(
                    f'<rect x="{x:.2f}" y="{y + 6}" width="{max(0.5, length - 1):.2f}" height="22"'
                    f' class="{order[stage]}"><title>{tip}</title></rect>'
                )
            x += length
        rows.append(
            f'<text x="{x + 8:.1f}" y="{y + 21}" class="value">{readable_size(totals[key])}</text>'
        )
    title = "Bytes per level: " + ", ".join(
        f"{'shared' if key is None else key} {readable_size(count)}" for key, count in totals.items()
    )
    return _svg(title, BARS_WIDTH, len(keys) * row, "".join(rows))


def rate_distortion(points: Sequence[RatePoint], splats: int) -> str:
    """PSNR over bytes per splat (logarithmic); empty unless two points have a finite PSNR.

    Rates of this program are joined by a line; peers stand alone, as squares.
    """
    shown = [(p, p.bytes / max(1, splats), p.quality.psnr) for p in points]
    shown = [item for item in shown if math.isfinite(item[2])]
    if len(shown) < 2:
        return ""
    left, right, top, bottom = 60.0, WIDTH - 24.0, 16.0, 300.0
    low_x, high_x = _widen([math.log2(rate) for _, rate, _ in shown], 0.35)
    low_y, high_y = _widen([psnr for _, _, psnr in shown], 1.0)

    def place(rate: float, psnr: float) -> tuple[float, float]:
        x = left + (math.log2(rate) - low_x) / (high_x - low_x) * (right - left)
        return x, bottom - (psnr - low_y) / (high_y - low_y) * (bottom - top)

    marks = _grid(place, (low_x, high_x), (low_y, high_y), (left, right, top, bottom))
    own = sorted(place(rate, psnr) for p, rate, psnr in shown if not p.peer)
    marks.append(f'<polyline class="curve" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in own)}"/>')
    taken: list[tuple[float, float]] = []
    for point, rate, psnr in sorted(shown, key=lambda item: -item[2]):
        x, y = place(rate, psnr)
        tip = f"<title>{escape(point.label)}: {rate:.2f} B/splat, {psnr:.2f} dB</title>"
        if point.peer:
            corner = f'x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"'
            marks.append(f'<rect class="peer" {corner}>{tip}</rect>')
        else:
            marks.append(f'<circle class="own" cx="{x:.1f}" cy="{y:.1f}" r="5.5">{tip}</circle>')
        label_x, label_y, anchor = _label_place(x, y, right, taken)
        position = f'class="value {anchor}" x="{label_x:.1f}" y="{label_y:.1f}"'
        marks.append(f"<text {position}>{escape(point.label)}</text>")
    title = "PSNR over bytes per splat: " + ", ".join(
        f"{p.label} {rate:.2f} B at {psnr:.2f} dB" for p, rate, psnr in shown
    )
    return _svg(title, WIDTH, 350, "".join(marks))


def _colour(rank: int) -> str:
    return f"c{rank}" if rank < COLOURS else "rest"


def _label_place(
    x: float, y: float, right: float, taken: list[tuple[float, float]]
) -> tuple[float, float, str]:
    """Right of the mark, or left of it near the edge; moved down while it would cover another label."""
    is_left = x > right - 110
    label_x, label_y = (x - 11, y + 5) if is_left else (x + 11, y + 5)
    while any(abs(label_x - other[0]) < 100 and abs(label_y - other[1]) < 15 for other in taken):
        label_y += 15
    taken.append((label_x, label_y))
    return label_x, label_y, "end" if is_left else ""


def _grid(
    place: Callable[[float, float], tuple[float, float]],
    span_x: tuple[float, float],
    span_y: tuple[float, float],
    frame: tuple[float, float, float, float],
) -> list[str]:
    left, right, top, bottom = frame
    marks = []
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100) if (span_y[1] - span_y[0]) / s <= 7)
    for psnr in range(math.ceil(span_y[0] / step) * step, math.floor(span_y[1]) + 1, step):
        y = place(1, psnr)[1]
        marks.append(
            f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{left - 8}" y="{y + 5:.1f}" class="end muted">{psnr}</text>'
        )
    for power in range(math.ceil(span_x[0]), math.floor(span_x[1]) + 1):
        x = place(2.0**power, span_y[0])[0]
        marks.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
            f'<text x="{x:.1f}" y="{bottom + 20}" class="middle muted">{2.0**power:g}</text>'
        )
    marks.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    marks.append(
        f'<text x="{(left + right) / 2}" y="{bottom + 42}" class="middle muted">'
        "bytes per splat, whole file (logarithmic)</text>"
        f'<text x="{-(top + bottom) / 2}" y="14" class="middle muted" transform="rotate(-90)">'
        "PSNR, dB</text>"
    )
    return marks


def _widen(values: Sequence[float], margin: float) -> tuple[float, float]:
    return min(values) - margin, max(values) + margin


def _bar(x: float, y: float, length: float, height: float) -> str:
    """A bar from the baseline at x, its far end rounded."""
    radius = min(4.0, length / 2)
    return (
        f"M{x} {y}h{length - radius:.2f}a{radius} {radius} 0 0 1 {radius} {radius}"
        f"v{height - 2 * radius}a{radius} {radius} 0 0 1 {-radius} {radius}H{x}z"
    )


def _svg(title: str, width: float, height: float, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(title)}">'
        f"{body}</svg>"
    )
