"""Position kernels by backend; reference_position says what each one does."""

from __future__ import annotations

import importlib.util
import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import reference_position
from scenepress.kernels.reference_position import EXACT, NOT_EXACT, SHORT

__all__ = ["BACKENDS", "EXACT", "NOT_EXACT", "SHORT", "PositionKernels", "fastest"]


class PositionKernels(Protocol):
    """What a backend provides. Arrays are C-contiguous, arguments already checked."""

    def encode_positions(
        self, codes: NDArray[np.uint64], coarse: NDArray[np.uint64], bits: int
    ) -> bytes:
        """Payload of sorted codes, given sorted coarse codes."""

    def decode_positions(
        self, payload: bytes, count: int, coarse: NDArray[np.uint64], bits: int
    ) -> tuple[NDArray[np.uint64], int]:
        """Codes, and EXACT, SHORT or NOT_EXACT (then the codes mean nothing)."""

    def morton_codes(self, xyz: NDArray[np.uint32]) -> NDArray[np.uint64]:
        """uint32 [n, 3] below 2^21 -> uint64 [n]."""

    def morton_cells(self, codes: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """Inverse of morton_codes."""


BACKENDS: dict[str, PositionKernels] = {"reference": reference_position}
"""Backends that can run here, slowest first. Tests compare them all."""

if importlib.util.find_spec("scenepress.kernels._native"):
    from scenepress.kernels import _native

    BACKENDS["cpu"] = _native


def fastest() -> PositionKernels:
    """The last of BACKENDS; the reference if SCENEPRESS_BACKEND says so."""
    if os.environ.get("SCENEPRESS_BACKEND") == "reference":
        return BACKENDS["reference"]
    return list(BACKENDS.values())[-1]
