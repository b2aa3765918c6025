"""Position kernels in plain Python: normative for docs/spec/position.md and binary_coder.md.

Written to be read, slow (about 10^4 codes a second), bit for bit what the native kernels do.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

EXACT, SHORT, NOT_EXACT = range(3)
"""What a decoder found: the payload ends with the last code; before it; or elsewhere."""

COUNT_LIMIT = 126
FAST_RATE = 4096
MIN_PROBABILITY = 32
EXACT_COUNT = 16
SIZES = 8
MASK64 = 2**64 - 1


class Overrun(Exception):
    """The payload ended before the codes did. Never leaves this module."""


@dataclasses.dataclass
class AdaptiveBit:
    """The probability that the next bit is 1, in 1/65536, learnt at two speeds."""

    fast: int = 32768
    slow: int = 32768
    count: int = 0

    def probability(self) -> int:
        """Of a 1, never 0 or certain."""
        return min(max((self.fast + self.slow) >> 1, MIN_PROBABILITY), 65536 - MIN_PROBABILITY)

    def learn(self, bit: int) -> None:
        """Move both estimates towards what was coded."""
        slow_rate = 65536 // (self.count + 2)
        fast_rate = max(slow_rate, FAST_RATE)
        if bit:
            self.fast += (65535 - self.fast) * fast_rate >> 16
            self.slow += (65535 - self.slow) * slow_rate >> 16
        else:
            self.fast -= self.fast * fast_rate >> 16
            self.slow -= self.slow * slow_rate >> 16
        self.count = min(self.count + 1, COUNT_LIMIT)


class Encoder:
    """Range coder and raw bits. The coded bytes are one big integer, so a carry is a plain addition."""

    def __init__(self) -> None:
        """Start with the whole interval."""
        self.low = 0  # All bytes so far, then the 64 bits of the interval's lower end.
        self.words = 0  # Of 4 bytes, above those 64 bits.
        self.range = MASK64
        self.raw_value = 0
        self.raw_count = 0

    def bit(self, state: AdaptiveBit, known: int) -> int:
        """Code one adaptive bit."""
        bound = (self.range >> 16) * state.probability()
        if known:
            self.range = bound
        else:
            self.low += bound
            self.range -= bound
        if self.range < 2**32:
            self.low <<= 32
            self.range <<= 32
            self.words += 1
        state.learn(known)
        return known

    def raw(self, known: int, bits: int) -> int:
        """Append plain bits."""
        self.raw_value |= known << self.raw_count
        self.raw_count += bits
        return known

    def finish(self) -> bytes:
        """The length of the coded bytes (LEB128), the coded bytes, the raw bytes."""
        count, value = shortest_end(self.low, self.range)
        coded = (value >> (64 - 8 * count)).to_bytes(4 * self.words + count, "big")
        raw = self.raw_value.to_bytes((self.raw_count + 7) // 8, "little")
        header, length = bytearray(), len(coded)
        while length >= 128:
            header.append(length & 127 | 128)
            length >>= 7
        return bytes(header) + bytes([length]) + coded + raw


def shortest_end(low: int, span: int) -> tuple[int, int]:
    """Fewest bytes (0 to 4), then the least value in [low, low + span) with only zeros below them."""
    for count in range(5):
        unit = 1 << (64 - 8 * count)
        value = -(-low // unit) * unit
        if value < low + span:
            return count, value
    raise AssertionError("the interval is at least 2^32 wide")


class Decoder:
    """Reads what Encoder wrote."""

    def __init__(self, coded: bytes, raw: bytes) -> None:
        """Raise Overrun if no coder wrote these first bytes."""
        self.coded, self.raw_bytes = coded, raw
        self.next = 0  # The byte to read next; past the end come zeros.
        self.value = self._take(8)
        self.range = MASK64
        self.raw_value = int.from_bytes(raw, "little")
        self.raw_count = 0
        if self.value == self.range:
            raise Overrun

    def _take(self, count: int) -> int:
        self.next += count
        if self.next > len(self.coded) + 8:
            raise Overrun
        return int.from_bytes(self.coded[self.next - count : self.next].ljust(count, b"\0"), "big")

    def bit(self, state: AdaptiveBit, _known: int) -> int:
        """Decode one adaptive bit."""
        bound = (self.range >> 16) * state.probability()
        bit = int(self.value < bound)
        if bit:
            self.range = bound
        else:
            self.value -= bound
            self.range -= bound
        if self.range < 2**32:
            self.value = self.value << 32 | self._take(4)
            self.range <<= 32
        state.learn(bit)
        return bit

    def raw(self, _known: int, bits: int) -> int:
        """Read plain bits."""
        value = self.raw_value >> self.raw_count & ((1 << bits) - 1)
        self.raw_count += bits
        if self.raw_count > 8 * len(self.raw_bytes):
            raise Overrun
        return value

    def finished(self) -> bool:
        """Whether the payload is exactly what Encoder.finish() would have written."""
        window = self.coded[self.next - 8 : self.next].ljust(8, b"\0")
        end = int.from_bytes(window, "big")
        count, value = shortest_end((end - self.value) & MASK64, self.range)
        coded_fits = value & MASK64 == end and len(self.coded) == self.next - 8 + count
        raw_fits = (self.raw_count + 7) // 8 == len(
            self.raw_bytes
        ) and self.raw_value >> self.raw_count == 0
        return coded_fits and raw_fits


class Coder(Protocol):
    """Encoder or Decoder: what is known goes in, what was coded comes out."""

    def bit(self, state: AdaptiveBit, known: int) -> int:
        """One adaptive bit."""

    def raw(self, known: int, bits: int) -> int:
        """Plain bits."""


class Model:
    """Adaptive bits by context, made when first used."""

    def __init__(self) -> None:
        """Start without any knowledge."""
        self.states: dict[tuple[int, int, int], AdaptiveBit] = {}

    def state(self, kind: int, share: int, node: int) -> AdaptiveBit:
        """`kind`: n below EXACT_COUNT, else EXACT_COUNT + size class."""
        return self.states.setdefault((kind, share, node), AdaptiveBit())


def coarse_share(m: int, m_left: int) -> int:
    """How a node's m coarse codes divide, as a context: 0 to 15."""
    if m == 0:
        return 0
    confidence = 0 if m < 4 else 1 if m < 16 else 2
    return 1 + confidence * 5 + (8 * m_left + m) // (2 * m)


