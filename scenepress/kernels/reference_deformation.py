"""Deformation fields in NumPy: docs/dynamic.md. Floats of 32 bits; no symbol of any stream depends on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenepress.arrays import tall_product

Floats = NDArray[np.float32]
Layer = tuple[Floats, Floats]
"""Weight [out, in] and bias [out]."""

AXES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
"""Of the six planes of a level."""
BLOCK = 1 << 14
"""Splats at a time: their features stay in the cache."""


class Field(NamedTuple):
    """A deformation field as kernels take it; scene.Deformation says what its parts mean."""

    bounds: Floats
    planes: tuple[tuple[Floats, ...], ...]
    trunk: tuple[Layer, ...]
    heads: tuple[tuple[Layer, Layer], ...]

    @property
    def outputs(self) -> int:
        """Of all heads."""
        return sum(len(out[1]) for _, out in self.heads)


def deform(field: Field, means: Floats, time: float) -> Floats:
    """What to add to the attributes of splats at `means` [N, 3]: [N, outputs], one head after the other."""
    out = np.empty((len(means), field.outputs), np.float32)
    for start in range(0, len(means), BLOCK):
        rows = slice(start, start + BLOCK)
        hidden = features(field, means[rows], time)
        for number, layer in enumerate(field.trunk):
            hidden = _linear(layer, np.maximum(hidden, 0) if number else hidden)
        hidden = np.maximum(hidden, 0)
        at = 0
        for first, last in field.heads:
            found = _linear(last, np.maximum(_linear(first, hidden), 0))
            out[rows, at : at + found.shape[1]] = found
            at += found.shape[1]
    return out


def features(field: Field, means: Floats, time: float) -> Floats:
    """What the planes hold at these points: [N, channels of all levels]."""
    low, high = field.bounds
    points = np.empty((len(means), 4), np.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        points[:, :3] = (means - low) * (np.float32(2) / (high - low)) - np.float32(1)
    points[:, 3] = time
    columns = []
    for level in field.planes:
        product = np.ones((len(means), level[0].shape[0]), np.float32)
        for plane, (first, second) in zip(level, AXES, strict=True):
            product *= _bilinear(plane, points[:, first], points[:, second])
        columns.append(product)
    return np.concatenate(columns, axis=1)


def differentiate(field: Field, means: Floats, time: float, by: Floats) -> tuple[Field, Floats]:
    """Derivatives of a loss, from those with respect to what deform() gives, by [N, outputs]: with respect to
    planes and layers, in their places (those of bounds are zero), and to means [N, 3]."""
    inputs = [features(field, means, time)]
    for number, layer in enumerate(field.trunk):
        inputs.append(_linear(layer, np.maximum(inputs[-1], 0) if number else inputs[-1]))
    hidden = np.maximum(inputs[-1], 0)
    back = np.zeros_like(hidden)
    heads = []
    at = 0
    for first, last in field.heads:
        inner = np.maximum(_linear(first, hidden), 0)
        slope = by[:, at : at + len(last[1])]
        at += slope.shape[1]
        by_inner = np.where(inner > 0, slope @ last[0], 0)
        heads.append(((by_inner.T @ hidden, by_inner.sum(0)), (slope.T @ inner, slope.sum(0))))
        back += by_inner @ first[0]
    trunk = []
    for number in range(len(field.trunk) - 1, -1, -1):
        back = np.where(inputs[number + 1] > 0, back, 0)
        given = np.maximum(inputs[number], 0) if number else inputs[number]
        trunk.append((back.T @ given, back.sum(0)))
        back = back @ field.trunk[number][0]
    planes, by_means = _differentiate_planes(field, means, time, back)
    return Field(np.zeros_like(field.bounds), planes, tuple(trunk[::-1]), tuple(heads)), by_means


def _differentiate_planes(
    field: Field, means: Floats, time: float, back: Floats
) -> tuple[tuple[tuple[Floats, ...], ...], Floats]:
    low, high = field.bounds
    scale = np.float32(2) / (high - low)
    points = np.concatenate([(means - low) * scale - 1, np.full((len(means), 1), time, np.float32)], 1)
    by_points = np.zeros_like(points)
    levels = []
    begin = 0
    for level in field.planes:
        slope = back[:, begin : begin + level[0].shape[0]]
        begin += slope.shape[1]
        samples = [_bilinear(plane, points[:, a], points[:, b]) for plane, (a, b) in zip(level, AXES, strict=True)]
        found = []
        for number, (plane, (a, b)) in enumerate(zip(level, AXES, strict=True)):
            others = slope * np.prod([s for k, s in enumerate(samples) if k != number], axis=0)
            height, width = plane.shape[1:]
            x0, x1, fx = _steps(points[:, a], width)
            y0, y1, fy = _steps(points[:, b], height)
            gradient = np.zeros_like(plane)
            for y, x, share in ((y0, x0, (1 - fy) * (1 - fx)), (y0, x1, (1 - fy) * fx), (y1, x0, fy * (1 - fx)),
                                (y1, x1, fy * fx)):  # fmt: skip
                np.add.at(gradient.reshape(len(plane), -1).T, y * width + x, share * others)
            found.append(gradient)
            p00, p01, p10, p11 = (plane[:, y, x].T for y in (y0, y1) for x in (x0, x1))
            across = (p01 - p00) * (1 - fy) + (p11 - p10) * fy
            down = (p10 - p00) * (1 - fx) + (p11 - p01) * fx
            for axis, size, way in ((a, width, across), (b, height, down)):
                inside = np.abs(points[:, axis]) < 1
                by_points[:, axis] += np.where(inside, (others * way).sum(1) * (0.5 * (size - 1)), 0)
        levels.append(tuple(found))
    return tuple(levels), by_points[:, :3] * scale


def _bilinear(plane: Floats, x: Floats, y: Floats) -> Floats:
    """Samples [N, C] of [C, H, W] at x, y in -1 to 1, which stand for the centres of the outermost texels;
    beyond them the border goes on."""
    channels, height, width = plane.shape
    rows = np.ascontiguousarray(plane.reshape(channels, -1).T)
    x0, x1, fx = _steps(x, width)
    y0, y1, fy = _steps(y, height)
    top = rows[y0 * width + x0] * (1 - fx) + rows[y0 * width + x1] * fx
    bottom = rows[y1 * width + x0] * (1 - fx) + rows[y1 * width + x1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy)


def _steps(x: Floats, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """The texels before and after, and how far it is to the latter [N, 1]."""
    with np.errstate(invalid="ignore"):
        at = np.clip(np.nan_to_num((x + np.float32(1)) * np.float32(0.5 * (size - 1)), nan=0.0), 0, size - 1)
    before = at.astype(np.intp)
    return before, np.minimum(before + 1, size - 1), (at - before.astype(np.float32))[:, None]


def _linear(layer: Layer, x: Floats) -> Floats:
    weight, bias = layer
    return tall_product(np.ascontiguousarray(x), np.ascontiguousarray(weight.T)) + bias
