"""The lossy codec of static splats: which stages, in which order, with which parameters.

A scene is cut into tiles, a tile into levels of falling importance. Tiles are coded independently of each
other; a level is predicted from the levels before it. docs/spec/splats.md tells the whole story.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scenepress import __version__, container, metadata
from scenepress.codecs import encoder
from scenepress.codecs.presets import PRESETS, Settings
from scenepress.container import Chunk, Container
from scenepress.errors import BitstreamError
from scenepress.metadata import Metadata
from scenepress.scene import Camera, Splats
from scenepress.stages import (
    color,
    context,
    opacity,
    order,
    parameters,
    position,
    refinement,
    rotation,
    scale,
    sh,
    table,
    tiles,
)
from scenepress.stages.context import Level, Tile
from scenepress.stages.parameters import Parameters
from scenepress.stages.tiles import TileBox

LARGEST = float(np.finfo(np.float32).max)
"""Positions saturate here."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the fraction of the whole that is done, 0 to 1."""


def encode(
    splats: Splats,
    settings: Settings = PRESETS["balanced"],
    *,
    cameras: Sequence[Camera] | None = None,
    description: Metadata | None = None,
    progress: Progress | None = None,
) -> bytes:
    """A `.press` file of the scene.

    Args:
        splats: finite values (scene_ops.drop_invalid); opacities may be infinite logits.
        settings: how small, how good.
        cameras: where the scene is looked at from, to measure what matters; synthesised if None.
        description: metadata to carry; what the codec knows itself (count, axes, ...) is filled in.
        progress: told how far the work is.

    Raises:
        ValueError: values that are not finite.
    """
    chunks = encoder.encode(splats, settings, cameras, progress or (lambda _what, _done: None))
    meta = dataclasses.replace(
        description or Metadata(0, 0, splats.axes, False, "splats"),
        count=sum(c.count for c in chunks if c.stage == table.POSITION),
        sh_degree=splats.sh_degree,
        axes=splats.axes,
        antialiased=splats.antialiased,
        codec="splats",
        preset=settings.name,
        encoder=f"scenepress {__version__}",
    )
    return container.write([metadata.chunk(meta), *chunks])


def decode(data: container.Buffer, *, levels: int | None = None, allow_truncated: bool = False) -> Splats:
    """The scene of a `.press` file of this codec.

    Args:
        data: the file, or its beginning if `allow_truncated`.
        levels: decode only so many levels: fewer splats, the most important ones first.
        allow_truncated: accept a file that was cut short and decode its complete levels.

    Returns:
        Splats in order of level, tile, and position; or of the source, if the file keeps it.

    Raises:
        BitstreamError: the bytes break a rule of docs/spec.
        ValueError: levels below 1.
    """
    if levels is not None and levels < 1:
        raise ValueError(f"levels must be at least 1, got {levels}")
    file = container.read(data, allow_truncated=allow_truncated)
    meta = metadata.of(file)
    if meta.codec != "splats":
        raise BitstreamError(f"the file's codec is {meta.codec!r}, not 'splats'")
    p = parameters.decode(bytes(_only(file, table.SPLAT_PARAMETERS, 1).payload))
    if {0: 0, 3: 1, 8: 2, 15: 3}[p.sh_count] != meta.sh_degree:
        raise BitstreamError(
            f"SH degree {meta.sh_degree} in the metadata, {p.sh_count} coefficients in the parameters"
        )
    boxes_chunk = _only(file, table.TILES)
    boxes = tiles.decode(bytes(boxes_chunk.payload), boxes_chunk.count)
    available = min(len(p.bounds), file.complete_levels) if file.truncated else len(p.bounds)
    wanted = available if levels is None else min(levels, available)
    by_place = _payloads(file, len(boxes), p)
    _check_total(file, memoryview(data).nbytes, meta.count)
    used = sorted({tile for tile, _, _ in by_place})  # A table of a million empty tiles costs nothing.
    with ThreadPoolExecutor() as pool:
        parts = list(pool.map(lambda i: _decode_tile(p, boxes[i], by_place, i, wanted, meta.count), used))
    scene = _join(parts, wanted, p)
    return dataclasses.replace(scene, antialiased=meta.antialiased, axes=meta.axes)


