"""Where to spend the bits: from measured sensitivities to pruning, classes and quantisation steps.

With fine steps, the rate falls by one bit whenever a step doubles, whatever the value; so the best
allocation gives every value the same share of the error: step = delta / sqrt(sensitivity). Sensitivities
are those of the mean squared error of the renders. The decoder needs each splat's step before it decodes
the value, so what it gets is a fit: splats fall into importance classes (a factor 4 of sensitivity each),
and within a class geometry's steps follow the splat's shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.arrays import distances, gram, sample, tall_product, weighted_quantile

F64 = NDArray[np.float64]
SH_C0 = 0.28209479177387814


@dataclasses.dataclass(frozen=True)
class Sensitivities:
    """Second derivatives (halved) of the renders' mean squared error, float64, per splat."""

    removal: F64
    """[N]: error if the splat is left out; also the one of ln(opacity)."""
    color: F64
    """[N]: of one SH coefficient of one colour channel."""
    position: F64
    """[N, 3]: along own axes, per squared scene unit."""
    log_scale: F64
    """[N, 3]: of the natural logarithm of own scales."""
    rotation: F64
    """[N, 3]: of turns about own axes, per squared radian."""

    def take(self, index: NDArray[np.intp]) -> Sensitivities:
        """Those of some splats."""
        return Sensitivities(*(getattr(self, f.name)[index] for f in dataclasses.fields(self)))


def lift_unseen(
    s: Sensitivities, means: F64, log_scales: F64, log_opacity: F64, share: float
) -> Sensitivities:
    """Sensitivities with a floor: nobody knows that the places that no camera saw are never looked at.

    A splat in full view counts as its opacity squared times its area, less with the distance from the middle
    of what was seen. The floor is `share` of that.

    Args:
        s: as measured.
        means: float64 [N, 3].
        log_scales: float64 [N, 3], natural logarithms.
        log_opacity: float64 [N], natural logarithms.
        share: what a splat that no camera saw counts for, next to one like it in full view.
    """
    seen = np.flatnonzero(s.color > 0)
    if not len(seen):
        return s
    center = np.array([weighted_quantile(means[:, k], s.color, 0.5) for k in range(3)])
    distance = distances(means, center)
    radius = max(weighted_quantile(distance, s.color, 0.5), 1e-30)
    a, b, c = log_scales.T
    area = a + b + c - np.minimum(np.minimum(a, b), c)
    size = np.exp(np.clip(2 * log_opacity + area, -200, 200)) / (1 + (distance / radius) ** 2)
    floor = share * np.quantile(s.color[seen] / np.maximum(size[seen], 1e-300), 0.75) * size
    floor = np.minimum(floor, share * float(s.color.max()))
    typical = seen[s.color[seen] >= np.median(s.color[seen])]
    typical = typical[sample(len(typical))]

    def ratio(values: F64) -> float:
        return float(np.median(values[typical] / s.color[typical].reshape((-1,) + (1,) * (values.ndim - 1))))

    variance = np.exp(np.clip(2 * log_scales, -200, 200))
    per_axis = floor[:, None]
    return Sensitivities(
        removal=np.maximum(s.removal, ratio(s.removal) * floor),
        color=np.maximum(s.color, floor),
        position=np.maximum(s.position, ratio(s.position * variance) * per_axis / variance),
        log_scale=np.maximum(s.log_scale, ratio(s.log_scale) * per_axis),
        rotation=np.maximum(s.rotation, ratio(s.rotation) * per_axis),
    )


def classify(color: F64, maximum: int = 13) -> NDArray[np.uint8]:
    """uint8 [N] importance classes: 0 for the top, one more per factor 4, fewer than `maximum`.

    Class 0 has a hundredth of the splats or so: the first picture needs no other, and takes few bytes.
    """
    positive = color[color > 0]
    if not len(positive):
        return np.zeros(len(color), np.uint8)
    top = np.quantile(positive, 0.98)
    with np.errstate(divide="ignore"):
        octaves = 0.5 * np.log2(top / np.maximum(color, 0))
    return np.clip(np.ceil(octaves + 0.5), 0, maximum - 1).astype(np.uint8)


