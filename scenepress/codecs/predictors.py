"""Fits the predictors of a scene: weights and biases that make the residuals small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import splats as kernels
from scenepress.stages import context
from scenepress.stages.context import I32, U8, Level, Predictor, Tile

SAMPLES = 2500
"""Splats per tile and level that a fit looks at."""
ROUNDS = 3
"""Rounds of reweighting."""


def fit(
    tiles: Sequence[tuple[Tile, list[Level]]], steps: Sequence[I32], classes: int
) -> tuple[tuple[Predictor, ...], ...]:
    """[2][CHANNELS] predictors, for levels without and with neighbours.

    Args:
        tiles: with all their lattice values, and their levels.
        steps: int32 [CHANNELS, capacity] per tile.
        classes: number of importance classes.
    """
    return tuple(
        tuple(_fit_channel(tiles, steps, classes, channel, with_near) for channel in range(context.CHANNELS))
        for with_near in (False, True)
    )


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
    """Reweighted least squares towards the least sum of |residual| / step; one bias per class."""
    residual = np.zeros_like(y)
    w: NDArray[np.floating[Any]] = np.zeros(x.shape[1])
    bias: NDArray[np.floating[Any]] = np.zeros(classes)
    for _ in range(ROUNDS):
        scale = 1 / (step * np.maximum(step, np.abs(residual)))
        total = np.maximum(np.bincount(kind, scale, minlength=classes), 1e-300)

        def centre(
            v: NDArray[np.float64], s: NDArray[np.float64] = scale, t: NDArray[np.float64] = total
        ) -> NDArray[np.float64]:
            return np.bincount(kind, v * s, minlength=classes) / t

        if x.shape[1]:
            xc = x - np.stack([centre(x[:, j]) for j in range(x.shape[1])], 1)[kind]
            gram = (xc * scale[:, None]).T @ xc
            gram += (1e-4 * np.trace(gram) / len(gram) + 1e-12) * np.eye(len(gram))
            w = np.linalg.solve(gram, (xc * scale[:, None]).T @ (y - centre(y)[kind]))
            w = np.clip(np.round(w * 4096), -32767, 32767) / 4096
        bias = np.round(np.clip(centre(y - x @ w), -kernels.LIMIT, kernels.LIMIT))
        residual = y - x @ w - bias[kind]
    return Predictor(bias.astype(np.int32), np.round(w * 4096).astype(np.int32))
