"""The adaptive binary coder by backend, for its tests; stages reach it inside their own kernels."""

from __future__ import annotations

import importlib.util
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import reference_binary_coder


class BinaryCoderKernels(Protocol):
    """What a backend provides; reference_binary_coder says what each function does."""

    def encode_bits(self, bits: NDArray[np.uint8], contexts: NDArray[np.uint8]) -> bytes:
        """Bits [n] and contexts [n] -> payload."""

    def decode_bits(self, payload: bytes, contexts: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]:
        """Payload and contexts [n] -> bits [n], and whether the payload ends exactly there."""


BACKENDS: dict[str, BinaryCoderKernels] = {"reference": reference_binary_coder}
"""Slowest first. Tests compare them all."""

if importlib.util.find_spec("scenepress.kernels._native"):
    from scenepress.kernels import _native

    BACKENDS["cpu"] = _native
