"""The encoder's positions: tiles, levels, cells, and the lattice point of every splat."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from scenepress.allocation import F64
from scenepress.codecs.lattice import Lattice
from scenepress.stages import parameters, refinement
from scenepress.stages.context import U8
from scenepress.stages.parameters import Steps
from scenepress.stages.tiles import DEPTH, MAX_BITS, MAX_CORNER, TileBox, depth_of

I64 = NDArray[np.int64]

LEVEL_GROWTH = 0.7
"""A level has at least this many times the splats of all levels before it ..."""
LEVEL_LEAST = 512
"""... and at least so many."""
CELL_QUANTILE = 0.5
CELL_MARGIN = 0.25
"""A level's cells are this many octaves above the median of its coarsest position steps."""
NEAR_SHARE = 0.9
"""Of a tile too wide for its cells, so many splats must lie close together to get one without the others."""


def plan_levels(classes: U8) -> tuple[int, ...]:
    """The last importance class of every level: levels grow geometrically."""
    sizes = np.bincount(classes) if len(classes) else np.ones(1, np.int64)
    bounds: list[int] = []
    before = here = 0
    for c, size in enumerate(sizes):
        here += int(size)
        if here >= max(LEVEL_GROWTH * before, LEVEL_LEAST) and len(bounds) < parameters.MAX_LEVELS - 1:
            bounds.append(c)
            before, here = before + here, 0
    last = len(sizes) - 1
    if not bounds or bounds[-1] != last:
        bounds.append(last)
    return tuple(bounds)


def split(points: F64, limit: int, bits: int) -> list[NDArray[np.intp]]:
    """Members of tiles of at most `limit` points: median cuts of the longest side.

    Far outliers get tiles of their own where the others then have one of 2 ** `bits` grid units: a wider one has
    coarser cells, which tell too little about where its splats are and which are neighbours. No tile is too wide
    to be written.
    """
    pending, done = [np.arange(len(points))], []
    while pending:
        members = pending.pop()
        near = _near(points[members], bits)
        if near is not None:
            pending += [members[~near], members[near]]
            continue
        if len(members) <= limit and box_of(points[members]).bits <= MAX_BITS:
            done.append(members)
            continue
        low, high = np.quantile(points[members], [0.02, 0.98], axis=0)
        half = len(members) // 2
        order = np.argpartition(points[members, int((high - low).argmax())], half)
        pending += [members[order[half:]], members[order[:half]]]
    return done


def _near(points: F64, bits: int) -> NDArray[np.bool_] | None:
    """Mask of the points in a cube of 2 ** `bits` units about the middle; None: no need, or too few are there."""
    if box_of(points).bits <= bits:
        return None
    near = np.abs(points - np.median(points, axis=0)).max(axis=1) < 2.0 ** (bits - 1)
    return near if NEAR_SHARE * len(points) <= near.sum() < len(points) else None


def widest(cells: tuple[int, ...]) -> int:
    """log2 of the widest tile in which position codes still tell the cells of every level apart."""
    return min(DEPTH + min(cells), MAX_BITS)


def box_of(points: F64, cell: int = 0) -> TileBox:
    """The smallest box for float64 [n, 3] points in grid units whose corner is one of cells of 2 ** cell units.

    With cells as large as any step, lattices stand where they do in other boxes, and do not move when a splat at
    the rim does: distillation trains for where they are. Where that corner cannot be written, any other will do.
    """
    finest = np.floor(points.min(0)).astype(np.int64)
    corner = finest >> cell << cell
    extent = int((np.floor(points.max(0)).astype(np.int64) - corner).max())
    if cell and (extent >> MAX_BITS or int(corner.min()) < -MAX_CORNER):
        return box_of(points)
    return TileBox((int(corner[0]), int(corner[1]), int(corner[2])), max(1, extent.bit_length()))


def log_steps(steps: Steps, lattice: Lattice) -> F64:
    """float64 [3, N]: log2 of the wanted position step by rank of scale, in the unit of `steps`."""
    ordered = np.sort(lattice.logs, axis=0, kind="stable").astype(np.int64)
    logs = [
        np.minimum(
            steps.offset[r][lattice.classes] + ((steps.slope[r].astype(np.int64) @ ordered) >> 8),
            ordered[r] + steps.reach,
        )
        for r in range(3)
    ]
    return np.stack(logs) / 256


def choose_exponent(wanted: F64, means: F64) -> int:
    """log2 of the grid unit: below nearly all steps, and coarse enough for the corners of tiles to be written."""
    if not wanted.size:
        return 0
    finest = int(np.floor(np.quantile(wanted[0], 0.001))) - 1
    reach = float(np.abs(means).max()) + 1e-30
    fit = int(np.ceil(np.log2(reach / MAX_CORNER)))
    return int(np.clip(max(finest, fit), -parameters.MAX_EXPONENT, parameters.MAX_EXPONENT))


