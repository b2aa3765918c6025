"""Planes that SOG versions 1 and 2 store alike: positions, rotations, the SH palette."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.formats.sog_files import Files, Meta, read_image
from scenepress.formats.values import join_largest

PALETTE_ROW = 64
"""SH sets in a row of the centroid image."""
TAG = 252
"""Alpha of a rotation whose largest component is w; x, y, z follow."""

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def read_palette(files: Files, name: str, coefs: int, used: int) -> Bytes:
    """The first `used` SH sets of the centroid image as uint8 [used, coefs, 3]."""
    if coefs not in (3, 8, 15):
        raise FormatError(f"{files.path}: {name} is not 192, 512 or 960 pixels wide")
    rows = -(-used // PALETTE_ROW)
    width = PALETTE_ROW * coefs
    image = read_image(files, name, rows * width, width) if rows else np.zeros((0, width, 4), np.uint8)
    return image[:rows, :, :3].reshape(-1, coefs, 3)[:used]


def read_means(files: Files, meta: Meta, count: int) -> Floats:
    """Positions [count, 3], the same in versions 1 and 2."""
    low_name, high_name = meta.names("means", 2)
    mins, maxs = meta.numbers("means", "mins", 3), meta.numbers("means", "maxs", 3)
    low = read_image(files, low_name, count)[:, :3]
    high = read_image(files, high_name, count)[:, :3]
    words = low.astype(np.uint16) | high.astype(np.uint16) << np.uint16(8)
    t = mins + (maxs - mins) * (words / 65535)
    with np.errstate(over="ignore"):
        return np.asarray(np.sign(t) * np.expm1(np.abs(t)), np.float32)


def read_quats(files: Files, meta: Meta, count: int) -> Floats:
    """Rotations [count, 4], the same in versions 1 and 2; a bad tag gives the identity."""
    image = read_image(files, meta.names("quats", 1)[0], count)
    rest = (image[:, :3].astype(np.float32) / np.float32(127.5) - 1) * np.float32(np.sqrt(0.5))
    index = image[:, 3].astype(np.int16) - TAG
    quats = join_largest(np.maximum(index, 0), rest)
    quats[index < 0] = [1, 0, 0, 0]
    return quats
