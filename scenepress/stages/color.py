"""Colour: the constant SH coefficients after a rotation of the scene's own, in 1/4096.

Normative text: docs/spec/color.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.stages import context, entropy
from scenepress.stages.context import COLOR, I32, U8, Level, Predictor, Tile, step_of

UNIT = 4096
"""Channels are integers in 1 / UNIT."""
MATRIX_UNIT = 16384


def dequantise(channels: I32, matrix: I32) -> NDArray[np.float32]:
    """float32 [n, 3] constant SH coefficients of r, g, b, from int32 [3, n] and the int32 [3, 3] matrix."""
    rgb = matrix.astype(np.int64).T @ channels.astype(np.int64)
    return np.ascontiguousarray((rgb.astype(np.float32) * np.float32(1 / (UNIT * MATRIX_UNIT))).T)


def decode(
    payload: bytes, tile: Tile, level: Level, steps: U8, predictors: Sequence[Sequence[Predictor]],
    tables: Sequence[entropy.TableSet | None],
) -> None:  # fmt: skip
    """Decode the level's color into the tile; `steps` uint8 [classes] are step codes.

    Raises:
        BitstreamError: damaged payload.
    """
    wanted = [step_of(steps[tile.classes[level.own]])] * len(COLOR)
    context.decode_channels(payload, tile, level, COLOR, wanted, predictors, tables)
