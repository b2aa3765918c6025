"""Argument checks shared by the library."""

from __future__ import annotations

from typing import Any

from numpy.typing import DTypeLike, NDArray


def require(name: str, array: NDArray[Any], dtype: DTypeLike, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless `array` has this dtype and shape; None matches any length."""
    fits = len(array.shape) == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = ", ".join("N" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must be {dtype} [{wanted}], got {array.dtype} {list(array.shape)}")
