"""Position kernels in plain Python: normative for docs/spec/position.md.

Written to be read, slow (about 10^4 codes a second), bit for bit what the native kernels do.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels.reference_binary_coder import (
    AdaptiveBit,
    BinaryDecoder,
    BinaryEncoder,
    Overrun,
    RawBitReader,
    RawBitWriter,
)

EXACT, SHORT, NOT_EXACT = range(3)
"""What a decoder found: the payload ends with the last code; before it; or elsewhere."""

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


class Encoder:
    """Adaptive bits and plain bits, each in a string of their own."""

    def __init__(self) -> None:
        """Start with both strings empty."""
        self.coded, self.plain = BinaryEncoder(), RawBitWriter()

    def bit(self, state: AdaptiveBit, known: int) -> int:
        """Code one adaptive bit."""
        self.coded.encode(known, state)
        return known

    def raw(self, known: int, bits: int) -> int:
        """Append plain bits."""
        self.plain.put(known, bits)
        return known

    def finish(self) -> bytes:
        """The length of the coded bytes (LEB128), the coded bytes, the plain bits."""
        coded, header = self.coded.finish(), bytearray()
        length = len(coded)
        while length >= 128:
            header.append(length & 127 | 128)
            length >>= 7
        return bytes(header) + bytes([length]) + coded + self.plain.finish()


class Decoder:
    """Reads what Encoder wrote."""

    def __init__(self, coded: bytes, plain: bytes) -> None:
        """Raise Overrun if no encoder wrote these first bytes."""
        self.coded, self.plain = BinaryDecoder(coded), RawBitReader(plain)

    def bit(self, state: AdaptiveBit, _known: int) -> int:
        """Decode one adaptive bit. Raises Overrun."""
        return self.coded.decode(state)

    def raw(self, _known: int, bits: int) -> int:
        """Read plain bits. Raises Overrun."""
        return self.plain.get(bits)

    def finished(self) -> bool:
        """Whether both strings end here, exactly as Encoder ends them."""
        return self.coded.finished() and self.plain.finished()


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

    def __init__(self, coder: Coder, codes: list[int], known: bool, coarse: Sequence[int], bits: int) -> None:
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

    def visit(self, cells: dict[int, Cell], prefix: int, first: int, n: int, below: int) -> tuple[int, bool]:
        """How many of a node's codes go left, and whether it was one lone code, now known."""
        middle = prefix | 1 << (below - 1)
        begin, split, end = (bisect_left(self.coarse, c) for c in (prefix, middle, prefix + (1 << below)))
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
