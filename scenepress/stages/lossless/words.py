"""Maps between the bits of float32 values and the words that the lossless stage codes: lossless.md, section 3.

Every map is a bijection on what it accepts: the encoder checks, the decoder cannot fail.
"""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

SIGN = np.uint32(0x80000000)
MAX_SHIFT = 63
QUAT = slice(3, 7)
"""Columns of w, x, y, z."""


class Map(enum.IntEnum):
    """How float bits become words. The numbers are part of the format."""

    BITS = 0
    """The words are the bits."""
    ORDERED = 1
    """Words in the order of the values."""
    LATTICE = 2
    """Multiples of 2^-shift."""
    DICTIONARY = 3
    """Positions in a table."""


def to_ordered(bits: Words) -> Words:
    """Float bits to unsigned integers in the order of the floats (-NaN smallest, +NaN largest)."""
    return np.where(bits >= SIGN, ~bits, bits | SIGN)


def from_ordered(words: Words) -> Words:
    """Undo to_ordered()."""
    return np.where(words >= SIGN, words ^ SIGN, ~words)


def to_lattice(bits: Words) -> tuple[Words, int] | None:
    """Float bits as k + 2^31 for values k * 2^-shift, and the shift; None if the values are not such."""
    values = bits.view(np.float32)
    if (bits == SIGN).any() or not np.isfinite(values).all():
        return None
    nonzero = bits[bits << np.uint32(1) != 0]
    exponents = (nonzero >> np.uint32(23) & np.uint32(255)).astype(np.int64)
    if len(nonzero) and exponents.min() == 0:
        return None
    mantissas = nonzero & np.uint32(0x7FFFFF) | np.uint32(0x800000)
    zeros = np.log2((mantissas & (~mantissas + np.uint32(1))).astype(np.float64)).astype(np.int64)
    shift = int(max((150 - exponents - zeros).max(initial=0), 0))
    scaled = np.abs(np.ldexp(values.astype(np.float64), shift)).max(initial=0)
    if shift > MAX_SHIFT or scaled >= 2**31:
        return None
    return np.ldexp(values.astype(np.float64), shift).astype(np.int32).view(np.uint32) ^ SIGN, shift


def from_lattice(words: Words, shift: int) -> Words:
    """Undo to_lattice(); rounds to nearest where k has more than 24 bits."""
    k = (words ^ SIGN).view(np.int32)
    return np.ldexp(k.astype(np.float64), -shift).astype(np.float32).view(np.uint32)


def to_differences(words: Words) -> Words:
    """Zigzag differences to the word before (0 before the first), modulo 2^32."""
    steps = np.diff(words, prepend=np.uint32(0)).view(np.int32)
    return (steps << np.int32(1) ^ steps >> np.int32(31)).view(np.uint32)


def from_differences(words: Words) -> Words:
    """Undo to_differences()."""
    return np.cumsum(unzigzag(words), dtype=np.uint32)


def unzigzag(words: Words) -> Words:
    """0, 1, 2, 3, ... to 0, -1, 1, -2, ... modulo 2^32."""
    return words >> np.uint32(1) ^ (~(words & np.uint32(1)) + np.uint32(1))


def split_rotations(columns: list[Words]) -> list[Words]:
    """w, x, y, z bits to selector, three kept components, and how far the fourth is from unit norm.

    Selector: component of largest magnitude (0 = w), plus 4 if its sign bit is set.
    """
    bits = np.stack(columns, axis=1)
    magnitudes = np.where(bits << np.uint32(1) > np.uint32(0xFF000000), 0, bits & ~SIGN)
    largest = magnitudes.argmax(axis=1)
    rows = np.arange(len(bits))
    dropped = bits[rows, largest]
    selector = (largest.astype(np.uint32)) | (dropped >> np.uint32(31)) << np.uint32(2)
    kept = bits[np.arange(4) != largest[:, None]].reshape(-1, 3)
    steps = (to_ordered(dropped) - to_ordered(_complete(selector, kept))).view(np.int32)
    residual = (steps << np.int32(1) ^ steps >> np.int32(31)).view(np.uint32)
    return [selector, *(np.ascontiguousarray(kept[:, k]) for k in range(3)), residual]


def join_rotations(columns: list[Words]) -> list[Words]:
    """Undo split_rotations(); selectors are below 8."""
    selector, *three, residual = columns
    kept = np.stack(three, axis=1)
    dropped = from_ordered(to_ordered(_complete(selector, kept)) + unzigzag(residual))
    bits = np.empty((len(kept), 4), np.uint32)
    is_dropped = np.arange(4) == (selector & np.uint32(3))[:, None]
    bits[is_dropped] = dropped
    bits[~is_dropped] = kept.ravel()
    return [np.ascontiguousarray(bits[:, k]) for k in range(4)]


@np.errstate(over="ignore", invalid="ignore")
def _complete(selector: Words, kept: Words) -> Words:
    """Bits of the component that makes a unit quaternion: f32(sqrt(1 - ((a^2 + b^2) + c^2))), or 0."""
    a, b, c = kept.view(np.float32).astype(np.float64).T
    rest = 1.0 - ((a * a + b * b) + c * c)  # Squares of binary32 are exact, so FMA changes nothing.
    root = np.sqrt(np.where(rest > 0, rest, 0.0)).astype(np.float32).view(np.uint32)
    return root | (selector >> np.uint32(2)) << np.uint32(31)
