"""NumPy reference of the learned context model's kernels: normative, written for reading.

Integers in, integers out; every function has a native twin of the same name that must return the same
arrays (docs/spec/learned_context.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels.reference_splats import LIMIT, PHASES, WINDOW, unmorton21

I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]

MOVED = 699051
"""A third of 2^21."""
FEATURES, HIDDEN, NEIGHBOURS = 42, 16, 4
"""Inputs and hidden units of a channel's network; neighbours it looks at."""
COMMON, SHAPE, RESIDUALS, SIZES = 8, 19, 22, 32
"""First rows of the features that all channels share, of the splat's own scales, of residuals, of their sizes."""
HIDDEN_SHIFT, HEAD_SHIFT = 8, 9
GAP_LIMIT = 1 << 22
CORRECTION = 1023
"""Corrections of a prediction saturate at so many eighths of a step."""


def log16(m: NDArray[np.integer]) -> I64:
    """16 log2(m), linear between powers of two and rounded down, of 1 <= m < 2^53: bits of a float64."""
    logs: I64 = (m.astype(np.float64).view(np.int64) >> 48) - (1023 << 4)
    return logs


def squash(difference: NDArray[np.integer], steps: NDArray[np.integer]) -> I64:
    """Differences in steps, their size as 16 log2(1 + 2 |d| / step), within +-127."""
    size = np.minimum(np.abs(difference.astype(np.int64)), GAP_LIMIT)
    step = steps.astype(np.int64)
    squashed: I64 = np.sign(difference) * np.minimum(log16(step + 2 * size) - log16(step), 127)
    return squashed


def _moved_codes(points: I64) -> U64:
    """63-bit Morton codes of int64 [n, 3] coordinates that are increased by MOVED, modulo 2^21."""
    moved = (points + MOVED) & ((1 << 21) - 1)
    out = np.zeros(len(points), np.uint64)
    for bit in range(21):
        for axis in range(3):
            out |= ((moved[:, axis] >> bit) & 1).astype(np.uint64) << np.uint64(3 * bit + 2 - axis)
    return out


def nearest(codes: U64, coarse: U64) -> tuple[I32, I32]:
    """Four near coarse codes of every code: int32 [n, 4] indices, nearest first, and log16(1 + distance^2).

    As reference_splats.neighbours, with more candidates: WINDOW on either side in the order of codes, and as many
    in that of the codes of a moved grid. With fewer coarse codes the last one found is repeated.
    """
    m = len(coarse)
    points, known = unmorton21(codes), unmorton21(coarse)
    moved = _moved_codes(known)
    order = np.argsort(moved, kind="stable")
    around = np.arange(-WINDOW, WINDOW)
    places = np.searchsorted(coarse, codes)[:, None] + around
    others = np.searchsorted(moved[order], _moved_codes(points))[:, None] + around
    found = [np.where((at >= 0) & (at < m), row[np.clip(at, 0, m - 1)], m) for at, row in
             ((places, np.arange(m)), (others, order))]  # fmt: skip
    candidates = np.sort(np.concatenate(found, 1), 1)
    candidates[:, 1:][candidates[:, 1:] == candidates[:, :-1]] = m
    candidates.sort(1)
    inside = np.minimum(candidates, m - 1)
    offset = known[inside] - points[:, None]
    distance = np.where(candidates < m, (offset * offset).sum(2), np.iinfo(np.int64).max)
    best = np.argsort(distance, 1, kind="stable")[:, :NEIGHBOURS]
    count = min(m, NEIGHBOURS)
    best[:, count:] = best[:, count - 1 : count]
    near, picked = (np.take_along_axis(array, best, 1) for array in (inside, distance))
    return near.astype(np.int32), log16(picked + 1).astype(np.int32)


def level_features(
    values: I32, logs: I32, classes: U8, first: int, near: I32, far: I32, origin: int
) -> I8:
    """Features int8 [FEATURES, n] of the n splats from column `first` on, only the rows COMMON .. SHAPE - 1 set.

    values int32 [channels, capacity], logs int32 [3, capacity], classes uint8 [capacity], near, far int32 [n, 4]
    from nearest(), near as columns.
    """
    n = len(near)
    out = np.zeros((FEATURES, n), np.int8)
    kind = classes.astype(np.int64)
    own = kind[first : first + n]
    wide = far.astype(np.int64)
    rows = [8 * own - 64]
    rows += [8 * (kind[near[:, k]] - own) for k in range(2)]
    rows += [np.maximum(-(values[3, near[:, k]].astype(np.int64)) >> 3, 0) for k in range(2)]
    rows += [wide[:, 0] >> 3, *((wide[:, k] - wide[:, 0]) >> 2 for k in range(1, NEIGHBOURS))]
    rows += [(logs[:, near[:, k]].max(0).astype(np.int64) - origin) >> 5 for k in range(2)]
    out[COMMON : COMMON + len(rows)] = np.clip(rows, -127, 127)
    return out


