"""NumPy twin of the training kernels: the loss with its derivative, and Adam. In float64, written to be read.

Sources: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004 (SSIM);
D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2015.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

WINDOW = 11
_TAPS = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / 1.5) ** 2)
_TAPS /= _TAPS.sum()
_C1, _C2 = 0.01**2, 0.03**2


def _means(values: F64) -> F64:
    """Over the windows inside [H, W, 3]: [H - 10, W - 10, 3]."""
    for axis in (0, 1):
        rows = np.lib.stride_tricks.sliding_window_view(values, WINDOW, axis)
        values = rows @ _TAPS
    return values


def _spread(windows: F64) -> F64:
    """The transpose of _means: [H - 10, W - 10, 3] -> [H, W, 3]."""
    border = WINDOW - 1
    return _means(np.pad(windows, ((border, border), (border, border), (0, 0))))


def image_loss(image: F32, target: F32, weight: float) -> tuple[float, float, F32]:
    """(L1, SSIM, gradient) of float32 [H, W, 3] images, at least 11 pixels a side.

    L1 is the mean of |image - target|, SSIM that of the windows inside the image. The gradient, float32 [H, W, 3],
    is that of (1 - weight) L1 + weight (1 - SSIM) with respect to `image`.
    """
    x, y = image.astype(np.float64), target.astype(np.float64)
    mean_x, mean_y = _means(x), _means(y)
    cross, power = mean_x * mean_y, mean_x**2 + mean_y**2
    a1, a2 = 2 * cross + _C1, 2 * (_means(x * y) - cross) + _C2
    b1, b2 = power + _C1, _means(x * x + y * y) - power + _C2
    ssim = a1 * a2 / (b1 * b2)
    by_mean = 2 * mean_y * (a2 - a1) / (b1 * b2) + 2 * mean_x * ssim * (1 / b2 - 1 / b1)
    by_ssim = _spread(by_mean) + 2 * x * _spread(-ssim / b2) + y * _spread(2 * a1 / (b1 * b2))
    gradient = (1 - weight) * np.sign(x - y) / x.size - weight * by_ssim / ssim.size
    return float(np.abs(x - y).mean()), float(ssim.mean()), gradient.astype(np.float32)


def adam(
    values: F32,
    gradient: F32,
    first: F32,
    second: F32,
    seen: NDArray[np.uint8],
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    step: int,
) -> None:
    """One update, in place, of the rows [N, D] that were `seen`; first and second hold the moments.

    step: of this update, from 1.
    """
    rows = seen != 0
    g = gradient[rows].astype(np.float64)
    m = beta1 * first[rows] + (1 - beta1) * g
    v = beta2 * second[rows] + (1 - beta2) * g * g
    root = np.sqrt(v / (1 - beta2**step))
    values[rows] -= (rate / (1 - beta1**step) * m / (root + epsilon)).astype(np.float32)
    first[rows], second[rows] = m, v
