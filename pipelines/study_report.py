"""Rows of a rate-distortion study: kept as JSON lines, told as a table, held against the targets."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path

from scenepress.errors import FormatError
from scenepress.files import write_whole

from .study_plots import Series, curves

TARGET_RATIO, TARGET_LOSS = 35.0, 0.2
"""Of full-precision scenes of SH degree 3: so many times smaller than the raw .ply, at so many dB lost on held-out
photographs."""
DISTILLED = "scenepress, distilled"
"""The codec whose files were trained for; its settings begin with the size, as those without training have it."""
HEAD = (
    "codec", "setting", "bytes", "B/splat", "ratio", "PSNR dB", "SSIM", "FLIP", "photographs dB", "loss dB",
    "encode s", "decode s", "encode MB", "decode MB",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Row:
    """One encoding of one scene. None: not measured; an infinite PSNR is None too, and `equal` is true."""

    scene: str
    codec: str
    setting: str
    setup: str
    """Digest of the scene and the views."""
    commit: str
    date: str
    peer: bool
    splats: int
    """Of the source, without invalid ones."""
    sh_degree: int
    full_precision: bool
    """The source is an uncompressed .ply."""
    raw_bytes: int
    """Of an uncompressed .ply."""
    bytes: int
    decoded_splats: int
    equal: bool
    psnr: float | None
    """dB, against renders of the source."""
    ssim: float
    flip: float | None
    photo_psnr: float | None
    """dB, against held-out photographs."""
    source_photo_psnr: float | None
    """The same of the source."""
    encode_seconds: float | None
    decode_seconds: float
    encode_peak_bytes: int | None
    decode_peak_bytes: int
    load_average: float
    """Of the machine, as the row was made: other work slows down what is timed."""
    machine: str

    @property
    def key(self) -> tuple[str, ...]:
        """What a row need not be made again for."""
        return (self.scene, self.codec, self.setting, self.setup, self.commit)

    @property
    def ratio(self) -> float:
        """Raw bytes by bytes."""
        return self.raw_bytes / self.bytes

    @property
    def loss(self) -> float | None:
        """dB lost on held-out photographs; below zero if the copy is nearer to them."""
        if self.photo_psnr is None or self.source_photo_psnr is None:
            return None
        return self.source_photo_psnr - self.photo_psnr


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A codec that was not run on a scene."""

    scene: str
    codec: str
    reason: str


def load(path: Path) -> tuple[list[Row], list[LeftOut]]:
    """What an earlier run kept; nothing if there was none.

    Raises:
        FormatError: not such a file.
    """
    if not path.is_file():
        return [], []
    rows, left_out = [], []
    for k, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        try:
            values = json.loads(line)
            case = values.pop("case")
            if case == "row":
                rows.append(Row(**values))
            else:
                left_out.append(LeftOut(**values))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: line {k + 1} is no row of a study: {error}; move the file away") from None
    return rows, left_out


def save(path: Path, rows: Sequence[Row], left_out: Sequence[LeftOut]) -> None:
    """All rows, then what was left out, a JSON object a line; whole or not at all."""
    lines = [json.dumps({"case": "row", **_rounded(row)}, allow_nan=False) for row in rows]
    lines += [json.dumps({"case": "left out", **dataclasses.asdict(item)}) for item in left_out]
    write_whole(path, "".join(f"{line}\n" for line in lines))


def _rounded(row: Row) -> dict[str, str | int | float | bool | None]:
    """Six significant digits."""
    values = dataclasses.asdict(row).items()
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in values}


def latest(rows: Sequence[Row]) -> list[Row]:
    """The last row of every scene, codec and setting; by first appearance of scene and codec, then by bytes."""
    found: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        found[row.scene, row.codec, row.setting] = row
    codecs = list(dict.fromkeys((scene, codec) for scene, codec, _ in found))
    return sorted(found.values(), key=lambda row: (codecs.index((row.scene, row.codec)), row.bytes))


def write(folder: Path, rows: Sequence[Row], left_out: Sequence[LeftOut]) -> None:
    """README.md and the plots."""
    rows = latest(rows)
    parts = [
        "# Rate and distortion\n",
        "Written by `python -m pipelines.rate_distortion`; [what is measured](../../rate_distortion.md).",
        "PSNR, SSIM and FLIP are against renders of the source; photographs are held-out ones, and the loss is",
        "against the source's own PSNR on them. Times are of a machine that may have been busy: see",
        "`load_average` in rows.jsonl. Every row has the commit that it was made by there.\n",
    ]
    parts += _targets(rows) + _gains(rows)
    for scene in dict.fromkeys(row.scene for row in rows):
        parts += _section(folder, scene, [row for row in rows if row.scene == scene])
    parts += ["## Left out\n"]
    parts += [f"- {item.scene}: {item.codec}: {item.reason}" for item in left_out] or ["Nothing."]
    write_whole(folder / "README.md", "\n".join(parts) + "\n")


def _section(folder: Path, scene: str, rows: Sequence[Row]) -> list[str]:
    first = rows[0]
    about = f"{first.splats:,} splats, SH degree {first.sh_degree}, {first.raw_bytes:,} bytes as raw .ply"
    if first.source_photo_psnr is not None:
        about += f"; the source has {first.source_photo_psnr:.2f} dB on held-out photographs"
    if not first.full_precision:
        about += "; the source was quantised before, which flatters every codec"
    commits = ", ".join(dict.fromkeys(row.commit for row in rows))
    parts = [f"## {scene}\n", f"{about}. Commit {commits}; {first.machine}.\n"]
    measures = {"source": ("PSNR against renders of the source, dB", [row.psnr for row in rows])}
    if first.source_photo_psnr is not None:
        measures["photographs"] = ("PSNR against held-out photographs, dB", [row.photo_psnr for row in rows])
    for name, (label, values) in measures.items():
        level = first.source_photo_psnr if name == "photographs" else None
        drawing = curves(_series(rows, values), f"{scene}: {label}", label, level)
        if drawing:
            write_whole(folder / f"{scene}-{name}.svg", drawing)
            parts.append(f"![{label} over bytes per splat]({scene}-{name}.svg)\n")
    lines = [_line(HEAD), _line(["---", "---"] + ["---:"] * (len(HEAD) - 2))]
    return [*parts, *lines, *(_line(_cells(row)) for row in rows), ""]


