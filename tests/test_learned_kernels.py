"""Kernels of the learned context model: the native ones give what the reference gives, and refuse bad input."""

from __future__ import annotations

import numpy as np
import pytest
from backends import NAMES
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scenepress.kernels import reference_learned as reference
from scenepress.stages import learned_context

if "cpu" not in NAMES:
    pytest.skip("the native module is not built", allow_module_level=True)

from scenepress.kernels import _native as native

quick = settings(deadline=None, max_examples=60)
SEEDS = st.integers(0, 2**32 - 1)
I32 = NDArray[np.int32]
LIMIT = 1 << 24


def variants(name: str) -> list[object]:
    """The reference first, then all native ones."""
    names = [name, f"{name}_portable"]
    return [getattr(reference, name), *(getattr(native, n) for n in names if hasattr(native, n))]


def same(name: str, *args: object) -> list[NDArray[np.generic]]:
    """Results of all variants, and what they left in features, after checking that they are the same arrays."""
    found = []
    for variant in variants(name):
        own = [a.copy() if isinstance(a, np.ndarray) and a.dtype == np.int8 else a for a in args]
        result = variant(*own)  # type: ignore[operator]
        arrays = list(result) if isinstance(result, tuple) else [] if result is None else [result]
        found.append(arrays + [a for a in own if isinstance(a, np.ndarray) and a.dtype == np.int8])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    return found[0]


def wide(rng: np.random.Generator, *shape: int) -> I32:
    """Small, large and saturated."""
    values = 2.0 ** rng.uniform(0, 25, shape) * rng.choice([-1, 1], shape)
    return np.clip(values, -LIMIT, LIMIT).astype(np.int32)


def steps_of(rng: np.random.Generator, n: int) -> I32:
    return np.minimum(2.0 ** rng.uniform(0, 16, n), 65535).astype(np.int32)


def nearest_of(rng: np.random.Generator, n: int, first: int) -> I32:
    return rng.integers(0, first, (n, 4)).astype(np.int32)


@quick
@given(
    st.lists(st.integers(0, 2**63 - 1), max_size=40),
    st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=40),
    st.booleans(),
)
def test_nearest(fine: list[int], coarse: list[int], close: bool) -> None:
    if close:
        fine = [min(c + k, 2**63 - 1) for c in coarse for k in (0, 1, 8)]
    codes, known = np.sort(np.array(fine, np.uint64)), np.sort(np.array(coarse, np.uint64))
    near, far = same("nearest", codes, known)
    if len(coarse) <= 4:  # All of them are candidates, for neighbours() too.
        np.testing.assert_array_equal(near[:, :2], native.neighbours(codes, known))
    assert (np.diff(far, axis=1) >= 0).all()


@quick
@given(SEEDS, st.integers(0, 60), st.integers(1, 20), st.integers(-(1 << 15), 1 << 15))
def test_features(seed: int, n: int, first: int, origin: int) -> None:
    rng = np.random.default_rng(seed)
    logs = rng.integers(-(1 << 15), (1 << 15) + 1, (3, first + n)).astype(np.int32)
    classes = rng.integers(0, 16, first + n).astype(np.uint8)
    far = np.sort(rng.integers(0, 700, (n, 4)), 1).astype(np.int32)
    values = wide(rng, 10, first + n)
    (features,) = same("level_features", values, logs, classes, first, nearest_of(rng, n, first), far, origin)
    assert not features[: reference.COMMON].any()
    assert not features[reference.SHAPE :].any()
    own = np.ascontiguousarray(logs[:, first:])
    (shaped,) = same("shape_features", features, own, origin)
    channel = int(rng.integers(10))
    same("residual_features", shaped, channel, values[0, first:], values[1, first:], steps_of(rng, n))


