"""The last step of the decoder alone, for tests that know the integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenepress.codecs import decoder
from scenepress.scene import Splats
from scenepress.stages import context, scale, sh
from scenepress.stages.context import Tile
from scenepress.stages.parameters import Parameters
from scenepress.stages.tiles import TileBox


def floats_of(p: Parameters, box: TileBox, tile: Tile, offsets: NDArray[np.int64]) -> Splats:
    """The splats of a whole tile whose integers are known: int64 [n, 3] offsets, and what stands in the tile."""
    scene = decoder.empty_scene(len(offsets), p.sh_count)
    logs = scale.expand(tile.values[:3], p.steps.origin, p.steps.curve)
    decoder.dequantise(tile.values, 0, logs, offsets, box.corner, p.exponent, p.color, scene)
    sh.dequantise(tile.sh, 0, context.step_of(p.steps.sh[tile.classes]), p.shift, p.basis, scene.shN)
    return scene
