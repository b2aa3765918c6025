"""A deformation field trained for its coding: its numbers are those of a grid, and the bits that they cost count.

Every number of a plane is (base + n) * step, n a whole number that is mostly zero; every weight is n * step. The
forward pass sees the grid, and gradients go straight through to numbers off it (Bengio et al., "Estimating or
Propagating Gradients Through Stochastic Neurons", 2013). What is added to the loss pulls n to zero by what a code
of unknown scale spends on it. docs/dynamic.md, "Training for the code".
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels.deformation import FlatField
from scenepress.learned import field
from scenepress.learned.field import F32, FieldState
from scenepress.scene import PLANE_AXES

LEVEL_BITS = 0.3
"""A number n costs about log2(LEVEL_BITS + |n|) bits and a constant: the pull falls with LEVEL_BITS + |n|."""


@dataclasses.dataclass(frozen=True)
class Coding:
    """Where the grid is, and what a bit costs."""

    plane_base: NDArray[np.int32]
    """int32, flat as FlatField.planes: in steps."""
    plane_step: F32
    """float32, the same."""
    weight_step: F32
    """float32, flat as FlatField.weights."""
    rate: float
    """What a bit of the planes adds to the loss."""


@dataclasses.dataclass
class Coded:
    """The numbers off the grid behind a FieldState that is on it. Its arrays change in place."""

    planes: F32
    """Flat, as FlatField.planes."""
    weights: F32
    """Flat, as FlatField.weights."""
    grid: Coding


def begin(state: FieldState, grid: Coding) -> Coded:
    """Put a field on its grid.

    Raises:
        ValueError: a grid of another field.
    """
    shapes = (grid.plane_base.shape, grid.plane_step.shape, grid.weight_step.shape)
    if shapes != (state.flat.planes.shape, state.flat.planes.shape, state.flat.weights.shape) or grid.rate < 0:
        raise ValueError("a grid of another field, or a rate below 0")
    coded = Coded(state.flat.planes.copy(), state.flat.weights.copy(), grid)
    project(state, coded)
    return coded


def numbers(coded: Coded) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The whole numbers n of planes and weights, flat."""
    grid = coded.grid
    planes = np.rint(coded.planes / grid.plane_step).astype(np.int32) - grid.plane_base
    return planes, np.rint(coded.weights / grid.weight_step).astype(np.int32)


def project(state: FieldState, coded: Coded) -> None:
    """Put the field that kernels see where the numbers behind it say."""
    planes, weights = numbers(coded)
    state.flat.planes[:] = (planes + coded.grid.plane_base) * coded.grid.plane_step.astype(np.float64)
    state.flat.weights[:] = weights * coded.grid.weight_step.astype(np.float64)


def add_rate(coded: Coded, by_planes: F32) -> None:
    """Adds the derivatives of what the planes' bits add to the loss."""
    grid = coded.grid
    off = coded.planes / grid.plane_step - grid.plane_base
    scale = np.float32(grid.rate / np.log(2)) / grid.plane_step
    by_planes += scale * np.sign(off) / (np.float32(LEVEL_BITS) + np.abs(off))


def descend(
    state: FieldState, coded: Coded, by_planes: F32, by_weights: F32, step: int, planes_rate: float,
    weights_rate: float,
) -> None:  # fmt: skip
    """field.descend() of the numbers behind the field, which follows them."""
    state.flat.planes[:], state.flat.weights[:] = coded.planes, coded.weights
    field.descend(state, by_planes, by_weights, step, planes_rate, weights_rate)
    coded.planes[:], coded.weights[:] = state.flat.planes, state.flat.weights
    project(state, coded)


def bits(flat: FlatField, planes: NDArray[np.int32], weights: NDArray[np.int32]) -> float:
    """What an ideal code of order zero, one for each plane and one for all weights, would spend: a lower bound for
    codes without contexts, and an upper one for those with."""
    total, at = _entropy(weights), 0
    for channels, *sides in flat.levels.tolist():
        for a, b in PLANE_AXES:
            count = channels * sides[a] * sides[b]
            total += _entropy(planes[at : at + count])
            at += count
    return total


def _entropy(values: NDArray[np.int32]) -> float:
    counts = np.unique(values, return_counts=True)[1]
    return float((counts * (np.log2(values.size) - np.log2(counts))).sum())
