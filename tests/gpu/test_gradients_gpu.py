"""The CUDA rasteriser's backward pass: against the CPU's, and gsplat's. Skipped without a device."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from scenepress.kernels import raster
from scenepress.render import SplatGradients, differentiable, raster_input
from scenepress.scene import Camera, Splats
from tests.test_gradients import ARRAYS, REAR, asked_for
from tests.test_render import camera, random_splats

pytestmark = pytest.mark.skipif("cuda" not in raster.FRAMES, reason="no CUDA device, or no CUDA module")


def gradient_of(splats: Splats, view: Camera, backend: str) -> SplatGradients:
    frame = differentiable(splats, view, background=REAR.tolist(), backend=backend)  # type: ignore[arg-type]
    return frame.backward(*asked_for(splats, view, 0))


def close(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max(initial=0), rtol=1e-2)


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_gradients_agree_with_the_cpu(degree: int, antialiased: bool) -> None:
    splats, view = random_splats(600, degree, degree, antialiased), camera(121, 77)
    found, expected = (gradient_of(splats, view, backend) for backend in ("cuda", "cpu"))
    for name in (*ARRAYS, "centers"):
        close(getattr(found, name), getattr(expected, name))


def test_the_same_every_time() -> None:
    splats, view = random_splats(3000, 1), camera(200, 130)
    first, second = (gradient_of(splats, view, "cuda") for _ in range(2))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_few_and_broken_splats() -> None:
    assert gradient_of(random_splats(0), camera(), "cuda").means.shape == (0, 3)
    splats = random_splats(300)
    means = splats.means.copy()
    means[::3] = np.nan
    found = gradient_of(dataclasses.replace(splats, means=means), camera(), "cuda")
    assert not found.means[::3].any()
    assert np.isfinite(found.means).all()


@pytest.mark.parametrize("antialiased", [False, True])
def test_gradients_agree_with_gsplat(antialiased: bool) -> None:
    gsplat, torch = pytest.importorskip("gsplat"), pytest.importorskip("torch")
    splats, view = random_splats(600, 2, antialiased=antialiased), camera(121, 77)
    scene = raster_input(splats, view)

    def leaf(array: NDArray[np.float32]) -> torch.Tensor:
        return torch.tensor(array, device="cuda", requires_grad=True)

    tensors = {name: leaf(getattr(scene, name)) for name in ARRAYS}
    fx, fy, cx, cy = scene.intrinsics
    color, alpha, _ = gsplat.rasterization(
        means=tensors["means"],
        quats=tensors["quats"],
        scales=tensors["log_scales"].exp(),
        opacities=tensors["opacity_logits"].sigmoid(),
        colors=torch.cat([tensors["sh0"][:, None], tensors["shN"]], 1),
        viewmats=torch.tensor(scene.view[None], dtype=torch.float32, device="cuda"),
        Ks=torch.tensor([[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]], dtype=torch.float32, device="cuda"),
        width=scene.width,
        height=scene.height,
        sh_degree=3,
        rasterize_mode="antialiased" if antialiased else "classic",
        backgrounds=torch.tensor(REAR[None], dtype=torch.float32, device="cuda"),
    )
    by_color, by_alpha = (torch.tensor(x, dtype=torch.float32, device="cuda") for x in asked_for(splats, view, 0))
    ((color[0] * by_color).sum() + (alpha[0, ..., 0] * by_alpha).sum()).backward()
    found = gradient_of(splats, view, "cuda")
    for name, tensor in tensors.items():
        close(getattr(found, name), tensor.grad.cpu().numpy())


@pytest.mark.parametrize("degree", [0, 3])
def test_backend_gsplat(degree: int) -> None:
    pytest.importorskip("gsplat")
    splats, view = random_splats(600, degree), camera(121, 77)
    found, expected = (gradient_of(splats, view, backend) for backend in ("gsplat", "cuda"))
    for name in (*ARRAYS, "centers"):
        close(getattr(found, name), getattr(expected, name))
