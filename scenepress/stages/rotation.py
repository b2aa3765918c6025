"""Rotation: the vector part of a canonical quaternion, with steps that follow the splat's shape.

The encoder renames the splat's axes (24 ways that keep it the same Gaussian) so that the rotation is as
close to the identity as can be; the vector part (x, y, z) of that quaternion, in units of 2**-15, is what
is coded. A turn about an axis matters as much as the other two scales differ, so the step of each
component depends on that difference. Normative text: docs/spec/rotation.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.arrays import tall_product
from scenepress.kernels import splats as kernels
from scenepress.stages import context, entropy
from scenepress.stages.context import I32, ROTATION, Level, Predictor, Tile

steps = kernels.rotation_steps

UNIT = 1 << 15
"""Vector-part components are integers in units of 1 / UNIT."""


BLOCK = 1 << 13
"""Quaternions compared with all renamings at a time, to keep memory low."""


def _octahedral() -> NDArray[np.float64]:
    """[24, 4] unit quaternions (w, x, y, z), w >= 0 first non-zero positive, of the cube's rotations."""
    r = np.sqrt(0.5)
    found = [np.eye(4)[i] for i in range(4)]
    for i in range(4):
        for j in range(i + 1, 4):
            for sign in (1.0, -1.0):
                q = np.zeros(4)
                q[i], q[j] = r, sign * r
                found.append(q)
    for bits in range(8):
        found.append(np.array([0.5] + [0.5 if bits >> b & 1 else -0.5 for b in range(3)]))
    return np.array(found)


OCTAHEDRAL = _octahedral()


def multiply(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hamilton product of quaternions (w, x, y, z), float64 [..., 4]."""
    pw, px, py, pz = np.moveaxis(p, -1, 0)
    qw, qx, qy, qz = np.moveaxis(q, -1, 0)
    return np.stack(
        [
            pw * qw - px * qx - py * qy - pz * qz,
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
        ],
        -1,
    )


def canonical(quats: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The same orientations with axes renamed: (float64 [n, 4] unit quaternions with w > 0, permutation [n, 3]).

    Own axis k of the result is own axis permutation[:, k] of the input, up to sign. Zero quaternions
    count as the identity.
    """
    q = quats.astype(np.float64)
    norm = np.sqrt((q * q).sum(1, keepdims=True))
    q = np.where(norm > 0, q / np.where(norm > 0, norm, 1), [1.0, 0, 0, 0])
    flipped = OCTAHEDRAL * [1, -1, -1, -1]
    blocks = [q[i : i + BLOCK] for i in range(0, max(len(q), 1), BLOCK)]
    best = np.concatenate([np.abs(tall_product(block, flipped.T)).argmax(1) for block in blocks])
    out = multiply(q, OCTAHEDRAL[best])
    out *= np.where(out[:, :1] < 0, -1.0, 1.0)
    w, x, y, z = OCTAHEDRAL.T
    matrix = np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
        ]
    )
    return out, np.abs(matrix).argmax(0).T[best]


def decode(
    payload: bytes, tile: Tile, level: Level, wanted: I32, predictors: Sequence[Sequence[Predictor]],
    tables: Sequence[entropy.TableSet | None],
) -> None:  # fmt: skip
    """Decode the three components of the level into the tile; `wanted` int32 [3, count] from steps().

    Raises:
        BitstreamError: damaged payload.
    """
    context.decode_channels(payload, tile, level, ROTATION, list(wanted), predictors, tables)
