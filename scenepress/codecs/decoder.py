"""The decoder of splat scenes: from checked chunks to float32 arrays. codecs/splats checks, and asks for it.

Positions and classes come first: with them the neighbours of every splat are known, and then SH and the other
attributes do not need each other. Every level of every tile is written to its own rows of the scene.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scenepress.container import Chunk
from scenepress.errors import BitstreamError
from scenepress.kernels import splats as kernels
from scenepress.scene import Splats
from scenepress.stages import (
    color,
    context,
    opacity,
    order,
    position,
    refinement,
    rotation,
    scale,
    sh,
    table,
    tiles,
)
from scenepress.stages.context import I32, Level, Tile
from scenepress.stages.parameters import Parameters
from scenepress.stages.tiles import TileBox

LARGEST = float(np.finfo(np.float32).max)
"""Positions saturate here."""

Payloads = Mapping[tuple[int, int, int], Chunk]
"""Chunks by tile, level and stage: of every level that a tile has, all stages."""
Payload = Callable[[int], bytes]
"""The payload of a stage of one level of one tile."""


@dataclasses.dataclass(frozen=True)
class _Placed:
    """A level of a tile whose positions and classes are known."""

    level: Level
    rows: slice
    """Of the scene."""
    cells: NDArray[np.uint32]
    """uint32 [count, 3]."""
    cell: int
    """log2 of the cells' edge."""
    payload: Payload


@dataclasses.dataclass(frozen=True)
class _PlacedTile:
    box: TileBox
    tile: Tile
    levels: list[_Placed]


def decode(p: Parameters, boxes: Sequence[TileBox], chunks: Payloads, levels: int, kept: int) -> Splats:
    """The first `levels` levels of all tiles, by level, then tile, then code; or in the order of the source.

    Args:
        p: of the file.
        boxes: of all tiles.
        chunks: see Payloads.
        levels: how many to decode.
        kept: source indices are below this, if the file has them.

    Raises:
        BitstreamError: damaged payloads.
    """
    places = sorted({(level, tile) for tile, level, _ in chunks if level < levels})
    ends = np.cumsum([chunks[tile, level, table.POSITION].count for level, tile in places], dtype=np.int64)
    rows = {
        (tile, level): slice(int(end) - chunks[tile, level, table.POSITION].count, int(end))
        for (level, tile), end in zip(places, ends, strict=True)
    }
    by_tile: dict[int, list[int]] = {}  # A table of a million empty tiles costs nothing.
    for level, tile in places:
        by_tile.setdefault(tile, []).append(level)
    _require_sizes(by_tile, rows)
    total = int(ends[-1]) if len(ends) else 0
    scene = empty_scene(total, p.sh_count)
    indices = np.empty(total if p.kept_order else 0, np.int32)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        placed = list(pool.map(lambda t: _place(p, boxes[t], chunks, t, by_tile[t], rows, indices, kept), by_tile))
        jobs = [partial(part, p, tile, scene) for tile in placed for part in (_decode_attributes, _decode_sh)]
        for _ in pool.map(lambda job: job(), jobs):
            pass
    if not p.kept_order:
        return scene
    if len(np.unique(indices)) != len(indices):
        raise BitstreamError("order: two splats have the same source index")
    return scene.take(np.argsort(indices, kind="stable"))


def empty_scene(count: int, sh_count: int) -> Splats:
    """A scene of `count` splats with `sh_count` SH coefficients each, its arrays not yet filled."""
    return Splats(
        means=np.empty((count, 3), np.float32),
        quats=np.empty((count, 4), np.float32),
        log_scales=np.empty((count, 3), np.float32),
        opacity_logits=np.empty(count, np.float32),
        sh0=np.empty((count, 3), np.float32),
        shN=np.empty((count, sh_count, 3), np.float32),
    )


def _require_sizes(by_tile: Mapping[int, Sequence[int]], rows: Mapping[tuple[int, int], slice]) -> None:
    for tile, levels in by_tile.items():
        count = sum(rows[tile, level].stop - rows[tile, level].start for level in levels)
        if count > position.MAX_COUNT:
            raise BitstreamError(f"tile {tile} claims {count} splats; the limit is {position.MAX_COUNT}")


