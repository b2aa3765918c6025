"""Table sets, from bytes to frequencies: docs/spec/entropy.md, section 4. Integers only."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels.reference.tokens import BASES, LENGTHS, TOKENS

TOTAL = 4096
MAX_TABLES = 64
FIRST_EXPLICIT_HEAD, SINGLE_HEAD = 104, 168
MAX_UNARY = 31
MAX_LEVEL = 1 << 14
MAX_COST = 1 << 26

SCALE_STARTS = (
    13194139533312, 12099079298654, 11094904635919, 10174072410108,
    9329665535926, 8555341018192, 7845282304677, 7194155593471,
)  # fmt: skip
"""12 octaves at distance 1, in 2^-40 octaves, then an eighth of an octave less each."""
EIGHTHS_PER_SCALE = (2, 2, 3, 1)
"""Shape -> how much the cost at distance 1 shrinks from one scale to the next."""
HALVINGS = (
    3037000500, 3611622603, 3938502376, 4112874773, 4202935003, 4248701965, 4271771996, 4283353945,
    4289156690, 4292061010, 4293513907, 4294240540, 4294603903, 4294785595, 4294876445, 4294921870,
)  # fmt: skip
"""2^(-2^-k) in 2^-32, k = 1..16."""


class BitReader:
    """Bits of `data` from byte `offset` on, least significant first."""

    def __init__(self, data: bytes, offset: int) -> None:
        """Start at a byte."""
        self.data, self.position = data, 8 * offset

    def bits(self, count: int) -> int:
        """The next `count` bits as an unsigned number."""
        if self.position + count > 8 * len(self.data):
            raise ValueError("table set: the data ends inside it")
        value = 0
        for i in range(count):
            value |= (self.data[self.position >> 3] >> (self.position & 7) & 1) << i
            self.position += 1
        return value

    def unary(self) -> int:
        """The number of 1 bits before the next 0 bit."""
        for count in range(MAX_UNARY + 1):
            if not self.bits(1):
                return count
        raise ValueError(f"table set: a unary code is longer than {MAX_UNARY}")

    def gamma(self) -> int:
        """An Elias-gamma number, 1 to 511."""
        width = self.unary()
        if width > 8:
            raise ValueError("table set: a run is longer than the alphabet")
        return 1 << width | self.bits(width)

    def finish(self) -> int:
        """Skip to the next byte; the bits skipped must be 0. Returns its offset."""
        if self.bits(-self.position % 8):
            raise ValueError("table set: padding bits are not zero")
        return self.position >> 3


def base_levels(index: int, last: int) -> list[int]:
    """log2 of the weight of tokens 0..last, in 2^-16 octaves, in the parametric table `index`."""
    shape, scale = divmod(index, 64)
    eighths = EIGHTHS_PER_SCALE[shape] * scale
    slope = SCALE_STARTS[eighths & 7] >> (eighths >> 3)
    levels = []
    for token in range(last + 1):
        length, base = int(LENGTHS[token]), int(BASES[token])
        if shape == 0:  # One-sided: twice the mean of the token's magnitudes.
            twice = 2 * base + (1 << length) - 1
        else:  # Two-sided: twice the mean of their distances from zero.
            twice = base + (1 << length >> 1) if token >= 16 else base + (base & 1)
        distance = (twice << 7, twice << 7, twice * twice << 6, isqrt(twice << 15))[shape]
        levels.append((length << 16) - min(MAX_COST, slope * distance >> 32))
    return levels


def power(cost: int) -> int:
    """2^32 * 2^-(cost / 2^16), rounded down at every step."""
    if cost >= 33 << 16:
        return 0
    value = 1 << 32
    for k, factor in enumerate(HALVINGS):
        if cost >> (15 - k) & 1:
            value = value * factor >> 32
    return value >> (cost >> 16)


def frequencies_of(symbols: list[int], levels: list[int]) -> NDArray[np.uint16]:
    """Levels in 2^-16 octaves of the used symbols -> uint16 [256] that sum to 4096."""
    highest = max(levels)
    weights = [power(highest - level) for level in levels]
    total, spare = sum(weights), TOTAL - len(symbols)
    frequencies = np.zeros(256, np.uint16)
    before = 0
    for symbol, weight in zip(symbols, weights, strict=True):
        after = before + weight
        frequencies[symbol] = 1 + after * spare // total - before * spare // total
        before = after
    return frequencies


def _used_symbols(reader: BitReader, last: int) -> list[int]:
    """The runs of a sparse table, unused and used in turn."""
    symbols: list[int] = []
    position, used = reader.gamma() - 1, True
    while position <= last:
        length = reader.gamma()
        if position + length > last + 1:
            break
        if used:
            symbols.extend(range(position, position + length))
        position, used = position + length, not used
        if position == last + 1 and symbols and symbols[-1] == last:
            return symbols
    raise ValueError("table set: the runs of a sparse table miss its last symbol")


def _read_explicit(reader: BitReader, head: int) -> NDArray[np.uint16]:
    free, precision, rice, sparse = head & 1, head >> 1 & 3, head >> 3 & 3, head >> 5
    index = 0 if free else reader.bits(8)
    last = reader.bits(8)
    if not free and last >= TOKENS:
        raise ValueError(f"table set: last symbol {last} of a table with a base is not a token")
    symbols = _used_symbols(reader, last) if sparse else list(range(last + 1))
    base = [0] * (last + 1) if free else base_levels(index, last)
    levels = []
    correction = 0
    for symbol in symbols:
        code = reader.unary() << rice
        code |= reader.bits(rice)
        step = (code + 1) >> 1 if code & 1 else -(code >> 1)
        correction = correction + step if free else step
        if abs(correction) > MAX_LEVEL:
            raise ValueError("table set: a level is out of range")
        levels.append(base[symbol] + (correction << (16 - precision)))
    return frequencies_of(symbols, levels)


def _read_table(reader: BitReader) -> NDArray[np.uint16]:
    head = reader.bits(8)
    if head == 0:
        return frequencies_of([0], [0])
    if head < FIRST_EXPLICIT_HEAD:
        return frequencies_of(list(range(head + 1)), base_levels(reader.bits(8), head))
    if head < SINGLE_HEAD:
        return _read_explicit(reader, head - FIRST_EXPLICIT_HEAD)
    if head == SINGLE_HEAD:
        return frequencies_of([reader.bits(8)], [0])
    raise ValueError(f"table set: head {head} of a table is reserved")


def _read_context_map(reader: BitReader, count: int, tables: int) -> list[int]:
    """Tables are numbered in the order of their first use."""
    mapped = [0]
    used = 1
    while len(mapped) < count:
        if tables == 1 or reader.bits(1):
            mapped.append(mapped[-1])
            continue
        choices = min(used + 1, tables)
        table = reader.bits((choices - 1).bit_length())
        if table >= choices:
            raise ValueError(f"table set: a context names table {table} of {choices}")
        used = max(used, table + 1)
        mapped.append(table)
    if used != tables:
        raise ValueError(f"table set: {tables - used} tables have no context")
    return mapped


def parse_table_set(data: bytes, offset: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16], int]:
    """Bytes -> context map uint8 [C], frequencies uint16 [T, 256], offset after the set."""
    reader = BitReader(data, offset)
    count = reader.bits(8)
    if count == 0:
        raise ValueError("table set: it has no contexts")
    tables = 1 if count == 1 else reader.bits(8)
    if not 1 <= tables <= min(count, MAX_TABLES):
        raise ValueError(f"table set: {tables} tables for {count} contexts")
    context_map = _read_context_map(reader, count, tables)
    frequencies = np.stack([_read_table(reader) for _ in range(tables)])
    return np.array(context_map, np.uint8), frequencies, reader.finish()
