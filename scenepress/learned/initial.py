"""What training starts with: a small, faint, round splat at each of some points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.scene import Camera, Splats

F64 = NDArray[np.float64]

OPACITY = 0.1
SH_C0 = 0.28209479177387814
NEIGHBOURS = 3
"""A splat starts as large as the distance to so many of its neighbours."""


def centers(cameras: Sequence[Camera]) -> F64:
    """float64 [V, 3]: where the cameras stand, in scene units."""
    return np.array([-c.world_to_camera[:3, :3].T @ c.world_to_camera[:3, 3] for c in cameras])


def extent(cameras: Sequence[Camera]) -> float:
    """How large the scene is, in scene units: 1.1 times the reach of the cameras about their middle."""
    at = centers(cameras)
    reach = float(np.linalg.norm(at - at.mean(axis=0), axis=1).max())
    return 1.1 * reach if reach > 1e-6 else 1.0


def splats_at(points: F64, colors: F64) -> Splats:
    """Splats of degree 0.

    Args:
        points: float64 [N, 3], N > 0, scene units.
        colors: float64 [N, 3], 0 to 1.
    """
    from scipy.spatial import cKDTree

    count = len(points)
    neighbours = min(NEIGHBOURS, count - 1)
    size = np.full(count, 1.0)
    if neighbours:
        distances, _ = cKDTree(points).query(points, neighbours + 1)
        size = np.sqrt(np.mean(np.square(distances[:, 1:]), axis=1))
        size = np.clip(size, 1e-7, np.quantile(size, 0.99) + 1e-7)  # Lone points would cover the view.
    logit = np.log(OPACITY / (1 - OPACITY))
    return Splats(
        means=points.astype(np.float32),
        quats=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        log_scales=np.repeat(np.log(size).astype(np.float32)[:, None], 3, axis=1),
        opacity_logits=np.full(count, logit, np.float32),
        sh0=((colors - 0.5) / SH_C0).astype(np.float32),
        shN=np.zeros((count, 0, 3), np.float32),
    )


def random_points(cameras: Sequence[Camera], count: int, seed: int) -> tuple[F64, F64]:
    """Points and grey colours, float64 [N, 3] each, evenly in the box that the cameras look at.

    Its centre is the point nearest to all lines of sight; it reaches as far as the views are wide there. Points
    that fewer than two cameras see are left out, unless that would leave none.
    """
    at = centers(cameras)
    sight = np.array([camera.world_to_camera[2, :3] for camera in cameras])
    across = np.eye(3) - sight[:, :, None] * sight[:, None, :]  # [V, 3, 3]: projections across the lines of sight.
    pull = 1e-3 * len(cameras)  # Towards the middle of the cameras, for lines that meet nowhere.
    middle = np.linalg.solve(
        across.sum(axis=0) + pull * np.eye(3), (across @ at[:, :, None]).sum(axis=0)[:, 0] + pull * at.mean(axis=0)
    )
    wide = [0.5 * max(c.width / c.fx, c.height / c.fy) for c in cameras]
    half = max(float(np.median(np.linalg.norm(at - middle, axis=1) * wide)), 0.3 * extent(cameras))
    points = middle + half * np.random.default_rng([seed, 3]).uniform(-1, 1, (count, 3))
    seen = sum(_sees(camera, points).astype(np.int64) for camera in cameras)
    kept = points[seen >= min(2, len(cameras))]
    points = kept if len(kept) else points
    return points, np.full_like(points, 0.5)


def _sees(camera: Camera, points: F64) -> NDArray[np.bool_]:
    local = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    depth = np.maximum(local[:, 2], 1e-9)
    x, y = local[:, 0] / depth * camera.fx + camera.cx, local[:, 1] / depth * camera.fy + camera.cy
    return np.asarray((local[:, 2] > 0.01) & (x > 0) & (x < camera.width) & (y > 0) & (y < camera.height))
