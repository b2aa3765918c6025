"""Thinning: what stays, what is said of it, and that the way there does not matter."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from scenepress import api, quality
from scenepress.cameras import synthesize
from scenepress.codecs import encoder, sensitivity, thinning
from scenepress.codecs import splats as codec
from scenepress.codecs.presets import PRESETS
from scenepress.formats import table
from scenepress.scene import Splats
from tests.scenes import cloud
from tests.splat_scenes import assert_same_bits

SMALL = PRESETS["small"]


@pytest.fixture(scope="module")
def sample() -> Splats:
    return table.read(Path("data/samples/still_life.ply"))


@pytest.mark.parametrize(
    "settings", [dataclasses.replace(SMALL, prune=0.0), dataclasses.replace(SMALL, keep_order=True)]
)
def test_what_should_stay_stays(sample: Splats, settings: codec.Settings) -> None:
    scene = sample.take(slice(None, None, 5))
    sens = sensitivity.measure(scene, None)
    left, same = thinning.thin(scene, sens, settings, None)
    assert left is scene
    assert same is sens


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_tiny_scenes(count: int) -> None:
    scene = cloud(count, 1)
    left, sens = thinning.thin(scene, sensitivity.measure(scene, None), SMALL, None)
    assert min(count, 1) <= len(left) <= count
    assert len(sens.removal) == len(left)


def test_scenes_that_nothing_sees_do_not_vanish() -> None:
    scene = dataclasses.replace(cloud(50, 1), opacity_logits=np.full(50, -40, np.float32))
    left, _ = thinning.thin(scene, sensitivity.measure(scene, None), PRESETS["tiny"], None)
    assert len(left) > 0


def test_rounds_beat_one_sweep(sample: Splats) -> None:
    """As many splats and the same steps, with and without the rounds."""
    settings = dataclasses.replace(SMALL, prune=1.0, psnr=30.0, learned=False)
    whole = sensitivity.measure(sample, None)
    left, sens = thinning.thin(sample, whole, settings, None)
    swept = sample.take(np.sort(np.argsort(-whole.removal)[: len(left)]))
    views = synthesize(sample, 4, 160)
    thinned, cut = (quality.compare(sample, some, views, perceptual=False).psnr for some in (left, swept))
    assert len(left) < 0.7 * len(sample)
    assert thinned > cut + 2
    assert all(len(getattr(sens, field.name)) == len(left) for field in dataclasses.fields(sens))


def test_what_is_left_does_not_depend_on_what_was_asked_before(sample: Splats) -> None:
    whole = sensitivity.measure(sample, None)
    rounds = thinning.Rounds(sample, whole, None)
    for psnr in (38.0, 24.0, 29.0, 45.0, 24.0):
        settings = dataclasses.replace(SMALL, psnr=psnr)
        found, sens = rounds.left(settings)
        alone, same = thinning.thin(sample, whole, settings, None)
        assert_same_bits(found, alone)
        for field in dataclasses.fields(sens):
            np.testing.assert_array_equal(getattr(sens, field.name), getattr(same, field.name))


def test_the_lower_the_quality_the_fewer(sample: Splats) -> None:
    rounds = thinning.Rounds(sample, sensitivity.measure(sample, None), None)
    counts = [len(rounds.left(dataclasses.replace(SMALL, psnr=psnr))[0]) for psnr in (50, 40, 35, 30, 25, 20)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 0.4 * counts[0]


def test_guesses_are_near_what_is_measured(sample: Splats) -> None:
    scene = sample.take(slice(None, None, 2))
    whole = sensitivity.measure(scene, None)
    less = thinning.leave(scene, whole, float(np.quantile(whole.removal, 0.07)))
    assert less.changed.any()
    assert len(less.pairs) == less.changed.sum()
    guessed, measured = thinning.guess(scene, whole, less), sensitivity.measure(less.scene, None)
    for field in dataclasses.fields(measured):
        a, b = (getattr(some, field.name)[less.changed] for some in (guessed, measured))
        off = np.log((a + 1e-12) / (b + 1e-12))
        assert abs(np.median(off)) < 0.7, field.name
        assert np.quantile(np.abs(off), 0.75) < 1.6, field.name


def test_order_and_values_of_others_stay(sample: Splats) -> None:
    whole = sensitivity.measure(sample, None)
    less = thinning.leave(sample, whole, float(np.quantile(whole.removal, 0.2)))
    assert less.stays.sum() == len(less.scene) == len(less.changed)
    assert_same_bits(less.scene.take(~less.changed), sample.take(less.stays).take(~less.changed))
    np.testing.assert_array_equal(np.flatnonzero(less.stays)[less.changed], less.pairs[:, 0])
    assert not less.stays[less.pairs[:, 1]].any()


def test_files_hold_what_is_left(sample: Splats) -> None:
    settings = dataclasses.replace(SMALL, learned=False)
    whole = sensitivity.measure(sample, None)
    left, sens = thinning.thin(sample, whole, settings, None)
    prepared = encoder.prepare(left, sens, settings, sure=False)
    assert len(codec.decode(codec.encode(sample, settings, sensitivities=whole))) == len(prepared.source)
    assert len(api.decompress(api.compress(sample, "small", measure=False))) < len(sample)
