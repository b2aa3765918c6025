"""Position refinement: the bits below the level's cell, as fine as the splat's shape and importance ask.

A flat splat must be placed finely across its plane and coarsely along it. The world axis nearest to the
normal gets the fine step, the other two the coarser ones; the encoder picks the lattice point whose error
lies in the plane. Normative text: docs/spec/refinement.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import BitstreamError
from scenepress.kernels import splats as kernels
from scenepress.stages import context
from scenepress.stages.context import I32, U8, axes

MAX_BITS = 24


def exponents(
    offset: I32, slope: I32, reach: int, classes: U8, scales: I32, vectors: I32, cell: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Exponents of the final position steps, and which own axis each world axis serves.

    offset int32 [3, classes] and slope int32 [3, 3] (256 = 1): for the splat's smallest, middle and
    largest scale (rank r), log2 of the step in 1/256 octave of the finest grid unit is
    offset[r, class] + sum over ranks j of slope[r, j] * scale_j / 256, but at most scale_r + reach.
    scales, vectors int32 [3, n]; cell: exponent >= 1 of the cells, an upper bound.
    Returns (int64 [3, n] exponents per world axis,
    int64 [3, n] world axis of each rank).
    """
    rank = np.argsort(scales, axis=0, kind="stable")
    ordered = np.take_along_axis(scales, rank, 0).astype(np.int64)
    size = np.abs(axes(vectors))
    n = scales.shape[1]
    rows = np.arange(n)
    world = np.empty((3, n), np.int64)
    free = np.ones((3, n), bool)
    for r in range(2):
        world[r] = np.where(free, size[:, rank[r], rows], -1).argmax(0)
        free[world[r], rows] = False
    world[2] = free.argmax(0)
    result = np.empty((3, n), np.int64)
    for r in range(3):
        log = offset[r][classes].astype(np.int64) + ((slope[r].astype(np.int64) @ ordered) >> 8)
        log = np.minimum(log, ordered[r] + reach)
        result[world[r], rows] = np.clip(log >> 8, max(1, cell - MAX_BITS), cell)
    return result, world


def encode(offsets: NDArray[np.int64], exps: NDArray[np.int64], cell: int) -> bytes:
    """Bits cell - 1 .. exps of every offset, axis after axis of splat after splat, lowest bit first.

    offsets int64 [n, 3]: positions from the tile's corner, on the lattice of `exps` int64 [3, n].
    """
    lengths = (cell - exps.T).astype(np.uint8)
    fields = (offsets & ((1 << cell) - 1)) >> exps.T
    return kernels.pack_bits(fields.ravel().astype(np.uint32), np.ascontiguousarray(lengths.ravel()))


def decode(payload: bytes, cells: NDArray[np.int64], exps: NDArray[np.int64], cell: int) -> NDArray[np.int64]:
    """int64 [n, 3] positions from the tile's corner: middles of the refined cells.

    cells int64 [n, 3]: coordinates of the level's cells.

    Raises:
        BitstreamError: the payload is not exactly as long as the bits it must hold.
    """
    lengths = (cell - exps.T).astype(np.uint8).ravel()
    total = int(lengths.sum(dtype=np.int64))
    if len(payload) != (total + 7) // 8:
        raise BitstreamError(f"position refinement: {len(payload)} bytes for {total} bits")
    fields = context.unpack_bits(payload, np.ascontiguousarray(lengths)).reshape(-1, 3).astype(np.int64)
    half = (np.int64(1) << exps.T) >> 1
    points: NDArray[np.int64] = (cells << cell) + (fields << exps.T) + half
    return points
