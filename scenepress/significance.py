"""How much each splat matters: what it adds to rendered views, and how they change when it changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import raster
from scenepress.render import raster_input
from scenepress.scene import Camera, Splats
from scenepress.scene_ops import enlarge, enlarge_camera, viewing_scale


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """Sums over the pixels of all views, of colours as rendered (0 to 1). Never negative.

    A squared derivative sums the squares over r, g and b; over an unknown background it is the mean over black
    and white. It is the diagonal of the Gauss-Newton matrix: an error of e in one parameter of one splat adds
    about e^2 times it to the summed squared error of the images. The change of the view-dependent colour with
    the position is not counted, nor are splats that come to touch, or to miss, a pixel.
    """

    weight: NDArray[np.float64]
    """float64 [N]: sum of alpha * transmittance, the derivative with its own colour."""
    weight_squared: NDArray[np.float64]
    """float64 [N]: sum of (alpha * transmittance)^2, the squared derivative with r, with g and with b."""
    weight_max: NDArray[np.float64]
    """float64 [N]: the largest alpha * transmittance at any pixel of any view, 0 to 1."""
    opacity: NDArray[np.float64]
    """float64 [N]: squared derivative with ln(opacity)."""
    position: NDArray[np.float64]
    """float64 [N, 3]: squared derivative with a move along each of its own axes, per scene unit^2."""
    log_scale: NDArray[np.float64]
    """float64 [N, 3]: squared derivative with each natural-log scale."""
    rotation: NDArray[np.float64]
    """float64 [N, 3]: squared derivative with a small turn about each of its own axes, per rad^2."""


def total(parts: Sequence[Sensitivity]) -> Sensitivity:
    """Of all views of all parts, which are of the same splats; at least one part."""
    sums = {
        field.name: np.sum([getattr(part, field.name) for part in parts], axis=0)
        for field in dataclasses.fields(Sensitivity)
    }
    sums["weight_max"] = np.max([part.weight_max for part in parts], axis=0)
    return Sensitivity(**sums)


VOLUME_QUANTILE, VOLUME_POWER = 0.9, 0.1
"""Of global_score(), as published."""


def global_score(measured: Sensitivity, splats: Splats) -> NDArray[np.float64]:
    """The global significance score of LightGaussian, float64 [N]: blending weight times a power of the volume.

    It asks how much of the images a splat is, not what changes without it: `Sensitivity.opacity` tells that, and
    is the better guide to pruning (docs/pruning.md).
    Source: Fan et al., "LightGaussian: Unbounded 3D Gaussian Compression with 15x Reduction and 200+ FPS", 2024.
    """
    if not len(splats):
        return np.zeros(0)
    log_volume = splats.log_scales.astype(np.float64).sum(1)
    share = np.exp(np.clip(log_volume - np.quantile(log_volume, VOLUME_QUANTILE), -600, 0))
    score: NDArray[np.float64] = measured.weight * share**VOLUME_POWER
    return score


def spatio_temporal_score(parts: Sequence[tuple[Sensitivity, Splats]]) -> NDArray[np.float64]:
    """The spatio-temporal significance of Light4GS, float64 [N]: the mean of global_score() over moments.

    parts: what was measured at each moment, and the splats as they were then; at least one. Which splats matter is
    better told by what is measured (docs/pruning.md).
    Source: Liu et al., "Light4GS: Lightweight Compact 4D Gaussian Splatting Generation via Context Model", 2025.
    """
    scores = [global_score(measured, splats) for measured, splats in parts]
    mean: NDArray[np.float64] = np.mean(scores, axis=0)
    return mean


def measure(
    splats: Splats,
    cameras: Sequence[Camera],
    background: Sequence[float] | None = None,
    magnify: float = 1.0,
) -> Sensitivity:
    """Render every camera and gather what each splat does there.

    Very small and very large scenes are brought to a size that the near and far planes do not cut
    (scene_ops.viewing_scale). The result does not depend on the number of threads. Splats that no camera
    sees, or that are not finite, get zeros. Memory per splat: 160 bytes, and about 150 for every view at work;
    there is one a thread, but fewer where that would take much more than 1 GB.

    Args:
        splats: the scene.
        cameras: views; more views of fewer pixels tell more than the reverse.
        background: r, g, b behind the scene; splats of its colour hardly matter before it. None if nobody
            knows: black and white alike.
        magnify: count the pixels as if they were every `magnify`-th of images that many times as large: what is
            smaller than a pixel is not blurred to the pixel's size.

    Raises:
        ValueError: no camera, a camera that makes no sense, or no native module to do it with.
    """
    if not cameras:
        raise ValueError("measure() needs at least one camera")
    if "cpu" not in raster.BACKENDS:
        raise ValueError("measuring significance needs the native module, which is not built here")
    mean, deviation = ((0.5, 0.5, 0.5), 0.5) if background is None else (background, 0.0)
    factor = viewing_scale(splats)
    splats = enlarge(splats, factor)
    inputs = [raster_input(splats, enlarge_camera(camera, factor)) for camera in cameras]
    table = raster.measure(
        inputs[0],
        np.stack([scene.view for scene in inputs]),
        np.stack([scene.intrinsics for scene in inputs]),
        np.array([[scene.width, scene.height] for scene in inputs], np.int32),
        np.asarray(mean, np.float32),
        low_pass=0.3 / magnify**2,
        deviation=deviation,
    )
    columns = np.ascontiguousarray(table[:, :4].T)
    return Sensitivity(
        weight=columns[0],
        weight_squared=columns[1],
        weight_max=columns[2],
        opacity=columns[3],
        position=table[:, 4:7] * factor**2,
        log_scale=np.ascontiguousarray(table[:, 7:10]),
        rotation=np.ascontiguousarray(table[:, 10:13]),
    )
