"""CRC-32C (docs/spec/container.md, 5): the native kernel where it is built, plain Python otherwise."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np

Buffer = bytes | bytearray | memoryview

POLYNOMIAL = 0x82F63B78
"""0x1EDC6F41 with its bits reversed."""


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


TABLE = _table()


def crc32c_reference(data: Buffer, start: int = 0) -> int:
    """Normative and slow: one byte at a time. Arguments and result as for `crc32c`."""
    crc = start ^ 0xFFFFFFFF
    for byte in memoryview(data).cast("B"):
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


BACKENDS: dict[str, Callable[[Buffer, int], int]] = {"reference": crc32c_reference}
"""Slowest first; tests compare them all."""

if importlib.util.find_spec("scenepress.kernels._native"):
    from scenepress.kernels import _native

    def _native_crc32c(data: Buffer, start: int) -> int:
        return int(_native.crc32c(np.frombuffer(data, np.uint8), start))

    def _portable_crc32c(data: Buffer, start: int) -> int:
        return int(_native.crc32c_portable(np.frombuffer(data, np.uint8), start))

    BACKENDS["portable"] = _portable_crc32c
    BACKENDS["native"] = _native_crc32c

_fastest = list(BACKENDS.values())[-1]


def crc32c(data: Buffer, start: int = 0) -> int:
    """CRC-32C of `data`, or of what `start` is the checksum of followed by `data`."""
    return _fastest(data, start)
