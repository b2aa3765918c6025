"""Deformation fields by backend; reference_deformation says what they compute."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import reference_deformation
from scenepress.kernels.reference_deformation import Field

__all__ = ["BACKENDS", "DIFFERENTIATORS", "Field", "FlatField", "deform", "differentiate", "flat", "unflat"]

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Deformer = Callable[[Field, Floats, float], Floats]
"""Takes the field, means [N, 3] and the time; gives what to add, one head after the other [N, outputs]."""

BACKENDS: dict[str, Deformer] = {"reference": reference_deformation.deform}
"""Backends that can run here, slowest first. Tests compare them all."""

MOST_LEVELS, MOST_LAYERS, MOST_WIDTH, MOST_SIDE = 16, 16, 512, 65535
"""What the native ones take."""


def deform(field: Field, means: Floats, time: float, backend: str = "auto") -> Floats:
    """What to add to the attributes at one time; see reference_deformation.deform().

    Raises:
        ValueError: a backend that cannot run here, or a field too large for it.
    """
    name = list(BACKENDS)[-1] if backend == "auto" else backend
    if name not in BACKENDS:
        raise ValueError(f"backend {name!r} cannot run here; have {', '.join(BACKENDS)}")
    if backend == "auto" and not _fits(field):
        name = "reference"
    return BACKENDS[name](field, means, time)


def deform_flat(field: FlatField, means: Floats, time: float) -> Floats:
    """What deform() gives, by the fastest backend that trains here."""
    if "cpu" in DIFFERENTIATORS:
        return _native.deform(*field, means, time, False, 0)
    return reference_deformation.deform(unflat(field), means, time)


def differentiate(field: FlatField, means: Floats, time: float, by: Floats, backend: str = "auto") -> Gradients:
    """See Differentiator. Does not depend on the number of threads."""
    name = list(DIFFERENTIATORS)[-1] if backend == "auto" else backend
    return DIFFERENTIATORS[name](field, means, time, by)


def _fits(field: Field) -> bool:
    widths = [sum(level[0].shape[0] for level in field.planes)]
    widths += [len(bias) for _, bias in field.trunk]
    widths += [len(bias) for head in field.heads for _, bias in head]
    sides = max(max(plane.shape) for level in field.planes for plane in level)
    levels, layers = len(field.planes), len(field.trunk)
    return max(widths) <= MOST_WIDTH and sides <= MOST_SIDE and levels <= MOST_LEVELS and layers <= MOST_LAYERS


class FlatField(NamedTuple):
    """A field as native kernels take it: cuda/bindings/deformation_arrays.h."""

    planes: Floats
    """All of them, one after the other, each [second axis, first axis, channels]."""
    levels: Integers
    """int64 [L, 5]: channels and sides (x, y, z, t)."""
    bounds: Floats
    weights: Floats
    """All layers, one after the other, each weight and bias."""
    trunk: Integers
    """int64 [K, 2]: inputs and outputs of layers."""
    heads: Integers
    """int64 [2 H, 2]."""


def flat(field: Field) -> FlatField:
    """A field's arrays, copied into flat ones."""
    planes = [np.ascontiguousarray(plane.transpose(1, 2, 0)).ravel() for level in field.planes for plane in level]
    levels = []
    for level in field.planes:
        (channels, y, x), (_, t, _), (_, z, _) = level[0].shape, level[2].shape, level[1].shape
        levels.append((channels, x, y, z, t))
    head_layers = [layer for head in field.heads for layer in head]
    weights = [part.ravel() for layer in (*field.trunk, *head_layers) for part in layer]
    trunk, heads = (
        np.array([weight.shape[::-1] for weight, _ in layers], np.int64).reshape(-1, 2)
        for layers in (field.trunk, head_layers)
    )
    bounds = np.ascontiguousarray(field.bounds)
    return FlatField(
        np.concatenate(planes), np.array(levels, np.int64), bounds, np.concatenate(weights), trunk, heads
    )


def unflat(given: FlatField) -> Field:
    """The inverse of flat(); planes and layers are views."""
    planes, at = [], 0
    for channels, *sides in given.levels.tolist():
        level = []
        for first, second in reference_deformation.AXES:
            count = sides[first] * sides[second] * channels
            shape = (sides[second], sides[first], channels)
            level.append(given.planes[at : at + count].reshape(shape).transpose(2, 0, 1))
            at += count
        planes.append(tuple(level))
    layers, at = [], 0
    for inputs, outputs in [*given.trunk.tolist(), *given.heads.tolist()]:
        weight = given.weights[at : at + inputs * outputs].reshape(outputs, inputs)
        at += inputs * outputs
        layers.append((weight, given.weights[at : at + outputs]))
        at += outputs
    inner = layers[len(given.trunk) :]
    heads = tuple((inner[k], inner[k + 1]) for k in range(0, len(inner), 2))
    return Field(given.bounds, tuple(planes), tuple(layers[: len(given.trunk)]), heads)


Gradients = tuple[Floats, Floats, Floats]
Differentiator = Callable[[FlatField, Floats, float, Floats], Gradients]
"""Takes the field, means [N, 3], the time, and derivatives with respect to what deform() gives [N, outputs]; gives
those with respect to planes and weights, flat, and to means [N, 3]."""


def _reference_differentiate(field: FlatField, means: Floats, time: float, by: Floats) -> Gradients:
    found, by_means = reference_deformation.differentiate(unflat(field), means, time, by)
    gradient = flat(found)
    return gradient.planes, gradient.weights, by_means


DIFFERENTIATORS: dict[str, Differentiator] = {"reference": _reference_differentiate}
"""Backends that can differentiate here, slowest first."""

if importlib.util.find_spec("scenepress.kernels._native"):
    from scenepress.kernels import _native

    def _portable(field: Field, means: Floats, time: float) -> Floats:
        return _native.deform(*flat(field), np.ascontiguousarray(means), time, True, 0)

    def _cpu(field: Field, means: Floats, time: float) -> Floats:
        return _native.deform(*flat(field), np.ascontiguousarray(means), time, False, 0)

    def _portable_differentiate(field: FlatField, means: Floats, time: float, by: Floats) -> Gradients:
        return _native.differentiate_field(*field, means, time, by, True, 0)

    def _cpu_differentiate(field: FlatField, means: Floats, time: float, by: Floats) -> Gradients:
        return _native.differentiate_field(*field, means, time, by, False, 0)

    DIFFERENTIATORS["portable"] = _portable_differentiate
    DIFFERENTIATORS["cpu"] = _cpu_differentiate

    BACKENDS["portable"] = _portable
    BACKENDS["cpu"] = _cpu

if importlib.util.find_spec("scenepress.kernels._native_cuda"):
    from scenepress.kernels import _native_cuda

    def _cuda(field: Field, means: Floats, time: float) -> Floats:
        return _native_cuda.deform(*flat(field), np.ascontiguousarray(means), time)

    if _native_cuda.device_count():
        BACKENDS["cuda"] = _cuda
