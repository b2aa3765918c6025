"""NumPy twin of cuda/core: projection, spherical harmonics and blending in float64, written to be read.

Rules (those of gsplat 1.5): splats nearer than 0.01 or farther than 1e10 are dropped; the projection is
linearised at the centre, held within 1.3 half fields of view; 0.3 px^2 is added to both variances; alpha
is min(0.999, opacity * exp(-sigma)), skipped below 1/255; a pixel stops before the splat that would take
its transmittance to 1e-4 or less; splats are drawn by depth (as float32), then by index.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

LOW_PASS = 0.3
NEAR, FAR = 0.01, 1e10
MIN_ALPHA, MAX_ALPHA, MIN_TRANSMITTANCE = 1 / 255, 0.999, 1e-4
LARGEST = float(np.finfo(np.float32).max)


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


class Projected(NamedTuple):
    """Every splat on the image; rows of splats that are not `visible` mean nothing."""

    visible: NDArray[np.bool_]
    """[N]: finite, and between the near and far planes."""
    centers: F64
    """[N, 2] px."""
    depths: F64
    """[N]."""
    covariances: F64
    """[N, 2, 2] px^2, low-pass filter included."""
    compensations: F64
    """[N]: sqrt(det without the filter / det with it)."""
    opacities: F64
    """[N], compensated if the scene is antialiased."""
    colors: F64
    """[N, 3]."""


def rotation_matrices(quats: F64) -> F64:
    """[N, 4] w x y z -> [N, 3, 3]; NaN for a quaternion of length zero."""
    w, x, y, z = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.asarray(np.moveaxis(np.array(rows), 2, 0))


def sh_basis(degree: int, directions: F64) -> F64:
    """Unit vectors [N, 3] -> [N, (degree + 1)^2]: real spherical harmonics, 3DGS signs."""
    x, y, z = directions.T
    one = np.full_like(x, 0.28209479177387814)
    bands = [
        [one],
        [-0.48860251190292 * y, 0.48860251190292 * z, -0.48860251190292 * x],
        [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (3 * z * z - 1),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
        ],
        [
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (5 * z * z - 1),
            0.3731763325901154 * z * (5 * z * z - 3),
            -0.4570457994644658 * x * (5 * z * z - 1),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ],
    ]
    return np.stack([value for band in bands[: degree + 1] for value in band], axis=1)


def colors(scene: RasterInput, eye: F64) -> F64:
    """[N, 3]: what a camera at `eye` sees, before clamping at 0."""
    coefficients = np.concatenate([scene.sh0[:, None], scene.shN], axis=1).astype(np.float64)
    away = scene.means - eye
    degree = {1: 0, 4: 1, 9: 2, 16: 3}[coefficients.shape[1]]
    basis = sh_basis(degree, away / np.linalg.norm(away, axis=1, keepdims=True))
    return np.asarray((basis[:, :, None] * coefficients).sum(axis=1) + 0.5)


def jacobians(scene: RasterInput, points: F64) -> F64:
    """[N, 2, 3]: derivative of the projection at points [N, 3] (camera axes), held near the image."""
    fx, fy, cx, cy = scene.intrinsics
    z = points[:, 2]
    margin_x, margin_y = 0.15 * scene.width / fx, 0.15 * scene.height / fy
    x = np.clip(points[:, 0] / z, -cx / fx - margin_x, (scene.width - cx) / fx + margin_x)
    y = np.clip(points[:, 1] / z, -cy / fy - margin_y, (scene.height - cy) / fy + margin_y)
    rows = [[fx / z, 0 * z, -fx * x / z], [0 * z, fy / z, -fy * y / z]]
    return np.asarray(np.moveaxis(np.array(rows), 2, 0))


@np.errstate(all="ignore")
def project(scene: RasterInput) -> Projected:
    """Every splat on the image."""
    turn, shift = scene.view[:3, :3], scene.view[:3, 3]
    fx, fy, cx, cy = scene.intrinsics
    points = scene.means.astype(np.float64) @ turn.T + shift
    centers = points[:, :2] / points[:, 2:] * [fx, fy] + [cx, cy]
    scales = np.exp(scene.log_scales.astype(np.float64))
    turned = rotation_matrices(scene.quats.astype(np.float64)) * scales[:, None]
    flat = jacobians(scene, points) @ turn @ turned
    plain = flat @ flat.transpose(0, 2, 1)
    filtered = plain + LOW_PASS * np.eye(2)
    det = np.linalg.det(filtered)
    compensations = np.sqrt(np.maximum(np.linalg.det(plain), 0) / det)
    opacities = 1 / (1 + np.exp(-scene.opacity_logits.astype(np.float64)))
    if scene.antialiased:
        opacities = opacities * compensations
    seen = colors(scene, -turn.T @ shift)
    visible = (points[:, 2] > NEAR) & (points[:, 2] < FAR) & (det <= LARGEST)
    visible &= np.isfinite(scene.log_scales).all(axis=1) & ~np.isnan(opacities)
    visible &= np.isfinite(seen).all(axis=1) & np.isfinite(centers).all(axis=1)
    return Projected(
        visible, centers, points[:, 2], filtered, compensations, opacities, np.maximum(seen, 0)
    )


def blend(
    projected: Projected, width: int, height: int, background: F64
) -> tuple[F64, F64, NDArray[np.bool_]]:
    """Colour [H, W, 3], alpha [H, W], and where rounding could have changed what is drawn, bool [H, W].

    The last: some splat came within 0.01% of being skipped or of ending the pixel.
    """
    color = np.zeros((height, width, 3))
    transmittance = np.ones((height, width))
    live = np.ones((height, width), bool)
    close = np.zeros((height, width), bool)
    drawn = projected.visible & (projected.opacities >= MIN_ALPHA)
    order = np.argsort(np.where(drawn, projected.depths, np.inf).astype(np.float32), kind="stable")
    for i in order[: int(drawn.sum())]:
        cov, center, opacity = projected.covariances[i], projected.centers[i], projected.opacities[i]
        reach = np.sqrt(2 * np.log(255 * opacity) * np.diag(cov)) + 1
        low = np.clip(np.floor(center - reach), 0, [width, height]).astype(int)
        high = np.clip(np.ceil(center + reach), 0, [width, height]).astype(int)
        if (high <= low).any():
            continue
        box = np.s_[low[1] : high[1], low[0] : high[0]]
        dx = np.arange(low[0], high[0]) + 0.5 - center[0]
        dy = (np.arange(low[1], high[1]) + 0.5 - center[1])[:, None]
        conic = np.linalg.inv(cov)
        sigma = 0.5 * (conic[0, 0] * dx**2 + conic[1, 1] * dy**2) + conic[0, 1] * dx * dy
        alpha = np.minimum(MAX_ALPHA, opacity * np.exp(-sigma))
        before = transmittance[box]
        after = before * (1 - alpha)
        touched = live[box] & (alpha >= MIN_ALPHA)
        keeps = touched & (after > MIN_TRANSMITTANCE)
        color[box] += np.where(keeps, alpha * before, 0)[..., None] * projected.colors[i]
        transmittance[box] = np.where(keeps, after, before)
        close[box] |= live[box] & (np.abs(alpha / MIN_ALPHA - 1) < 1e-4)
        close[box] |= touched & (np.abs(after / MIN_TRANSMITTANCE - 1) < 1e-4 + 1e-6 / (1 - alpha))
        live[box] &= ~(touched & ~keeps)
    return color + transmittance[..., None] * background, 1 - transmittance, close


def rasterize(scene: RasterInput, background: NDArray[np.float32]) -> Pixels:
    """The image, rounded to float32."""
    color, alpha, _ = blend(project(scene), scene.width, scene.height, background.astype(np.float64))
    return color.astype(np.float32), alpha.astype(np.float32)
