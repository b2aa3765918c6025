"""rasterize(): rules of blending, backends against each other and against gsplat's projection."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from scenepress.render import rasterize
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
