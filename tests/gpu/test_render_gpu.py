"""The CUDA rasteriser: against the CPU's, the float64 reference and gsplat. Skipped without a device."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from scenepress.cameras import read_cameras
from scenepress.kernels import raster, reference_render
from scenepress.render import raster_input, rasterize
from scenepress.scene import Camera, Splats
from tests.inputs import shared
from tests.test_render import camera, compare_with_reference, random_splats

pytestmark = pytest.mark.skipif("cuda" not in raster.BACKENDS, reason="no CUDA device, or no CUDA module")

REAR = (0.2, 0.3, 0.4)


def agree(splats: Splats, view: Camera, backend: str, tolerance: float, edges: float = 5e-3) -> None:
    """All but a few pixels, where a splat is at the very edge of being drawn, are equal."""
    found = rasterize(splats, view, background=REAR, backend="cuda")
    expected = rasterize(splats, view, background=REAR, backend=backend)
    wrong = np.abs(found.color - expected.color).max(axis=2) > tolerance
    wrong |= np.abs(found.alpha - expected.alpha) > tolerance
    assert wrong.mean() < edges
    np.testing.assert_allclose(found.color, expected.color, atol=0.05)


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_images_agree_with_the_reference(degree: int, antialiased: bool) -> None:
    compare_with_reference(random_splats(600, degree, degree, antialiased), camera(121, 77), "cuda")


@pytest.mark.parametrize("log_scale", [-8, -4, 1, 4])
def test_sizes_agree_with_the_cpu(log_scale: float) -> None:
    splats = random_splats(5000, 3)
    splats = dataclasses.replace(splats, log_scales=splats.log_scales + np.float32(log_scale + 2.5))
    agree(splats, camera(300, 200), "cpu", 1e-4)


@pytest.mark.parametrize("antialiased", [False, True])
def test_images_agree_with_gsplat(antialiased: bool) -> None:
    pytest.importorskip("gsplat")
    agree(random_splats(5000, 4, antialiased=antialiased), camera(300, 200), "gsplat", 1e-4, 2e-2)


@pytest.mark.parametrize("name", ["plush_150k_sh3", "lego_110k_sh3"])
@pytest.mark.parametrize("backend", ["cpu", "gsplat"])
def test_trained_scenes_agree(name: str, backend: str) -> None:
    trained = shared("splats/trained")
    if backend == "gsplat":
        pytest.importorskip("gsplat")
    from scenepress.formats import table

    splats = table.read(trained / f"{name}.ply")
    for view in read_cameras(trained / f"{name}.cams.txt")[:3]:
        agree(splats, view, backend, 1e-3, 2e-2)


def test_an_empty_scene_and_one_splat() -> None:
    image = rasterize(random_splats(0), camera(), background=REAR, backend="cuda")
    np.testing.assert_array_equal(image.color, np.broadcast_to(np.float32(REAR), image.color.shape))
    assert (image.alpha == 0).all()
    compare_with_reference(random_splats(1, 1), camera(), "cuda")


def test_equal_depths_are_drawn_by_index() -> None:
    twins = random_splats(1, 3, degree=0).take(np.zeros(40, int))
    colors = np.random.default_rng(0).normal(0, 1, (40, 3)).astype("f4")
    compare_with_reference(dataclasses.replace(twins, sh0=colors), camera(), "cuda")


def test_broken_splats_are_left_out() -> None:
    splats = random_splats(300, 5)
    means = splats.means.copy()
    means[::3] = np.nan
    broken = dataclasses.replace(splats, means=means)
    scene = raster_input(broken, camera())
    assert not reference_render.project(scene).visible[::3].any()
    compare_with_reference(broken, camera(), "cuda")
