"""The learned context model on a device: the same integers as the reference gives. Skipped without a device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import learned_vectors
import numpy as np
import pytest
import spec_vectors
from inputs import ROOT, shared
from test_learned_context import numbers
from test_learned_kernels import BAD, good, nearest_of, steps_of, wide

from scenepress.codecs import splats
from scenepress.codecs.presets import Settings
from scenepress.formats.ply import read_ply
from scenepress.kernels import learned, raster
from scenepress.kernels import reference_learned as reference
from scenepress.stages import learned_context

pytestmark = pytest.mark.skipif("cuda" not in raster.BACKENDS, reason="no CUDA device, or no CUDA module")

if "cuda" in raster.BACKENDS:
    from scenepress.kernels import _native_cuda

PAGE = "learned_context"
KERNELS = [
    "nearest", "level_features", "shape_features", "residual_features", "linear_prediction", "learned_predict"
]  # fmt: skip
COUNTS = [0, 1, 31, 255, 256, 257, 20_000]


def results(kernel: Callable[..., object], arguments: tuple[object, ...]) -> list[np.ndarray]:
    """What the kernel returns, and what it leaves in the features it is given; those of the caller stay."""
    own = [a.copy() if isinstance(a, np.ndarray) and a.dtype == np.int8 else a for a in arguments]
    found = kernel(*own)
    arrays = list(found) if isinstance(found, tuple) else [] if found is None else [found]
    return arrays + [a for a in own if isinstance(a, np.ndarray) and a.dtype == np.int8]


def same(name: str, *arguments: object) -> list[np.ndarray]:
    """The device's results, after checking that the reference has the same."""
    found, expected = (results(getattr(module, name), arguments) for module in (_native_cuda, reference))
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, name)
    return found


def test_vectors_of_differences() -> None:
    d, steps, wanted = np.array([[int(cell) for cell in row] for row in spec_vectors.rows(PAGE, "### 7.2 ")]).T
    features = np.zeros((reference.FEATURES, len(d)), np.int8)
    _native_cuda.residual_features(
        features, 3, d.astype(np.int32), np.zeros(len(d), np.int32), steps.astype(np.int32)
    )
    np.testing.assert_array_equal(features[[25, 35]], [wanted, abs(wanted)])


def test_vectors_of_neighbours() -> None:
    for row in spec_vectors.rows(PAGE, "### 7.3 "):
        coarse, codes = (np.array([int(c, 16) for c in cell.split()], np.uint64) for cell in row[:2])
        near, far = _native_cuda.nearest(codes, coarse)
        assert [near.ravel().tolist(), far.ravel().tolist()] == [numbers(cell) for cell in row[2:]]


def test_vectors_of_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = spec_vectors.rows(PAGE, "### 7.4 ")
    monkeypatch.setattr(learned_vectors.kernels, "learned_predict", _native_cuda.learned_predict)
    for row in rows:
        around, seen = (np.array(numbers(cell), np.int32) for cell in row[4:6])
        found = learned_vectors.predict(*map(int, row[:4]), around, seen)
        assert found == [int(cell) for cell in row[6:]]


@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("bits", [9, 30, 63])
def test_nearest(n: int, bits: int) -> None:
    """With few bits codes and their moved codes are often equal."""
    rng = np.random.default_rng(n + bits)
    for m in (1, 3, 4, 2000):
        codes, coarse = (np.sort(rng.integers(0, 1 << bits, k).astype(np.uint64)) for k in (n, m))
        same("nearest", codes, coarse)


@pytest.mark.parametrize("n", COUNTS)
def test_features(n: int) -> None:
    rng = np.random.default_rng(n)
    first, origin = 50, int(rng.integers(-(1 << 15), 1 << 15))
    logs = rng.integers(-(1 << 15), (1 << 15) + 1, (3, first + n)).astype(np.int32)
    classes, values = rng.integers(0, 16, first + n).astype(np.uint8), wide(rng, 10, first + n)
    far = np.sort(rng.integers(0, 700, (n, 4)), 1).astype(np.int32)
    (features,) = same("level_features", values, logs, classes, first, nearest_of(rng, n, first), far, origin)
    (features,) = same("shape_features", features, np.ascontiguousarray(logs[:, first:]), origin)
    for channel in (0, 4, 9):
        same("residual_features", features, channel, values[0, first:], values[1, first:], steps_of(rng, n))


@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("channel", range(10))
def test_predictions(n: int, channel: int) -> None:
    rng = np.random.default_rng(100 * n + channel)
    first, inputs = 60, rng.permutation(10)[: rng.integers(5)].astype(np.int32)
    values = (wide(rng, 10, first + n) >> rng.integers(0, 22)).astype(np.int32)
    weights = rng.integers(-32767, 32768, 2 + 3 * len(inputs)).astype(np.int32)
    classes, near = rng.integers(0, 5, n).astype(np.uint8), nearest_of(rng, n, first)
    linear = (values, first, near, channel, inputs, weights, wide(rng, 5), classes)
    same("linear_prediction", *linear)
    features = rng.integers(-127, 128, (reference.FEATURES, n)).astype(np.int8)
    head = rng.integers(-127, 128, (2, learned_context.UNITS)).astype(np.int8)
    head_bias = (rng.integers(-(1 << 24), (1 << 24) + 1, 2) >> rng.integers(0, 20)).astype(np.int32)
    network = learned_context.load(1)
    extremes = np.full((reference.HIDDEN, reference.FEATURES), -128, np.int8)
    for hidden, bias in ((network.weights[channel], network.bias[channel]), (extremes, wide(rng, 16))):
        same("learned_predict", *linear, steps_of(rng, n), features, hidden, bias, head, head_bias, 10)


@pytest.mark.parametrize(("name", "place", "value"), BAD)
def test_bad_arguments(name: str, place: int, value: object) -> None:
    arguments = good(name)
    kernel = getattr(_native_cuda, name)
    kernel(*arguments)
    with pytest.raises(ValueError, match=r"^(learned|nearest): "):
        kernel(*arguments[:place], value, *arguments[place + 1 :])


def conformance() -> bytes:
    return (ROOT / "tests/conformance/splats_learned.press").read_bytes()


def encoded(path: Path) -> bytes:
    return splats.encode(read_ply(path), Settings(psnr=40.0, learned=True))


FILES = {
    "conformance": conformance,
    "still life": lambda: encoded(ROOT / "data/samples/still_life.ply"),
    "trained": lambda: encoded(shared("splats/trained/plush_150k_sh3.ply")),
}


@pytest.mark.parametrize("name", FILES)
def test_whole_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call that decoding makes, on a device and in the reference."""
    data = FILES[name]()
    wanted = splats.decode(data)
    called = set()

    def compared(kernel: str) -> Callable[..., object]:
        def both(*arguments: object) -> object:
            same(kernel, *arguments)
            called.add(kernel)
            return getattr(_native_cuda, kernel)(*arguments)

        return both

    for kernel in KERNELS:
        monkeypatch.setattr(learned, kernel, compared(kernel))
    found = splats.decode(data)
    assert called >= set(KERNELS) - {"linear_prediction"}
    for field in ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN"):
        np.testing.assert_array_equal(getattr(found, field), getattr(wanted, field))
