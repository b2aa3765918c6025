"""Rendering on the CPU, against a plain PyTorch tile blend over gsplat's projection; and measuring significance.

    python tests/benchmarks/bench_render.py

One JSON line a case, in docs/results/render.jsonl. `load` is how many other processes wanted the cores when a
case began: times are worth little where it is not near 0, cpu_s (processor seconds of one call, all threads
together, at its best) less so.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Callable

import harness
import numpy as np
import torch
from gsplat.cuda import _torch_impl

from scenepress.cameras import look_at, read_cameras, resize
from scenepress.formats import table
from scenepress.kernels import reference_render
from scenepress.render import raster_input, rasterize
from scenepress.scene import Camera, Splats
from scenepress.significance import measure

TRAINED = harness.SHARED / "data/splats/trained"
TILE = 16


def ball(count: int, size: float, seed: int = 0) -> Splats:
    """Splats of SH degree 3 in a ball of radius 1, `size` scene units across in the middle."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(0, 1, (count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Splats(
        (directions * rng.random((count, 1)) ** (1 / 3)).astype("f4"),
        rng.normal(0, 1, (count, 4)).astype("f4"),
        rng.normal(np.log(size), 0.6, (count, 3)).astype("f4"),
        rng.normal(0, 2, count).astype("f4"),
        rng.normal(0, 1, (count, 3)).astype("f4"),
        rng.normal(0, 0.1, (count, 15, 3)).astype("f4"),
    )


def denser(splats: Splats, count: int) -> Splats:
    """A trained scene with jittered copies of some splats, all of them smaller: what more training gives."""
    rng = np.random.default_rng(0)
    original = len(splats)
    more = splats.take(np.concatenate([np.arange(original), rng.integers(0, original, count - original)]))
    means = more.means.copy()
    jitter = rng.normal(0, 1, (count - original, 3)) * np.exp(more.log_scales[original:])
    means[original:] += jitter.astype("f4")
    shrink = np.float32(0.5 * np.log(count / original))
    return dataclasses.replace(more, means=means, log_scales=more.log_scales - shrink)


def torch_render(splats: Splats, camera: Camera) -> np.ndarray:
    """What one writes without a rasteriser: gsplat's projection, then one tile after another."""
    means = torch.from_numpy(splats.means)
    covariances, _ = _torch_impl._quat_scale_to_covar_preci(
        torch.from_numpy(splats.quats), torch.exp(torch.from_numpy(splats.log_scales)), True, False
    )
    pose = torch.from_numpy(camera.world_to_camera).float()
    intrinsics = torch.tensor([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
    size = (camera.width, camera.height)
    radii, centers, depths, conics, _ = _torch_impl._fully_fused_projection(
        means, covariances, pose[None], intrinsics[None], *size
    )
    away = means - torch.linalg.inv(pose)[:3, 3]
    coefficients = torch.cat([torch.from_numpy(splats.sh0)[:, None], torch.from_numpy(splats.shN)], 1)
    colors = (_torch_impl._spherical_harmonics(splats.sh_degree, away, coefficients) + 0.5).clamp(min=0)
    order = torch.argsort(depths[0], stable=True)
    order = order[(radii[0][order] > 0).all(1)]
    low, high = centers[0][order] - radii[0][order], centers[0][order] + radii[0][order]
    opacities = torch.sigmoid(torch.from_numpy(splats.opacity_logits))
    image = torch.zeros(camera.height, camera.width, 3)
    for top in range(0, camera.height, TILE):
        for left in range(0, camera.width, TILE):
            hit = (high[:, 0] > left) & (low[:, 0] < left + TILE) & (high[:, 1] > top) & (low[:, 1] < top + TILE)
            ids = order[hit]
            y, x = torch.meshgrid(
                torch.arange(top, min(top + TILE, camera.height)) + 0.5,
                torch.arange(left, min(left + TILE, camera.width)) + 0.5,
                indexing="ij",
            )
            dx, dy = (p[None] - centers[0][ids, k, None, None] for k, p in enumerate((x, y)))
            a, b, c = (conics[0][ids, k, None, None] for k in range(3))
            alpha = opacities[ids, None, None] * torch.exp(-0.5 * (a * dx**2 + c * dy**2) - b * dx * dy)
            alpha = torch.where(alpha < 1 / 255, 0, alpha.clamp(max=0.999))
            through = torch.cumprod(1 - alpha, 0)
            before = torch.cat([torch.ones_like(through[:1]), through[:-1]])
            weights = torch.where(through > 1e-4, alpha * before, 0)
            image[top : top + TILE, left : left + TILE] = torch.einsum("nyx,nc->yxc", weights, colors[ids])
    return image.numpy()


def timed(
    case: str, call: Callable[[], object], peer: tuple[float, float] | None = None, **values: harness.Value
) -> tuple[float, float]:
    """Time and record one case: wall-clock (median) and processor seconds, also as ratios to a peer's."""
    load = round(os.getloadavg()[0], 1)
    wall = harness.measure(call, repeats=15, limit_s=8)
    cpu = []
    for _ in range(5):
        start = time.process_time()
        call()
        cpu.append(time.process_time() - start)
    if peer:
        values = {"peer_wall_ratio": peer[0] / wall.median_s, "peer_cpu_ratio": peer[1] / min(cpu), **values}
    harness.record("render", {"case": case, "wall": wall, "cpu_s": min(cpu), "load": load, **values})
    return wall.median_s, min(cpu)


def against_torch() -> None:
    """10k splats at 256 x 256."""
    splats = ball(10_000, 0.02)
    camera = look_at((0, 0.3, -2.4), (0, 0, 0), (0, -1, 0), width=256, height=256, fov=np.radians(55))
    plain, ours = torch_render(splats, camera), rasterize(splats, camera).color
    scene = raster_input(splats, camera)
    exact, _, close = reference_render.blend(reference_render.project(scene), 256, 256, np.zeros(3))
    if np.abs(ours - exact)[~close].max() > 1e-4 or np.mean(np.abs(ours - plain) > 1e-3) > 0.01:
        raise SystemExit("the images differ: no use timing them")
    peer = timed("10k, 256x256, PyTorch tile blend", lambda: torch_render(splats, camera))
    for backend in ("cpu", "portable"):
        draw = functools.partial(rasterize, splats, camera, backend=backend)
        timed(f"10k, 256x256, {backend}", draw, peer, target_ratio=100)


def main() -> None:
    """Every case."""
    against_torch()
    eye = look_at((0, 0.3, -2.4), (0, 0, 0), (0, -1, 0), width=800, height=800, fov=np.radians(55))
    large = ball(400_000, 0.004)
    timed("400k ball, 800x800, cpu", lambda: rasterize(large, eye), target_s=0.12)
    if not TRAINED.exists():
        print("../shared/data is not here: no trained scenes")
        return
    cameras = read_cameras(TRAINED / "plush_150k_sh3.cams.txt")
    plush = table.read(TRAINED / "plush_150k_sh3.ply")
    wide = resize(cameras[0], 800)
    dense = denser(plush, 400_000)
    timed("400k from plush, 800x800, cpu", lambda: rasterize(dense, wide), target_s=0.12)
    timed("plush 150k, 400x400, cpu", lambda: rasterize(plush, cameras[0]))
    timed("plush 150k, 400x400, portable", lambda: rasterize(plush, cameras[0], backend="portable"))
    timed("significance, plush 150k, 10 views of 400x400", lambda: measure(plush, cameras[:10]), target_s=1.0)


if __name__ == "__main__":
    main()
