"""The tile table: a corner and a size for every spatial tile. Normative text: docs/spec/tiles.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress import varint
from scenepress.errors import BitstreamError

DEPTH = 21
"""Most bits per axis of a position code."""
MAX_BITS = 40
"""Most bits per axis of a tile."""
MAX_CORNER = 1 << 44


@dataclasses.dataclass(frozen=True)
class TileBox:
    """A cube of 2 ** bits grid units; `corner` is its lowest point in grid units."""

    corner: tuple[int, int, int]
    bits: int


def depth_of(bits: int, cell: int) -> int:
    """Bits per axis of the position codes of a level with cells of 2 ** cell, in a tile of 2 ** bits."""
    return min(max(bits - cell, 0), DEPTH)


def widen(codes: NDArray[np.uint64], depth: int) -> NDArray[np.uint64]:
    """63-bit Morton codes of the middles of cells with codes of `depth` bits per axis."""
    codes = codes << np.uint64(3 * (DEPTH - depth))
    return codes | np.uint64(7 << 3 * (DEPTH - depth - 1)) if depth < DEPTH else codes


def encode(boxes: Sequence[TileBox]) -> bytes:
    """Payload of the tile table."""
    out = bytearray()
    for box in boxes:
        out += varint.write_varint(box.bits)
        for value in box.corner:
            out += varint.write_signed(value)
    return bytes(out)


def decode(payload: bytes, count: int) -> list[TileBox]:
    """The `count` boxes of a payload.

    Raises:
        BitstreamError: damaged, out of range, or not exactly `count` boxes.
    """
    if count > len(payload):  # A box has at least four bytes.
        raise BitstreamError(f"tile table: {count} tiles in {len(payload)} bytes")
    at, boxes = 0, []
    for i in range(count):
        bits, at = varint.read_varint(payload, at)
        x, at = varint.read_signed(payload, at)
        y, at = varint.read_signed(payload, at)
        z, at = varint.read_signed(payload, at)
        if not 1 <= bits <= MAX_BITS or max(abs(x), abs(y), abs(z)) > MAX_CORNER:
            raise BitstreamError(f"tile table: tile {i} of 2**{bits} units at {(x, y, z)} is out of range")
        boxes.append(TileBox((x, y, z), bits))
    if at != len(payload):
        raise BitstreamError(f"tile table: {len(payload) - at} bytes too many")
    return boxes
