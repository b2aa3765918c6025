"""Opacity: its logarithm, in 1/256 octave; 0 is opaque.

What an opacity is worth in the render is its relative error, hence the logarithm and not the logit that
files store. Normative text: docs/spec/opacity.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.stages import context, entropy
from scenepress.stages.context import I32, OPACITY, U8, Level, Predictor, Tile, step_of

UNIT = 256
"""Values are integers in 1 / UNIT octave of opacity, 0 (opaque) down to -LOWEST."""
LOWEST = 4095
OPAQUE = 9.0
"""The logit of value 0: what alpha clamps in renderers cannot tell from infinity."""


def _logits() -> NDArray[np.float32]:
    opacity = 2.0 ** (-np.arange(1, LOWEST + 1) / UNIT)
    return np.concatenate([[OPAQUE], np.log(opacity / (1 - opacity))]).astype(np.float32)


LOGITS = _logits()
"""float32 [LOWEST + 1]: logit of value -i. Rounded once from float64, far from any tie (tested)."""


def dequantise(values: I32) -> NDArray[np.float32]:
    """Opacity logits, float32, of int32 values."""
    return LOGITS[np.clip(-values, 0, LOWEST)]


def decode(
    payload: bytes, tile: Tile, level: Level, steps: U8, predictors: Sequence[Sequence[Predictor]],
    tables: Sequence[entropy.TableSet | None],
) -> None:  # fmt: skip
    """Decode the level's opacity into the tile; `steps` uint8 [classes] are step codes.

    Raises:
        BitstreamError: damaged payload.
    """
    wanted = [step_of(steps[tile.classes[level.own]])] * len(OPACITY)
    context.decode_channels(payload, tile, level, OPACITY, wanted, predictors, tables)
