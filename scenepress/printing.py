"""What the command line prints: rows for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from scenepress import quality
from scenepress.files import readable_size
from scenepress.inspection import Inspection, Rate, by_stage
from scenepress.metadata import Quality
from scenepress.quality import Json


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What `compress` did."""

    source: str
    output: str
    preset: str
    splats: int
    """Of the source."""
    splats_kept: int
    """In the file: lossy presets leave out what hardly shows."""
    bytes_in: int
    bytes_out: int
    encode_seconds: float
    decode_seconds: float
    quality: Quality | None
    report: str | None
    distilled: bool = False
    """Whether what was written was trained, and not better without."""
    distill_steps: int | None = None
    distill_backend: str | None = None
    """What rendered for distillation."""

    def as_json(self) -> dict[str, Json]:
        """The keys that docs/cli.md promises."""
        record = self.quality
        return {
            "source": self.source,
            "output": self.output,
            "preset": self.preset,
            "splats": self.splats,
            "splats_kept": self.splats_kept,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "ratio": self.bytes_in / self.bytes_out,
            "bytes_per_splat": self.bytes_out / self.splats if self.splats else None,
            "encode_seconds": self.encode_seconds,
            "decode_seconds": self.decode_seconds,
            "psnr": quality.finite(record.psnr) if record else None,
            "ssim": record.ssim if record else None,
            "views": record.views if record else 0,
            "cameras": record.cameras if record else None,
            "report": self.report,
            "distilled": self.distilled,
            "distill_steps": self.distill_steps,
            "distill_backend": self.distill_backend,
        }


@dataclasses.dataclass(frozen=True)
class PruneOutcome:
    """What `prune` did."""

    source: str
    output: str
    splats: int
    """Of the source."""
    splats_kept: int
    splats_merged: int
    """Those of `splats_kept` that took the place of two or more."""
    psnr: float
    """dB against renders of the source."""
    loss_db: float
    """Against photographs, if the source is `model_psnr` dB off them."""
    model_psnr: float
    views: int
    cameras: str
    """"given" or "synthesised"."""
    distilled: bool = False
    """Whether what was written was trained, and not better without."""
    distill_steps: int | None = None
    distill_backend: str | None = None
    """What rendered for distillation."""

    def as_json(self) -> dict[str, Json]:
        """The keys that docs/cli.md promises."""
        return {**dataclasses.asdict(self), "psnr": quality.finite(self.psnr)}


@dataclasses.dataclass(frozen=True)
class Pair:
    """What `compare` found."""

    a: str
    b: str
    bytes_a: int
    bytes_b: int
    splats_a: int
    splats_b: int
    cameras: str
    """Where the views come from."""
    background: str
    """What was behind the splats."""
    result: quality.Comparison

    def as_json(self) -> dict[str, Json]:
        """The keys that docs/cli.md promises."""
        return {
            "a": self.a,
            "b": self.b,
            "bytes_a": self.bytes_a,
            "bytes_b": self.bytes_b,
            "ratio": self.bytes_a / self.bytes_b,
            "splats_a": self.splats_a,
            "splats_b": self.splats_b,
            "background": self.background,
            **self.result.as_json(),
        }


@dataclasses.dataclass(frozen=True)
class Training:
    """What `train` did."""

    data: str
    output: str
    splats: int
    sh_degree: int
    steps: int
    views_trained: int
    width: int
    """Pixels, of the first photograph as trained with."""
    height: int
    started_from: str
    """The file of points, or "random points"."""
    bytes_out: int
    train_seconds: float
    """Of this call: a resumed run took longer."""
    backend: str
    """What rendered and gave the gradients."""
    background: str
    views_held_out: int
    psnr: float | None
    """dB, of the mean squared error of all held-out photographs; None: none are, or equal images."""
    mean_view_psnr: float | None
    """dB, mean of theirs."""
    ssim: float | None

    def as_json(self) -> dict[str, Json]:
        """The keys that docs/cli.md promises."""
        return dataclasses.asdict(self)


def print_training(done: Training) -> None:
    """For people."""
    rows = [
        ("splats", f"{done.splats:,}, SH degree {done.sh_degree}, {readable_size(done.bytes_out)}"),
        ("trained", f"{done.steps:,} steps, {done.train_seconds:.1f} s, {done.views_trained} photographs of "
                    f"{done.width} x {done.height}, from {done.started_from}, backend {done.backend}"),
    ]  # fmt: skip
    if done.views_held_out and done.psnr is not None and done.mean_view_psnr is not None:
        means = f"mean of the views' {_decibels(done.mean_view_psnr)}"
        rows.append(("held out", f"{done.views_held_out} photographs, over {done.background}"))
        rows.append(("PSNR", f"{_decibels(done.psnr)} ({means})"))
        rows.append(("SSIM", f"{done.ssim:.5f}"))
    else:
        rows.append(("held out", "none: how good the scene is was not measured"))
    print_rows(done.output, rows)


def print_json(values: dict[str, Json]) -> None:
    """One object on stdout."""
    print(json.dumps(values, indent=2, allow_nan=False))


