"""Rasterising kernels by backend; reference_render says what they compute."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import reference_render
from scenepress.kernels.reference_render import Pixels, RasterInput

__all__ = ["BACKENDS", "FRAMES", "Frame", "Pixels", "RasterInput", "Rasterizer"]

Rasterizer = Callable[[RasterInput, NDArray[np.float32]], Pixels]
"""Takes the scene and camera, and a background colour [3]."""

Floats = NDArray[np.float32]
Gradients = tuple[Floats, Floats, Floats, Floats, Floats, Floats, Floats]
"""With respect to means, quats, log_scales, opacity_logits, sh0, shN, and the centres on the image [N, 2]."""


class Frame(Protocol):
    """A rendered view that can be differentiated."""

    @property
    def color(self) -> Floats:
        """[H, W, 3]."""

    @property
    def alpha(self) -> Floats:
        """[H, W]."""

    def backward(self, by_color: Floats, by_alpha: Floats) -> Gradients:
        """Derivatives of a loss, from those with respect to color and alpha."""


FRAMES: dict[str, Callable[[RasterInput, Floats], Frame]] = {}
"""Backends that can differentiate here, slowest first: they take the scene and camera, and a background [3]."""

BACKENDS: dict[str, Rasterizer] = {"reference": reference_render.rasterize}
"""Backends that can run here, slowest first. Tests compare them all."""

if importlib.util.find_spec("scenepress.kernels._native"):
    from scenepress.kernels import _native

    def _portable(scene: RasterInput, background: NDArray[np.float32]) -> Pixels:
        return _native.rasterize(*scene, background, True, 0, 0)

    def _cpu(scene: RasterInput, background: NDArray[np.float32]) -> Pixels:
        return _native.rasterize(*scene, background, False, 0, 0)

    def _portable_frame(scene: RasterInput, background: Floats) -> Frame:
        return _native.RasterFrame(*scene, background, True, 0)

    def _cpu_frame(scene: RasterInput, background: Floats) -> Frame:
        return _native.RasterFrame(*scene, background, False, 0)

    BACKENDS["portable"] = _portable
    BACKENDS["cpu"] = _cpu
    FRAMES["portable"] = _portable_frame
    FRAMES["cpu"] = _cpu_frame

    def measure(
        scene: RasterInput,
        views: NDArray[np.float64],
        intrinsics: NDArray[np.float64],
        sizes: NDArray[np.int32],
        background: NDArray[np.float32],
        portable: bool = False,
        threads: int = 0,
        tile_budget: int = 0,
        low_pass: float = 0.3,
        deviation: float = 0.0,
    ) -> NDArray[np.float64]:
        """Sensitivities [N, 13] over all views; the camera in `scene` is not used.

        Columns: weight, weight squared, largest weight, opacity, position 3, log scale 3, rotation 3.
        views: [V, 4, 4]; intrinsics: [V, 4]; sizes: [V, 2] (width, height); background: [3], its mean;
        deviation: its standard deviation in each channel; low_pass: added to both variances on the image,
        in px^2; threads, tile_budget: 0 for the usual ones.
        """
        arrays, how = scene[:7], (portable, threads, tile_budget)
        return _native.measure_splats(*arrays, views, intrinsics, sizes, background, deviation, low_pass, *how)

if importlib.util.find_spec("scenepress.kernels._native_cuda"):
    from scenepress.kernels import _native_cuda

    def _cuda(scene: RasterInput, background: NDArray[np.float32]) -> Pixels:
        return _native_cuda.rasterize(*scene, background)

    class _CudaFrame:
        """Renders again for the gradient: nothing stays on the device between the passes."""

        def __init__(self, scene: RasterInput, background: Floats) -> None:
            self._scene = scene
            self.color, self.alpha = _native_cuda.rasterize(*scene, background)

        def backward(self, by_color: Floats, by_alpha: Floats) -> Gradients:
            return _native_cuda.differentiate(*self._scene, self.color, self.alpha, by_color, by_alpha)

    if _native_cuda.device_count():
        BACKENDS["cuda"] = _cuda
        FRAMES["cuda"] = _CudaFrame