def code_truncated(coder: Coder, known: int, values: int) -> int:
    """One of `values` equally likely values, in floor(log2(values)) raw bits or one more."""
    bits = values.bit_length() - 1
    shorter = (2 << bits) - values
    if known < shorter:
        value = coder.raw(known, bits)
        low_bit = 0
    else:
        value = coder.raw((known + shorter) >> 1, bits)
        low_bit = (known + shorter) & 1
    if value < shorter:
        return value
    return (value << 1 | coder.raw(low_bit, 1)) - shorter


def code_left_count(coder: Coder, model: Model, n: int, share: int, known: int) -> int:
    """Code how many of n codes have a 0 here."""
    if n < EXACT_COUNT:
        value, node = 0, 1
        for b in range(n.bit_length() - 1, -1, -1):
            bit = 0
            if value | 1 << b <= n:
                bit = coder.bit(model.state(n, share, node), known >> b & 1)
            value |= bit << b
            node = 2 * node + bit
        return value
    size = min(n.bit_length() - 5, SIZES - 1)
    part, node = 16 * known // (n + 1), 1
    for b in range(3, -1, -1):
        node = 2 * node + coder.bit(model.state(EXACT_COUNT + size, share, node), part >> b & 1)
    part = node - 16
    first, end = ((p * (n + 1) + 15) // 16 for p in (part, part + 1))
    return first + code_truncated(coder, known - first, end - first)


def walk(
    coder: Coder, known: Sequence[int] | None, n: int, coarse: Sequence[int], bits: int
) -> list[int]:
    """Code n codes depth first; `known` (the codes) when encoding, None when decoding."""
    model = Model()
    out: list[int] = []
    stack = [(0, n, 0, len(coarse), bits)] if n else []
    while stack:
        prefix, n, begin, end, below = stack.pop()
        if below == 0:
            out += [prefix] * n
            continue
        if n == 1 and begin == end:
            suffix = known[len(out)] - prefix if known else 0
            out.append(prefix | coder.raw(suffix, below))
            continue
        right = prefix | 1 << (below - 1)
        split = bisect_left(coarse, right, begin, end)
        left_known = bisect_left(known, right, len(out), len(out) + n) - len(out) if known else 0
        left = code_left_count(coder, model, n, coarse_share(end - begin, split - begin), left_known)
        if left < n:
            stack.append((right, n - left, split, end, below - 1))
        if left:
            stack.append((prefix, left, begin, split, below - 1))
    return out


def encode_positions(codes: NDArray[np.uint64], coarse: NDArray[np.uint64], bits: int) -> bytes:
    """Sorted codes [n] below 2^bits, given sorted coarse [m] -> payload."""
    if len(codes) == 0:
        return b""
    encoder = Encoder()
    walk(encoder, codes.tolist(), len(codes), coarse.tolist(), bits)
    return encoder.finish()


def decode_positions(
    payload: bytes, count: int, coarse: NDArray[np.uint64], bits: int
) -> tuple[NDArray[np.uint64], int]:
    """Inverse of encode_positions; and EXACT, SHORT or NOT_EXACT (then the codes mean nothing)."""
    nothing = np.zeros(count, np.uint64)
    if count == 0:
        return nothing, NOT_EXACT if payload else EXACT
    length = header = 0
    while True:
        if header >= len(payload):
            return nothing, SHORT
        if header > 4:
            return nothing, NOT_EXACT
        byte = payload[header]
        length |= (byte & 127) << 7 * header
        header += 1
        if byte < 128:
            break
    if byte == 0 and header > 1:
        return nothing, NOT_EXACT
    if length > len(payload) - header:
        return nothing, SHORT
    try:
        decoder = Decoder(payload[header : header + length], payload[header + length :])
        codes = walk(decoder, None, count, coarse.tolist(), bits)
    except Overrun:
        return nothing, SHORT
    return np.array(codes, np.uint64), EXACT if decoder.finished() else NOT_EXACT


def morton_codes(xyz: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """uint32 [n, 3] below 2^21 -> uint64 [n], x in the highest bit of each triple."""
    codes = np.zeros(len(xyz), np.uint64)
    for axis in range(3):
        for b in range(21):
            bit = xyz[:, axis].astype(np.uint64) >> np.uint64(b) & np.uint64(1)
            codes |= bit << np.uint64(3 * b + 2 - axis)
    return codes


def morton_cells(codes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Inverse of morton_codes."""
    xyz = np.zeros((len(codes), 3), np.uint32)
    for axis in range(3):
        for b in range(21):
            bit = codes >> np.uint64(3 * b + 2 - axis) & np.uint64(1)
            xyz[:, axis] |= (bit << np.uint64(b)).astype(np.uint32)
    return xyz
