"""What a scene will decode to, without coding it: for whoever looks at it or trains it before it is coded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenepress.codecs import decoder
from scenepress.codecs.encoder import Prepared
from scenepress.scene import Splats
from scenepress.stages import sh


def reconstruct(scene: Prepared) -> tuple[NDArray[np.intp], Splats]:
    """The splats that decode() will give for code(scene), to the bit, in an order of their own.

    Returns:
        Indices in the source, [M], and the splats, [M]; axes and antialiasing are not set.
    """
    placed = [part for tile in scene.placed for part in tile]
    rows = np.concatenate([part.rows for part in placed]) if placed else np.zeros(0, np.intp)
    corners = [
        np.tile(np.array(box.corner, np.int64), (sum(len(part.rows) for part in tile), 1))
        for box, tile in zip(scene.boxes, scene.placed, strict=True)
    ]
    offsets = np.concatenate([part.offsets for part in placed]) + np.concatenate(corners) if placed else None
    lattice = scene.lattice
    out = decoder.empty_scene(len(rows), scene.source_sh)
    if offsets is None:
        return rows, out
    values, logs = np.ascontiguousarray(lattice.values[:, rows]), np.ascontiguousarray(lattice.logs[:, rows])
    decoder.dequantise(
        values, 0, logs, np.ascontiguousarray(offsets), (0, 0, 0), scene.exponent, scene.transforms.color, out
    )
    sh.dequantise(
        np.ascontiguousarray(lattice.sh[:, rows]), 0, lattice.sh_steps[rows], scene.transforms.shift,
        scene.transforms.basis, out.shN,
    )  # fmt: skip
    return scene.source[rows], out
