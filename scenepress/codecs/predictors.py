"""Fits the predictors of a scene: weights and biases that make the residuals small."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scenepress.arrays import gram, tall_product
from scenepress.kernels import splats as kernels
from scenepress.stages import context
from scenepress.stages.context import I32, U8, Level, Predictor, Tile

SAMPLES = 2500
"""Splats per tile and level that a fit looks at."""
ROUNDS = 3
"""Rounds of reweighting."""


def fit(
    tiles: Sequence[tuple[Tile, list[Level]]], steps: Sequence[I32], classes: int, pool: ThreadPoolExecutor
) -> tuple[tuple[Predictor, ...], ...]:
    """[2][CHANNELS] predictors, for levels without and with neighbours.

    Args:
        tiles: with all their lattice values, and their levels.
        steps: int32 [CHANNELS, capacity] per tile.
        classes: number of importance classes.
        pool: fits the channels side by side.
    """
    jobs = itertools.product((False, True), range(context.CHANNELS))
    fitted = tuple(pool.map(lambda job: _fit_channel(tiles, steps, classes, job[1], job[0]), jobs))
    return fitted[: context.CHANNELS], fitted[context.CHANNELS :]


def _fit_channel(
    tiles: Sequence[tuple[Tile, list[Level]]], steps: Sequence[I32], classes: int, channel: int, with_near: bool
) -> Predictor:
    inputs = context.INPUTS[channel]
    features: list[NDArray[np.float64]] = []
    rest: list[tuple[I32, U8, I32]] = []
    for (tile, levels), step in zip(tiles, steps, strict=True):
        for level in levels:
            if not level.count or bool(len(level.near)) != with_near:
                continue
            stride = max(1, level.count // SAMPLES)
            own = np.arange(level.first, level.first + level.count, stride)
            near = level.near[::stride]
            terms = [tile.values[channel, near[:, k]] for k in range(2)] if with_near else []
            for i in inputs:
                terms.append(tile.values[i, own])
                if with_near:
                    terms += [tile.values[i, near[:, k]] for k in range(2)]
            features.append(np.array(terms, np.float64).reshape(len(terms), len(own)).T)
            rest.append((tile.values[channel, own], tile.classes[own], step[channel, own]))
    width = (2 + 3 * len(inputs)) if with_near else len(inputs)
    if not rest:
        return Predictor(np.zeros(classes, np.int32), np.zeros(width, np.int32))
    y, kind, step_ = (np.concatenate(column) for column in zip(*rest, strict=True))
    return _robust_fit(np.concatenate(features), y.astype(np.float64), kind, step_.astype(np.float64), classes)


def _robust_fit(
    x: NDArray[np.float64], y: NDArray[np.float64], kind: U8, step: NDArray[np.float64], classes: int
) -> Predictor:
    """Reweighted least squares towards the least sum of |residual| / step; one bias per class. x: [N, K]."""
    columns = np.concatenate([np.eye(classes)[kind], x, y[:, None]], 1)
    del x, y  # Several channels are fitted side by side: keep memory low.
    residual = np.zeros(len(columns))
    for _ in range(ROUNDS):
        scale = 1 / (step * np.maximum(step, np.abs(residual)))
        products = gram(columns * np.sqrt(scale)[:, None])
        total = np.maximum(np.diag(products)[:classes], 1e-300)
        means = products[:classes, classes:] / total[:, None]
        within = products[classes:, classes:] - products[classes:, :classes] @ means
        square = within[:-1, :-1]
        ridge = 1e-4 * np.trace(square) / max(len(square), 1) + 1e-12
        w = np.linalg.solve(square + ridge * np.eye(len(square)), within[:-1, -1])
        w = np.clip(np.round(w * 4096), -32767, 32767) / 4096
        bias = np.round(np.clip(means[:, -1] - means[:, :-1] @ w, -kernels.LIMIT, kernels.LIMIT))
        residual = tall_product(columns, np.concatenate([-bias, -w, [1.0]])[:, None])[:, 0]
    return Predictor(bias.astype(np.int32), np.round(w * 4096).astype(np.int32))
