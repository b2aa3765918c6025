"""The adaptive binary coder in plain Python: normative for docs/spec/binary_coder.md.

Written to be read, slow, bit for bit what cuda/core/binary_coder.h does.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

FAST_RATE, SLOW_RATE = 1024, 256
MIN_PROBABILITY = 32
MASK64 = 2**64 - 1


class Overrun(Exception):
    """The bytes end before what they code does, or no coder starts so. Never leaves the kernels."""


@dataclasses.dataclass
class AdaptiveBit:
    """The probability that the next bit is 1, in 1/65536, learnt at two speeds."""

    fast: int = 32768
    slow: int = 32768
    rate: int = 32768

    def probability(self) -> int:
        """Of a 1, never 0 or certain."""
        return min(max((self.fast + self.slow) >> 1, MIN_PROBABILITY), 65536 - MIN_PROBABILITY)

    def learn(self, bit: int) -> None:
        """Move both estimates towards what was coded."""
        fast_rate = max(self.rate, FAST_RATE)
        if bit:
            self.fast = 65535 - step_down(65535 - self.fast, fast_rate)
            self.slow = 65535 - step_down(65535 - self.slow, self.rate)
        else:
            self.fast = step_down(self.fast, fast_rate)
            self.slow = step_down(self.slow, self.rate)
        self.rate = max(step_down(self.rate, self.rate), SLOW_RATE)


def step_down(value: int, rate: int) -> int:
    """`value` less rate/65536 of it."""
    return value - (value * rate >> 16)


class BinaryEncoder:
    """Range coder. All bytes so far are one big integer, so a carry is a plain addition."""

    def __init__(self) -> None:
        """Start with the whole interval."""
        self.low = 0  # The bytes so far, then the 64 bits of the interval's lower end.
        self.words = 0  # Of 4 bytes, above those 64 bits.
        self.range = MASK64

    def encode(self, bit: int, state: AdaptiveBit) -> None:
        """Append one bit."""
        bound = (self.range >> 16) * state.probability()
        if bit:
            self.range = bound
        else:
            self.low += bound
            self.range -= bound
        if self.range < 2**32:
            self.low <<= 32
            self.range <<= 32
            self.words += 1
        state.learn(bit)

    def finish(self) -> bytes:
        """All bytes."""
        count, value = shortest_end(self.low, self.range)
        return (value >> (64 - 8 * count)).to_bytes(4 * self.words + count, "big")


def shortest_end(low: int, span: int) -> tuple[int, int]:
    """Fewest bytes (0 to 4), then the least value in [low, low + span) with only zeros below them."""
    for count in range(5):
        unit = 1 << (64 - 8 * count)
        value = -(-low // unit) * unit
        if value < low + span:
            return count, value
    raise AssertionError("the interval is at least 2^32 wide")


class BinaryDecoder:
    """Reads what BinaryEncoder wrote."""

    def __init__(self, data: bytes) -> None:
        """Raise Overrun if no encoder wrote these first bytes."""
        self.data = data
        self.next = 0  # The byte to read next; past the end come zeros.
        self.value = self._take(8)
        self.range = MASK64
        if self.value == self.range:
            raise Overrun

    def _take(self, count: int) -> int:
        self.next += count
        if self.next > len(self.data) + 8:
            raise Overrun
        return int.from_bytes(self.data[self.next - count : self.next].ljust(count, b"\0"), "big")

    def decode(self, state: AdaptiveBit) -> int:
        """Return the next bit. Raises Overrun."""
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

    def finished(self) -> bool:
        """Whether the bytes are exactly what BinaryEncoder.finish() would have written."""
        end = int.from_bytes(self.data[self.next - 8 : self.next].ljust(8, b"\0"), "big")
        count, value = shortest_end((end - self.value) & MASK64, self.range)
        return value & MASK64 == end and len(self.data) == self.next - 8 + count


class RawBitWriter:
    """A string of plain bits, least significant first."""

    def __init__(self) -> None:
        """Start empty."""
        self.value = 0
        self.count = 0

    def put(self, value: int, bits: int) -> None:
        """Append the low `bits` bits of a value that has no others."""
        self.value |= value << self.count
        self.count += bits

    def finish(self) -> bytes:
        """All bytes; the last one is filled with zeros."""
        return self.value.to_bytes((self.count + 7) // 8, "little")


class RawBitReader:
    """Reads what RawBitWriter wrote."""

    def __init__(self, data: bytes) -> None:
        """Start at the first bit."""
        self.value = int.from_bytes(data, "little")
        self.size = len(data)
        self.count = 0

    def get(self, bits: int) -> int:
        """Return the next bits. Raises Overrun."""
        value = self.value >> self.count & ((1 << bits) - 1)
        self.count += bits
        if self.count > 8 * self.size:
            raise Overrun
        return value

    def finished(self) -> bool:
        """Whether all bytes were used, and the rest of the last one is zero."""
        return (self.count + 7) // 8 == self.size and self.value >> self.count == 0


def encode_bits(bits: NDArray[np.uint8], contexts: NDArray[np.uint8]) -> bytes:
    """Code bits [n] with the adaptive bits that contexts [n] name, which start knowing nothing."""
    encoder, states = BinaryEncoder(), [AdaptiveBit() for _ in range(256)]
    for bit, context in zip(bits.tolist(), contexts.tolist(), strict=True):
        encoder.encode(bit, states[context])
    return encoder.finish()


def decode_bits(payload: bytes, contexts: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]:
    """Invert encode_bits; and whether the payload is exactly what it writes (else the bits mean nothing)."""
    bits = np.zeros(len(contexts), np.uint8)
    states = [AdaptiveBit() for _ in range(256)]
    try:
        decoder = BinaryDecoder(payload)
        for i, context in enumerate(contexts.tolist()):
            bits[i] = decoder.decode(states[context])
    except Overrun:
        return bits, False
    return bits, decoder.finished()
