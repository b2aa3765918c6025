"""One splat for two that nearly coincide: which pairs, what the images lose by it, and what takes their place.

Two Gaussians become the one of their common mean and covariance (moment matching, as in hierarchical mixtures:
J. Goldberger and S. Roweis, "Hierarchical clustering of a mixture model", 2004), weighted by how much they cover:
optical depth times area. It hides as much as both did: opacity times area, less what both hide. Where that would
need more than full opacity, the splat grows instead, but less than would make it up (GROWTH).
"""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scenepress import scene_ops
from scenepress.kernels.reference_render import rotation_matrices
from scenepress.scene import Splats
from scenepress.stages.position import MAX_BITS_PER_AXIS, morton

F64 = NDArray[np.float64]
Rows = NDArray[np.intp]

REACH = 8
"""Splats on either side in Morton order that are looked at, in each of ORDERS."""
ORDERS = (0.0, 1 / 3)
"""By what share of its size the grid of cells is moved: whom a border parts in one are near in the other."""
FAR = 1.0
"""Squared distance, in sums of both splats' variances, beyond which two have nothing to do with each other."""
KAPPA = 1.6
"""Measured error of merging, next to the root of what shapes and colours say times the cheaper's removal.

Source: plush and gsplayer pruned to 60%, 1% of the splats merged at a time and rendered, where shapes and colours
said 0.01 to 0.6 of the cheaper: 0.15 to 2.5 of it was there, 1.2 to 2.5 times the root for most. Little of the
error of likely pairs is that of shapes: opacities add up otherwise than Gaussians, and thickness shows aside.
"""
OPAQUE = 0.999
"""The most opaque that a merged splat becomes."""
APART = 0.1
"""By what share one splat hides more than two apart from each other did: holes show more than what is too much."""
GROWTH = 0.38
"""Power of the opacity that would be needed beyond OPAQUE with which squared scales grow: splats behind fill what
is then missing, while nothing takes back what stands out at silhouettes.

Source of both: PSNR of gsplayer (30 and 60% kept), lego (40 and 60%) and plush (40%) over steps of 0.02 and
0.08. Next to optical depths that add up, it is worth 1.4 to 2.4 dB on lego and
plush and 6 on gsplayer.
"""
CHUNK = 1 << 14
"""Pairs that are looked at together: what is worked out fits in caches."""
LOGITS = (-30.0, 15.0)
"""Where opacities are taken to be 0 and 1."""
THIN = 1e-14
"""The smallest variance of a merged splat, next to its largest."""


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Pairs that may become one."""

    pairs: Rows
    """[P, 2]: rows of the scene; the first covers more. Each pair once, in no particular order."""
    cost: F64
    """float64 [P]: mean squared error of the renders that merging adds, as Sensitivities.removal."""


@dataclasses.dataclass(frozen=True)
class _Shapes:
    """What is asked of every splat, float64."""

    means: F64
    covariances: F64
    """[N, 3, 3]."""
    factors: F64
    """[N, 3, 3]: the covariances are these times their own transposes."""
    long: F64
    """[N, 2]: variances along the two longest axes."""
    plane: F64
    """[N, 2, 3]: the two longest axes, unit vectors: most of what is seen of a flat splat is seen from above."""
    depth: F64
    """[N]: optical depth in the middle, -ln(1 - opacity)."""
    area: F64
    """[N]: proportional to what is seen, as the mean over all directions."""
    mass: F64
    """[N]: optical depth times area; 0 for what takes no part."""


def candidates(scene: Splats, removal: F64, color: F64, limit: float) -> Candidates:
    """Neighbours whose merging costs at most `limit`, and less than leaving out one of the two.

    The cost is a guess from what either splat's absence would cost, by how far the merged Gaussian is from the
    sum of both (seen along the shortest axis of the larger), and from how much their colours differ. Splats that
    are not valid (scene_ops.audit) or not visible pair with none.

    Args:
        scene: not changed.
        removal, color: float64 [N], as Sensitivities has them.
        limit: mean squared error.
    """
    shapes = _shapes(scene)
    near = _neighbours(shapes) if limit > 0 else np.zeros((0, 2), np.intp)

    def chosen(start: int) -> Candidates:
        return _cheap(scene, shapes, near[start : start + CHUNK], removal, color, limit)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(chosen, range(0, len(near), CHUNK)))
    if not parts:
        return Candidates(np.zeros((0, 2), np.intp), np.zeros(0))
    return Candidates(np.concatenate([p.pairs for p in parts]), np.concatenate([p.cost for p in parts]))


def worthwhile(found: Candidates, removal: F64, price: float, most: int) -> Rows:
    """Pairs [P, 2] to merge where every splat less is worth `price`, most gain first; none shares a row.

    The gain of a pair is next to leaving out one of both, or both, where that costs less than the price.

    Args:
        found: see candidates().
        removal: float64 [N], as Sensitivities.
        price: mean squared error.
        most: pairs.
    """
    gain = price - found.cost - np.maximum(price - removal[found.pairs], 0).sum(axis=1)
    return found.pairs[match(found.pairs, gain, most)]


def merge(scene: Splats, pairs: Rows) -> Splats:
    """The scene with one splat for each of the pairs, at the place of its first; the others stay as they are.

    Args:
        scene: not changed.
        pairs: [P, 2] rows; none twice, all of valid splats (scene_ops.audit).

    Raises:
        ValueError: a row twice.
    """
    if len(np.unique(pairs)) != pairs.size:
        raise ValueError("a splat can be merged with one other at a time")
    if not len(pairs):
        return scene
    shapes = _shapes(scene.take(pairs.ravel()))
    share = _shares(shapes.mass.reshape(-1, 2))
    both = shapes.means.reshape(-1, 2, 3)
    means = (share[:, :, None] * both).sum(1)
    away = both[:, 0] - both[:, 1]
    covariances = _mixed(share, shapes.covariances.reshape(-1, 2, 3, 3), away)
    variances, axes = np.linalg.eigh(covariances)
    axes[:, :, 0] *= np.sign(np.linalg.det(axes))[:, None]
    variances = np.maximum(variances, np.maximum(THIN * variances[:, 2:], 1e-200))
    area = np.sqrt(np.maximum(_area_squared(variances), 1e-300))
    opacity = _hidden(shapes, away) / area
    variances *= (np.maximum(opacity / OPAQUE, 1) ** GROWTH)[:, None]
    opacity = np.clip(opacity, 1e-300, OPAQUE)
    changed = {
        "means": means,
        "quats": scene_ops.quat_of_matrix(axes),
        "log_scales": np.minimum(0.5 * np.log(variances), scene_ops.MAX_LOG_SCALE),
        "opacity_logits": np.clip(np.log(opacity / (1 - opacity)), *LOGITS),
        "sh0": np.einsum("pk,pkc->pc", share, scene.sh0[pairs].astype(np.float64)),
        "shN": np.einsum("pk,pkjc->pjc", share, scene.shN[pairs].astype(np.float64)),
    }
    arrays = {name: getattr(scene, name).copy() for name in changed}
    for name, values in changed.items():
        arrays[name][pairs[:, 0]] = values
    left = np.ones(len(scene), np.bool_)
    left[pairs[:, 1]] = False
    return dataclasses.replace(scene, **arrays).take(left)


def match(pairs: Rows, gain: F64, count: int) -> Rows:
    """Which of the pairs [P, 2] to take so that none shares a row: indices, at most `count`, most gain first.

    The pair of the most gain is taken, then of what shares no row with it the one of the most, and so on; only
    gains above 0.
    """
    order = np.argsort(-gain, kind="stable")
    order = order[gain[order] > 0]
    size = int(pairs.max(initial=-1)) + 1
    taken: list[Rows] = []
    while len(order):
        ends, rank = pairs[order], np.arange(len(order))
        best = np.full(size, len(order))
        np.minimum.at(best, ends.ravel(), np.repeat(rank, 2))
        wins = (best[ends] == rank[:, None]).all(axis=1)  # The best of both its splats: nothing comes before it.
        taken.append(order[wins])
        used = np.zeros(size, np.bool_)
        used[ends[wins]] = True
        order = order[~used[ends].any(axis=1)]
    chosen = np.sort(np.concatenate(taken)) if taken else np.zeros(0, np.intp)
    return chosen[np.argsort(-gain[chosen], kind="stable")][:count]


def _shapes(scene: Splats) -> _Shapes:
    valid = ~scene_ops.invalid_mask(scene)
    with np.errstate(all="ignore"):  # Of what is not valid, and gets no mass.
        means, logs = scene.means.astype(np.float64), scene.log_scales.astype(np.float64)
        variances = np.exp(2 * np.clip(logs, -200, scene_ops.MAX_LOG_SCALE))
        turns = rotation_matrices(scene.quats.astype(np.float64))
        depth = np.logaddexp(0, np.clip(scene.opacity_logits.astype(np.float64), *LOGITS))
        area = np.sqrt(_area_squared(variances))
        visible = valid & (scene.opacity_logits > LOGITS[0])
    long = np.argsort(-logs, axis=1, kind="stable")[:, :2]
    plane = np.take_along_axis(turns.transpose(0, 2, 1), long[:, :, None], 1)
    factors = turns * np.sqrt(variances)[:, None, :]
    covariances = factors @ factors.transpose(0, 2, 1)
    widest = np.take_along_axis(variances, long, 1)
    return _Shapes(means, covariances, factors, widest, plane, depth, area, np.where(visible, depth * area, 0.0))


def _area_squared(variances: F64) -> F64:
    """[N, 3] -> [N]: proportional to the squared area of what is seen, as the mean over all directions."""
    x, y, z = variances.T
    return np.asarray(x * y + y * z + z * x)


def _hidden(shapes: _Shapes, away: F64) -> F64:
    """[P] opacity times area that one splat should have, of pairs of [2 P] shapes that are `away`, [P, 3].

    It is what both have, less what both hide, and up to APART more where they differ.
    """
    plane = shapes.plane[::2].reshape(-1, 6).T
    along = np.stack([_dot(plane[k : k + 3], away.T) for k in (0, 3)])
    one, two = _own(shapes, np.arange(0, len(shapes.depth), 2)), _seen(plane, shapes.factors[1::2])
    both = _overlap(one, two, along)
    sizes = [np.sqrt(np.maximum(_determinant(c), 1e-300)) for c in (one, two)]
    alpha = -np.expm1(-shapes.depth).reshape(-1, 2)
    alone = alpha * shapes.area.reshape(-1, 2)
    twice = np.minimum(alone[:, 0] * alpha[:, 1] * both / sizes[0], 0.9 * alone.min(1))
    likeness = 2 * both / np.sqrt(sizes[0] * sizes[1])
    return np.asarray((1 + APART * (1 - likeness)) * (alone.sum(1) - twice))


def _shares(mass: F64) -> F64:
    """[P, 2] -> the same, adding up to 1."""
    total = mass.sum(1, keepdims=True)
    return np.where(total > 0, mass / np.where(total > 0, total, 1), 0.5)


def _mixed(share: F64, covariances: F64, away: F64) -> F64:
    """Covariances of mixtures: shares [P, 2], covariances [P, 2, D, D], means that differ by `away`, [P, D]."""
    between = share.prod(1)[:, None, None] * away[:, :, None] * away[:, None, :]
    return np.asarray(np.einsum("pk,pkij->pij", share, covariances) + between)


def _neighbours(shapes: _Shapes) -> Rows:
    """[P, 2]: pairs of splats near each other in space, each once."""
    rows = np.flatnonzero(shapes.mass > 0)
    if len(rows) < 2:
        return np.zeros((0, 2), np.intp)
    means, size = shapes.means[rows], np.trace(shapes.covariances[rows], axis1=1, axis2=2)
    low = means.min(axis=0)
    extent = max(float((means.max(axis=0) - low).max()), 1e-300)
    found = []
    for moved in ORDERS:
        cells = ((means - low) / extent + moved) * (0.5 * ((1 << MAX_BITS_PER_AXIS) - 1))
        order = np.argsort(morton(cells.astype(np.uint32), MAX_BITS_PER_AXIS), kind="stable")
        ordered, sizes = means[order], size[order]
        for step in range(1, min(REACH, len(rows) - 1) + 1):
            away = ordered[step:] - ordered[:-step]
            near = np.flatnonzero(np.einsum("pi,pi->p", away, away) <= FAR * (sizes[step:] + sizes[:-step]))
            a, b = order[near], order[near + step]
            found.append(np.minimum(a, b) * len(rows) + np.maximum(a, b))
    keys = np.sort(np.concatenate(found))
    keys = keys[np.diff(keys, prepend=-1) != 0]
    pairs: Rows = rows[np.stack(np.divmod(keys, len(rows)), axis=1)]
    return pairs


def _cheap(scene: Splats, shapes: _Shapes, pairs: Rows, removal: F64, color: F64, limit: float) -> Candidates:
    """Those of the pairs that are worth it."""
    first = shapes.mass[pairs[:, 0]] >= shapes.mass[pairs[:, 1]]
    pairs = np.where(first[:, None], pairs, pairs[:, ::-1])
    absence = removal[pairs].min(axis=1)
    worth = np.minimum(absence, limit)
    guess, spread = _costs(shapes, pairs, removal[pairs], color[pairs])
    for coefficients in (scene.sh0[:, None], scene.shN):  # All of SH only for few.
        guess = guess + spread * _distance(coefficients, pairs)
        cost = KAPPA * np.sqrt(guess * absence)
        few = np.flatnonzero(cost < worth)
        pairs, guess, spread, absence, worth = pairs[few], guess[few], spread[few], absence[few], worth[few]
    return Candidates(pairs, cost[few])


def _costs(shapes: _Shapes, pairs: Rows, removal: F64, color: F64) -> tuple[F64, F64]:
    """[P] of the change of shape, and [P] of a difference of 1 between two SH coefficients of one channel."""
    a, b = pairs.T
    share = _shares(shapes.mass[pairs])
    away = shapes.means[a] - shapes.means[b]
    plane = shapes.plane[a].reshape(-1, 6).T
    along = np.stack([_dot(plane[k : k + 3], away.T) for k in (0, 3)])
    one, two = _own(shapes, a), _seen(plane, shapes.factors[b])
    both = _mixed_seen(share, one, two, along)
    # Area of the mixture in space: of its covariance C, the root of half of trace(C)^2 - sum(C^2).
    whole = _mixed(share, shapes.covariances[pairs], away).reshape(-1, 9).T
    trace = whole[0] + whole[4] + whole[8]
    area = np.sqrt(np.maximum(0.5 * (trace**2 - _dot(whole, whole)), 1e-12 * trace**2))
    depth_a, depth_b, depth = shapes.depth[a], shapes.depth[b], shapes.mass[pairs].sum(1) / area
    nowhere = np.zeros_like(along)
    aa, bb, mm = (d * d * _overlap(c, c, nowhere) for d, c in ((depth_a, one), (depth_b, two), (depth, both)))
    ab = depth_a * depth_b * _overlap(one, two, along)
    am = depth_a * depth * _overlap(one, both, share[:, 1] * along)
    bm = depth_b * depth * _overlap(two, both, share[:, 0] * along)
    with np.errstate(divide="ignore", invalid="ignore"):  # Of shapes without area: NaN is never cheap.
        off = np.maximum(aa + bb + mm + 2 * (ab - am - bm), 0) / (aa + bb + 2 * ab)
        likeness = ab / np.sqrt(aa * bb)
    absence = removal.sum(1) + 2 * likeness * np.sqrt(removal.prod(1))
    # Colours become one: where both cover the same, what one gets too much of the other gets too little of.
    parts = share[:, ::-1] * np.sqrt(color)
    spread = np.maximum((parts**2).sum(1) - 2 * likeness * parts.prod(1), 0)
    return off * absence, spread


def _own(shapes: _Shapes, rows: Rows) -> F64:
    """[3, P]: xx, xy, yy of the covariances of splats in their own planes."""
    variances = shapes.long[rows].T
    return np.stack([variances[0], np.zeros(len(rows)), variances[1]])


def _seen(plane: F64, factors: F64) -> F64:
    """[3, P]: xx, xy, yy in planes [6, P] of covariances that are the squares of factors [P, 3, 3]."""
    columns = factors.reshape(-1, 9).T
    x, y = (np.stack([_dot(plane[k : k + 3], columns[c::3]) for c in range(3)]) for k in (0, 3))
    return np.stack([_dot(x, x), _dot(x, y), _dot(y, y)])


def _mixed_seen(share: F64, one: F64, two: F64, along: F64) -> F64:
    """[3, P]: the covariances of mixtures in planes, where means are `along` [2, P] from each other."""
    (x, y), between = along, share[:, 0] * share[:, 1]
    return np.asarray(share[:, 0] * one + share[:, 1] * two + between * np.stack([x * x, x * y, y * y]))


def _dot(a: F64, b: F64) -> F64:
    """[K, P] -> [P]: sums of products, in the order of K."""
    total: F64 = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total += x * y
    return total


def _overlap(a: F64, b: F64, away: F64) -> F64:
    """[P]: integral of the product of two Gaussians of height 1 in the plane, over 2 pi; covariances [3, P]."""
    xx, xy, yy = a + b
    determinant = np.maximum(xx * yy - xy * xy, 1e-300)
    x, y = away
    exponent = (yy * x * x - 2 * xy * x * y + xx * y * y) / determinant
    size = np.sqrt(np.maximum(_determinant(a), 0) * (np.maximum(_determinant(b), 0) / determinant))
    return np.asarray(size * np.exp(-0.5 * exponent))


def _determinant(c: F64) -> F64:
    return np.asarray(c[0] * c[2] - c[1] * c[1])


def _distance(coefficients: NDArray[np.float32], pairs: Rows) -> F64:
    """[P]: squared distance of both splats' SH coefficients, over all channels."""
    away = coefficients[pairs[:, 0]] - coefficients[pairs[:, 1]]
    return np.asarray(np.einsum("pkc,pkc->p", away, away), np.float64)
