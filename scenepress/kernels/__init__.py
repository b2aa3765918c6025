"""Kernel backends. The only door to the native module."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import reference

Backend = Literal["auto", "reference", "portable", "cpu"]

PlaneArrays = tuple[
    NDArray[np.uint8],
    NDArray[np.uint8],
    NDArray[np.uint8],
    NDArray[np.uint16],
    NDArray[np.uint32],
    NDArray[np.uint8],
]
"""Tokens [n], contexts [n], context map [C], frequencies [T, 256], raw values and lengths [n] or [0]."""


class RansDecoder(Protocol):
    """Decodes the planes of one payload in order. ValueError: the payload is damaged.

    `tables` come from rans_tables() of the same backend.
    """

    def plane(self, tables: object, contexts: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Contexts [n] -> tokens [n]."""

    def values(self, tables: object, contexts: NDArray[np.uint8], signed: bool) -> NDArray[np.int32]:
        """Contexts [n] -> values [n]."""

    def finish(self) -> None:
        """All planes are decoded: nothing may be left over."""


class Kernels(Protocol):
    """What every backend provides. Arrays are C-contiguous. ValueError: the bytes given are damaged."""

    def tokenize(
        self, values: NDArray[np.int32], signed: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint8], int]:
        """Values [n] -> tokens, raw values, raw lengths, first index out of range (n if none)."""

    def detokenize(
        self, tokens: NDArray[np.uint8], raw: NDArray[np.uint32], signed: bool
    ) -> NDArray[np.int32]:
        """Tokens below 104 and raw values [n] -> values [n]."""

    def histogram(
        self, tokens: NDArray[np.uint8], contexts: NDArray[np.uint8], count: int
    ) -> NDArray[np.int64]:
        """Tokens, contexts below count [n] -> [count, 256]."""

    def parse_table_set(
        self, data: bytes, offset: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint16], int]:
        """Bytes -> context map [C], frequencies [T, 256], offset after the set."""

    def fit_table_set(self, counts: NDArray[np.int64]) -> bytes:
        """[C, 256] -> a serialised table set."""

    def rans_encode(self, planes: Sequence[PlaneArrays], ways: int) -> bytes:
        """Planes -> payload; 0 ways: as many as the size is worth."""

    def rans_tables(self, frequencies: NDArray[np.uint16], context_map: NDArray[np.uint8]) -> object:
        """[T, 256], [C] -> what its decoders take."""

    def rans_decoder(self, payload: bytes) -> RansDecoder:
        """Payload -> decoder of its planes."""


BACKENDS: dict[str, Kernels] = {"reference": reference}
"""Backends that can run here, slowest first. All give the same bits. Tests run on all of them.

"cpu" picks the instructions at run time; "portable" is the same code held to plain C++.
"""

if importlib.util.find_spec("scenepress.kernels._native"):  # Absent is fine; present but broken is not.
    from scenepress.kernels import _native

    BACKENDS["portable"] = _native.portable
    BACKENDS["cpu"] = _native


def resolve(backend: str = "auto") -> str:
    """The name of the backend meant: "auto" is SCENEPRESS_BACKEND if set, else the fastest."""
    if backend == "auto":
        backend = os.environ.get("SCENEPRESS_BACKEND") or list(BACKENDS)[-1]
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} cannot run here; have {list(BACKENDS)}")
    return backend


def select(backend: str = "auto") -> Kernels:
    """The backend meant; see resolve(). No silent fallback."""
    return BACKENDS[resolve(backend)]
