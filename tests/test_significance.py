"""measure(): against finite differences of the float64 reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from scenepress.kernels import raster, reference_render
from scenepress.kernels.reference_render import RasterInput
from scenepress.render import raster_input
from scenepress.scene import Camera, Splats
from scenepress.significance import measure
from tests.test_render import camera, random_splats

REAR = np.array([0.3, 0.1, 0.6])


def image(scene: RasterInput, background: np.ndarray = REAR) -> np.ndarray:
    projected = reference_render.project(scene)
    return reference_render.blend(projected, scene.width, scene.height, background)[0]


def soft_splats(antialiased: bool) -> Splats:
    """So faint that no pixel ends early, so large that they overlap."""
    splats = random_splats(12, 5, degree=0, antialiased=antialiased)
    return dataclasses.replace(
        splats, opacity_logits=splats.opacity_logits * np.float32(0.3), log_scales=splats.log_scales + 1
    )


def turned(quat: np.ndarray, axis: int, angle: float) -> np.ndarray:
    """quat followed by a turn about its own axis."""
    w, v = quat[0], quat[1:]
    turn = np.zeros(3)
    turn[axis] = np.sin(angle / 2)
    c = np.cos(angle / 2)
    return np.concatenate([[w * c - v @ turn], w * turn + c * v + np.cross(v, turn)])


def changed(scene: RasterInput, i: int, what: str, axis: int, step: float) -> RasterInput:
    """The float64 scene with one parameter of splat i moved."""
    arrays = {name: getattr(scene, name).astype(np.float64) for name in scene._fields[:6]}
    if what == "opacity":
        opacity = 1 / (1 + np.exp(-arrays["opacity_logits"][i])) * np.exp(step)
        arrays["opacity_logits"][i] = np.log(opacity / (1 - opacity))
    elif what == "position":
        own_axis = reference_render.rotation_matrices(arrays["quats"][i : i + 1])[0][:, axis]
        arrays["means"][i] += step * own_axis
    elif what == "log_scale":
        arrays["log_scales"][i, axis] += step
    else:
        arrays["quats"][i] = turned(arrays["quats"][i], axis, step)
    return scene._replace(**arrays)


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("what", ["opacity", "position", "log_scale", "rotation"])
def test_derivatives_are_those_of_the_reference(what: str, antialiased: bool) -> None:
    splats, views = soft_splats(antialiased), [camera(60, 44), camera(40, 60, 3.0)]
    found = getattr(measure(splats, views, REAR.tolist()), what).reshape(len(splats), -1)
    expected = np.zeros_like(found)
    step = 1e-6  # So small that no splat comes to touch or to miss a pixel, where the image jumps.
    for view in views:
        scene = raster_input(splats, view)
        for i in range(len(splats)):
            for axis in range(found.shape[1]):
                up, down = (image(changed(scene, i, what, axis, sign * step)) for sign in (1, -1))
                expected[i, axis] += (((up - down) / (2 * step)) ** 2).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())
    assert (expected > 0).mean() > 0.5


@pytest.mark.parametrize("what", ["opacity", "position"])
def test_an_unknown_background_is_black_or_white(what: str) -> None:
    splats, view = soft_splats(False), camera(60, 44)
    found = getattr(measure(splats, [view]), what).reshape(len(splats), -1)
    scene, step = raster_input(splats, view), 1e-6
    expected = np.zeros_like(found)
    for background in (np.zeros(3), np.ones(3)):
        for i in range(len(splats)):
            for axis in range(found.shape[1]):
                up, down = (image(changed(scene, i, what, axis, sign * step), background) for sign in (1, -1))
                expected[i, axis] += 0.5 * (((up - down) / (2 * step)) ** 2).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_a_splat_of_the_background_matters_unless_that_is_known() -> None:
    splats, view = random_splats(1, 4, degree=0), camera()
    black = dataclasses.replace(splats, sh0=np.full((1, 3), -10, np.float32))
    assert measure(black, [view], (0, 0, 0)).opacity == 0
    unknown, white = measure(black, [view]), measure(black, [view], (1, 1, 1))
    assert unknown.opacity == pytest.approx(white.opacity / 2, rel=1e-5)
    assert unknown.weight_squared == white.weight_squared > 0


def test_weights_are_derivatives_with_colour() -> None:
    splats, view = random_splats(50, 6, degree=0), camera(80, 60)
    found = measure(splats, [view])
    scene = raster_input(splats, view)
    projected = reference_render.project(scene)
    for i in range(0, 50, 7):
        only = np.zeros((50, 3))
        only[i] = 1
        weights = reference_render.blend(projected._replace(colors=only), 80, 60, np.zeros(3))[0][..., 0]
        assert found.weight[i] == pytest.approx(weights.sum(), rel=1e-3, abs=2e-2)
        assert found.weight_squared[i] == pytest.approx((weights**2).sum(), rel=1e-3, abs=1e-3)
        assert found.weight_max[i] == pytest.approx(weights.max(), abs=1e-4)


def test_views_add_up_and_threads_do_not_matter() -> None:
    splats = random_splats(2000, 9)
    views = [camera(90, 70, distance) for distance in (3.0, 4.0, 5.0)]
    scenes = [raster_input(splats, view) for view in views]

    def table(which: list[RasterInput], *how: int) -> np.ndarray:
        return raster.measure(
            which[0],
            np.stack([scene.view for scene in which]),
            np.stack([scene.intrinsics for scene in which]),
            np.array([[scene.width, scene.height] for scene in which], np.int32),
            np.full(3, 0.5, np.float32),
            *how,
            deviation=0.5,
        )

    whole = table(scenes, False, 1)
    for threads, budget in ((2, 0), (5, 0), (2, 700)):
        np.testing.assert_array_equal(table(scenes, False, threads, budget), whole)
    parts = np.stack([table([scene]) for scene in scenes])
    expected = np.where(np.arange(13) == 2, parts.max(axis=0), parts.sum(axis=0))
    np.testing.assert_allclose(whole, expected, rtol=1e-12)
    plain = table(scenes, True)
    assert np.mean(np.abs(plain - whole) > 1e-3 * np.abs(whole) + 1e-3) < 0.01


def test_unseen_and_broken_splats_get_zeros() -> None:
    splats = random_splats(20, 3)
    means = splats.means.copy()
    means[::2] = [0, 0, -50]
    means[1] = np.nan
    found = measure(dataclasses.replace(splats, means=means), [camera()])
    for array in dataclasses.astuple(found):
        assert (array[::2] == 0).all()
        assert (array[1] == 0).all()
        assert np.isfinite(array).all()
    assert (found.weight[3::2] > 0).any()


def test_no_camera_is_refused() -> None:
    none: list[Camera] = []
    with pytest.raises(ValueError, match="at least one camera"):
        measure(random_splats(3), none)


def test_magnified_views_see_what_larger_ones_see() -> None:
    scene = random_splats(200, 3)
    scene = dataclasses.replace(scene, log_scales=scene.log_scales - np.float32(1.5))  # About a pixel.
    small = camera(96, 96)
    large = dataclasses.replace(
        small, fx=2 * small.fx, fy=2 * small.fy, cx=2 * small.cx, cy=2 * small.cy, width=192, height=192
    )
    truth, seen, blurred = measure(scene, [large]), measure(scene, [small], magnify=2), measure(scene, [small])
    for name in ("weight_squared", "opacity"):
        want = getattr(truth, name).sum() / 4
        assert abs(getattr(seen, name).sum() / want - 1) < 0.1
        assert abs(getattr(blurred, name).sum() / want - 1) > 0.15
