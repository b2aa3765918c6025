"""The sample scene looks like its model, has what trained scenes have, and its script trains such scenes."""

import numpy as np
import pytest

from data import make_sample, shading, still_life
from scenepress.formats import table
from scenepress.kernels.reference_render import rotation_matrices
from scenepress.scene import Splats


@pytest.fixture(scope="module")
def model() -> Splats:
    return shading.splats(still_life.model())


@pytest.fixture(scope="module")
def sample() -> Splats:
    return table.read(make_sample.TARGET)


def test_the_committed_sample_looks_like_the_model(model: Splats, sample: Splats) -> None:
    cameras = make_sample.held_out(make_sample.RECIPE)[:5]
    for fit in make_sample.measure(sample, model, cameras):
        assert fit.mean_view_psnr > 34
        assert fit.ssim > 0.97


def test_the_sample_is_small_and_has_something_for_every_stage(sample: Splats) -> None:
    assert make_sample.TARGET.stat().st_size <= 4_000_000
    assert sample.sh_degree == 3
    arrays = [getattr(sample, name) for name in ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")]
    assert all(np.isfinite(array).all() for array in arrays)
    opacity = 1 / (1 + np.exp(-sample.opacity_logits))
    assert (opacity < 0.02).mean() > 0.01, "nothing to prune"
    assert (opacity > 0.9).mean() > 0.1
    assert np.abs(sample.shN).max() > 0.2, "colours do not depend on the view"
    scales = np.sort(sample.log_scales, axis=1)
    assert (scales[:, 2] - scales[:, 0] > np.log(10)).mean() > 0.1, "no thin splats"
    assert np.ptp(np.percentile(scales, [1, 99])) > 3, "splats all alike"


def test_coefficients_follow_the_shading() -> None:
    scene = still_life.ball(still_life.BALL, still_life.BALL_RADIUS, 40, np.array([0.5, 0.1, 0.1]), 0.04)
    coefficients = shading.fit(scene)
    eyes = still_life.ball(np.zeros(3), 1.0, 200, np.ones(3), 0.0).normals
    fitted = 0.5 + np.einsum("dk,nkc->ndc", shading.harmonics(-eyes * shading.FLIP), coefficients)
    seen = scene.normals @ eyes.T > 0.3
    error = (fitted - shading.shade(scene, eyes))[seen]
    assert np.sqrt((error**2).mean()) < 0.05


def test_splats_lie_in_their_surfaces() -> None:
    ring = still_life.ring(200)
    splats = shading.splats(ring)
    assert (splats.log_scales.argmin(axis=1) == 2).all()
    thin = rotation_matrices(splats.quats.astype(np.float64))[:, :, 2]
    np.testing.assert_allclose(thin, ring.normals * shading.FLIP, atol=1e-5)
    np.testing.assert_allclose(splats.means, ring.points * shading.FLIP, atol=1e-6)


def test_the_script_trains() -> None:
    recipe = make_sample.Recipe(detail=1, cameras=8, width=64, points=1500, splats=1800, steps=400)
    model = shading.splats(still_life.model(recipe.detail))
    told: list[float] = []
    scene = make_sample.make(model, recipe, lambda _, done: told.append(done))
    assert recipe.points < len(scene) <= recipe.splats
    assert scene.sh_degree == 3
    assert told[-1] == 1
    cameras = make_sample.around(recipe.cameras, recipe.width)  # So few views say little about others.
    before = make_sample.measure(make_sample.start(model, recipe.points), model, cameras)
    after = make_sample.measure(scene, model, cameras)
    assert [fit.views for fit in after] == [8, 8]
    for first, last in zip(before, after, strict=True):
        assert last.mean_view_psnr > first.mean_view_psnr + 5
