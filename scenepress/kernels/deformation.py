"""Deformation fields by backend; reference_deformation says what they compute."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import reference_deformation
from scenepress.kernels.reference_deformation import Field

__all__ = ["BACKENDS", "Field", "deform"]

Floats = NDArray[np.float32]
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


def _fits(field: Field) -> bool:
    widths = [sum(level[0].shape[0] for level in field.planes)]
    widths += [len(bias) for _, bias in field.trunk]
    widths += [len(bias) for head in field.heads for _, bias in head]
    sides = max(max(plane.shape) for level in field.planes for plane in level)
    levels, layers = len(field.planes), len(field.trunk)
    return max(widths) <= MOST_WIDTH and sides <= MOST_SIDE and levels <= MOST_LEVELS and layers <= MOST_LAYERS


FlatField = tuple[Floats, NDArray[np.int64], Floats, Floats, NDArray[np.int64], NDArray[np.int64]]


def flat(field: Field) -> FlatField:
    """Planes, levels, bounds, weights, trunk and heads as cuda/bindings/deformation_arrays.h takes them."""
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
    return np.concatenate(planes), np.array(levels, np.int64), bounds, np.concatenate(weights), trunk, heads


if importlib.util.find_spec("scenepress.kernels._native"):
    from scenepress.kernels import _native

    def _portable(field: Field, means: Floats, time: float) -> Floats:
        return _native.deform(*flat(field), np.ascontiguousarray(means), time, True, 0)

    def _cpu(field: Field, means: Floats, time: float) -> Floats:
        return _native.deform(*flat(field), np.ascontiguousarray(means), time, False, 0)

    BACKENDS["portable"] = _portable
    BACKENDS["cpu"] = _cpu

if importlib.util.find_spec("scenepress.kernels._native_cuda"):
    from scenepress.kernels import _native_cuda

    def _cuda(field: Field, means: Floats, time: float) -> Floats:
        return _native_cuda.deform(*flat(field), np.ascontiguousarray(means), time)

    if _native_cuda.device_count():
        BACKENDS["cuda"] = _cuda
