"""Kernels of the lossless stage (docs/spec/lossless.md): words from tokens and raw bits, and raw bits packed."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Kernels(Protocol):
    """What a backend provides. Arrays are C-contiguous."""

    def assign(
        self, words: NDArray[np.uint32], bases: NDArray[np.uint32], leaves: int
    ) -> NDArray[np.uint8]:
        """Words -> tokens: the last of the first `leaves` bases that is not above the word (0 if none).

        A word that equals one of the bases after them gets its number instead. Both parts increase.
        """

    def pack_bits(self, values: NDArray[np.uint32], lengths: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The low lengths[i] <= 32 bits of each value, least significant first, padded with zero bits."""

    def expand(
        self,
        tokens: NDArray[np.uint8],
        bases: NDArray[np.uint32],
        lengths: NDArray[np.uint8],
        data: NDArray[np.uint8],
        start: int,
    ) -> tuple[NDArray[np.uint32], int]:
        """bases[token] + the next lengths[token] <= 32 bits, from bit `start` of data; and the bit after.

        bases and lengths have 256 entries. ValueError: the data ends before the last word.
        """


class Reference(NamedTuple):
    """NumPy, normative."""

    def assign(
        self, words: NDArray[np.uint32], bases: NDArray[np.uint32], leaves: int
    ) -> NDArray[np.uint8]:
        """See Kernels."""
        tokens = np.maximum(np.searchsorted(bases[:leaves], words, "right") - 1, 0)
        if len(bases) > leaves:
            near = np.minimum(np.searchsorted(bases[leaves:], words), len(bases) - leaves - 1)
            tokens = np.where(bases[leaves:][near] == words, near + leaves, tokens)
        return tokens.astype(np.uint8)

    def pack_bits(self, values: NDArray[np.uint32], lengths: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See Kernels."""
        bits = np.unpackbits(values.astype("<u4").view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
        return np.packbits(bits[np.arange(32) < lengths[:, None]], bitorder="little")

    def expand(
        self,
        tokens: NDArray[np.uint8],
        bases: NDArray[np.uint32],
        lengths: NDArray[np.uint8],
        data: NDArray[np.uint8],
        start: int,
    ) -> tuple[NDArray[np.uint32], int]:
        """See Kernels."""
        sizes = lengths[tokens].astype(np.int64)
        ends = start + np.cumsum(sizes)
        end = int(ends[-1]) if len(ends) else start
        if end > 8 * len(data):
            raise ValueError(f"{end} raw bits needed, {8 * len(data)} present")
        begins = ends - sizes
        padded = np.concatenate([data, np.zeros(5, np.uint8)])
        window = np.zeros(len(tokens), np.uint64)
        for k in range(5):
            window |= padded[(begins >> 3) + k].astype(np.uint64) << np.uint64(8 * k)
        raw = window >> (begins & 7).astype(np.uint64) & ((np.uint64(1) << sizes.astype(np.uint64)) - np.uint64(1))
        return bases[tokens] + raw.astype(np.uint32), end


BACKENDS: dict[str, Kernels] = {"reference": Reference()}
"""Slowest first; all give the same bits."""

if importlib.util.find_spec("scenepress.kernels._native"):
    from scenepress.kernels import _native

    BACKENDS["cpu"] = _native.lossless


def select() -> Kernels:
    """The fastest backend here."""
    return list(BACKENDS.values())[-1]
