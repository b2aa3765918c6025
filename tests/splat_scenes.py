"""Scenes for the format tests: seeded random ones, hypothesis strategies, and the shared real files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from scenepress.scene import SH_COUNTS, Splats

SHARED = Path(__file__).parents[2] / "shared/data/splats"
ARRAYS = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")


def shared(name: str) -> Path:
    """A shared real file; skips the test where it is missing."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"real input {name} is not at hand")
    return path


def random_splats(count: int, degree: int, seed: int = 0, antialiased: bool = False) -> Splats:
    """Plausible splats: within every format's range."""
    rng = np.random.default_rng(seed)
    quats = rng.standard_normal((count, 4))
    quats /= np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-9)
    return Splats(
        means=rng.uniform(-5, 5, (count, 3)).astype(np.float32),
        quats=quats.astype(np.float32),
        log_scales=rng.uniform(-7, 1, (count, 3)).astype(np.float32),
        opacity_logits=rng.uniform(-5, 5, count).astype(np.float32),
        sh0=rng.uniform(-1.7, 1.7, (count, 3)).astype(np.float32),
        shN=rng.uniform(-0.9, 0.9, (count, SH_COUNTS[degree], 3)).astype(np.float32),
        antialiased=antialiased,
    )


scenes = st.builds(
    random_splats,
    count=st.sampled_from([0, 1, 2, 3, 7, 255, 256, 257, 300]),
    degree=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
    antialiased=st.booleans(),
)
"""Scenes of 0 to 300 splats of any SH degree."""


def assert_same_bits(a: Splats, b: Splats) -> None:
    for name in ARRAYS:
        left, right = getattr(a, name), getattr(b, name)
        assert left.shape == right.shape, name
        np.testing.assert_array_equal(left.view(np.uint32), right.view(np.uint32), err_msg=name)
    assert (a.antialiased, a.axes) == (b.antialiased, b.axes)


def rotation_error(a: Splats, b: Splats) -> float:
    """Largest angle between rotations, in radians."""
    qa = a.quats.astype(np.float64) / np.linalg.norm(a.quats.astype(np.float64), axis=1, keepdims=True)
    qb = b.quats.astype(np.float64) / np.linalg.norm(b.quats.astype(np.float64), axis=1, keepdims=True)
    if not len(a):
        return 0.0
    # |qa - +-qb| instead of acos(dot): exact near zero.
    gap = np.minimum(np.linalg.norm(qa - qb, axis=1), np.linalg.norm(qa + qb, axis=1))
    return float(4 * np.arcsin(np.clip(gap / 2, 0, 1)).max())


def sigmoid(logits: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits.astype(np.float64)))


def with_arrays(scene: Splats, **arrays: np.ndarray) -> Splats:
    return dataclasses.replace(scene, **{k: np.asarray(v, np.float32) for k, v in arrays.items()})
