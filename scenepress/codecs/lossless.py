"""Lossless codec: every float32 bit of a scene of splats, in the order of the source. docs/spec/lossless.md."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scenepress import __version__, container, metadata
from scenepress.container import Chunk
from scenepress.errors import BitstreamError
from scenepress.scene import SH_COUNTS, Splats
from scenepress.stages import lossless

PLAIN = 14
"""Columns before the SH."""


def encode(
    splats: Splats,
    *,
    source_name: str = "",
    source_format: str = "",
    unit: str = "",
    up: metadata.Up | None = None,
    crs: str = "",
    progress: Callable[[float], None] | None = None,
) -> bytes:
    """Compress a scene without any loss: decode() gives the same bits in the same order.

    Args:
        splats: any values, NaN and infinities too. Not changed.
        source_name: file name without folders, for the metadata.
        source_format: its format, e.g. "ply".
        unit: length of 1 in scene coordinates, e.g. "m".
        up: which direction is up.
        crs: coordinate reference system, e.g. "EPSG:32632".
        progress: called with the fraction done.

    Returns:
        A whole .press file.

    Raises:
        ValueError: a text field that metadata cannot hold.
    """
    about = metadata.Metadata(
        len(splats), splats.sh_degree, splats.axes, splats.antialiased, "lossless",
        preset="lossless", unit=unit, up=up, crs=crs, source_format=source_format,
        source_name=source_name, encoder=f"scenepress {__version__}",
    )  # fmt: skip
    chunks = [metadata.chunk(about)]
    bits = _to_columns(splats)
    bounds = np.linspace(0, len(splats), -(-len(splats) // lossless.MAX_COUNT) + 1).astype(int).tolist()
    spans = list(itertools.pairwise(bounds))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        payloads = pool.map(lambda span: lossless.encode(bits[:, span[0] : span[1]]), spans)
        for tile, ((start, end), payload) in enumerate(zip(spans, payloads, strict=True)):
            chunks.append(Chunk(lossless.STAGE_ID, 0, tile, end - start, payload))
            if progress:
                progress(end / len(splats))
    return container.write(chunks)


def decode(
    data: container.Buffer, *, levels: int | None = None, allow_truncated: bool = False
) -> Splats:
    """Decode a file of encode(). Safe on untrusted bytes.

    Args:
        data: the whole file.
        levels: at least 1; a lossless file has one level, so it changes nothing.
        allow_truncated: changes nothing either: with a part of its only level, nothing can be shown.

    Raises:
        BitstreamError: the bytes break a rule of docs/spec, or are not the whole file.
        ValueError: levels < 1.
    """
    if levels is not None and levels < 1:
        raise ValueError(f"levels must be at least 1, got {levels}")
    file = container.read(data, allow_truncated=allow_truncated)
    about = metadata.of(file)
    if about.codec != "lossless":
        raise BitstreamError(f"the file's codec is {about.codec!r}, not 'lossless'")
    if file.truncated:
        raise BitstreamError("file cut short, and a lossless file decodes from the whole only")
    tiles = file.select(lossless.STAGE_ID)
    for number, tile in enumerate(tiles):
        if (tile.level, tile.tile) != (0, number):
            raise BitstreamError(f"lossless chunk for level {tile.level}, tile {tile.tile}: misplaced")
    total = sum(tile.count for tile in tiles)
    if total != about.count:
        raise BitstreamError(f"metadata claim {about.count} splats, the chunks {total}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(lambda tile: lossless.decode(tile.payload, tile.count), tiles))
    columns = PLAIN + 3 * SH_COUNTS[about.sh_degree]
    if any(len(part) != columns for part in parts):
        raise BitstreamError(f"a lossless chunk's SH degree is not {about.sh_degree}, as the metadata say")
    bits = np.concatenate([np.empty((columns, 0), np.uint32), *parts], axis=1)
    return _from_columns(bits, about)


def _to_columns(splats: Splats) -> NDArray[np.uint32]:
    """uint32 [14 + 3 K, N]: the bits of every attribute, one row each."""
    n = len(splats)
    attributes = (
        splats.means,
        splats.quats,
        splats.log_scales,
        splats.opacity_logits[:, None],
        splats.sh0,
        splats.shN.reshape(n, 3 * splats.shN.shape[1]),
    )
    return np.concatenate([np.ascontiguousarray(a.T).view(np.uint32) for a in attributes])


def _from_columns(bits: NDArray[np.uint32], about: metadata.Metadata) -> Splats:
    rows = bits.view(np.float32).T
    shapes = (slice(0, 3), slice(3, 7), slice(7, 10), slice(11, 14))
    means, quats, log_scales, sh0 = (np.ascontiguousarray(rows[:, s]) for s in shapes)
    shn = np.ascontiguousarray(rows[:, PLAIN:]).reshape(len(rows), SH_COUNTS[about.sh_degree], 3)
    opacity = np.ascontiguousarray(rows[:, 10])
    return Splats(means, quats, log_scales, opacity, sh0, shn, about.antialiased, about.axes)
