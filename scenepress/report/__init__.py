"""The report: one self-contained HTML page that shows what was compressed, and its JSON twin.

The page holds its images, styles and script, asks the network for nothing (its content security
policy forbids it) and reads well in light, in dark, on paper, and without JavaScript.
docs/quality.md says what the numbers mean; docs/cli.md lists the keys of the twin.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress.files import PathLike, write_whole
from scenepress.inspection import Rate
from scenepress.quality import Comparison, Json


@dataclasses.dataclass(frozen=True)
class RatePoint:
    """One encoding of the scene: how large, how good, how fast."""

    label: str
    """What made it: a preset's name, or a peer format."""
    bytes: int
    """Size of the whole file."""
    quality: Comparison
    """Against the source's own renders."""
    encode_seconds: float | None = None
    """Wall-clock time; None if not measured."""
    decode_seconds: float | None = None
    """Wall-clock time; None if not measured."""
    peer: bool = False
    """True for another format, shown for comparison."""


@dataclasses.dataclass(frozen=True)
class ViewImages:
    """One view, before and after."""

    name: str
    """The camera's name."""
    reference: NDArray[np.float32]
    """float32 [H, W, 3] in [0, 1]: the source."""
    test: NDArray[np.float32]
    """The same view of the decoded scene."""


@dataclasses.dataclass(frozen=True)
class Report:
    """All that a page shows."""

    title: str
    """Name of the source file."""
    source_bytes: int
    """Size of the source file."""
    splats: int
    """Number of splats in the source."""
    sh_degree: int
    """0 to 3."""
    cameras: str
    """One sentence on where the cameras come from."""
    points: tuple[RatePoint, ...]
    """The first is the subject of the page; the others are other rates, and peers."""
    rates: tuple[Rate, ...] = ()
    """How the subject's bytes are spent."""
    images: tuple[ViewImages, ...] = ()
    """Views of the subject to show."""
    producer: str = "scenepress"
    """Program and version, for the footer."""


def as_json(report: Report) -> dict[str, Json]:
    """The report without its images, as plain JSON values. PSNR is null where images are equal."""
    return {
        "title": report.title,
        "producer": report.producer,
        "source_bytes": report.source_bytes,
        "splats": report.splats,
        "sh_degree": report.sh_degree,
        "cameras": report.cameras,
        "points": [_point_as_json(report, point) for point in report.points],
        "rates": [dataclasses.asdict(rate) for rate in report.rates],
    }


def write(report: Report, path: PathLike) -> tuple[Path, Path]:
    """Write the page to `path` and its twin beside it with the suffix .json; returns both paths.

    Raises:
        OSError: a file cannot be written; neither file is then left half written.
    """
    from scenepress.report.page import render

    page = Path(path)
    twin = page.with_suffix(".json")
    if page == twin:
        raise ValueError(f"{page}: the page needs a suffix other than .json, which its twin takes")
    texts = render(report), json.dumps(as_json(report), indent=2, allow_nan=False) + "\n"
    write_whole(page, texts[0])  # Once nothing is left to be done, lest an interrupt leaves one without the other.
    write_whole(twin, texts[1])
    return page, twin


def _point_as_json(report: Report, point: RatePoint) -> dict[str, Json]:
    return {
        "label": point.label,
        "peer": point.peer,
        "bytes": point.bytes,
        "ratio": report.source_bytes / point.bytes,
        "bytes_per_splat": point.bytes / report.splats if report.splats else None,
        "encode_seconds": point.encode_seconds,
        "decode_seconds": point.decode_seconds,
        "encode_splats_per_second": per_second(report.splats, point.encode_seconds),
        "decode_splats_per_second": per_second(report.splats, point.decode_seconds),
        "quality": point.quality.as_json(),
    }


def per_second(count: int, seconds: float | None) -> float | None:
    """A rate, or None where the time is unknown or too short to measure."""
    return count / seconds if seconds else None