@quick
@given(SEEDS, st.integers(0, 70), st.integers(1, 30), st.booleans())
def test_learned_predict(seed: int, n: int, first: int, shipped: bool) -> None:
    rng = np.random.default_rng(seed)
    channel, inputs = int(rng.integers(10)), rng.permutation(10)[: rng.integers(4)].astype(np.int32)
    values = (wide(rng, 10, first + n) >> rng.integers(0, 22)).astype(np.int32)
    weights = rng.integers(-32767, 32768, 2 + 3 * len(inputs)).astype(np.int32)
    classes, near = rng.integers(0, 5, n).astype(np.uint8), nearest_of(rng, n, first)
    linear = (values, first, near, channel, inputs, weights, wide(rng, 5), classes)
    features = rng.integers(-127, 128, (reference.FEATURES, n)).astype(np.int8)
    hidden = rng.integers(-127, 128, (reference.HIDDEN, reference.FEATURES)).astype(np.int8)
    bias = rng.integers(-(1 << 20), 1 << 20, reference.HIDDEN).astype(np.int32)
    if shipped:
        network = learned_context.load(1)
        hidden, bias = network.weights[channel], network.bias[channel]
    head = rng.integers(-127, 128, (2, reference.FEATURES + reference.HIDDEN)).astype(np.int8)
    head_bias = rng.integers(-(1 << 24), (1 << 24) + 1, 2).astype(np.int32) >> rng.integers(0, 20)
    (prediction,) = same("linear_prediction", *linear)
    base, contexts, _, again, *_ = same(
        "learned_predict", *linear, steps_of(rng, n), features, hidden, bias, head, head_bias.astype(np.int32), 10
    )
    np.testing.assert_array_equal(prediction, again)
    assert ((contexts // 30 == classes) & (contexts % 10 < 9)).all()
    assert base.dtype == np.int32


@quick
@given(SEEDS, st.integers(16, 60), st.integers(1, 15))
def test_few_splats_are_predicted_as_many_are(seed: int, n: int, few: int) -> None:
    """Few of them go one by one through the arithmetic that devices use, more in blocks."""
    rng = np.random.default_rng(seed)
    channel, first, columns = int(rng.integers(10)), 20, 20 + n
    values, near = wide(rng, 10, columns), nearest_of(rng, n, first)
    inputs, weights = np.array([0, 9], np.int32), rng.integers(-9999, 9999, 8).astype(np.int32)
    bias, classes, steps = wide(rng, 5), rng.integers(0, 5, n).astype(np.uint8), steps_of(rng, n)
    network = learned_context.load(1)
    head = rng.integers(-127, 128, (2, learned_context.UNITS)).astype(np.int8)
    head_bias = rng.integers(0, 5000, 2).astype(np.int32)
    net = (network.weights[channel], network.bias[channel], head, head_bias, 10)
    features = rng.integers(-127, 128, (reference.FEATURES, n)).astype(np.int8)
    whole = same("learned_predict", values, first, near, channel, inputs, weights, bias, classes, steps, features,
                 *net)  # fmt: skip
    for start in range(0, n, few):
        rows = slice(start, min(start + few, n))
        part = same("learned_predict", values, first + start, near[rows], channel, inputs, weights, bias,
                    classes[rows], steps[rows], np.ascontiguousarray(features[:, rows]), *net)  # fmt: skip
        for a, b in zip(whole[:5], part[:5], strict=True):
            np.testing.assert_array_equal(a[..., rows], b)


def good(name: str) -> list[object]:
    """Arguments of each kernel that are accepted: three known columns, two new rows."""
    linear = [
        np.zeros((10, 5), np.int32), 3, np.zeros((2, 4), np.int32), 0, np.zeros(1, np.int32),
        np.zeros(5, np.int32), np.zeros(2, np.int32), np.zeros(2, np.uint8),
    ]  # fmt: skip
    features = np.zeros((reference.FEATURES, 2), np.int8)
    return {
        "nearest": [np.zeros(2, np.uint64), np.zeros(1, np.uint64)],
        "level_features": [
            np.zeros((10, 5), np.int32), np.zeros((3, 5), np.int32), np.zeros(5, np.uint8), 3,
            np.zeros((2, 4), np.int32), np.zeros((2, 4), np.int32), 0,
        ],
        "shape_features": [features, np.zeros((3, 2), np.int32), 0],
        "residual_features": [features, 9, *(np.zeros(2, np.int32) for _ in range(2)), np.ones(2, np.int32)],
        "linear_prediction": linear,
        "learned_predict": [
            *linear, np.ones(2, np.int32), features, np.zeros((reference.HIDDEN, reference.FEATURES), np.int8),
            np.zeros(reference.HIDDEN, np.int32), np.zeros((2, learned_context.UNITS), np.int8),
            np.zeros(2, np.int32), 16,
        ],
    }[name]  # fmt: skip


BAD = [
    ("nearest", 1, np.zeros(0, np.uint64)),
    ("level_features", 0, np.zeros((3, 5), np.int32)),
    ("level_features", 1, np.zeros((3, 4), np.int32)),
    ("level_features", 3, 4),
    ("level_features", 3, 0),
    ("level_features", 4, np.full((2, 4), 3, np.int32)),
    ("level_features", 4, np.full((2, 4), -1, np.int32)),
    ("level_features", 5, np.zeros((1, 4), np.int32)),
    ("shape_features", 0, np.zeros((reference.FEATURES, 3), np.int8)),
    ("shape_features", 1, np.zeros((2, 2), np.int32)),
    ("residual_features", 1, 10),
    ("residual_features", 1, -1),
    ("residual_features", 2, np.zeros(3, np.int32)),
    ("linear_prediction", 1, 4),
    ("linear_prediction", 2, np.full((2, 4), 3, np.int32)),
    ("linear_prediction", 3, 10),
    ("linear_prediction", 4, np.full(1, 10, np.int32)),
    ("linear_prediction", 5, np.zeros(4, np.int32)),
    ("linear_prediction", 7, np.full(2, 2, np.uint8)),
    ("learned_predict", 8, np.zeros(2, np.int32)),
    ("learned_predict", 8, np.full(2, 65536, np.int32)),
    ("learned_predict", 9, np.zeros((reference.FEATURES, 1), np.int8)),
    ("learned_predict", 10, np.zeros((1, reference.FEATURES), np.int8)),
    ("learned_predict", 12, np.zeros((2, reference.FEATURES), np.int8)),
    ("learned_predict", 14, 1),
]


@pytest.mark.parametrize(("name", "place", "value"), BAD)
def test_bad_arguments(name: str, place: int, value: object) -> None:
    arguments = good(name)
    for variant in variants(name)[1:]:
        variant(*arguments)  # type: ignore[operator]
        with pytest.raises(ValueError, match=r"^(learned|nearest): "):
            variant(*arguments[:place], value, *arguments[place + 1 :])  # type: ignore[operator]
