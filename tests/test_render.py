"""rasterize(): rules of blending, backends against each other and against gsplat's projection."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from scenepress.kernels import _native, reference_render
from scenepress.render import raster_input, rasterize
from scenepress.scene import Camera, Splats


def random_splats(count: int, seed: int = 0, degree: int = 3, antialiased: bool = False) -> Splats:
    rng = np.random.default_rng(seed)
    extra = (degree + 1) ** 2 - 1
    return Splats(
        rng.normal(0, 1, (count, 3)).astype("f4"),
        rng.normal(0, 1, (count, 4)).astype("f4"),
        rng.normal(-2.5, 0.8, (count, 3)).astype("f4"),
        rng.normal(0, 2, count).astype("f4"),
        rng.normal(0, 1, (count, 3)).astype("f4"),
        rng.normal(0, 0.2, (count, extra, 3)).astype("f4"),
        antialiased,
    )


def camera(width: int = 70, height: int = 50, distance: float = 4.0) -> Camera:
    view = np.eye(4)
    turn = 0.4
    view[:3, :3] = [
        [np.cos(turn), 0, np.sin(turn)],
        [0, 1, 0],
        [-np.sin(turn), 0, np.cos(turn)],
    ]
    view[:3, 3] = [0.1, -0.05, distance]
    return Camera(view, 0.9 * width, 0.95 * width, 0.48 * width, 0.53 * height, width, height)


def test_one_splat_by_hand() -> None:
    one = Splats(
        np.array([[0, 0, 2]], "f4"),
        np.array([[1, 0, 0, 0]], "f4"),
        np.log(np.full((1, 3), 0.1, "f4")),
        np.array([0], "f4"),
        np.array([[1, 0, -1]], "f4"),
        np.zeros((1, 0, 3), "f4"),
    )
    view = Camera(np.eye(4), 40.0, 40.0, 16.5, 16.5, 33, 33)
    image = rasterize(one, view, background=(0, 0, 1))
    variance = (0.1 * 40 / 2) ** 2 + 0.3
    alpha = 0.5 * np.exp(-0.5 * 3**2 / variance)
    assert image.alpha[16, 16] == pytest.approx(0.5, abs=1e-6)
    assert image.alpha[16, 19] == pytest.approx(alpha, abs=1e-6)
    color = 0.5 + 0.28209479 * np.array([1, 0, -1])
    expected = alpha * color + (1 - alpha) * np.array([0, 0, 1])
    np.testing.assert_allclose(image.color[19, 16], expected, atol=1e-6)
    assert image.alpha[0, 0] == 0
    assert image.color[0, 0].tolist() == [0, 0, 1]


def test_instruction_sets_agree() -> None:
    splats, view = random_splats(3000), camera(200, 130)
    fast, plain = (rasterize(splats, view, backend=name) for name in ("cpu", "portable"))
    # A splat exactly at the 1/255 cutoff may be drawn by one and not by the other.
    assert np.mean(np.abs(fast.color - plain.color).max(axis=2) > 1e-5) < 2e-3
    np.testing.assert_allclose(fast.color, plain.color, atol=1 / 100)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["means", "quats", "log_scales", "sh0", "shN"])
def test_splats_that_are_not_finite_are_left_out(name: str, bad: float) -> None:
    splats, view = random_splats(200), camera()
    array = getattr(splats, name).copy()
    array.reshape(200, -1)[::2, 0] = bad
    damaged = rasterize(dataclasses.replace(splats, **{name: array}), view)
    expected = rasterize(splats.take(np.arange(1, 200, 2)), view)
    np.testing.assert_array_equal(damaged.color, expected.color)


def compare_with_reference(splats: Splats, view: Camera, backend: str) -> None:
    rear = np.array([0.2, 0.3, 0.4])
    scene = raster_input(splats, view)
    color, alpha, close = reference_render.blend(
        reference_render.project(scene), view.width, view.height, rear
    )
    image = rasterize(splats, view, background=rear.tolist(), backend=backend)
    # Where a splat is at the very edge of being drawn, rounding decides; nowhere else.
    assert close.mean() < 0.02
    np.testing.assert_allclose(image.color[~close], color[~close], atol=1e-5)
    np.testing.assert_allclose(image.alpha[~close], alpha[~close], atol=1e-5)
    np.testing.assert_allclose(image.color[close], color[close], atol=1 / 50)


@pytest.mark.parametrize("backend", ["cpu", "portable"])
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_images_agree_with_the_reference(degree: int, antialiased: bool, backend: str) -> None:
    splats = random_splats(600, degree, degree, antialiased)
    compare_with_reference(splats, camera(121, 77), backend)


@pytest.mark.parametrize(
    ("log_scale", "spread", "logit"),
    [(-9, 1, 4), (-5, 0.3, 9), (1.5, 1, 0), (4, 3, -3), (-3, 30, 2)],
    ids=["tiny", "dense", "large", "huge", "scattered, most behind or beside"],
)
def test_extreme_scenes_agree_with_the_reference(log_scale: float, spread: float, logit: float) -> None:
    splats = random_splats(400, 7)
    splats = dataclasses.replace(
        splats,
        means=splats.means * np.float32(spread),
        log_scales=splats.log_scales + np.float32(log_scale + 2.5),
        opacity_logits=splats.opacity_logits + np.float32(logit),
    )
    compare_with_reference(splats, camera(96, 90), "cpu")


def test_needles_and_discs_agree_with_the_reference() -> None:
    splats = random_splats(400, 8)
    stretch = np.random.default_rng(1).choice(np.array([-5, 0, 2.5], "f4"), (400, 3))
    splats = dataclasses.replace(splats, log_scales=splats.log_scales + stretch)
    compare_with_reference(splats, camera(150, 150), "cpu")


def test_equal_depths_are_drawn_by_index() -> None:
    one = random_splats(1, 3, degree=0)
    twins = one.take(np.zeros(40, int))
    rng = np.random.default_rng(0)
    twins = dataclasses.replace(twins, sh0=rng.normal(0, 1, (40, 3)).astype("f4"))
    compare_with_reference(twins, camera(), "cpu")


def test_threads_and_tile_budgets_do_not_change_the_image() -> None:
    scene, rear = raster_input(random_splats(20000, 2), camera(300, 200)), np.zeros(3, "f4")
    expected = _native.rasterize(*scene, rear, False, 1, 0)
    for threads, budget in ((2, 0), (5, 0), (1, 1), (2, 5000)):
        image = _native.rasterize(*scene, rear, False, threads, budget)
        np.testing.assert_array_equal(image[0], expected[0])
        np.testing.assert_array_equal(image[1], expected[1])


def test_an_empty_scene_is_background() -> None:
    image = rasterize(random_splats(0), camera(), background=(0.25, 0.5, 1))
    assert (image.color == np.array([0.25, 0.5, 1], "f4")).all()
    assert (image.alpha == 0).all()


def test_cameras_that_make_no_sense_are_refused() -> None:
    splats, good = random_splats(1), camera()
    for name, value in {"fx": 0.0, "fy": np.nan, "width": 0, "height": 40000, "cx": np.inf}.items():
        with pytest.raises(ValueError, match=r"must be positive|pixels a side"):
            rasterize(splats, dataclasses.replace(good, **{name: value}))
    with pytest.raises(ValueError, match="must be rigid"):
        rasterize(splats, dataclasses.replace(good, world_to_camera=2 * np.eye(4)))
