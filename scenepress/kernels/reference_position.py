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

FAST_RATE, SLOW_RATE = 1024, 256
MIN_PROBABILITY = 32
EXACT_COUNT = 16
SIZES = 8
RATIOS, WEIGHTS = 6, 5
PRIOR_RATE = 1024
PRIORS = (
    ((9, 9), (9, 9), (9, 9), (9, 9), (24, 15), (18, 18)),
    ((9, 9), (9, 9), (25, 12), (27, 14), (30, 25), (23, 24)),
    ((9, 9), (30, 9), (31, 12), (33, 20), (33, 25), (31, 29)),
    ((36, 5), (34, 8), (38, 17), (39, 23), (37, 28), (34, 32)),
    ((37, 3), (45, 11), (44, 17), (44, 23), (45, 31), (47, 42)),
)
"""Heavy and light parameter of the beta-binomial law before anything is learnt, by weight and ratio."""

MASK64 = 2**64 - 1


class Overrun(Exception):
    """The payload ended before the codes did. Never leaves this module."""


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


def prior_tree(n: int, prior: tuple[int, int]) -> dict[int, AdaptiveBit]:
    """Adaptive bits by node of the binary tree over 0..n, for a beta-binomial law of the value."""
    heavy, light = prior
    likelihood = [0] * n + [1 << 30]
    for k in range(n, 0, -1):
        step = k * (light + 16 * (n - k)), (n - k + 1) * (heavy + 16 * (k - 1))
        likelihood[k - 1] = likelihood[k] * step[0] // step[1]
    height = n.bit_length()
    sums = [0] * (1 << height) + [x + 1 for x in likelihood] + [0] * ((1 << height) - n - 1)
    for node in range((1 << height) - 1, 0, -1):
        sums[node] = sums[2 * node] + sums[2 * node + 1]
    tree = {}
    for node in range(1, 1 << height):
        if sums[2 * node + 1]:  # Otherwise the bit is implied.
            p = min(max(65536 * sums[2 * node + 1] // sums[node], 64), 65472)
            tree[node] = AdaptiveBit(p, p, PRIOR_RATE)
    return tree


class Model:
    """Adaptive bits by context, made when first used."""

    def __init__(self) -> None:
        """Start without any knowledge."""
        self.trees: dict[tuple[int, int, int], dict[int, AdaptiveBit]] = {}

    def tree(self, kind: int, context: tuple[int, int]) -> dict[int, AdaptiveBit]:
        """`kind`: n below EXACT_COUNT, else EXACT_COUNT + size class. `context`: weight, ratio."""
        key = (kind, *context)
        if key not in self.trees:
            self.trees[key] = prior_tree(min(kind, EXACT_COUNT - 1), PRIORS[context[0]][context[1]])
        return self.trees[key]


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


def code_split(coder: Coder, model: Model, n: int, context: tuple[int, int], known: int) -> int:
    """Code a value in 0..n."""
    if n < EXACT_COUNT:
        tree = model.tree(n, context)
        value, node = 0, 1
        for b in range(n.bit_length() - 1, -1, -1):
            bit = 0
            if value | 1 << b <= n:
                bit = coder.bit(tree[node], known >> b & 1)
            value |= bit << b
            node = 2 * node + bit
        return value
    tree = model.tree(EXACT_COUNT + min(n.bit_length() - 5, SIZES - 1), context)
    part, node = 16 * known // (n + 1), 1
    for b in range(3, -1, -1):
        node = 2 * node + coder.bit(tree[node], part >> b & 1)
    part = node - 16
    first, end = ((p * (n + 1) + 15) // 16 for p in (part, part + 1))
    return first + code_truncated(coder, known - first, end - first)


@dataclasses.dataclass
class Cell:
    """A cell that holds codes, at one depth of the walk."""

    n: int
    left: int = -1
    """How many of them have a 0 next; -1 until that is known."""


def beside(prefix: int, axis: int, step: int, below: int, bits: int) -> int:
    """Prefix of the equal cell next to one, `step` (+1 or -1) along `axis`; -1 outside the grid."""
    positions = [b for b in range(below, bits) if b % 3 == axis]
    mask = sum(1 << b for b in positions)
    if prefix & mask == (mask if step > 0 else 0):
        return -1
    moved = (prefix | ~mask) + (1 << positions[0]) if step > 0 else (prefix & mask) - (1 << positions[0])
    return prefix & ~mask | moved & mask


def surroundings(cells: dict[int, Cell], prefix: int, below: int, bits: int) -> tuple[int, int]:
    """What the cells around one say about the weights of its left and right half."""
    nothing = Cell(0, 0)
    now, following, before = (below - 1) % 3, (below + 1) % 3, below % 3
    low = cells.get(beside(prefix, now, -1, below, bits), nothing)
    left, right = 2 * (low.n - low.left), cells.get(beside(prefix, now, 1, below, bits), nothing).n
    for axis in (following, before):
        cell = cells.get(beside(prefix, axis, -1, below, bits), nothing)
        left, right = left + cell.left, right + cell.n - cell.left
    return left, right


def split_context(left: int, right: int) -> tuple[int, int]:
    """Weight and ratio class of a split, from the weights of its halves."""
    total = left + right
    ratio = min(2 * RATIOS * (min(left, right) + 1) // (total + 2), RATIOS - 1)
    return min((total | 1).bit_length() - 1, WEIGHTS - 1), ratio


class Walk:
    """Codes a sorted multiset depth by depth. `codes` is known when encoding, else to be filled."""

    def __init__(
        self, coder: Coder, codes: list[int], known: bool, coarse: Sequence[int], bits: int
    ) -> None:
        """Nothing coded yet."""
        self.coder, self.codes, self.known = coder, codes, known
        self.coarse, self.bits = coarse, bits
        self.model = Model()
        self.lone: list[int] = []  # Codes alone in a cell, known to the last bit.

    def run(self) -> None:
        """Code them all."""
        nodes = [(0, 0, len(self.codes))]  # Prefix, index of the first code, how many.
        for below in range(self.bits, 0, -1):
            # Every code so far is known down to here: the cells of this depth, but for their splits.
            cells = {c >> below << below: Cell(1, 1 - (c >> (below - 1) & 1)) for c in self.lone}
            cells.update({prefix: Cell(n) for prefix, _, n in nodes})
            children = []
            for prefix, first, n in nodes:
                left, alone = self.visit(cells, prefix, first, n, below)
                cells[prefix].left = left
                if not alone:
                    children.append((prefix, first, left))
                    children.append((prefix | 1 << (below - 1), first + left, n - left))
            nodes = [node for node in children if node[2]]
        for prefix, first, n in nodes:
            self.codes[first : first + n] = [prefix] * n

    def visit(
        self, cells: dict[int, Cell], prefix: int, first: int, n: int, below: int
    ) -> tuple[int, bool]:
        """How many of a node's codes go left, and whether it was one lone code, now known."""
        middle = prefix | 1 << (below - 1)
        begin, split, end = (
            bisect_left(self.coarse, c) for c in (prefix, middle, prefix + (1 << below))
        )
        left, right = surroundings(cells, prefix, below, self.bits)
        left, right = left + 3 * (split - begin), right + 3 * (end - split)
        if n == 1 and begin == end and left + right < 2:
            code = prefix | self.coder.raw(self.codes[first] - prefix if self.known else 0, below)
            self.codes[first] = code
            self.lone.append(code)
            return 1 - (code >> (below - 1) & 1), True
        goes_left = bisect_left(self.codes, middle, first, first + n) - first if self.known else 0
        context = split_context(left, right)
        if right > left:
            return n - code_split(self.coder, self.model, n, context, n - goes_left), False
        return code_split(self.coder, self.model, n, context, goes_left), False


def encode_positions(codes: NDArray[np.uint64], coarse: NDArray[np.uint64], bits: int) -> bytes:
    """Sorted codes [n] below 2^bits, given sorted coarse [m] -> payload."""
    if len(codes) == 0:
        return b""
    encoder = Encoder()
    Walk(encoder, codes.tolist(), True, coarse.tolist(), bits).run()
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
        codes = [0] * count
        Walk(decoder, codes, False, coarse.tolist(), bits).run()
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
