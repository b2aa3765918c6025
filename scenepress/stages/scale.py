"""Scale: the logarithms of the three standard deviations, through a curve of the scene's own.

Far below the size of a pixel, a splat's scale hardly shows; the curve maps logarithms to coded numbers such
that one step of those matters the same at every size. Scales follow the renamed axes of stage rotation.
Normative text: docs/spec/scale.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import splats as kernels
from scenepress.stages import context, entropy
from scenepress.stages.context import I32, SCALE, SIZES, U8, Level, Predictor, Tile, step_of

LN2 = 0.6931471805599453
UNIT = 256
"""Logarithms are integers in 1 / UNIT octave."""

expand = kernels.expand_scales


def compress(logs: NDArray[np.float64], origin: int, widths: I32) -> NDArray[np.float64]:
    """Inverse of expand(), before rounding: float64 logarithms in 1/256 octave to coded values."""
    starts = np.concatenate([[0], np.cumsum(widths.astype(np.int64))])
    i = np.clip(np.floor((logs - origin) / UNIT), 0, SIZES - 1).astype(np.intp)
    coded: NDArray[np.float64] = starts[i] + (logs - origin - UNIT * i) * widths[i] / UNIT
    return coded


def dequantise(logs: I32) -> NDArray[np.float32]:
    """Natural logarithms, float32, of int32 logarithms in 1/256 octave."""
    natural: NDArray[np.float32] = (logs * (LN2 / UNIT)).astype(np.float32)
    return natural


def decode(
    payload: bytes, tile: Tile, level: Level, steps: U8, predictors: Sequence[Sequence[Predictor]],
    tables: Sequence[entropy.TableSet | None],
) -> None:  # fmt: skip
    """Decode the level's scale into the tile; `steps` uint8 [classes] are step codes.

    Raises:
        BitstreamError: damaged payload.
    """
    wanted = [step_of(steps[tile.classes[level.own]])] * len(SCALE)
    context.decode_channels(payload, tile, level, SCALE, wanted, predictors, tables)
