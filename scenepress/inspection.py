"""What a file is and holds, found out without trusting it."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress import container, metadata
from scenepress.files import PathLike
from scenepress.quality import Json
from scenepress.scene import Axes, Splats
from scenepress.stages import table


@dataclasses.dataclass(frozen=True)
class Rate:
    """Bytes that one stage spends on one level of detail."""

    stage: str
    """The stage's name (stages/table.py); "container" for the header and the chunk index."""
    level: int | None
    """0 is the coarsest; None for what holds for the whole scene."""
    chunks: int
    """How many payloads."""
    bytes: int
    """Their length in all."""


@dataclasses.dataclass(frozen=True)
class PressFile:
    """What only a .press file says about itself."""

    version: tuple[int, int]
    """Format major and minor."""
    metadata: metadata.Metadata
    """Codec, preset, source, encoder, and the quality record."""
    levels: int
    """Levels of detail."""
    tiles: int
    """Spatial tiles."""
    rates: tuple[Rate, ...]
    """Where the bytes go; they sum up to the file's size."""


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What a scene file is and holds."""

    path: str
    """As given."""
    format: str
    """"press", or the format's name in formats/table.py."""
    bytes: int
    """Size of the file, or of all files of a folder."""
    count: int
    """Splats."""
    sh_degree: int
    """0 to 3."""
    antialiased: bool
    """Trained with the opacity-compensated filter."""
    axes: Axes
    """Where +x, +y, +z point."""
    invalid: int
    """Splats with a non-finite or absurd value; `--drop-invalid` drops them."""
    lower: tuple[float, float, float] | None
    """Least x, y, z of the finite centres; None if there are none."""
    upper: tuple[float, float, float] | None
    """Greatest x, y, z of the finite centres; None if there are none."""
    press: PressFile | None
    """More, if it is a .press file."""

    def as_json(self) -> dict[str, Json]:
        """The keys that docs/cli.md promises; a quality record's infinite PSNR becomes null."""
        values: dict[str, Json] = dataclasses.asdict(self)
        if self.press:
            info = dataclasses.asdict(self.press.metadata)
            record = self.press.metadata.quality
            if record and not math.isfinite(record.psnr):
                info["quality"]["psnr"] = None
            values["press"] = {**dataclasses.asdict(self.press), "metadata": info}
        return values


def describe(
    path: PathLike, kind: str, scene: Splats, invalid: int, press: PressFile | None
) -> Inspection:
    """An Inspection of the scene that was read from `path`, a file of the format `kind`."""
    centres = scene.means[np.isfinite(scene.means).all(axis=1)].astype(np.float64)
    lower = upper = None
    if len(centres):
        lower, upper = _point(centres.min(axis=0)), _point(centres.max(axis=0))
    return Inspection(
        path=os.fspath(path),
        format=kind,
        bytes=file_size(path),
        count=len(scene),
        sh_degree=scene.sh_degree,
        antialiased=scene.antialiased,
        axes=scene.axes,
        invalid=invalid,
        lower=lower,
        upper=upper,
        press=press,
    )


def _point(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z


def describe_press(data: container.Buffer) -> PressFile:
    """What a .press file says about itself, from its index and metadata.

    Raises:
        BitstreamError: the bytes are not a whole, valid file.
    """
    file = container.read(data)
    entries = container.read_index(data).entries
    return PressFile(
        version=file.version,
        metadata=metadata.of(file),
        levels=file.levels,
        tiles=len({e.tile for e in entries if e.stage >= table.FIRST_LEVEL_STAGE}),
        rates=_rates(entries, len(memoryview(data).cast("B"))),
    )


def _rates(entries: tuple[container.Entry, ...], total: int) -> tuple[Rate, ...]:
    """One entry per stage and level in file order, then what the container itself takes."""
    sums: dict[tuple[str, int | None], tuple[int, int]] = {}
    for entry in entries:
        stage = table.STAGES.get(entry.stage)
        name = stage.name if stage else f"stage 0x{entry.stage:02X}"
        key = name, entry.level if entry.stage >= table.FIRST_LEVEL_STAGE else None
        chunks, size = sums.get(key, (0, 0))
        sums[key] = chunks + 1, size + entry.length
    rates = [Rate(*key, *value) for key, value in sums.items()]
    return (*rates, Rate("container", None, 1, total - sum(rate.bytes for rate in rates)))


def by_stage(rates: Sequence[Rate]) -> dict[str, int]:
    """Bytes by stage over all levels, largest first."""
    totals: dict[str, int] = {}
    for rate in rates:
        totals[rate.stage] = totals.get(rate.stage, 0) + rate.bytes
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def file_size(path: PathLike) -> int:
    """Bytes of a file, or of all files in a folder (a .sog may be one)."""
    root = Path(path)
    if root.is_dir():
        return sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    return root.stat().st_size