def print_outcome(done: Outcome) -> None:
    """For people."""
    ratio = f"{done.bytes_in / done.bytes_out:.1f} times smaller"
    sizes = f"{readable_size(done.bytes_in)} -> {readable_size(done.bytes_out)}, {ratio}"
    rows = [("size", sizes)]
    if done.splats:
        rate = done.bytes_out / done.splats
        rows.append(("rate", f"{rate:.2f} bytes per splat, {done.splats:,} splats, {done.splats_kept:,} kept"))
    if done.quality:
        rows.append(("quality", _record(done.quality)))
    if done.distill_steps is not None:
        what = f"{done.distill_steps:,} steps, backend {done.distill_backend}"
        rows.append(("distilled", what if done.distilled else f"no, {what} did not pay"))
    rows.append(("encode", _speed(done.splats, done.encode_seconds)))
    rows.append(("decode", _speed(done.splats_kept, done.decode_seconds)))
    if done.report:
        rows.append(("report", done.report))
    print_rows(f"{done.output} ({done.preset})", rows)


def print_pruning(done: PruneOutcome) -> None:
    """For people."""
    share = done.splats_kept / done.splats
    rows = [
        ("splats", f"{done.splats:,} -> {done.splats_kept:,}, {100 * share:.1f} %{_merged(done)}"),
        ("PSNR", f"{_decibels(done.psnr)} against the source, {done.views} views, {done.cameras} cameras"),
        ("loss", f"{done.loss_db:.3f} dB for a scene that is {done.model_psnr:g} dB off its photographs"),
    ]
    if done.distill_steps is not None:
        what = f"{done.distill_steps:,} steps, backend {done.distill_backend}"
        rows.append(("distilled", what if done.distilled else f"no, {what} did not pay"))
    print_rows(done.output, rows)


def _merged(done: PruneOutcome) -> str:
    return f", {done.splats_merged:,} of them for two or more" if done.splats_merged else ""


def print_pair(pair: Pair) -> None:
    """For people."""
    result, view = pair.result, pair.result.views[0]
    ratio = f"ratio {pair.bytes_a / pair.bytes_b:.2f}"
    means = f"mean of the views' {_decibels(result.mean_view_psnr)}"
    rows = [
        ("size", f"{readable_size(pair.bytes_a)} and {readable_size(pair.bytes_b)}, {ratio}"),
        ("splats", f"{pair.splats_a:,} and {pair.splats_b:,}"),
        ("PSNR", f"{_decibels(result.psnr)} ({means})"),
        ("SSIM", f"{result.ssim:.5f}"),
    ]
    for name, value, digits in (
        ("MS-SSIM", result.ms_ssim, 5),
        ("FLIP", result.flip, 5),
        ("SSIMULACRA2", result.ssimulacra2, 2),
        ("LPIPS", result.lpips, 5),
    ):
        if value is not None:
            rows.append((name, f"{value:.{digits}f}"))
    size = f"{view.width} x {view.height} pixels"
    rows.append(("views", f"{len(result.views)} {pair.cameras}, {size}, over {pair.background}"))
    print_rows(f"{pair.b} against {pair.a}", rows)


def print_inspection(found: Inspection) -> None:
    """For people."""
    rows = [
        ("format", found.format),
        ("size", readable_size(found.bytes)),
        ("splats", f"{found.count:,}"),
        ("SH degree", str(found.sh_degree)),
        ("axes", found.axes),
        ("antialiased", "yes" if found.antialiased else "no"),
        ("invalid", f"{found.invalid:,} splats"),
    ]
    if found.lower and found.upper:
        rows.append(("lower", "  ".join(f"{value:.6g}" for value in found.lower)))
        rows.append(("upper", "  ".join(f"{value:.6g}" for value in found.upper)))
    if found.press:
        info = found.press.metadata
        major, minor = found.press.version
        makers = (info.encoder, info.preset, f"format {major}.{minor}")
        rows.append(("made by", ", ".join(filter(None, makers))))
        if info.source_name:
            rows.append(("made from", info.source_name))
        rows.append(("structure", f"{found.press.levels} levels, {found.press.tiles} tiles"))
        if info.quality:
            rows.append(("quality", _record(info.quality)))
    print_rows(found.path, rows)
    if found.press:
        _print_rates(found.press.rates, found.count)


def print_rows(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """A title, and names with values below it."""
    width = max(len(name) for name, _ in rows)
    print(title, *(f"  {name:{width}}  {value}" for name, value in rows), sep="\n")


def _print_rates(rates: Sequence[Rate], splats: int) -> None:
    """Bytes by stage, then by level."""
    total = sum(rate.bytes for rate in rates)
    totals = by_stage(rates)
    width = max(map(len, totals))
    print("  stage")
    for stage, count in totals.items():
        share = f"{100 * count / total:5.1f} %  {count / max(1, splats):7.3f} B/splat"
        print(f"    {stage:{width}}  {readable_size(count):>8}  {share}")
    levels = sorted({rate.level for rate in rates if rate.level is not None})
    if levels:
        print("  level")
    for level in levels:
        count = sum(rate.bytes for rate in rates if rate.level == level)
        print(f"    {level:<{width}}  {readable_size(count):>8}  {100 * count / total:5.1f} %")


def _record(record: Quality) -> str:
    views = f"{record.views} views ({record.cameras} cameras) over {record.background}"
    return f"PSNR {_decibels(record.psnr)}, SSIM {record.ssim:.4f}, {views}"


def _decibels(psnr: float) -> str:
    return "infinite (equal images)" if psnr == float("inf") else f"{psnr:.2f} dB"


def _speed(splats: int, seconds: float) -> str:
    return f"{seconds:.2f} s, {splats / max(seconds, 1e-9) / 1e3:,.0f} thousand splats/s"