def coarsened(wanted: F64, points: F64) -> int:
    """How many splats get a coarser position than they want, and than float32 would give them.

    The smallest of a splat's three steps does not count: many splats are flat far beyond what a pixel shows.

    wanted float64 [3, N]: log2 of steps in grid units, of which 2 is the least; points float64 [N, 3] in the same.
    """
    return int(((wanted[1] < 1) & (np.abs(points).max(axis=1) < 2.0**23)).sum())


def choose_cells(coarsest: F64, level_of: NDArray[np.intp], levels: int) -> tuple[int, ...]:
    """log2 of the cells of every level, in grid units, from the coarsest wanted step [N] of each splat."""
    cells = []
    for level in range(levels):
        mine = coarsest[level_of == level]
        log = float(np.quantile(mine, CELL_QUANTILE)) + CELL_MARGIN if len(mine) else 1.0
        cells.append(int(np.clip(round(log), 1, parameters.MAX_CELL)))
    return tuple(cells)


@dataclasses.dataclass(frozen=True)
class Placed:
    """Splats of one level of one tile, sorted by the Morton code of their cell."""

    rows: NDArray[np.intp]
    """[n] indices into the lattice."""
    cells: I64
    """int64 [n, 3] coordinates of their cells."""
    offsets: I64
    """int64 [n, 3] lattice points, from the tile's corner."""
    exps: I64
    """int64 [3, n] exponents of their steps."""
    cell: int
    """log2 of the cell's edge in this tile."""


def place(
    points: F64, rows: NDArray[np.intp], box: TileBox, cell: int, lattice: Lattice, steps: Steps, wanted: F64
) -> Placed:
    """Lattice points of the splats `rows`, not sorted.

    points float64 [N, 3] in grid units; cell: the level's cell exponent; wanted float64 [3, N] from log_steps.
    """
    cell = box.bits - depth_of(box.bits, cell)
    logs, vectors = lattice.logs[:, rows], lattice.values[4:7, rows]
    exps, world = refinement.exponents(
        steps.offset, steps.slope, steps.reach, lattice.classes[rows], logs, vectors, cell
    )
    rank = np.argsort(logs, axis=0, kind="stable")
    frame = np.take_along_axis(lattice.frames[rows], rank.T[:, None, :], 2)
    local = points[rows] - np.array(box.corner, np.float64)
    offsets = _nearest_plane(local, box.bits, exps, world, frame, wanted[:, rows])
    return Placed(rows, offsets >> cell, offsets, exps, cell)


def _nearest_plane(local: F64, bits: int, exps: I64, world: I64, frame: F64, log_step: F64) -> I64:
    """Babai's nearest plane: fix the coarse axes first, then let the fine ones make up for their errors.

    local float64 [n, 3]; exps int64 [3, n] per world axis; world int64 [3, n]: the axis of each rank;
    frame float64 [n, 3, 3]: own axes by rank, in columns; log_step float64 [3, n] by rank.
    """
    n = len(local)
    rows = np.arange(n)
    weight = 2.0 ** (-2 * (log_step - log_step.min(0, initial=np.inf))).T
    metric = np.einsum("nik,nk,njk->nij", frame, weight, frame)
    metric = np.take_along_axis(np.take_along_axis(metric, world.T[:, :, None], 1), world.T[:, None, :], 2)
    point = np.take_along_axis(local, world.T, 1)
    by_rank = np.take_along_axis(exps, world, 0)
    error = np.zeros((n, 3))
    out = np.empty((n, 3), np.int64)
    for r in (2, 1, 0):
        shift = np.zeros(n)
        if r == 1:
            a, b, d = metric[:, 0, 0], metric[:, 0, 1], metric[:, 1, 1]
            det = np.maximum(a * d - b * b, 1e-30)
            shift = (b * metric[:, 0, 2] - a * metric[:, 1, 2]) / det * error[:, 2]
        elif r == 0:
            shift = -(metric[:, 0, 1] * error[:, 1] + metric[:, 0, 2] * error[:, 2]) / metric[:, 0, 0]
        e = by_rank[r]
        step = 2.0**e
        index = np.floor((point[:, r] - shift) / step).astype(np.int64)
        index = np.clip(index, 0, (np.int64(1) << (bits - e)) - 1)
        error[:, r] = point[:, r] - (index + 0.5) * step
        out[rows, world[r]] = (index << e) + ((np.int64(1) << e) >> 1)
    return out