def _place(
    p: Parameters, box: TileBox, chunks: Payloads, index: int, levels: Sequence[int],
    rows: Mapping[tuple[int, int], slice], indices: I32, kept: int,
) -> _PlacedTile:  # fmt: skip
    """Positions' cells, neighbours and classes of the tile's levels; source indices go to `indices`."""
    counts = [rows[index, level].stop - rows[index, level].start for level in levels]
    tile = Tile.empty(sum(counts), p.basis.shape[1], p.learned is not None)
    placed = []
    for level, count in zip(levels, counts, strict=True):

        def payload(stage: int, level: int = level) -> bytes:
            return bytes(chunks[index, level, stage].payload)

        depth = tiles.depth_of(box.bits, p.cells[level])
        coarse = tile.codes >> np.uint64(3 * (tiles.DEPTH - depth))
        codes = position.decode(payload(table.POSITION), count, coarse, 3 * depth)
        wide = tiles.widen(codes, depth)
        here = tile.place(wide, p.learned, p.classes)
        lowest, highest = p.bounds[level - 1] + 1 if level else 0, p.bounds[level]
        limit = kept if p.kept_order else None
        found = order.decode(payload(table.ORDER), tile, here, lowest, highest, p.tables.order, limit)
        if found is not None:
            indices[rows[index, level]] = found
        cells = position.unmorton(codes, depth)
        placed.append(_Placed(here, rows[index, level], cells, box.bits - depth, payload))
        tile.merge(wide)
    return _PlacedTile(box, tile, placed)


def _decode_attributes(p: Parameters, placed: _PlacedTile, scene: Splats) -> None:
    """All but SH."""
    s, t, tile = p.steps, p.tables, placed.tile
    for here in placed.levels:
        level, own = here.level, here.level.own
        context.begin(tile, level, s.origin)
        scale.decode(here.payload(table.SCALE), tile, level, s.scale, p.predictors, t.channels)
        logs = scale.expand(np.ascontiguousarray(tile.values[:3, own]), s.origin, s.curve)
        context.show_scales(tile, level, logs, s.origin)
        opacity.decode(here.payload(table.OPACITY), tile, level, s.opacity, p.predictors, t.channels)
        classes = tile.classes[own]
        wanted = rotation.steps(s.rotation, s.gain, s.lift, s.origin, classes, logs)
        rotation.decode(here.payload(table.ROTATION), tile, level, wanted, p.predictors, t.channels)
        vectors = np.ascontiguousarray(tile.values[4:7, own])
        exps, _ = refinement.exponents(s.offset, s.slope, s.reach, classes, logs, vectors, here.cell)
        offsets = refinement.decode(here.payload(table.POSITION_REFINEMENT), here.cells, exps, here.cell)
        color.decode(here.payload(table.COLOUR), tile, level, s.color, p.predictors, t.channels)
        out = scene.take(here.rows)
        dequantise(tile.values, level.first, logs, offsets, placed.box.corner, p.exponent, p.color, out)


def _decode_sh(p: Parameters, placed: _PlacedTile, scene: Splats) -> None:
    tile = placed.tile
    for here in placed.levels:
        steps = context.step_of(p.steps.sh[tile.classes[here.level.own]])
        if p.basis.shape[1]:
            tables = p.tables
            sh.decode(here.payload(table.SH), tile, here.level, steps, tables.extent, tables.groups, p.sh_weights)
        sh.dequantise(tile.sh, here.level.first, steps, p.shift, p.basis, scene.shN[here.rows])


def dequantise(
    values: I32, first: int, logs: I32, offsets: NDArray[np.int64], corner: Sequence[int], exponent: int,
    turn: I32, out: Splats,
) -> None:  # fmt: skip
    """Fill the arrays of `out`, but for shN, with floats.

    Args:
        values: int32 [CHANNELS, at least first + n], on their lattices.
        first: column of the first splat.
        logs: int32 [3, n], contiguous: scales, from scale.expand().
        offsets: int64 [n, 3], contiguous: positions from `corner`, in grid units.
        corner: of all of them, in grid units.
        exponent: the grid unit is 2 ** exponent scene units.
        turn: int32 [3, 3], 16384 = 1: the colour matrix.
        out: n splats.
    """
    origin, unit = np.array(corner, np.int64), 2.0**exponent
    if kernels.FUSED:
        kernels.dequantise_level(
            values, first, logs, offsets, origin, unit, turn, opacity.LOGITS,
            out.means, out.quats, out.log_scales, out.opacity_logits, out.sh0,
        )  # fmt: skip
        return
    v = values[:, first : first + len(offsets)]
    # The sums are below 2**45.
    out.means[:] = np.clip((offsets + origin).astype(np.float64) * unit, -LARGEST, LARGEST)
    vectors = v[4:7].astype(np.float64) / rotation.UNIT
    out.quats[:, 0] = np.sqrt(np.maximum(1.0 - (vectors * vectors).sum(0), 0.0))
    out.quats[:, 1:] = vectors.T
    out.log_scales[:] = scale.dequantise(logs).T
    out.opacity_logits[:] = opacity.dequantise(v[3])
    out.sh0[:] = color.dequantise(v[7:10], turn)
