"""Argument checks shared by the library."""

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
    np.matmul(a[:whole].reshape(-1, rows, k), b, out=out[:whole].reshape(-1, rows, b.shape[1]))
    np.matmul(a[whole:], b, out=out[whole:])
    return out


def gram(a: NDArray[Any]) -> NDArray[Any]:
    """a.T @ a for tall float `a` [N, K], on the calling thread alone: see tall_product()."""
    n, k = a.shape
    rows = max(1, SERIAL_PRODUCT // max(1, k * k))
    whole = n - n % rows
    parts = a[:whole].reshape(-1, rows, k)
    total: NDArray[Any] = (parts.transpose(0, 2, 1) @ parts).sum(0) + a[whole:].T @ a[whole:]
    return total
