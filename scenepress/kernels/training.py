"""Kernels of training by backend; reference_training says what they compute."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import reference_training

F32 = NDArray[np.float32]
ImageLoss = Callable[[F32, F32, float], tuple[float, float, F32]]

LOSSES: dict[str, ImageLoss] = {"reference": reference_training.image_loss}
"""Slowest first; tests compare them all."""

if importlib.util.find_spec("scenepress.kernels._native"):
    from scenepress.kernels import _native

    def _portable(image: F32, target: F32, weight: float) -> tuple[float, float, F32]:
        return _native.image_loss(image, target, weight, True, 0)

    def _cpu(image: F32, target: F32, weight: float) -> tuple[float, float, F32]:
        return _native.image_loss(image, target, weight, False, 0)

    LOSSES["portable"] = _portable
    LOSSES["cpu"] = _cpu
    adam = _native.adam
else:
    adam = reference_training.adam

image_loss = list(LOSSES.values())[-1]
"""The fastest here."""
