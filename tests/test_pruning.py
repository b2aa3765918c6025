"""Pruning: what matters least goes, and the loss that is told is the loss that is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scenepress import cli, pruning, quality, scene_ops, significance
from scenepress.cameras import surround, synthesize
from scenepress.formats import table
from scenepress.scene import Splats
from tests.splat_scenes import assert_same_bits, with_arrays
from tests.test_merging import halves

SAMPLE = Path("data/samples/still_life.ply")


@pytest.fixture(scope="module")
def scene() -> Splats:
    return table.read(SAMPLE)


@pytest.fixture(autouse=True)
def small_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much to see for a small scene, in less time."""
    monkeypatch.setattr(pruning, "WIDTH", 160)


def test_a_share_is_kept(scene: Splats) -> None:
    found = pruning.to_share(scene, 0.6)
    assert len(found.scene) == round(0.6 * len(scene))
    assert len(pruning.to_share(scene, 1e-9).scene) == 1
    whole = pruning.to_share(scene, 1.0)
    assert len(whole.scene) == len(scene)
    assert whole.loss == 0.0
    assert whole.psnr == np.inf


def test_the_rest_keeps_its_order_and_values(scene: Splats) -> None:
    kept = pruning.to_share(scene, 0.5, merge=False).scene
    rows = {row.tobytes() for row in scene.means}
    assert all(row.tobytes() in rows for row in kept.means)
    place = {row.tobytes(): k for k, row in enumerate(scene.means)}
    assert (np.diff([place[row.tobytes()] for row in kept.means]) > 0).all()
    first = pruning.to_share(scene, 0.9, merge=False).scene
    order, errors = pruning.removal_order(scene)
    np.testing.assert_array_equal(first.means, scene.means[np.sort(order[len(scene) - len(first) :])])
    assert (np.diff(errors) >= 0).all()


def test_merging_beats_leaving_out(scene: Splats) -> None:
    alone, merged = (pruning.to_share(scene, 0.5, merge=merge) for merge in (False, True))
    assert alone.merged == 0 < merged.merged
    assert merged.psnr > alone.psnr + 1
    again = pruning.to_share(scene, 0.5)
    assert_same_bits(again.scene, merged.scene)
    assert scene_ops.audit(merged.scene).invalid == 0
    rows = {row.tobytes() for row in scene.means}
    assert sum(row.tobytes() not in rows for row in merged.scene.means) <= merged.merged


def test_a_scene_of_halves_is_merged_whole(scene: Splats) -> None:
    few = scene.take(slice(None, None, 10))
    # Faint ones: opaque halves are broader together than the whole, for what shows is 1 - (1 - opacity)^2.
    faint = with_arrays(few, opacity_logits=np.minimum(few.opacity_logits, np.float32(-3)))
    twice = halves(faint)
    found = pruning.to_share(twice, 0.5)
    assert len(found.scene) == len(faint)
    assert found.psnr > pruning.to_share(twice, 0.5, merge=False).psnr + 8
    assert found.loss < 0.1


def test_equal_splats(scene: Splats) -> None:
    equal = scene.take(np.full(50, 3))
    found = pruning.to_share(equal, 0.5)
    assert len(found.scene) == 25
    assert scene_ops.audit(found.scene).invalid == 0
    assert len(pruning.to_share(equal.take(np.arange(2)), 0.5).scene) == 1


def test_measured_significance_beats_chance_and_opacity(scene: Splats) -> None:
    views = synthesize(scene, 4, 200)
    count = round(0.8 * len(scene))

    def psnr(kept: np.ndarray) -> float:
        return quality.compare(scene, scene.take(np.sort(kept)), views, perceptual=False).psnr

    measured = psnr(pruning.removal_order(scene)[0][len(scene) - count :])
    assert measured > psnr(np.random.default_rng(1).permutation(len(scene))[:count]) + 6
    assert measured > psnr(np.argsort(scene.opacity_logits)[len(scene) - count :]) + 3


@pytest.mark.parametrize("loss", [0.05, 1.0])
def test_a_loss_is_used_up_and_not_exceeded(scene: Splats, loss: float) -> None:
    found = pruning.to_loss(scene, loss)
    assert 0.5 * loss < found.loss <= loss
    views = synthesize(scene, pruning.VIEWS, pruning.WIDTH)
    error = 10 ** (-quality.compare(scene, found.scene, views, perceptual=False).psnr / 10)
    assert 10 * np.log10(1 + error * 10 ** (pruning.MODEL_PSNR / 10)) == pytest.approx(found.loss, rel=1e-9)


def test_splats_that_are_not_finite_go_first(scene: Splats) -> None:
    means = scene.means.copy()
    means[5] = np.nan
    order, errors = pruning.removal_order(with_arrays(scene, means=means))
    assert order[0] == 5
    assert (errors >= 0).all()
    assert np.isfinite(errors).all()


def test_one_splat_and_bad_arguments(scene: Splats) -> None:
    one = scene.take(np.array([3]))
    assert len(pruning.to_share(one, 0.5).scene) == 1
    assert len(pruning.to_loss(one, 0.1).scene) == 1
    for keep in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="share"):
            pruning.to_share(scene, keep)
    for loss in (0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="loss"):
            pruning.to_loss(scene, loss)
    with pytest.raises(ValueError, match="model"):
        pruning.to_share(scene, 0.5, model_psnr=0.0)


def test_the_global_score_is_the_published_one(scene: Splats) -> None:
    measured = significance.measure(scene, surround(scene, 4, 100))
    score = significance.global_score(measured, scene)
    volume = np.exp(scene.log_scales.astype(np.float64).sum(1))
    share = np.minimum(volume / np.quantile(volume, 0.9), 1)
    np.testing.assert_allclose(score, measured.weight * share**0.1, rtol=1e-3)
    assert len(significance.global_score(measured, scene.take(np.array([], np.intp)))) == 0


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "fewer.ply"
    assert cli.main(["prune", str(SAMPLE), str(out), "--keep", "0.5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    left = table.read(out)
    assert told["splats_kept"] == len(left) == round(0.5 * told["splats"])
    assert scene_ops.audit(left).invalid == 0
    assert set(told) == {
        "source", "output", "splats", "splats_kept", "splats_merged", "psnr", "loss_db", "model_psnr", "views",
        "cameras", "distilled", "distill_steps", "distill_backend",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give one of --keep SHARE and --max-loss-db DB"),
        ("--keep 0.5 --max-loss-db 1", "give one of --keep SHARE and --max-loss-db DB"),
        ("--keep 0", "must be above 0"),
        ("--keep nan", "must be above 0"),
        ("--max-loss-db -1", "must be above 0"),
        ("--keep 0.5 --model-psnr 0", "must be between"),
        ("--keep half", "is not a number"),
    ],
)
def test_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str) -> None:
    assert cli.main(["prune", str(SAMPLE), str(tmp_path / "out.ply"), *arguments.split()]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
