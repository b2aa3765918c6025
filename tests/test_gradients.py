"""Gradients of the rasteriser: finite differences of the float64 reference, invariances, threads, instructions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from test_render import camera, random_splats

from scenepress.kernels import _native, reference_render
from scenepress.kernels.raster import RasterInput
from scenepress.render import SplatGradients, differentiable, raster_input, rasterize
from scenepress.scene import Camera, Splats

ARRAYS = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")
REAR = np.array([0.2, 0.3, 0.4])
STEP = 1e-6


def asked_for(splats: Splats, view: Camera, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """dL / d color and dL / d alpha at random, but 0 where the image jumps: there no derivative exists."""
    _, _, close = reference_render.blend(
        reference_render.project(raster_input(splats, view)), view.width, view.height, REAR
    )
    assert close.mean() < 0.1
    rng = np.random.default_rng(seed)
    shape = (view.height, view.width)
    return rng.normal(size=(*shape, 3)) * ~close[..., None], rng.normal(size=shape) * ~close


def loss(scene: RasterInput, by_color: NDArray[np.float64], by_alpha: NDArray[np.float64]) -> float:
    color, alpha, _ = reference_render.blend(reference_render.project(scene), scene.width, scene.height, REAR)
    return float((color * by_color).sum() + (alpha * by_alpha).sum())


def gradient_of(splats: Splats, view: Camera, backend: str, seed: int = 0) -> SplatGradients:
    frame = differentiable(splats, view, background=REAR.tolist(), backend=backend)  # type: ignore[arg-type]
    return frame.backward(*asked_for(splats, view, seed))


@pytest.mark.parametrize("backend", ["cpu", "portable"])
@pytest.mark.parametrize(("degree", "antialiased"), [(0, False), (1, True), (2, False), (3, False), (3, True)])
def test_finite_differences(backend: str, degree: int, antialiased: bool) -> None:
    splats, view = random_splats(60, degree, degree, antialiased), camera(40, 30)
    found = gradient_of(splats, view, backend, degree)
    by_color, by_alpha = asked_for(splats, view, degree)
    scene = raster_input(splats, view)
    rng = np.random.default_rng(7)
    for name in ARRAYS:
        values = getattr(scene, name).astype(np.float64)
        gradient = getattr(found, name)
        assert gradient.dtype == np.float32
        assert gradient.shape == values.shape
        if not values.size:
            continue
        # Directions that move everything, and single splats.
        for only in [None, *rng.integers(0, len(values), 6)]:
            direction = rng.normal(size=values.shape)
            if only is not None:
                direction[np.arange(len(values)) != only] = 0
            sides = [
                loss(scene._replace(**{name: values + sign * STEP * direction}), by_color, by_alpha)
                for sign in (1, -1)
            ]
            expected = (sides[0] - sides[1]) / (2 * STEP)
            size = float(np.abs(gradient * direction).sum())
            assert float((gradient * direction).sum()) == pytest.approx(expected, abs=2e-5 * size + 1e-4)


def test_the_image_is_that_of_rasterize() -> None:
    splats, view = random_splats(3000), camera(121, 77)
    image = differentiable(splats, view, background=REAR.tolist()).image
    expected = rasterize(splats, view, background=REAR.tolist(), backend="cpu")
    np.testing.assert_array_equal(image.color, expected.color)
    np.testing.assert_array_equal(image.alpha, expected.alpha)


def test_instruction_sets_and_threads_agree() -> None:
    splats, view = random_splats(3000), camera(200, 130)
    fast, plain = (gradient_of(splats, view, backend) for backend in ("cpu", "portable"))
    by_color, by_alpha = (x.astype(np.float32) for x in asked_for(splats, view, 0))
    single = _native.RasterFrame(*raster_input(splats, view), REAR.astype(np.float32), False, 1)
    alone = single.backward(by_color, by_alpha)
    for name, other in zip((*ARRAYS, "centers"), alone, strict=True):
        a, b = getattr(fast, name), getattr(plain, name)
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max(), rtol=1e-2)
        np.testing.assert_array_equal(a, other)


def test_centers_say_how_the_image_changes_when_splats_move_on_it() -> None:
    """A camera that sees everything head on: a move across the view is a move of the centre, and no other."""
    splats = random_splats(1, 1, 0)
    splats = dataclasses.replace(splats, means=np.array([[0, 0, 50]], "f4"), log_scales=np.zeros((1, 3), "f4"))
    view = Camera(np.eye(4), 400.0, 400.0, 16.0, 16.0, 32, 32)
    found = gradient_of(splats, view, "cpu")
    np.testing.assert_allclose(found.means[0, :2], found.centers[0] * 400 / 50, rtol=1e-2)


def test_quaternions_are_not_pushed_along_themselves() -> None:
    splats, view = random_splats(200), camera()
    found = gradient_of(splats, view, "cpu")
    along = np.abs((found.quats * splats.quats).sum(1))
    lengths = np.linalg.norm(found.quats, axis=1) * np.linalg.norm(splats.quats, axis=1)
    assert (along <= 1e-5 * lengths + 1e-6).all()
    twice = dataclasses.replace(splats, quats=2 * splats.quats)
    np.testing.assert_allclose(gradient_of(twice, view, "cpu").quats, found.quats / 2, rtol=1e-4, atol=1e-6)


def test_what_is_not_drawn_gets_zeros() -> None:
    splats, view = random_splats(300), camera()
    means = splats.means.copy()
    means[::3] = [0, 0, -1e3]  # behind the camera
    means[1::3, 0] = np.nan
    found = gradient_of(dataclasses.replace(splats, means=means), view, "cpu")
    for name in ARRAYS:
        array = getattr(found, name)
        assert np.isfinite(array).all()
        assert not array[::3].any()
        assert not array[1::3].any()
        assert array[2::3].any()


def test_an_empty_scene() -> None:
    splats, view = random_splats(0), camera()
    frame = differentiable(splats, view)
    assert not frame.image.alpha.any()
    assert frame.backward(np.ones_like(frame.image.color)).means.shape == (0, 3)


@pytest.mark.parametrize("shape", [(50, 70), (50, 70, 4), (70, 50, 3)])
def test_derivatives_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="of an image"):
        differentiable(random_splats(5), camera()).backward(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="of an image"):
        differentiable(random_splats(5), camera()).backward(np.zeros((50, 70, 3)), np.zeros((50, 71)))
