"""Order: which importance class every splat of a level has, and, if kept, its place in the source.

Normative text: docs/spec/order.md.
"""

from __future__ import annotations

import numpy as np

from scenepress import varint
from scenepress.errors import BitstreamError
from scenepress.kernels import splats as kernels
from scenepress.stages import context, entropy
from scenepress.stages.context import I32, U8, Level, Symbols, Tile


def symbols(tile: Tile, level: Level, lowest: int) -> Symbols:
    """The classes of the level, relative to its lowest, and their contexts."""
    values = tile.classes[level.own].astype(np.int32) - lowest
    return Symbols(values, _contexts(tile, level), signed=False)


def _contexts(tile: Tile, level: Level) -> U8:
    if not len(level.near):
        return np.zeros(level.count, np.uint8)
    a, b = (tile.classes[level.near[:, i]].astype(np.int64) for i in range(2))
    contexts: U8 = (1 + 4 * a + np.minimum(np.abs(a - b), 3)).astype(np.uint8)
    return contexts


def encode(classes: Symbols | None, table: entropy.TableSet | None, indices: I32 | None, total: int) -> bytes:
    """Payload: classes (None if the level has only one), then source indices (None if not kept) below `total`."""
    head = bytearray()
    planes = b""
    if classes is not None and table is not None:
        planes = entropy.encode_planes([context.tokens_of(classes, table)])
    head += varint.write_varint(len(planes))
    kept = b""
    if indices is not None:
        kept = kernels.pack_bits(indices.astype(np.uint32), np.full(len(indices), _width(total), np.uint8))
    return bytes(head) + planes + kept


def decode(
    payload: bytes,
    tile: Tile,
    level: Level,
    lowest: int,
    highest: int,
    table: entropy.TableSet | None,
    kept: int | None,
) -> I32 | None:
    """Decode the level's classes into the tile; returns source indices below `kept`, or None if `kept` is None.

    Raises:
        BitstreamError: damaged payload.
    """
    length, at = varint.read_varint(payload, 0)
    if length > len(payload) - at:
        raise BitstreamError(f"order: {length} bytes of classes in a payload of {len(payload)}")
    if highest > lowest:
        decoder = entropy.PlaneDecoder(payload[at : at + length])
        values = context.decode_plane(decoder, table, _contexts(tile, level), signed=False)
        decoder.finish()
        if len(values) and int(values.max()) > highest - lowest:
            raise BitstreamError(f"order: class {lowest + int(values.max())} in a level that ends at {highest}")
        tile.classes[level.own] = lowest + values
    else:
        if length:
            raise BitstreamError("order: classes coded in a level that has only one")
        tile.classes[level.own] = lowest
    rest = payload[at + length :]
    if kept is None:
        if rest:
            raise BitstreamError(f"order: {len(rest)} bytes too many")
        return None
    width = _width(kept)
    if len(rest) != (level.count * width + 7) // 8:
        raise BitstreamError(f"order: {len(rest)} bytes for {level.count} indices of {width} bits")
    indices = context.unpack_bits(rest, np.full(level.count, width, np.uint8))
    if len(indices) and int(indices.max()) >= kept:
        raise BitstreamError(f"order: source index {int(indices.max())} of {kept}")
    return indices.astype(np.int32)


def _width(total: int) -> int:
    return max(total - 1, 0).bit_length()
