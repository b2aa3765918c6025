"""Deformation fields on a grid: which grid, and from its whole numbers to the stage's and to a scene's field."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import deformation
from scenepress.kernels.deformation import FlatField
from scenepress.scene import Deformation, Head, Linear
from scenepress.stages import hexplane
from scenepress.stages.hexplane import Numbers

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

HEADS = ("position", "scale", "rotation", "opacity", "sh")
"""In the order of the bits of Numbers.mask, which is that of Deformation's fields."""


@dataclasses.dataclass(frozen=True)
class GridSettings:
    """How fine the grid is."""

    space_step: float = 0.1
    """Of spatial planes, whose numbers are a few tenths."""
    time_step: float = 0.01
    """Of planes of time, whose numbers are about one."""
    weight_share: float = 0.5
    """Of a layer's weights: their step over the root of their mean square; the power of two below is taken."""
    bias_share: float = 1 / 16
    """Of its biases: their step over that of the weights."""

    def __post_init__(self) -> None:
        if min(self.space_step, self.time_step, self.weight_share, self.bias_share) <= 0:
            raise ValueError("steps must be above 0")


class Grid(NamedTuple):
    """Steps and bases; see hexplane.Numbers."""

    plane_steps: I64
    bases: I32
    weight_steps: I64


def grid_of(field: FlatField, settings: GridSettings) -> Grid:
    """The base of a channel of a spatial plane is its median, that of planes of time one.

    Raises:
        ValueError: numbers so small or large that the format has no step for them.
    """
    views = deformation.unflat(field)
    steps = [_step(settings.space_step), _step(settings.time_step)]
    space, time = (m * 2.0**e for m, e in steps)
    bases: list[int] = []
    for level in views.planes:
        for plane, (_, second) in zip(level, hexplane.AXES, strict=True):
            if second != hexplane.TIME:
                bases += np.rint(np.median(plane, axis=(1, 2)) / space).astype(int).tolist()
        bases.append(round(1 / time))
    exponents = []
    for weight, _ in (*views.trunk, *(layer for head in views.heads for layer in head)):
        rms = float(np.sqrt(np.mean(np.square(weight, dtype=np.float64)))) or 1.0
        of_weights = math.floor(math.log2(settings.weight_share * rms))
        exponents.append((of_weights, of_weights + round(math.log2(settings.bias_share))))
    low, high = hexplane.EXPONENTS
    if any(not low <= e <= high for e in (*(e for _, e in steps), *(e for pair in exponents for e in pair))):
        raise ValueError(f"steps beyond 2 ** {low} to 2 ** {high}")
    plane_steps = np.tile(np.array(steps, np.int64), (len(field.levels), 1, 1))
    return Grid(plane_steps, np.array(bases, np.int32), np.array(exponents, np.int64))


def _step(wanted: float) -> tuple[int, int]:
    """The nearest step of the format: mantissa and exponent."""
    exponent = math.floor(math.log2(wanted)) - 7
    mantissa = round(wanted / 2.0**exponent)
    return (mantissa, exponent) if mantissa < 256 else (128, exponent + 1)


def spread(grid: Grid, field: FlatField) -> tuple[I32, F32, F32]:
    """For every number of planes its base and step, and for every weight its step: flat, as the field's are."""
    base, step = np.empty(field.planes.shape, np.int32), np.empty(field.planes.shape, np.float32)
    at = of_base = 0
    for (channels, *sides), steps in zip(field.levels.tolist(), grid.plane_steps, strict=True):
        space, time = (np.float32(m * 2.0**e) for m, e in steps.tolist())
        end = of_base + 3 * channels
        for a, b in hexplane.AXES:
            count = channels * sides[a] * sides[b]
            is_time = b == hexplane.TIME
            own = grid.bases[end] if is_time else grid.bases[of_base : of_base + channels]
            base[at : at + count].reshape(-1, channels)[:] = own
            step[at : at + count] = time if is_time else space
            of_base += 0 if is_time else channels
            at += count
        of_base += 1
    weights = np.empty(field.weights.shape, np.float32)
    at = 0
    shapes = [*field.trunk.tolist(), *field.heads.tolist()]
    for (inputs, outputs), exponents in zip(shapes, grid.weight_steps, strict=True):
        for count, exponent in zip((inputs * outputs, outputs), exponents.tolist(), strict=True):
            weights[at : at + count] = 2.0**exponent
            at += count
    return base, step, weights


def numbers_of(grid: Grid, field: FlatField, heads: tuple[str, ...], planes: I32, weights: I32) -> Numbers:
    """What the stage codes: whole numbers of planes and weights, flat as the field's are."""
    mask = sum(1 << HEADS.index(name) for name in heads)
    shape = (field.bounds.astype(np.float32), field.levels, field.trunk, field.heads, mask)
    return Numbers(*shape, *grid, planes.astype(np.int32), weights.astype(np.int32))


def deformation_of(numbers: Numbers) -> Deformation:
    """The field of a scene that these numbers are."""
    planes, weights = hexplane.values(numbers)
    flat = FlatField(planes, numbers.levels, numbers.bounds, weights, numbers.trunk, numbers.heads)
    views = deformation.unflat(flat)
    names = [name for k, name in enumerate(HEADS) if numbers.mask >> k & 1]
    pairs = zip(names, views.heads, strict=True)
    heads = {name: Head(Linear(*first), Linear(*last)) for name, (first, last) in pairs}
    levels = tuple(tuple(np.ascontiguousarray(plane) for plane in level) for level in views.planes)
    return Deformation(numbers.bounds, levels, tuple(Linear(*layer) for layer in views.trunk), **heads)