STAGES = (
    table.ORDER, table.POSITION, table.OPACITY, table.SCALE, table.ROTATION, table.COLOUR, table.SH,
    table.POSITION_REFINEMENT,
)  # fmt: skip
"""What a level of a tile has a chunk of; sh only if the basis has columns."""

_Payloads = dict[tuple[int, int, int], Chunk]


def _only(file: Container, stage: int, count: int | None = None) -> Chunk:
    """The one chunk of a stage that holds for the whole scene."""
    chunk, others = file.find(stage), len(file.select(stage)) - 1
    if others or count not in (None, chunk.count):
        raise BitstreamError(f"{table.describe(stage)}: {others + 1} chunks, the first of {chunk.count} elements")
    return chunk


def _payloads(file: Container, tile_count: int, p: Parameters) -> _Payloads:
    """Chunks by (tile, level, stage), after checking that each level of a tile has all of them, or none."""
    result: _Payloads = {}
    counts: dict[tuple[int, int], int] = {}
    for chunk in file.chunks:
        if chunk.stage < table.FIRST_LEVEL_STAGE:
            continue
        where = f"{table.describe(chunk.stage)} chunk for level {chunk.level}, tile {chunk.tile}"
        if chunk.tile >= tile_count or chunk.level >= len(p.bounds):
            raise BitstreamError(f"{where}: no such place")
        if chunk.stage not in STAGES or (chunk.stage == table.SH and not p.basis.shape[1]):
            raise BitstreamError(f"{where}: not a part of this scene")
        if not chunk.count or counts.setdefault((chunk.tile, chunk.level), chunk.count) != chunk.count:
            raise BitstreamError(f"{where}: {chunk.count} splats, other chunks say otherwise")
        result[chunk.tile, chunk.level, chunk.stage] = chunk
    for tile, level in counts:
        for stage in STAGES:
            if (tile, level, stage) not in result and (stage != table.SH or p.basis.shape[1]):
                raise BitstreamError(f"{table.describe(stage)} chunk for level {level}, tile {tile}: missing")
    return result


def _check_total(file: Container, available: int, claimed: int) -> None:
    """Refuse more splats than the metadata or the bytes that are here (not those promised) allow."""
    total = sum(c.count for c in file.select(table.POSITION))
    if total > claimed or (total < claimed and not file.truncated):
        raise BitstreamError(f"{total} splats in the chunks, {claimed} in the metadata")
    limit = container.FREE_COUNT + container.COUNT_PER_BYTE * available
    if total > limit:
        raise BitstreamError(f"{total} splats in {available} bytes; the limit is {limit}")


@dataclasses.dataclass(frozen=True)
class _Part:
    """One decoded tile: float arrays in columns of the tile, and its levels' sizes."""

    splats: Splats
    counts: list[int]
    indices: NDArray[np.int32] | None


def _decode_tile(p: Parameters, box: TileBox, chunks: _Payloads, index: int, wanted: int, kept: int) -> _Part:
    counts = [
        chunks[index, level, table.POSITION].count if (index, level, table.POSITION) in chunks else 0
        for level in range(wanted)
    ]
    capacity = sum(counts)
    if capacity > position.MAX_COUNT:
        raise BitstreamError(f"tile {index} claims {capacity} splats; the limit is {position.MAX_COUNT}")
    tile = Tile.empty(capacity, p.basis.shape[1])
    offsets, indices = [], []
    for level, count in enumerate(counts):
        if not count:
            continue

        def payload(stage: int, level: int = level) -> bytes:
            return bytes(chunks[index, level, stage].payload)

        offset, index_of = _decode_level(p, box, tile, level, count, payload, kept)
        offsets.append(offset)
        indices.append(index_of)
    points = np.concatenate(offsets) if offsets else np.zeros((0, 3), np.int64)
    kept_indices = np.concatenate([i for i in indices if i is not None]) if p.kept_order and indices else None
    return _Part(_dequantise(p, box, tile, points), counts, kept_indices)


