"""Rasterising kernels by backend; reference_render says what they compute."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class RasterInput(NamedTuple):
    """A scene and a camera as the kernels take them: C-contiguous, dtypes and shapes already checked."""

    means: NDArray[np.float32]
    """[N, 3]."""
    quats: NDArray[np.float32]
    """[N, 4], w x y z, of any length."""
    log_scales: NDArray[np.float32]
    """[N, 3]."""
    opacity_logits: NDArray[np.float32]
    """[N]."""
    sh0: NDArray[np.float32]
    """[N, 3]."""
    shN: NDArray[np.float32]
    """[N, 0 | 3 | 8 | 15, 3]."""
    antialiased: bool
    view: NDArray[np.float64]
    """[4, 4], world to camera, rigid."""
    intrinsics: NDArray[np.float64]
    """[4]: fx, fy, cx, cy in pixels."""
    width: int
    height: int


Pixels = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Colour [H, W, 3] over the background, and alpha [H, W]."""
Rasterizer = Callable[[RasterInput, NDArray[np.float32]], Pixels]
"""Takes the scene and camera, and a background colour [3]."""

BACKENDS: dict[str, Rasterizer] = {}
"""Backends that can run here, slowest first. Tests compare them all."""

if importlib.util.find_spec("scenepress.kernels._native"):
    from scenepress.kernels import _native

    def _portable(scene: RasterInput, background: NDArray[np.float32]) -> Pixels:
        return _native.rasterize(*scene, background, True, 0)

    def _cpu(scene: RasterInput, background: NDArray[np.float32]) -> Pixels:
        return _native.rasterize(*scene, background, False, 0)

    BACKENDS["portable"] = _portable
    BACKENDS["cpu"] = _cpu
