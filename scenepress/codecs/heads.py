"""Fits the heads of the learned context model: how a scene weighs what its network saw."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scenepress.arrays import gram
from scenepress.kernels import learned as kernels
from scenepress.kernels import splats as splat_kernels
from scenepress.stages import context
from scenepress.stages.context import CHANNELS, I32, U8, Level, Predictor, Symbols, Tile
from scenepress.stages.learned_context import Head, Learned, spreads_of

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

MODEL = 1
"""The model that new files use."""
SAMPLES, FIT_SAMPLES = 2500, 12_000
"""Splats per tile and level that costs are counted over, and those of a channel that a fit looks at."""
ROUNDS = 2
"""Rounds of reweighting, and of dropping inputs that do not pay."""
LEAST = 2000
"""Splats that pay for a head."""
WEIGHT_BITS, ZERO_BITS = 6.5, 0.9
"""What a weight costs in the file, about, and what one that was dropped does."""
NATS = 0.72
"""1 / (2 ln 2): a residual that is a part x of its usual size off its mean costs about NATS x^2 bits."""
UNIT = 1 << kernels.HEAD_SHIFT
NOTHING = Learned(MODEL, (None,) * CHANNELS)
"""What levels hold while heads are being fitted: the model's neighbours, but no heads."""

Built = tuple[Tile, list[Level], I32]
"""A tile with all its lattice values, its levels, and the steps of its channels int32 [CHANNELS, capacity]."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """Some splats of one channel."""

    features: NDArray[np.int8]
    """int8 [n, FEATURES]."""
    indices: I32
    """int32 [n]: values in steps."""
    eighths: I32
    """int32 [n]: the linear prediction, in eighths of a step."""
    classes: U8
    contexts: U8
    """uint8 [n]: those of the table-driven model."""
    weight: F64
    """float64 [n]: how many splats each stands for."""


def choose(
    built: Sequence[Built], predictors: Sequence[Sequence[Predictor]], classes: int, origin: int,
    pool: ThreadPoolExecutor,
) -> Learned:  # fmt: skip
    """Heads for the channels where they save more than they cost.

    The levels must have been placed with NOTHING. `classes` and `origin` are those of the scene.
    """
    by_tile = pool.map(lambda b: list(observe(b, predictors, origin)), built)
    seen = [channels for tile in by_tile for channels in tile]
    if sum(len(channels[0].indices) for channels in seen) < LEAST:
        return NOTHING
    jobs = (join([channels[c] for channels in seen]) for c in range(CHANNELS))
    heads = tuple(pool.map(lambda job: _best(job[1], job[0], spreads_of(classes)), enumerate(jobs)))
    return Learned(MODEL, heads)


def observe(built: Built, predictors: Sequence[Sequence[Predictor]], origin: int) -> Iterator[list[Sample]]:
    """A sample of every channel, for each level that has neighbours."""
    tile, levels, steps = built
    for level in levels:
        if level.seen is None or not len(level.seen.near):
            continue
        context.begin(tile, level, origin)
        channels = []
        for c in range(CHANNELS):
            if c == len(context.SCALE):
                context.show_scales(tile, level, np.ascontiguousarray(tile.logs[:, level.own]), origin)
            channels.append(_sample(tile, level, c, predictors, np.ascontiguousarray(steps[c, level.own])))
        yield channels


def _sample(
    tile: Tile, level: Level, channel: int, predictors: Sequence[Sequence[Predictor]], steps: I32
) -> Sample:
    seen = level.seen
    assert seen is not None
    coded = context.watched(tile, level, channel, predictors, steps)
    assert coded.prediction is not None
    some = slice(None, None, max(1, level.count // SAMPLES))
    step, prediction = steps[some], coded.prediction[some]
    features = seen.features[:, some].copy()
    kernels.channel_features(tile.values, seen.near[some], channel, prediction, step, features)
    wide = step.astype(np.int64)
    eighths = (16 * prediction.astype(np.int64) + wide) // (2 * wide)
    context.show_values(tile, level, channel, coded, steps)
    return Sample(
        features.T, tile.values[channel, level.own][some] // step, eighths.astype(np.int32),
        tile.classes[level.own][some], coded.contexts[some], np.full(len(step), level.count / len(step)),
    )  # fmt: skip


def join(samples: Sequence[Sample]) -> Sample:
    """One sample of several levels."""
    names = [field.name for field in dataclasses.fields(Sample)]
    return Sample(*(np.concatenate([getattr(s, name) for s in samples]) for name in names))


def _best(sample: Sample, channel: int, spreads: int) -> Head | None:
    """The cheapest of a few heads, or None."""
    network = NOTHING.network
    features = np.ascontiguousarray(sample.features.T)
    hidden = kernels.hidden_units(features, network.weights[channel], network.bias[channel]).T
    units = np.concatenate([sample.features, hidden], 1)
    target = 8 * sample.indices - sample.eighths
    best, least = None, _bits(sample, sample.eighths, sample.contexts)
    # Without hidden units a head is smaller, which matters where little else is.
    kinds = (True, False) if len(target) <= FIT_SAMPLES else (True,)
    for with_hidden, corrected in itertools.product(kinds, (True, False)):
        x = units if with_hidden else np.concatenate([sample.features, np.zeros_like(hidden)], 1)
        head = fit(x, target, spreads - 1, corrected)
        cost = _cost(sample, units, head, spreads)
        if cost < least:
            best, least = head, cost
    return best


def _cost(sample: Sample, units: NDArray[np.int8], head: Head, spreads: int) -> float:
    """Bits of the channel, and of the head."""
    out = (units.astype(np.int32) @ head.weights.astype(np.int32).T + head.bias) >> kernels.HEAD_SHIFT
    eighths = sample.eighths + np.clip(out[:, 0], -kernels.CORRECTION, kernels.CORRECTION)
    distance = np.abs(eighths - 8 * ((eighths + 4) >> 3))
    phase = (distance > 0).astype(np.int32) + (distance > 2)
    contexts = (sample.classes.astype(np.int32) * splat_kernels.PHASES + phase) * spreads
    contexts += np.clip(out[:, 1], 0, spreads - 2)
    used = np.count_nonzero(head.weights)
    own = WEIGHT_BITS * used + ZERO_BITS * (head.weights.size - used)
    return own + _bits(sample, eighths, contexts.astype(np.uint8))


def _bits(sample: Sample, eighths: I32, contexts: U8) -> float:
    """Bits of the channel if its symbols count from these predictions, and of its tables."""
    base = (eighths + 4) >> 3
    k = sample.indices - base
    symbols = Symbols(np.where(eighths < 8 * base, -k, k).astype(np.int32), contexts)
    return context.cost(symbols, sample.weight)


def fit(units: NDArray[np.int8], target: I32, bins: int, corrected: bool) -> Head:
    """The head that leaves the fewest bits, about.

    Args:
        units: int8 [n, FEATURES + HIDDEN].
        target: int32 [n]: distance of the value from the linear prediction, in eighths of a step.
        bins: spreads that the contexts tell apart.
        corrected: whether predictions may be corrected; else only the spread is fitted.
    """
    some = slice(None, None, max(1, len(units) // FIT_SAMPLES))
    x = np.concatenate([np.ones((len(units[some]), 1), np.float32), units[some]], 1, dtype=np.float32)
    y, part = target[some].astype(np.float64), x.std(0).astype(np.float64)
    correction = np.zeros(x.shape[1])
    if corrected:
        correction = _round(_correction(x, y, part))
    spread = _spread(x, np.log2(2 + np.abs(y - x @ correction / UNIT)), part)
    values = x @ spread
    low, high = np.quantile(values, (0.02, 0.98))
    scale = min(bins / max(float(high - low), 1.0), 127 / UNIT / max(float(np.abs(spread[1:]).max()), 1e-9))
    spread *= scale
    spread[0] += bins / 2 - scale * float(high + low) / 2
    rows = np.stack([correction, _round(spread)])
    return Head(rows[:, 1:].astype(np.int8), np.clip(rows[:, 0], -(1 << 24), 1 << 24).astype(np.int32))


def _round(weights: F64) -> F64:
    """Integers for the file; the first of them, the bias, has any size."""
    whole = np.round(weights * UNIT)
    whole[1:] = np.clip(whole[1:], -127, 127)
    return whole


def _correction(x: F32, y: F64, part: F64) -> F64:
    """Weights towards the least sum of |residual|, without those that do not pay."""
    kept = np.ones(x.shape[1], np.bool_)
    weights = np.zeros(x.shape[1])
    for _ in range(ROUNDS):
        size = np.maximum(np.abs(y - x @ weights), 8.0)
        weights = _solve(x, y, 1 / size, kept)
        kept &= NATS * len(y) * (weights * part) ** 2 * np.mean(1 / size**2) > WEIGHT_BITS
        kept[0] = True
    return _solve(x, y, 1 / size, kept)


def _spread(x: F32, y: F64, part: F64) -> F64:
    """Weights that give the logarithm of the residual's size, without those that do not pay."""
    kept = np.ones(x.shape[1], np.bool_)
    even = np.ones(len(y))
    for _ in range(ROUNDS - 1):
        weights = _solve(x, y, even, kept)
        kept &= NATS / 2 * len(y) * (weights * part) ** 2 > WEIGHT_BITS
        kept[0] = True
    return _solve(x, y, even, kept)


def _solve(x: F32, y: F64, scale: F64, kept: NDArray[np.bool_]) -> F64:
    """Weighted least squares over the columns that are kept; the others get 0."""
    root = np.sqrt(scale).astype(np.float32)
    columns = np.concatenate([x[:, kept], y[:, None]], 1, dtype=np.float32) * root[:, None]
    products = gram(columns).astype(np.float64)
    square = products[:-1, :-1]
    ridge = 1e-3 * np.diag(square) + 1e-9
    ridge[0] = 0.0
    weights = np.zeros(x.shape[1])
    weights[kept] = np.linalg.solve(square + np.diag(ridge), products[:-1, -1])
    return weights
