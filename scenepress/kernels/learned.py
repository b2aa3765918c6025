"""Kernels of the learned context model; see reference_learned for what each one does."""

from __future__ import annotations

import importlib.util
import os

from scenepress.kernels import reference_learned

FEATURES, HIDDEN = reference_learned.FEATURES, reference_learned.HIDDEN
HIDDEN_SHIFT, HEAD_SHIFT = reference_learned.HIDDEN_SHIFT, reference_learned.HEAD_SHIFT
CORRECTION = reference_learned.CORRECTION
channel_features, hidden_units = reference_learned.channel_features, reference_learned.hidden_units

if importlib.util.find_spec("scenepress.kernels._native") and os.environ.get("SCENEPRESS_BACKEND") != "reference":
    from scenepress.kernels._native import (
        learned_predict,
        level_features,
        linear_prediction,
        nearest,
        residual_features,
        shape_features,
    )
else:
    from scenepress.kernels.reference_learned import (
        learned_predict,
        level_features,
        linear_prediction,
        nearest,
        residual_features,
        shape_features,
    )

__all__ = [
    "CORRECTION",
    "FEATURES",
    "HEAD_SHIFT",
    "HIDDEN",
    "HIDDEN_SHIFT",
    "channel_features",
    "hidden_units",
    "learned_predict",
    "level_features",
    "linear_prediction",
    "nearest",
    "residual_features",
    "shape_features",
]
