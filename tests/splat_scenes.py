"""Scenes for the format tests: seeded random ones, hypothesis strategies, and the shared real files."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from scenepress.errors import FormatError, LossWarning
from scenepress.scene import SH_COUNTS, Splats
from tests import inputs

ARRAYS = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")


def shared(name: str) -> Path:
    """A real splat file; skips the test where it is missing."""
    return inputs.shared(f"splats/{name}")


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


def assert_truncation_is_refused(
    read: Callable[[Path], Splats], data: bytes, target: Path, spare: int = 0, limit: int = 120
) -> None:
    """Every proper prefix (but for `spare` bytes at the end), or `limit` of them, raises FormatError."""
    sizes = range(len(data) - spare)
    if len(sizes) > limit:
        ends = {0, 1, 2, *range(len(sizes) - 10, len(sizes))}
        sizes = sorted(ends | set(np.linspace(0, len(sizes) - 1, limit).astype(int).tolist()))
    for size in sizes:
        target.write_bytes(data[:size])
        with pytest.raises(FormatError):
            read(target)


def assert_bit_flips_are_harmless(
    read: Callable[[Path], Splats], data: bytes, target: Path, flips: int = 200, head: int = 0
) -> None:
    """One flipped bit gives a scene or FormatError, nothing else; the first `head` bytes get half of all."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 8 * len(data), flips)
    if head:
        bits[::2] = rng.integers(0, 8 * min(head, len(data)), len(bits[::2]))
    for bit in bits:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << (bit % 8)
        target.write_bytes(flipped)
        with warnings.catch_warnings(), contextlib.suppress(FormatError):
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", LossWarning)
            assert isinstance(read(target), Splats)
