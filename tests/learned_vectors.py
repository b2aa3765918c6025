"""Write the test vectors of docs/spec/learned_context.md.

    python tests/learned_vectors.py [--check]

As spec_vectors.py.
"""

from __future__ import annotations

import sys

import numpy as np
import spec_vectors
from numpy.typing import NDArray
from spec_vectors import Row, words

from scenepress.kernels import reference_learned as kernels
from scenepress.stages import learned_context
from scenepress.stages.learned_context import Head

PAGE = "learned_context"
CLASSES = 8
I32 = NDArray[np.int32]


def head() -> Head:
    """The head of section 7.4."""
    i, o = np.arange(learned_context.UNITS), np.arange(learned_context.OUTPUTS)[:, None]
    weights = ((37 * i + 11 * o) % 15 - 7) << o
    return Head(weights.astype(np.int8), np.array([900, 2500], np.int32))


def logarithms() -> list[Row]:
    numbers = [1, 2, 3, 5, 15, 16, 17, 31, 33, 1000, 65535, 2**23 + 65535, 2**24 - 1, 3 * 2**42 + 1, 2**53 - 1]
    return [[str(m), str(kernels.log16(np.array([m]))[0])] for m in numbers]


def differences() -> list[Row]:
    pairs = [(0, 1), (1, 1), (-1, 1), (1, 7), (-3, 7), (100, 7), (-100, 7), (5000, 7)]
    pairs += [(-(2**25), 1), (2**25, 65535)]
    return [[str(d), str(s), str(kernels.squash(np.array([d]), np.array([s]))[0])] for d, s in pairs]


def neighbours() -> list[Row]:
    rng = np.random.default_rng(7)
    cases = [([5], [0, 5, 9]), ([0, 7, 7], [0, 7, 8]), (list(range(12)), [3, 11, 63])]
    cases.append(tuple(sorted(int(c) for c in rng.integers(0, 2**63, n)) for n in (9, 4)))  # type: ignore[arg-type]
    rows = []
    for coarse, codes in cases:
        near, far = kernels.nearest(np.array(codes, np.uint64), np.array(coarse, np.uint64))
        texts = [" ".join(f"{c:X}" for c in part) for part in (coarse, codes)]
        rows.append([*texts, words(near.ravel().tolist()), words(far.ravel().tolist())])
    return rows


def predict(channel: int, prediction: int, kind: int, step: int, around: I32, seen: I32) -> list[int]:
    """Base, context and flip of one splat, in a tile where the linear prediction is a bias."""
    values = np.zeros((10, 5), np.int32)
    values[channel, :4] = around
    features = np.zeros((kernels.FEATURES, 1), np.int8)
    features[kernels.COMMON :, 0] = seen
    network, own = learned_context.load(1), head()
    base, context, flip, _ = kernels.learned_predict(
        values, 4, np.arange(4, dtype=np.int32)[None], channel, np.zeros(0, np.int32), np.zeros(2, np.int32),
        np.full(CLASSES, prediction, np.int32), np.array([kind], np.uint8), np.array([step], np.int32), features,
        network.weights[channel], network.bias[channel], own.weights, own.bias,
        learned_context.spreads_of(CLASSES),
    )  # fmt: skip
    return [int(base[0]), int(context[0]), int(flip[0])]


def channels() -> list[Row]:
    rng = np.random.default_rng(3)
    rows = []
    for channel in range(10):
        prediction, kind, step = int(rng.integers(-900, 900)), int(rng.integers(CLASSES)), int(rng.integers(1, 99))
        around = prediction + (rng.integers(-9, 10, 4) * step).astype(np.int32)
        seen = (rng.integers(-127, 128, kernels.FEATURES - kernels.COMMON) >> 2).astype(np.int32)
        base, context, flip = predict(channel, prediction, kind, step, around, seen)
        front, back = map(str, (channel, prediction, kind, step)), map(str, (base, context, flip))
        rows.append([*front, words(around.tolist()), words(seen.tolist()), *back])
    return rows


TABLES = {
    (PAGE, "### 7.1 "): logarithms,
    (PAGE, "### 7.2 "): differences,
    (PAGE, "### 7.3 "): neighbours,
    (PAGE, "### 7.4 "): channels,
}

if __name__ == "__main__":
    sys.exit(spec_vectors.main(sys.argv[1:], TABLES))
