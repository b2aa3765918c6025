"""Fits how SH coefficients follow from those of the neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import splats as kernels
from scenepress.stages import context, sh
from scenepress.stages.context import GROUPS, I32, Level, Symbols, Tile

SAMPLES = 4000
"""Splats per tile and level that a fit looks at."""
LEAST = 500
"""Splats that pay for a prediction."""
WEIGHT_BITS = 10
"""What a weight costs in the file, about."""
ROUNDS = 2
"""Rounds of reweighting."""

Found = tuple[Tile, Level, I32, I32]
"""A level with neighbours, the steps of its splats, and rows of it that have the coefficient."""


def fit(
    tiles: Sequence[tuple[Tile, list[Level]]], steps: NDArray[np.uint8], columns: int, pool: ThreadPoolExecutor
) -> I32:
    """Weights int32 [columns, 2] that make the file smaller, or [0, 2] if there are none; 4096 = 1.

    Args:
        tiles: with all their coefficients, and their levels.
        steps: SH step codes by class.
        columns: transform coefficients.
        pool: fits the groups side by side.
    """
    bounds = sh.bounds_of(columns)
    weights = np.zeros((columns, 2), np.int32)

    def fit_group(group: int) -> None:
        own = range(bounds[group - 1], bounds[group])
        if not own:
            return
        found = list(_levels(tiles, steps, group))
        total = sum(len(rows) for *_, rows in found)
        if total < LEAST:
            return
        fitted = np.array([_fit_column(found, j) for j in own], np.int32)
        before = _bits(found, own, group, np.zeros_like(fitted))
        if _bits(found, own, group, fitted) + WEIGHT_BITS * fitted.size < before:
            weights[own.start : own.stop] = fitted

    list(pool.map(fit_group, range(1, GROUPS + 1)))
    return weights if weights.any() else sh.UNPREDICTED


def _levels(
    tiles: Sequence[tuple[Tile, list[Level]]], steps: NDArray[np.uint8], group: int
) -> Iterator[Found]:
    for tile, levels in tiles:
        for level in levels:
            if not len(level.near):
                continue
            rows = np.flatnonzero(tile.extents[level.own] >= group).astype(np.int32)
            if len(rows):
                rows = np.ascontiguousarray(rows[:: max(1, len(rows) // SAMPLES)])
                yield tile, level, context.step_of(steps[tile.classes[level.own]]), rows


def _fit_column(found: Sequence[Found], column: int) -> I32:
    """Reweighted least squares towards the least sum of |residual| / step."""
    x = np.concatenate([tile.sh[column][level.near[rows]] for tile, level, _, rows in found]).astype(np.float64)
    y = np.concatenate([tile.sh[column, level.first + rows] for tile, level, _, rows in found]).astype(np.float64)
    step = np.concatenate([steps[rows] for *_, steps, rows in found]).astype(np.float64)
    w: NDArray[np.floating] = np.zeros(2)
    for _ in range(ROUNDS):
        scale = 1 / (step * np.maximum(step, np.abs(y - x @ w)))
        square = (x * scale[:, None]).T @ x
        square += np.diag(1e-3 * np.diag(square) + 1e-9)
        w = np.linalg.solve(square, x.T @ (scale * y))
    whole: I32 = np.clip(np.round(w * 4096), -32767, 32767).astype(np.int32)
    return whole


def _bits(found: Sequence[Found], own: range, group: int, weights: I32) -> float:
    """Bits of the group's symbols with these weights, and of its tables."""
    values, contexts, counts = [], [], []
    for tile, level, steps, rows in found:
        extents = tile.extents[level.own]
        whole = np.count_nonzero(extents >= group)
        for j, pair in zip(own, weights, strict=True):
            base, seen, flip = kernels.sh_predict(
                tile.sh[j], level.near, rows, extents, group, tile.classes[level.own], steps, pair
            )
            k = tile.sh[j, level.first + rows] // steps[rows] - base
            values.append(np.where(flip != 0, -k, k).astype(np.int32))
            contexts.append(seen)
            counts.append(np.full(len(rows), whole / len(rows)))
    symbols = Symbols(np.concatenate(values), np.concatenate(contexts))
    return context.cost(symbols, np.concatenate(counts))
