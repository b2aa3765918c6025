"""Pruning of scenes that move: what goes, what it costs, and what training restores."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from dynamic_scenes import dynamic

from scenepress import cli, dynamic_distillation, dynamic_pruning, dynamics, significance
from scenepress.cameras import look_at
from scenepress.dynamics import Moment
from scenepress.formats.gaussians4d import read_4dgaussians, write_4dgaussians
from scenepress.kernels import raster
from scenepress.scene import DynamicSplats

pytestmark = pytest.mark.skipif("cpu" not in raster.BACKENDS, reason="needs the native module")


def scene() -> DynamicSplats:
    """A few large splats, many that hardly show, and one that shows only late."""
    found = dynamic(120, heads=("position", "scale"))
    splats = found.canonical
    logits = np.where(np.arange(120) < 60, 3.0, -6.0).astype(np.float32)
    scales = np.repeat(np.where(np.arange(120)[:, None] < 60, -2.0, -5.0).astype(np.float32), 3, axis=1)
    splats = dataclasses.replace(splats, opacity_logits=logits, log_scales=scales)
    return dataclasses.replace(found, canonical=splats)


def moments(count: int = 6) -> list[Moment]:
    out = []
    for k in range(count):
        eye = (5 * np.sin(2.4 * k), np.sin(k), 5 * np.cos(2.4 * k))
        out.append(Moment(look_at(eye, (0, 0, 0), (0, -1, 0), width=64, height=48, fx=50.0), k / (count - 1)))
    return out


@pytest.mark.parametrize("score", ["measured", "published"])
@pytest.mark.parametrize("given", [True, False])
def test_what_hardly_shows_goes_first(score: dynamic_pruning.Score, given: bool) -> None:
    found = dynamic_pruning.to_share(scene(), 0.5, moments() if given else None, score=score)
    assert len(found.scene) == 60
    assert (found.kept < 60).mean() > 0.9
    assert found.psnr > 30
    np.testing.assert_array_equal(found.scene.canonical.means, scene().canonical.means[found.kept])
    assert found.scene.deformation.trunk is not None


def test_splats_that_are_seen_at_one_time_only_count() -> None:
    whole = scene()
    out_of_sight = dataclasses.replace(whole.canonical, means=whole.canonical.means.copy())
    out_of_sight.means[0] = [0, 0, 100]
    far = DynamicSplats(out_of_sight, whole.deformation)
    costs = dynamic_pruning.removal(far, moments())
    assert costs[0] < np.median(costs[1:60])
    late = [dataclasses.replace(moment, time=1.0) for moment in moments()]
    assert (dynamic_pruning.removal(whole, late) != dynamic_pruning.removal(whole, moments())).any()


def test_to_loss_keeps_the_promise() -> None:
    found = dynamic_pruning.to_loss(scene(), 0.2, moments())
    assert 0 < found.loss <= 0.2
    assert len(found.scene) < 100
    error = dynamic_pruning.error(scene(), found.scene, moments())
    assert found.psnr == pytest.approx(-10 * np.log10(error), abs=1e-6)


def test_splats_that_are_not_finite_go_first() -> None:
    whole = scene()
    means = whole.canonical.means.copy()
    means[7] = np.nan
    broken = DynamicSplats(dataclasses.replace(whole.canonical, means=means), whole.deformation)
    assert dynamic_pruning.removal(broken, moments())[7] == -1
    assert 7 not in dynamic_pruning.to_share(broken, 0.99, moments()).kept


@pytest.mark.parametrize(
    ("keep", "model", "loss"), [(0, 30, None), (1.1, 30, None), (0.5, 0, None), (None, 30, 0), (None, 100, 1)]
)
def test_numbers_without_sense(keep: float | None, model: float, loss: float | None) -> None:
    prune = dynamic_pruning.to_share if loss is None else dynamic_pruning.to_loss
    with pytest.raises(ValueError, match="above 0"):
        prune(scene(), keep if loss is None else loss, moments(), model_psnr=model)  # type: ignore[arg-type]


def test_the_published_score_is_a_mean_over_moments() -> None:
    splats = dynamics.at(scene(), 0.2), dynamics.at(scene(), 0.9)
    pairs = zip(splats, moments(2), strict=True)
    parts = [(significance.measure(now, [moment.camera]), now) for now, moment in pairs]
    expected = sum(significance.global_score(*part) for part in parts) / 2
    np.testing.assert_allclose(significance.spatio_temporal_score(parts), expected)
    whole = significance.total([part for part, _ in parts])
    np.testing.assert_allclose(whole.weight, parts[0][0].weight + parts[1][0].weight)
    np.testing.assert_allclose(whole.weight_max, np.maximum(parts[0][0].weight_max, parts[1][0].weight_max))


def test_training_restores_some_of_it() -> None:
    left = dynamic_pruning.to_share(scene(), 0.3, moments()).scene
    restored = dynamic_distillation.restore(left, scene(), 60, moments())
    before, after = (dynamic_pruning.error(scene(), which, moments()) for which in (left, restored))
    assert after < 0.8 * before
    assert len(restored) == len(left)


def test_training_that_does_not_pay_is_left_out() -> None:
    whole = scene()
    assert dynamic_distillation.restore(whole, whole, 2, moments()) is whole


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


class TestCommand:
    def test_prune(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        pytest.importorskip("torch")
        write_4dgaussians(scene(), tmp_path / "model")
        assert run("prune", tmp_path / "model", tmp_path / "out", "--keep", 0.5, "--distill", 5, "--json") == 0
        said = json.loads(capsys.readouterr().out)
        assert said["splats_kept"] == 60
        assert said["cameras"] == "synthesised"
        assert len(read_4dgaussians(tmp_path / "out")) == 60
        assert run("prune", tmp_path / "model", tmp_path / "out", "--keep", 0.5) == 2
        assert "exists" in capsys.readouterr().err
        assert run("prune", tmp_path / "model", tmp_path / "b", "--keep", 0.5, "--images", tmp_path) == 2
        assert "--images" in capsys.readouterr().err