def shape_features(features: I8, logs: I32, origin: int) -> None:
    """Set the features of the splats' own scales, logs int32 [3, n]. In place."""
    features[SHAPE : SHAPE + 3] = np.clip((logs.astype(np.int64) - origin) >> 5, -127, 127)


def residual_features(features: I8, channel: int, values: I32, predictions: I32, steps: I32) -> None:
    """Set what a decoded channel tells later ones; values, predictions, steps int32 [n]. In place."""
    residual = squash(values.astype(np.int64) - predictions, steps)
    features[RESIDUALS + channel] = residual
    features[SIZES + channel] = np.abs(residual)


def linear_prediction(
    values: I32, first: int, near: I32, channel: int, inputs: I32, weights: I32, bias: I32, classes: U8
) -> I32:
    """The prediction int32 [n] of docs/spec/context.md, section 2; arguments as reference_splats.predict."""
    own = slice(first, first + len(classes))
    terms = [values[channel, near[:, 0]], values[channel, near[:, 1]]]
    for i in inputs:
        terms += [values[i, own], values[i, near[:, 0]], values[i, near[:, 1]]]
    total = np.full(len(classes), 2048, np.int64)
    for weight, term in zip(weights, terms, strict=True):
        total += np.int64(weight) * term
    prediction: I32 = np.clip(bias[classes] + (total >> 12), -LIMIT, LIMIT).astype(np.int32)
    return prediction


def channel_features(values: I32, near: I32, channel: int, predictions: I32, steps: I32, features: I8) -> None:
    """Set the features of the channel itself: rows 0 .. COMMON - 1. In place."""
    around = values[channel][near].astype(np.int64).T
    for k in range(NEIGHBOURS):
        features[k] = squash(around[k] - predictions, steps)
    features[NEIGHBOURS] = squash(np.abs(around[0] - around[1]), steps)
    features[NEIGHBOURS + 1] = squash(around.max(0) - around.min(0), steps)
    features[NEIGHBOURS + 2] = squash(predictions, steps)
    features[NEIGHBOURS + 3] = np.clip(log16(steps) - 128, -127, 127)


def hidden_units(features: I8, weights: I8, bias: I32) -> I8:
    """Hidden units int8 [HIDDEN, n], 0..127; weights int8 [HIDDEN, FEATURES], bias int32 [HIDDEN]."""
    total = (weights.astype(np.float64) @ features.astype(np.float64)).astype(np.int64) + bias[:, None]  # Exact.
    units: I8 = np.clip(total >> HIDDEN_SHIFT, 0, 127).astype(np.int8)
    return units


def learned_predict(
    values: I32, first: int, near: I32, channel: int, inputs: I32, weights: I32, bias: I32, classes: U8,
    steps: I32, features: I8, hidden: I8, hidden_bias: I32, head: I8, head_bias: I32, spreads: int,
) -> tuple[I32, U8, U8, I32]:  # fmt: skip
    """As reference_splats.predict, with the network's correction and spread.

    near int32 [n, 4]; features int8 [FEATURES, n], whose rows 0 .. COMMON - 1 are set here; head int8 [2, FEATURES
    + HIDDEN], head_bias int32 [2]; spreads: bins of a context, the last one for levels without neighbours.
    Returns (base int32 [n], context uint8 [n], flip uint8 [n], linear prediction int32 [n]).
    """
    prediction = linear_prediction(values, first, near, channel, inputs, weights, bias, classes)
    channel_features(values, near, channel, prediction, steps, features)
    units = np.concatenate([features, hidden_units(features, hidden, hidden_bias)]).astype(np.int64)
    out = (head.astype(np.int64) @ units + head_bias[:, None]) >> HEAD_SHIFT
    correction = np.clip(out[0], -CORRECTION, CORRECTION)
    spread = np.clip(out[1], 0, spreads - 2)
    step = steps.astype(np.int64)
    eighths = (16 * prediction.astype(np.int64) + step) // (2 * step) + correction
    base = (eighths + 4) >> 3
    fraction = eighths - 8 * base
    phase = np.where(fraction == 0, 0, np.where(np.abs(fraction) <= 2, 1, 2))
    context = (classes.astype(np.int64) * PHASES + phase) * spreads + spread
    return base.astype(np.int32), context.astype(np.uint8), (fraction < 0).astype(np.uint8), prediction
