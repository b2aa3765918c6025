"""Values to tokens and raw bits, and back: docs/spec/entropy.md, section 2."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TOKENS = 104
"""Tokens 0..15 are values; 16..103 name an exponent and the two bits below the leading one."""
MAGNITUDES = 1 << 26
"""Magnitudes lie in [0, MAGNITUDES)."""

_COARSE = np.arange(16, TOKENS)
LENGTHS = np.concatenate([np.zeros(16, np.int64), 2 + (_COARSE - 16) // 4])
"""Token -> number of raw bits."""
BASES = np.concatenate([np.arange(16), (4 + (_COARSE & 3)) << LENGTHS[16:]])
"""Token -> its smallest magnitude."""


def tokenize(
    values: NDArray[np.int32], signed: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint8], int]:
    """int32 [n] -> tokens, raw values, raw lengths, and the first index out of range (n if none)."""
    wide = values.astype(np.int64)
    magnitudes = np.where(wide > 0, 2 * wide - 1, -2 * wide) if signed else wide
    invalid = (magnitudes < 0) | (magnitudes >= MAGNITUDES)
    first_invalid = int(invalid.argmax()) if invalid.any() else len(values)
    magnitudes = np.where(invalid, 0, magnitudes)
    tokens = np.searchsorted(BASES, magnitudes, side="right") - 1
    raw = magnitudes - BASES[tokens]
    return (
        tokens.astype(np.uint8),
        raw.astype(np.uint32),
        LENGTHS[tokens].astype(np.uint8),
        first_invalid,
    )


def detokenize(tokens: NDArray[np.uint8], raw: NDArray[np.uint32], signed: bool) -> NDArray[np.int32]:
    """Tokens below 104 and their raw values [n] -> int32 [n]."""
    magnitudes = BASES[tokens] + raw.astype(np.int64)
    if signed:
        magnitudes = np.where(magnitudes & 1, (magnitudes + 1) >> 1, -(magnitudes >> 1))
    return magnitudes.astype(np.int32)


def histogram(tokens: NDArray[np.uint8], contexts: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
    """Tokens and contexts [n] -> int64 [count, 256]; every context is below `count`."""
    joint = contexts.astype(np.int64) << 8 | tokens
    return np.bincount(joint, minlength=count << 8).reshape(count, 256)