def class_means(log: F64, classes: NDArray[np.uint8], count: int) -> F64:
    """[count]: log2 of the root of the mean of 4 ** `log` in each class; empty classes continue the nearest one.

    A class has one step for all its splats, and their errors add: so it is the mean of the sensitivities that
    counts, not of their logarithms.
    """
    size = np.bincount(classes, minlength=count)
    top = float(log.max(initial=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = 0.5 * np.log2(np.bincount(classes, np.exp2(2 * (log - top)), minlength=count) / size) + top
    known = np.flatnonzero(np.isfinite(mean))
    for c in np.flatnonzero(~np.isfinite(mean)):
        near = known[np.abs(known - c).argmin()] if len(known) else c
        mean[c] = mean[near] + (near - c) if len(known) else 0.0
    return mean


def half_log2(sensitivity: F64) -> F64:
    """log2 of the square root, with zeros lifted to a millionth of the mean."""
    floor = max(float(sensitivity.mean()) * 1e-6, 1e-300) if sensitivity.size else 1.0
    return 0.5 * np.log2(np.maximum(sensitivity, floor))


def fit_factors(
    target: F64, classes: NDArray[np.uint8], count: int, groups: Sequence[NDArray[np.intp]], size: Sequence[int]
) -> tuple[F64, list[F64]]:
    """Fit target ~ a[class] + sum of b[k][groups[k]] by alternating means: (a [count], b[k] [size[k]]).

    Every b[k] rises from 0: more of what a group counts never matters less. They come from a sample; a, which a
    few large values decide, from everything.
    """
    some = sample(len(target))
    b = _fit_rises(target[some], classes[some], count, [group[some] for group in groups], size)
    return class_means(target - _sum_of(b, groups), classes, count), b


def _fit_rises(
    target: F64, classes: NDArray[np.uint8], count: int, groups: Sequence[NDArray[np.intp]], size: Sequence[int]
) -> list[F64]:
    members = np.maximum(np.bincount(classes, minlength=count), 1)
    b = [np.zeros(n) for n in size]
    if not len(target):
        return b
    for _ in range(8):
        total = _sum_of(b, groups)
        a = np.bincount(classes, target - total, minlength=count) / members
        for k, group in enumerate(groups):
            rest = target - a[classes] - (total - b[k][group])
            hits = np.bincount(group, minlength=size[k])
            known = np.flatnonzero(hits)
            mean = np.bincount(group, rest, minlength=size[k])[known] / hits[known]
            total -= b[k][group]
            b[k] = np.maximum.accumulate(np.interp(np.arange(size[k]), known, mean))
            b[k] -= b[k][0]
            total += b[k][group]
    return b


def _sum_of(b: Sequence[F64], groups: Sequence[NDArray[np.intp]]) -> F64:
    total: F64 = np.sum([rise[group] for rise, group in zip(b, groups, strict=True)], axis=0)
    return total


def fit_shape(target: F64, shape: F64, classes: NDArray[np.uint8], count: int) -> tuple[F64, F64]:
    """Fit target [N] ~ a[class] + shape [N, 3] @ b by least squares: (a [count], b [3]).

    b comes from a sample; a, which a few large values decide, from everything.
    """
    some = sample(len(target))
    members = classes[some]
    size = np.maximum(np.bincount(members, minlength=count), 1)

    def centred(x: F64) -> F64:
        return x - (np.bincount(members, x, minlength=count) / size)[members]

    x = np.stack([centred(column[some]) for column in (*shape.T, target)], 1)
    products = gram(x)
    ridge = (1e-3 * len(x) + 1e-9) * np.eye(3)
    b = np.clip(np.linalg.solve(products[:3, :3] + ridge, products[:3, 3]), -2, 2)
    a = class_means(target - tall_product(shape, b[:, None])[:, 0], classes, count)
    return a, b
