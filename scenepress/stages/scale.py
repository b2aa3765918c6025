"""Scale: the logarithms of the three standard deviations, in 1/256 octave.

Scales follow the renamed axes of stage rotation. Normative text: docs/spec/scale.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.stages import context, entropy
from scenepress.stages.context import I32, SCALE, U8, Level, Predictor, Tile, step_of

LN2 = 0.6931471805599453
UNIT = 256
"""Values are integers in 1 / UNIT octave."""


def dequantise(values: I32) -> NDArray[np.float32]:
    """Natural logarithms, float32, of int32 values."""
    logs: NDArray[np.float32] = (values * (LN2 / UNIT)).astype(np.float32)
    return logs


def decode(
    payload: bytes, tile: Tile, level: Level, steps: U8, predictors: Sequence[Sequence[Predictor]],
    tables: Sequence[entropy.TableSet | None],
) -> None:  # fmt: skip
    """Decode the level's scale into the tile; `steps` uint8 [classes] are step codes.

    Raises:
        BitstreamError: damaged payload.
    """
    decoder = entropy.PlaneDecoder(payload)
    wanted = step_of(steps[tile.classes[level.own]])
    for channel in SCALE:
        context.decode_channel(decoder, tile, level, channel, predictors, wanted, tables[channel])
    decoder.finish()
