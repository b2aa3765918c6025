"""k-means for formats that store indices: 256 numbers for a set of numbers, a palette for a set of vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CODES = 256
SAMPLE = 1 << 20
"""Numbers, or vectors, that a fit looks at; more are thinned out evenly."""
REFINE = 1 << 28
"""Pairs of a vector and a palette entry, up to which all are compared with all in the end: some seconds."""
SEED = 20_240_229
"""Fits are deterministic."""

Floats = NDArray[np.float32]


def fit_codebook(values: Floats, iterations: int = 60) -> Floats:
    """256 ascending numbers that represent `values` with a small squared error (Lloyd's algorithm).

    Args:
        values: float32 of any shape, finite; may be empty.
        iterations: upper bound.

    Returns:
        float32 [256]; with up to 256 different values, exactly these (the last one repeated).
    """
    flat = np.sort(values.ravel()[:: max(1, values.size // SAMPLE)]).astype(np.float64)
    distinct = np.unique(flat)
    if len(distinct) <= CODES:
        last = distinct[-1] if len(distinct) else 0.0
        return np.concatenate([distinct, np.full(CODES - len(distinct), last)]).astype(np.float32)
    sums = np.concatenate([[0.0], np.cumsum(flat)])
    spread = np.linspace(0, 1, CODES)
    # Half way between equal counts and equal distances: tails keep some codes.
    codes = (np.quantile(flat, spread) + flat[0] + (flat[-1] - flat[0]) * spread) / 2
    for _ in range(iterations):
        edges = np.searchsorted(flat, (codes[1:] + codes[:-1]) / 2)
        first, last = np.concatenate([[0], edges]), np.concatenate([edges, [len(flat)]])
        means = (sums[last] - sums[first]) / np.maximum(last - first, 1)
        moved = np.where(last > first, means, codes)
        if np.array_equal(moved, codes):
            break
        codes = moved
    return np.sort(codes).astype(np.float32)


def nearest(codebook: Floats, values: Floats) -> NDArray[np.uint8]:
    """Index of the nearest entry of an ascending codebook, for values of any shape."""
    middles = (codebook[1:].astype(np.float64) + codebook[:-1]) / 2
    return np.searchsorted(middles, values.ravel()).reshape(values.shape).astype(np.uint8)


def fit_palette(rows: Floats, size: int, iterations: int = 10) -> tuple[Floats, NDArray[np.int64]]:
    """Represent vectors by at most `size` of them.

    In two steps: vectors are split into about sqrt(size) clusters, and each of these gets a share of the
    palette by its squared error. The work is then O(N sqrt(size)) instead of O(N size).

    Args:
        rows: float32 [N, D], finite, N >= 1.
        size: entries of the palette, at least 1.
        iterations: of k-means in each step.

    Returns:
        (palette float32 [P, D] with P <= size, label int64 [N] of the entry for each row).
    """
    distinct = _distinct(rows)
    if len(distinct[0]) <= size:
        return distinct
    rng = np.random.default_rng(SEED)
    coarse = max(1, min(size, int(np.sqrt(size))))
    centres = _kmeans(rows[:: max(1, len(rows) // (256 * coarse))], coarse, iterations, rng)
    owner = _assign(rows, centres)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(coarse + 1))
    squares = ((rows - centres[owner]) ** 2).sum(axis=1)
    errors = np.bincount(owner, squares, minlength=coarse).astype(np.float64)
    shares = _shares(errors, np.diff(starts), size)
    palette, labels, used = [], np.zeros(len(rows), np.int64), 0
    for cluster in range(coarse):
        members = order[starts[cluster] : starts[cluster + 1]]
        if len(members):
            part = _kmeans(rows[members], int(shares[cluster]), iterations, rng)
            labels[members] = used + _assign(rows[members], part)
            palette.append(part)
            used += len(part)
    found = np.concatenate(palette)
    if len(rows) * len(found) > REFINE:
        return found, labels
    found = _lloyd(rows, found, 3)
    return found, _assign(rows, found)


def _distinct(rows: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The different rows, and for each row which one it is; all rows if two different ones look alike."""
    keys = rows.astype(np.float64) @ np.random.default_rng(SEED).standard_normal(rows.shape[1])
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    labels = inverse.reshape(-1).astype(np.int64)
    if np.array_equal(rows[first][labels], rows):
        return rows[first], labels
    return rows, np.arange(len(rows))


def _shares(errors: NDArray[np.float64], counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Palette entries per cluster: at least one, at most its members, about as the square root of n * error."""
    wish = np.sqrt(np.maximum(errors, 0) * counts)
    total = wish.sum()
    ideal = wish * ((size - len(counts)) / total) if total > 0 else np.zeros(len(counts))
    return np.minimum(1 + np.floor(ideal).astype(np.int64), np.maximum(counts, 1))


def _assign(rows: Floats, centres: Floats) -> NDArray[np.int64]:
    """Index of the nearest centre for each row, in blocks of bounded memory."""
    norms = np.einsum("ij,ij->i", centres, centres) / 2
    out = np.empty(len(rows), np.int64)
    block = max(1, (1 << 22) // max(1, len(centres)))
    for i in range(0, len(rows), block):
        out[i : i + block] = (norms - rows[i : i + block] @ centres.T).argmin(axis=1)
    return out


def _kmeans(rows: Floats, size: int, iterations: int, rng: np.random.Generator) -> Floats:
    """At most `size` centres of `rows`, none empty."""
    if size >= len(rows):
        return rows.copy()
    return _lloyd(rows, rows[rng.choice(len(rows), size, replace=False)], iterations)


def _lloyd(rows: Floats, start: Floats, iterations: int) -> Floats:
    """Move centres to the mean of their rows, again and again."""
    centres, size = start.copy(), len(start)
    for _ in range(iterations):
        owner = _assign(rows, centres)
        counts = np.bincount(owner, minlength=size)
        order = np.argsort(owner, kind="stable")
        filled = np.flatnonzero(counts)
        starts = np.searchsorted(owner[order], filled)
        centres[filled] = np.add.reduceat(rows[order], starts, axis=0) / counts[filled, None]
        empty = np.flatnonzero(counts == 0)
        if len(empty):  # Restart them at rows that are badly served.
            gap = ((rows - centres[owner]) ** 2).sum(axis=1)
            centres[empty] = rows[np.argsort(-gap, kind="stable")[: len(empty)]]
    return centres
