"""Small scenes that change with time, for tests."""

from __future__ import annotations

import numpy as np

from scenepress.scene import Deformation, DynamicSplats, Head, Linear, PolynomialSplats, Splats

HEADS = {"position": 3, "scale": 3, "rotation": 4, "opacity": 1, "sh": 48}


def splats(count: int, seed: int = 0, coefficients: int = 15) -> Splats:
    """Random ones in and around the unit ball."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=(count, *shape)).astype(np.float32)

    return Splats(
        means=0.7 * normal(3), quats=normal(4), log_scales=normal(3) - 4, opacity_logits=normal(),
        sh0=normal(3), shN=0.1 * normal(coefficients, 3),
    )  # fmt: skip


def deformation(
    seed: int = 0,
    heads: tuple[str, ...] = ("position", "scale", "rotation", "opacity", "sh"),
    channels: int = 4,
    sides: tuple[int, int, int, int] = (8, 7, 6, 5),
    scales: tuple[int, ...] = (1, 2),
    width: int = 16,
    depth: int = 1,
) -> Deformation:
    """A field of random numbers, with sides that tell the axes apart."""
    rng = np.random.default_rng(seed)

    def linear(outputs: int, inputs: int) -> Linear:
        weight = (rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)).astype(np.float32)
        return Linear(weight, (0.1 * rng.normal(size=outputs)).astype(np.float32))

    def level(scale: int) -> tuple[np.ndarray, ...]:
        x, y, z, t = *(scale * n for n in sides[:3]), sides[3]
        shapes = [(y, x), (z, x), (t, x), (z, y), (t, y), (t, z)]
        return tuple((1 + 0.5 * rng.normal(size=(channels, *shape))).astype(np.float32) for shape in shapes)

    features = channels * len(scales)
    return Deformation(
        bounds=np.array([[1.3, 1.2, 1.1], [-1.3, -1.4, -1.2]], np.float32),
        planes=tuple(level(scale) for scale in scales),
        trunk=tuple(linear(width, features if i == 0 else width) for i in range(depth)),
        **{name: Head(linear(width, width), linear(HEADS[name], width)) for name in heads},
    )


def dynamic(count: int = 300, seed: int = 0, **options: object) -> DynamicSplats:
    """Splats and a field."""
    return DynamicSplats(splats(count, seed), deformation(seed, **options))  # type: ignore[arg-type]


def polynomial(count: int = 200, seed: int = 0) -> PolynomialSplats:
    """On cubic paths, colours within 0 to 1."""
    rng = np.random.default_rng(seed)
    still = splats(count, seed, 0)
    return PolynomialSplats(
        still, motion=rng.normal(size=(count, 3, 3)).astype(np.float32),
        spin=rng.normal(size=(count, 4)).astype(np.float32), center=rng.random(count).astype(np.float32),
        log_duration=rng.normal(-1, 0.5, count).astype(np.float32),
    )  # fmt: skip