def _series(rows: Sequence[Row], values: Sequence[float | None]) -> list[Series]:
    series = []
    for codec in dict.fromkeys(row.codec for row in rows):
        points = [
            (row.bytes / row.splats, value, row.setting)
            for row, value in zip(rows, values, strict=True)
            if row.codec == codec and value is not None
        ]
        if points:
            series.append(Series(codec, tuple(sorted(points))))
    return series


def _cells(row: Row) -> list[str]:
    return [
        row.codec, row.setting, f"{row.bytes:,}", f"{row.bytes / row.splats:.2f}", f"{row.ratio:.1f}",
        "equal" if row.equal else _number(row.psnr, 2), f"{row.ssim:.4f}", _number(row.flip, 4),
        _number(row.photo_psnr, 2), _number(row.loss, 3), _number(row.encode_seconds, 2),
        f"{row.decode_seconds:.3f}",
        _number(None if row.encode_peak_bytes is None else row.encode_peak_bytes / 1e6, 0),
        f"{row.decode_peak_bytes / 1e6:.0f}",
    ]  # fmt: skip


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _targets(rows: Sequence[Row]) -> list[str]:
    """Of every full-precision SH3 scene with photographs, by codec of ours."""
    lines = [
        "## Targets\n",
        f"Full-precision scenes of SH degree 3, training-free: at most 1/{TARGET_RATIO:g} of the raw .ply at a",
        f"loss of at most {TARGET_LOSS:g} dB on held-out photographs. The ratio at that loss and the loss at that",
        "ratio lie between measured rates: linear in dB over the logarithm of bytes.\n",
        _line(["scene", "codec", f"ratio at {TARGET_LOSS:g} dB", f"loss at 1/{TARGET_RATIO:g}", "result"]),
        _line(["---", "---", "---:", "---:", "---"]),
    ]
    count = len(lines)
    for scene, codec in dict.fromkeys((row.scene, row.codec) for row in rows):
        chosen = [r for r in rows if (r.scene, r.codec) == (scene, codec) and r.loss is not None]
        if codec == DISTILLED:  # The target is training-free.
            continue
        if chosen and not chosen[0].peer and chosen[0].full_precision and chosen[0].sh_degree == 3:
            lines.append(_line([scene, codec, *judged([(r.ratio, r.loss or 0.0) for r in chosen])]))
    return [*lines, ""] if len(lines) > count else []


def _gains(rows: Sequence[Row]) -> list[str]:
    """Distilled files beside those of the same size without training."""
    plain = {(row.scene, row.setting): row for row in rows if row.codec == "scenepress"}
    lines = []
    for row in rows:
        other = plain.get((row.scene, row.setting.partition(",")[0]))
        if row.codec != DISTILLED or other is None:
            continue
        cells = [row.scene, row.setting, f"{other.bytes:,}", f"{row.bytes:,}"]
        cells += [_number(r.psnr, 2) for r in (other, row)] + [_number(r.loss, 3) for r in (other, row)]
        cells += [_number(r.encode_seconds, 1) for r in (other, row)]
        lines.append(_line(cells))
    if not lines:
        return []
    heads = [x for what in ("bytes", "PSNR dB", "loss dB", "encode s") for x in (f"{what} without", "with")]
    return [
        "## Distillation\n",
        "Files of a share of the raw .ply, without training and with it; measured as in the tables below.\n",
        _line(["scene", "setting", *heads]),
        _line(["---", "---"] + ["---:"] * len(heads)),
        *lines,
        "",
    ]


def judged(points: Sequence[tuple[float, float]]) -> tuple[str, str, str]:
    """Ratio at the target's loss, loss at its ratio, and whether it is met, of points (ratio, loss in dB)."""
    curve = sorted((math.log(ratio), loss) for ratio, loss in points)
    ratio = _crossing([(loss, x) for x, loss in curve], TARGET_LOSS)
    loss = _crossing(curve, math.log(TARGET_RATIO))
    shown_loss = _number(loss, 3)
    if ratio is None:
        best = min(points, key=lambda p: p[1])
        if all(p[1] > TARGET_LOSS for p in points):
            if best[0] > TARGET_RATIO:
                return "-", shown_loss, f"no larger file than 1/{best[0]:.1f} was tried"
            return "-", shown_loss, f"missed: {best[1]:.3f} dB lost even at 1/{best[0]:.1f}"
        largest = max(p[0] for p in points)
        if largest >= TARGET_RATIO:
            return f"over {largest:.1f}", shown_loss, "met"
        return f"over {largest:.1f}", shown_loss, f"no smaller file than 1/{largest:.1f} was tried"
    reached = math.exp(ratio)
    more = TARGET_RATIO / reached - 1
    return f"{reached:.1f}", shown_loss, "met" if more <= 0 else f"missed: {100 * more:.0f}% too many bytes"


def _crossing(points: Sequence[tuple[float, float]], x: float) -> float | None:
    """y at the last place where a polyline of (x, y) crosses x; None if it never does."""
    found = None
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if min(x0, x1) <= x <= max(x0, x1):
            found = y0 if x0 == x1 else y0 + (x - x0) / (x1 - x0) * (y1 - y0)
    return found
