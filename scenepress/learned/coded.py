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

from scenepress.kernels import deformation
from scenepress.kernels.deformation import FlatField
from scenepress.learned import field
from scenepress.learned.field import F32, FieldState
from scenepress.scene import PLANE_AXES

LEVEL_BITS = 0.3
"""A number n costs about log2(LEVEL_BITS + |n|) bits and a constant: the pull falls with LEVEL_BITS + |n|."""


@dataclasses.dataclass(frozen=True)
class CodingSettings:
    """Where the grid is, and what a bit costs."""

    space_step: float = 0.1
    """Of spatial planes, whose numbers are a few tenths."""
    time_step: float = 0.01
    """Of planes of time, whose numbers are about one."""
    weight_share: float = 1 / 16
    """Of a layer's weights: their step over the root of their mean square. Power of two below it."""
    bias_share: float = 1 / 16
    """Of its biases: their step over that of the weights."""
    rate: float = 1e-8
    """What a bit of the planes adds to the loss."""

    def __post_init__(self) -> None:
        if min(self.space_step, self.time_step, self.weight_share, self.bias_share) <= 0 or self.rate < 0:
            raise ValueError("steps must be above 0, and the rate not below")


@dataclasses.dataclass
class Coded:
    """The numbers off the grid behind a FieldState that is on it. Its arrays change in place."""

    planes: F32
    """Flat, as FlatField.planes."""
    weights: F32
    """Flat, as FlatField.weights."""
    plane_base: NDArray[np.int32]
    """For every number of planes: in steps."""
    plane_step: F32
    weight_step: F32
    rate: float


def begin(state: FieldState, settings: CodingSettings) -> Coded:
    """Put a field on its grid. The base of a channel of a spatial plane is its median, of planes of time one."""
    planes, weights = state.flat.planes.copy(), state.flat.weights.copy()
    base, step = np.empty(planes.shape, np.int32), np.empty_like(planes)
    views = deformation.unflat(state.flat)
    steps, bases = (deformation.unflat(state.flat._replace(planes=array)).planes for array in (step, base))  # type: ignore[arg-type]
    for level, level_steps, level_bases in zip(views.planes, steps, bases, strict=True):
        for k, (_, second) in enumerate(PLANE_AXES):
            is_time = second == field.TIME_AXIS
            size = settings.time_step if is_time else settings.space_step
            level_steps[k][:] = size
            middle = np.ones(len(level[k])) if is_time else np.median(level[k], axis=(1, 2))
            level_bases[k][:] = np.rint(middle / size)[:, None, None]
    weight_steps = np.empty_like(weights)
    views = deformation.unflat(state.flat._replace(weights=weights))
    slots = deformation.unflat(state.flat._replace(weights=weight_steps))
    for (weight, _), (weight_slot, bias_slot) in zip(_layers(views), _layers(slots), strict=True):
        rms = float(np.sqrt(np.mean(np.square(weight, dtype=np.float64)))) or 1.0
        weight_slot[:] = 2.0 ** np.floor(np.log2(settings.weight_share * rms))
        bias_slot[:] = weight_slot.flat[0] * settings.bias_share
    coded = Coded(planes, weights, base, step, weight_steps, settings.rate)
    project(state, coded)
    return coded


def _layers(views: deformation.Field) -> list[tuple[F32, F32]]:
    return [*views.trunk, *(layer for head in views.heads for layer in head)]


def numbers(coded: Coded) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The whole numbers n of planes and weights, flat."""
    planes = np.rint(coded.planes / coded.plane_step).astype(np.int32) - coded.plane_base
    return planes, np.rint(coded.weights / coded.weight_step).astype(np.int32)


def project(state: FieldState, coded: Coded) -> None:
    """Put the field that kernels see where the numbers behind it say."""
    planes, weights = numbers(coded)
    state.flat.planes[:] = (planes + coded.plane_base) * coded.plane_step
    state.flat.weights[:] = weights * coded.weight_step


def add_rate(coded: Coded, by_planes: F32) -> None:
    """Adds the derivatives of what the planes' bits add to the loss."""
    off = coded.planes / coded.plane_step - coded.plane_base
    scale = np.float32(coded.rate / np.log(2)) / coded.plane_step
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
