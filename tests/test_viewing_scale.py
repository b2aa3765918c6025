"""Scenes of any size: a renderer's fixed near plane must not decide what an encoder throws away."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scenes import cloud

import scenepress
from scenepress import scene_ops, significance
from scenepress.scene import Splats

SIZES = (1.0, 2.0**-7, 2.0**-14, 2.0**-30, 2.0**29)


def resized(scene: Splats, factor: float) -> Splats:
    log_scales = scene.log_scales.astype(np.float64) + np.log(factor)
    return dataclasses.replace(
        scene, means=scene.means * np.float32(factor), log_scales=log_scales.astype(np.float32)
    )


@pytest.mark.parametrize("factor", SIZES)
def test_quality_does_not_depend_on_the_unit_of_length(factor: float) -> None:
    scene = cloud()
    views = scenepress.synthesize(scene, 2, 96)
    small = resized(scene, factor)
    decoded = scenepress.decompress(scenepress.compress(small, measure=False))
    own_views = scenepress.synthesize(small, 2, 96)
    measured = scenepress.compare(small, decoded, own_views, perceptual=False).psnr
    true = scenepress.compare(scene, resized(decoded, 1 / factor), views, perceptual=False).psnr
    usual = scenepress.decompress(scenepress.compress(scene, measure=False))
    wanted = scenepress.compare(scene, usual, views, perceptual=False).psnr
    assert true > wanted - 2
    assert measured == pytest.approx(true, abs=0.1)


def test_ordinary_scenes_are_left_alone() -> None:
    scene = cloud()
    assert scene_ops.viewing_scale(scene) == 1
    assert scene_ops.enlarge(scene, 1.0) is scene
    assert scene_ops.viewing_scale(scene.take(np.arange(0))) == 1


def test_sensitivity_to_positions_is_per_scene_unit() -> None:
    scene, factor = cloud(), 2.0**-14
    views = scenepress.synthesize(scene, 1, 96)
    usual = significance.measure(scene, views)
    small = significance.measure(resized(scene, factor), [scene_ops.enlarge_camera(views[0], factor)])
    pairs = ((small.position * factor**2, usual.position), (small.weight, usual.weight))
    for found, wanted in pairs:
        np.testing.assert_allclose(found, wanted, rtol=0.02, atol=1e-3 * wanted.max())
