"""Merging: two halves give back a splat, moments are kept, and what makes no sense pairs with none."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenepress import cameras, merging, scene_ops
from scenepress.kernels.reference_render import rotation_matrices
from scenepress.render import rasterize
from scenepress.scene import Splats
from tests.splat_scenes import assert_same_bits, random_splats, with_arrays


def halves(scene: Splats) -> Splats:
    """Every splat twice, one after the other, with half its optical depth."""
    depth = np.logaddexp(0, scene.opacity_logits.astype(np.float64)) / 2
    logits = (depth + np.log(-np.expm1(-depth))).astype(np.float32)
    twice = np.repeat(np.arange(len(scene)), 2)
    return dataclasses.replace(scene, opacity_logits=logits).take(twice)


def covariances(scene: Splats) -> np.ndarray:
    turns = rotation_matrices(scene.quats.astype(np.float64))
    return (turns * np.exp(2 * scene.log_scales.astype(np.float64))[:, None]) @ turns.transpose(0, 2, 1)


def all_candidates(scene: Splats, removal: float = 1.0) -> merging.Candidates:
    ones = np.ones(len(scene))
    return merging.candidates(scene, removal * ones, 1e-3 * ones, np.inf)


def pairs_of(count: int) -> np.ndarray:
    return np.arange(2 * count).reshape(-1, 2)


@given(st.integers(1, 50), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_halves_give_back_the_whole(count: int, degree: int, seed: int) -> None:
    scene = random_splats(count, degree, seed)
    # Faint ones: halves of opaque ones hide more together, 1 - (1 - opacity)^2 everywhere.
    scene = with_arrays(scene, opacity_logits=np.minimum(scene.opacity_logits, np.float32(-6)))
    back = merging.merge(halves(scene), pairs_of(count))
    np.testing.assert_allclose(back.means, scene.means, rtol=1e-5, atol=1e-5)
    scale = np.trace(covariances(scene), axis1=1, axis2=2)[:, None, None]
    np.testing.assert_allclose(covariances(back) / scale, covariances(scene) / scale, atol=1e-5)
    np.testing.assert_allclose(back.opacity_logits, scene.opacity_logits, rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(back.sh0, scene.sh0, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(back.shN, scene.shN, rtol=1e-5, atol=1e-5)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_moments_and_colours_are_kept(count: int, seed: int) -> None:
    scene = random_splats(2 * count, 1, seed)
    scene = with_arrays(scene, opacity_logits=np.minimum(scene.opacity_logits, np.float32(-1)))  # None will grow.
    one = merging.merge(scene, pairs_of(count))
    sigma = np.exp(2 * scene.log_scales.astype(np.float64))
    area = np.sqrt(sum(sigma[:, i] * sigma[:, j] for i, j in itertools.combinations(range(3), 2)))
    mass = (np.logaddexp(0, scene.opacity_logits.astype(np.float64)) * area).reshape(-1, 2)
    share = mass / mass.sum(1, keepdims=True)
    means = scene.means.astype(np.float64).reshape(-1, 2, 3)
    mean = np.einsum("pk,pki->pi", share, means)
    np.testing.assert_allclose(one.means, mean, rtol=1e-5, atol=1e-5)
    away = means - mean[:, None]
    second = covariances(scene).reshape(-1, 2, 3, 3) + away[..., :, None] * away[..., None, :]
    wanted = np.einsum("pk,pkij->pij", share, second)
    scale = np.trace(wanted, axis1=1, axis2=2)[:, None, None]
    np.testing.assert_allclose(covariances(one) / scale, wanted / scale, atol=1e-5)
    np.testing.assert_allclose(one.sh0, np.einsum("pk,pkc->pc", share, scene.sh0.reshape(-1, 2, 3)), atol=1e-5)
    assert scene_ops.audit(one).invalid == 0


@pytest.mark.parametrize("opacity", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("away", [0.0, 0.5, 1.0])
def test_one_splat_hides_what_two_did(opacity: float, away: float) -> None:
    logit = np.log(opacity / (1 - opacity))
    two = Splats(
        means=np.array([[0, 0, 0], [away, 0, 0]], np.float32),
        quats=np.array([[1, 0, 0, 0]] * 2, np.float32),
        log_scales=np.array([[0, 0, -3]] * 2, np.float32),
        opacity_logits=np.full(2, logit, np.float32),
        sh0=np.full((2, 3), -5, np.float32),
        shN=np.zeros((2, 0, 3), np.float32),
    )
    one = merging.merge(two, pairs_of(1))
    views = cameras.synthesize(two, 6, 160)

    def hidden(scene: Splats) -> float:  # Black over white.
        return sum(float((1 - rasterize(scene, view, background=(1, 1, 1)).color).sum()) for view in views)

    assert 0.8 < hidden(one) / hidden(two) < 1.1
    assert logit < one.opacity_logits[0]


def test_the_others_stay_and_so_does_the_order() -> None:
    scene = random_splats(6, 2)
    one = merging.merge(scene, np.array([[4, 1]]))
    assert_same_bits(one.take(np.array([0, 1, 2, 4])), scene.take(np.array([0, 2, 3, 5])))
    assert merging.merge(scene, np.zeros((0, 2), np.intp)) is scene
    with pytest.raises(ValueError, match="one other"):
        merging.merge(scene, np.array([[0, 1], [1, 2]]))


def test_halves_are_found_and_cost_nothing() -> None:
    twice = halves(random_splats(200, 3))
    found = all_candidates(twice)
    free = {tuple(sorted(pair)) for pair in found.pairs[found.cost < 1e-3].tolist()}
    assert free >= {(2 * k, 2 * k + 1) for k in range(200)}
    again = all_candidates(twice)
    np.testing.assert_array_equal(found.pairs, again.pairs)
    np.testing.assert_array_equal(found.cost, again.cost)
    assert (found.cost < 1).all()
    assert len(np.unique(np.sort(found.pairs, axis=1), axis=0)) == len(found.pairs)


def test_cost_rises_with_distance_and_colour() -> None:
    one = random_splats(1, 3).take(np.array([0, 0]))
    one = with_arrays(one, log_scales=np.zeros((2, 3), np.float32), opacity_logits=np.zeros(2, np.float32))
    offsets = np.zeros((2, 3), np.float32)

    def cost(away: float, colour: float) -> float:
        offsets[1, 0] = away
        sh0 = one.sh0.copy()
        sh0[1] += np.float32(colour)
        found = all_candidates(with_arrays(one, means=one.means + offsets, sh0=sh0))
        return float(found.cost[0]) if len(found.cost) else np.inf

    assert cost(0, 0) < cost(0.2, 0) < cost(0.8, 0) < cost(5, 0) == np.inf
    assert cost(0.2, 0) < cost(0.2, 1) < cost(0.2, 300) == np.inf


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("name", ["means", "log_scales", "sh0", "shN", "quats", "opacity_logits"])
def test_what_makes_no_sense_pairs_with_none(name: str, value: float) -> None:
    twice = halves(random_splats(20, 1))
    array = getattr(twice, name).copy()
    array[6] = value
    broken = with_arrays(twice, **{name: array})
    found = all_candidates(broken)
    used = found.pairs[merging.match(found.pairs, -found.cost + 1, 100)]
    assert len(used) >= 15
    if scene_ops.invalid_mask(broken)[6] or value == -np.inf:
        assert 6 not in found.pairs
    assert scene_ops.audit(merging.merge(broken, used)).invalid == int(scene_ops.invalid_mask(broken)[6])


@pytest.mark.parametrize("log_scale", [-1e30, -80.0, 24.9])
def test_extreme_sizes_stay_valid(log_scale: float) -> None:
    twice = halves(random_splats(10, 0))
    for flat in (1, 3):
        scales = twice.log_scales.copy()
        scales[:, :flat] = log_scale
        extreme = with_arrays(twice, log_scales=scales, opacity_logits=np.full(20, np.inf, np.float32))
        all_candidates(extreme)
        assert scene_ops.audit(merging.merge(extreme, pairs_of(10))).invalid == 0


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_for_a_pair(count: int) -> None:
    assert all_candidates(random_splats(count, 3)).pairs.shape == (0, 2)


@given(st.integers(2, 30), st.integers(0, 100), st.integers(0, 2**32 - 1))
def test_matching_is_greedy(splats: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = np.array([rng.permutation(splats)[:2] for _ in range(count)], np.intp).reshape(-1, 2)
    gain = rng.integers(-2, 6, count).astype(np.float64)
    used: set[int] = set()
    wanted = []
    for k in sorted(range(count), key=lambda k: -gain[k]):
        if gain[k] > 0 and not used & set(pairs[k].tolist()):
            used |= set(pairs[k].tolist())
            wanted.append(k)
    np.testing.assert_array_equal(merging.match(pairs, gain, count), wanted)
    np.testing.assert_array_equal(merging.match(pairs, gain, 2), wanted[:2])
