"""Interleaved rANS: docs/spec/entropy.md, sections 5 and 6. Written to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels.reference.tokens import LENGTHS, TOKENS, detokenize

LOWER = 1 << 16
"""States lie in [LOWER, 2^32); every way starts encoding, and ends decoding, at LOWER."""
PRECISION = 12
MAX_WAYS = 32
BYTES_PER_WAY = 400
"""So many bytes of payload justify one more way, whose state costs 4."""

PlaneArrays = tuple[
    NDArray[np.uint8],
    NDArray[np.uint8],
    NDArray[np.uint8],
    NDArray[np.uint16],
    NDArray[np.uint32],
    NDArray[np.uint8],
]
"""Tokens [n], contexts [n], context map [C], frequencies [T, 256], raw values and lengths [n] or [0]."""


def _leb128(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _read_leb128(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for i in range(6):
        if position + i >= len(data):
            raise ValueError("entropy payload: it ends inside its header")
        byte = data[position + i]
        value |= (byte & 127) << 7 * i
        if byte < 128:
            if i and not byte:
                raise ValueError("entropy payload: a count has a needless last byte")
            return value, position + i + 1
    raise ValueError("entropy payload: a count is longer than 6 bytes")


def choose_ways(planes: Sequence[PlaneArrays]) -> int:
    """The number of ways that an encoder here takes; others are just as valid."""
    sixteenths = 0
    for tokens, contexts, context_map, frequencies, _, lengths in planes:
        # log2 by straight lines between powers of two: near enough, and the same everywhere.
        f = np.maximum(frequencies.astype(np.int64), 1)
        exponents = np.frexp(f)[1].astype(np.int64) - 1
        costs = 16 * (PRECISION + 1 - exponents) - (f * 16 >> exponents)
        sixteenths += int(costs[context_map[contexts], tokens].sum()) + 16 * int(
            lengths.sum(dtype=np.int64)
        )
    wanted = sixteenths // 128 // BYTES_PER_WAY
    return min(MAX_WAYS, 1 << max(0, wanted.bit_length() - 1))


def _pack_raw(planes: Sequence[PlaneArrays]) -> tuple[bytes, int]:
    values = np.concatenate([np.zeros(0, np.uint32), *(p[4] for p in planes)])
    lengths = np.concatenate([np.zeros(0, np.uint8), *(p[5] for p in planes)]).astype(np.int64)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    shift = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    bits = values[owner] >> shift.astype(np.uint32) & np.uint32(1)
    return np.packbits(bits.astype(np.uint8), bitorder="little").tobytes(), len(bits)


def rans_encode(planes: Sequence[PlaneArrays], ways: int) -> bytes:
    """A whole payload; `ways` is a power of two up to 32, or 0 to choose."""
    ways = ways or choose_ways(planes)
    states = [LOWER] * ways
    words = []
    for tokens, contexts, context_map, frequencies, _, _ in reversed(planes):
        starts = np.cumsum(frequencies, axis=1, dtype=np.int64) - frequencies
        tables = context_map[contexts]
        f_of, start_of = frequencies[tables, tokens].tolist(), starts[tables, tokens].tolist()
        for i in range(len(tokens) - 1, -1, -1):
            x, f = states[i % ways], f_of[i]
            if not f:
                raise ValueError(f"symbol {tokens[i]} at {i} has no probability in table {tables[i]}")
            if x >= f << 20:
                words.append(x & 0xFFFF)
                x >>= 16
            states[i % ways] = (x // f << PRECISION) + x % f + start_of[i]
    raw, raw_bits = _pack_raw(planes)
    header = bytes([ways.bit_length() - 1]) + _leb128(len(words)) + _leb128(raw_bits)
    return b"".join(
        [header, np.array(states, "<u4").tobytes(), np.array(words[::-1], "<u2").tobytes(), raw]
    )


class RansTables:
    """A table set as the decoder wants it: what each slot means."""

    def __init__(self, frequencies: NDArray[np.uint16], context_map: NDArray[np.uint8]) -> None:
        """Frequencies [T, 256], context map [C]."""
        self.context_map, self.frequencies = context_map, frequencies.astype(np.int64)
        self.starts = np.cumsum(self.frequencies, axis=1) - self.frequencies
        self.symbols = np.stack([np.repeat(np.arange(256), row) for row in frequencies])


class RansDecoder:
    """Decodes the planes of one payload in order."""

    def __init__(self, payload: bytes) -> None:
        """Check the header and the lengths it gives."""
        if not payload:
            raise ValueError("entropy payload: it is empty")
        if payload[0] > 5:
            raise ValueError(f"entropy payload: reserved bits in the way count {payload[0]:#04x}")
        self.ways = 1 << payload[0]
        word_count, position = _read_leb128(payload, 1)
        self.raw_count, position = _read_leb128(payload, position)
        sizes = 4 * self.ways, 2 * word_count, (self.raw_count + 7) // 8
        if position + sum(sizes) != len(payload):
            raise ValueError(
                f"entropy payload: {len(payload)} bytes, its header says {position + sum(sizes)}"
            )
        words_at, raw_at = position + sizes[0], position + sizes[0] + sizes[1]
        self.states = np.frombuffer(payload, "<u4", self.ways, position).astype(np.int64)
        self.words = np.frombuffer(payload, "<u2", word_count, words_at).astype(np.int64)
        self.raw = np.unpackbits(np.frombuffer(payload, np.uint8, offset=raw_at), bitorder="little")
        if (self.states < LOWER).any():
            raise ValueError("entropy payload: a state is below 2^16")
        if self.raw[self.raw_count :].any():
            raise ValueError("entropy payload: padding bits are not zero")
        self.word, self.raw_bit = 0, 0

    def plane(self, tables: object, contexts: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Contexts uint8 [n] -> tokens uint8 [n]."""
        known = cast(RansTables, tables)
        table_of = known.context_map[contexts]
        tokens = np.empty(len(contexts), np.uint8)
        for i in range(0, len(contexts), self.ways):
            table = table_of[i : i + self.ways]
            x = self.states[: len(table)]
            slot = x & 4095
            symbol = known.symbols[table, slot]
            tokens[i : i + self.ways] = symbol
            x = known.frequencies[table, symbol] * (x >> PRECISION) + slot - known.starts[table, symbol]
            low = np.flatnonzero(x < LOWER)
            if self.word + len(low) > len(self.words):
                raise ValueError("entropy payload: it has too few words")
            x[low] = x[low] << 16 | self.words[self.word : self.word + len(low)]
            self.word += len(low)
            self.states[: len(table)] = x
        return tokens

    def values(self, tables: object, contexts: NDArray[np.uint8], signed: bool) -> NDArray[np.int32]:
        """Contexts uint8 [n] -> values int32 [n]."""
        if cast(RansTables, tables).frequencies[:, TOKENS:].any():
            raise ValueError("entropy payload: a table has symbols that are not tokens")
        tokens = self.plane(tables, contexts)
        lengths = LENGTHS[tokens]
        ends = self.raw_bit + np.cumsum(lengths)
        end = int(ends[-1]) if len(ends) else self.raw_bit
        if end > self.raw_count:
            raise ValueError("entropy payload: it has too few raw bits")
        raw = np.zeros(len(tokens), np.int64)
        for k in range(int(lengths.max(initial=0))):
            has = np.flatnonzero(lengths > k)
            raw[has] |= self.raw[(ends - lengths)[has] + k].astype(np.int64) << k
        self.raw_bit = end
        return detokenize(tokens, raw.astype(np.uint32), signed)

    def finish(self) -> None:
        """All planes are decoded: nothing may be left over."""
        if (self.states != LOWER).any():
            raise ValueError("entropy payload: a final state is not 2^16")
        if self.word != len(self.words):
            raise ValueError(f"entropy payload: {len(self.words) - self.word} words are left over")
        if self.raw_bit != self.raw_count:
            raise ValueError(f"entropy payload: {self.raw_count - self.raw_bit} raw bits are left over")