def _decode_level(
    p: Parameters, box: TileBox, tile: Tile, level: int, count: int, payload: Callable[[int], bytes], kept: int
) -> tuple[NDArray[np.int64], NDArray[np.int32] | None]:
    depth = tiles.depth_of(box.bits, p.cells[level])
    cell = box.bits - depth
    coarse = tile.codes >> np.uint64(3 * (tiles.DEPTH - depth))
    codes = position.decode(payload(table.POSITION), count, coarse, 3 * depth)
    wide = tiles.widen(codes, depth)
    here = Level(tile.filled, count, tile.near(wide))
    lowest = p.bounds[level - 1] + 1 if level else 0
    indices = order.decode(
        payload(table.ORDER), tile, here, lowest, p.bounds[level], p.tables.order, kept if p.kept_order else None
    )
    s, t = p.steps, p.tables
    scale.decode(payload(table.SCALE), tile, here, s.scale, p.predictors, t.channels)
    opacity.decode(payload(table.OPACITY), tile, here, s.opacity, p.predictors, t.channels)
    classes = tile.classes[here.own]
    logs = scale.expand(tile.values[:3, here.own], s.origin, s.curve)
    wanted = rotation.steps(s.rotation, s.gain, s.lift, s.origin, classes, logs)
    rotation.decode(payload(table.ROTATION), tile, here, wanted, p.predictors, t.channels)
    exps, _ = refinement.exponents(
        s.offset, s.slope, s.reach, classes, logs, tile.values[4:7, here.own], cell
    )
    cells = position.unmorton(codes, depth).astype(np.int64)
    offsets = refinement.decode(payload(table.POSITION_REFINEMENT), cells, exps, cell)
    color.decode(payload(table.COLOUR), tile, here, s.color, p.predictors, t.channels)
    if p.basis.shape[1]:
        sh.decode(payload(table.SH), tile, here, context.step_of(s.sh[classes]), t.extent, t.groups)
    tile.merge(wide)
    return offsets, indices


def _dequantise(p: Parameters, box: TileBox, tile: Tile, offsets: NDArray[np.int64]) -> Splats:
    v = tile.values
    points = (offsets + np.array(box.corner, np.int64)).astype(np.float64) * 2.0**p.exponent
    if p.exponent + 45 > 127:  # The sums are below 2**45.
        points = np.clip(points, -LARGEST, LARGEST)
    vectors = v[4:7].astype(np.float64) / rotation.UNIT
    real = np.sqrt(np.maximum(1.0 - (vectors * vectors).sum(0), 0.0))
    steps = context.step_of(p.steps.sh[tile.classes])
    return Splats(
        means=points.astype(np.float32),
        quats=np.ascontiguousarray(np.concatenate([real[None], vectors]).T.astype(np.float32)),
        log_scales=np.ascontiguousarray(scale.dequantise(scale.expand(v[0:3], p.steps.origin, p.steps.curve)).T),
        opacity_logits=opacity.dequantise(v[3]),
        sh0=color.dequantise(v[7:10], p.color),
        shN=sh.dequantise(tile.sh, steps, p.shift, p.basis),
    )


def _join(parts: list[_Part], levels: int, p: Parameters) -> Splats:
    """Tiles to one scene, level by level; or in the order of the source."""
    if not parts:
        return _dequantise(p, TileBox((0, 0, 0), 1), Tile.empty(0, p.basis.shape[1]), np.zeros((0, 3), np.int64))
    slices = [
        (part, slice(sum(part.counts[:level]), sum(part.counts[: level + 1])))
        for level in range(levels)
        for part in parts
    ]
    whole = Splats(
        np.concatenate([part.splats.means[at] for part, at in slices]),
        np.concatenate([part.splats.quats[at] for part, at in slices]),
        np.concatenate([part.splats.log_scales[at] for part, at in slices]),
        np.concatenate([part.splats.opacity_logits[at] for part, at in slices]),
        np.concatenate([part.splats.sh0[at] for part, at in slices]),
        np.concatenate([part.splats.shN[at] for part, at in slices]),
    )
    if p.kept_order and len(whole):
        indices = np.concatenate([part.indices[at] for part, at in slices if part.indices is not None])
        if len(np.unique(indices)) != len(indices):
            raise BitstreamError("order: two splats have the same source index")
        return whole.take(np.argsort(indices, kind="stable"))
    return whole
