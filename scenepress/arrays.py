"""Argument checks and small numerics shared by the library."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def require(name: str, array: NDArray[Any], dtype: DTypeLike, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless `array` has this dtype and shape; None matches any length."""
    fits = len(array.shape) == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = ", ".join("N" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must be {dtype} [{wanted}], got {array.dtype} {list(array.shape)}")


SERIAL_PRODUCT = 1 << 18
"""Multiplications up to which BLAS libraries do not call other threads for help."""


def tall_product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """a @ b for tall `a` [N, K] and small `b` [K, M], both of one float dtype, on the calling thread alone.

    BLAS libraries would wake every core for it, which costs far more than the product itself and makes the last
    bits depend on the number of cores.
    """
    n, k = a.shape
    rows = max(1, SERIAL_PRODUCT // max(1, k * b.shape[1]))
    out = np.empty((n, b.shape[1]), a.dtype)
    whole = n - n % rows
    parts = whole // rows
    np.matmul(a[:whole].reshape(parts, rows, k), b, out=out[:whole].reshape(parts, rows, b.shape[1]))
    np.matmul(a[whole:], b, out=out[whole:])
    return out


def gram(a: NDArray[Any]) -> NDArray[Any]:
    """a.T @ a for tall float `a` [N, K], on the calling thread alone: see tall_product()."""
    n, k = a.shape
    rows = max(1, SERIAL_PRODUCT // max(1, k * k))
    whole = n - n % rows
    parts = a[:whole].reshape(whole // rows, rows, k)
    total: NDArray[Any] = (parts.transpose(0, 2, 1) @ parts).sum(0) + a[whole:].T @ a[whole:]
    return total


SAMPLE = 40_000
"""Rows that statistics of many look at: at least so many, and less than twice that."""


def sample(count: int) -> slice:
    """Evenly chosen rows of `count`, SAMPLE of them or a little more: enough for what is only a fit."""
    return slice(None, None, max(1, count // SAMPLE))


def distances(points: NDArray[np.float64], center: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of float64 [N, 3] points from float64 [3]: what np.linalg.norm takes seven times as long for."""
    x, y, z = (points[:, k] - center[k] for k in range(3))
    result: NDArray[np.float64] = np.sqrt(x * x + y * y + z * z)
    return result


GUESS, GUESS_MARGIN = 1024, 0.05
"""Values that weighted_quantile() looks at first, and how far off their share may be: 3 standard deviations."""


def weighted_quantile(values: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    """The smallest of float64 [N] values, N > 0, with at least `share` of the weight at or below it."""
    wanted = share * float(weights.sum())
    step = len(values) // GUESS
    if step > 1:  # Sort only those near to what a few of them say; all of them if that was wrong.
        few, theirs, total = values[::step], weights[::step], float(weights[::step].sum())
        low, high = (_sorted_quantile(few, theirs, total * (share + d)) for d in (-GUESS_MARGIN, GUESS_MARGIN))
        before = float(weights[values < low].sum())
        near = (values >= low) & (values <= high)
        if before < wanted <= before + float(weights[near].sum()):
            values, weights, wanted = values[near], weights[near], wanted - before
    return _sorted_quantile(values, weights, wanted)


def _sorted_quantile(values: NDArray[np.float64], weights: NDArray[np.float64], wanted: float) -> float:
    """The smallest value with at least the weight `wanted` at or below it, or the largest."""
    order = np.argsort(values, kind="stable")
    at = int(np.searchsorted(np.cumsum(weights[order]), wanted))
    return float(values[order[min(at, len(order) - 1)]])
