"""Position stage: a sorted multiset of Morton codes, given the coarser levels' codes.

The bitstream is docs/spec/position.md; the arithmetic lives in kernels/reference_position.py (normative)
and cuda/core/position.h (native). This module checks arguments and words the errors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenepress.arrays import require
from scenepress.errors import BitstreamError
from scenepress.kernels import position as kernels

MAX_COUNT = 2**24
"""Codes in one payload. A code can cost almost nothing, so no payload length vouches for a count."""

MAX_BITS = 63
"""Bits of a code: 21 for each of three axes."""

MAX_BITS_PER_AXIS = 21
"""Of morton()."""


def encode(codes: NDArray[np.uint64], coarse: NDArray[np.uint64], bits: int) -> bytes:
    """Encode a sorted multiset of codes.

    Args:
        codes: uint64 [n], non-decreasing, below 2^bits; n <= MAX_COUNT.
        coarse: uint64 [m], non-decreasing, below 2^bits, m <= MAX_COUNT: what the decoder already has.
            Usually the codes of the coarser levels; empty for the first one.
        bits: bits of a code, 0 to MAX_BITS.

    Returns:
        The payload; empty if n is 0. The same on every backend.

    Raises:
        ValueError: an argument breaks one of these rules.
    """
    _require_bits(bits)
    _require_codes("codes", codes, bits)
    _require_codes("coarse", coarse, bits)
    return kernels.fastest().encode_positions(
        np.ascontiguousarray(codes), np.ascontiguousarray(coarse), bits
    )


def decode(payload: bytes, count: int, coarse: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """Decode a sorted multiset of codes. Safe on untrusted bytes: memory is O(count + len(payload)).

    Args:
        payload: what encode() returned.
        count: how many codes, 0 to MAX_COUNT.
        coarse: uint64 [m], exactly what encode() was given.
        bits: exactly what encode() was given.

    Returns:
        uint64 [count], non-decreasing, below 2^bits.

    Raises:
        BitstreamError: the payload is not one that encode() writes for this count, coarse and bits;
            or count is above MAX_COUNT.
        ValueError: coarse or bits breaks a rule of encode().
    """
    _require_bits(bits)
    _require_codes("coarse", coarse, bits)
    if not 0 <= count <= MAX_COUNT:
        raise BitstreamError(
            f"position payload claims {count} codes; a payload has 0 to {MAX_COUNT}: split the tile"
        )
    codes, result = kernels.fastest().decode_positions(
        bytes(payload), count, np.ascontiguousarray(coarse), bits
    )
    if result != kernels.EXACT:
        what = "ends before" if result == kernels.SHORT else "does not end exactly with"
        raise BitstreamError(
            f"position payload of {len(payload)} bytes {what} its {count} codes of {bits} bits:"
            " damaged or cut off"
        )
    return codes


def morton(xyz: NDArray[np.integer], bits_per_axis: int) -> NDArray[np.uint64]:
    """Interleave grid coordinates to Morton codes.

    Args:
        xyz: int32 or uint32 [n, 3], in [0, 2^bits_per_axis).
        bits_per_axis: 0 to MAX_BITS_PER_AXIS.

    Returns:
        uint64 [n]: the bits of x, y, z in turn from the most significant, x first.

    Raises:
        ValueError: wrong dtype or shape, or a coordinate out of range.
    """
    _require_bits_per_axis(bits_per_axis)
    require("xyz", xyz, "int32" if xyz.dtype == np.int32 else "uint32", (None, 3))
    cells = np.ascontiguousarray(xyz).view(np.uint32)  # A negative coordinate is a huge one here.
    if len(cells) and int(cells.max()) >> bits_per_axis:
        raise ValueError(
            f"xyz must lie in [0, 2^{bits_per_axis}), got {int(xyz.min())} to {int(xyz.max())}"
        )
    return kernels.fastest().morton_codes(cells)


def unmorton(codes: NDArray[np.uint64], bits_per_axis: int) -> NDArray[np.uint32]:
    """Invert morton(): uint64 [n] below 2^(3 * bits_per_axis) -> uint32 [n, 3].

    Raises:
        ValueError: wrong dtype or shape, or a code out of range.
    """
    _require_bits_per_axis(bits_per_axis)
    require("codes", codes, "uint64", (None,))
    if len(codes) and int(codes.max()) >> 3 * bits_per_axis:
        raise ValueError(f"codes must be below 2^{3 * bits_per_axis}, got {int(codes.max())}")
    return kernels.fastest().morton_cells(np.ascontiguousarray(codes))


def _require_bits(bits: int) -> None:
    if not 0 <= bits <= MAX_BITS:
        raise ValueError(f"bits must lie in [0, {MAX_BITS}], got {bits}")


def _require_bits_per_axis(bits: int) -> None:
    if not 0 <= bits <= MAX_BITS_PER_AXIS:
        raise ValueError(f"bits_per_axis must lie in [0, {MAX_BITS_PER_AXIS}], got {bits}")


def _require_codes(name: str, codes: NDArray[np.uint64], bits: int) -> None:
    require(name, codes, "uint64", (None,))
    if len(codes) > MAX_COUNT:
        raise ValueError(f"{name}: at most {MAX_COUNT} codes, got {len(codes)}: split the tile")
    if len(codes) and int(codes[-1]) >> bits:
        raise ValueError(f"{name} must be below 2^{bits}, got {int(codes[-1])}")
    falls = np.flatnonzero(codes[1:] < codes[:-1])
    if len(falls):
        raise ValueError(
            f"{name} must not decrease: {name}[{falls[0] + 1}] is less than {name}[{falls[0]}]"
        )
