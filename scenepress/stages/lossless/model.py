"""How the columns of a lossless chunk are coded, and its serialised form: lossless.md, section 2."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import BitstreamError
from scenepress.stages import entropy
from scenepress.stages.lossless.words import MAX_SHIFT, Map
from scenepress.varint import read_varint, write_varint

MAX_TOKENS = 255
MAX_NODES = 1 << 14
MAX_VIEWS = 8
MAX_REFERENCES = 16

Lut = NDArray[np.uint8]
"""uint8 [256]."""


@dataclasses.dataclass(frozen=True, eq=False)
class Alphabet:
    """Tokens of 32-bit words: token t and lengths[t] raw bits r stand for the word bases[t] + r."""

    bases: NDArray[np.uint32]
    """uint32 [A], A <= 255: first the leaves, increasing, then the single values, increasing."""
    lengths: NDArray[np.uint8]
    """uint8 [A]: 0 to 32; 0 for single values."""
    leaves: int
    """How many tokens are leaves of the binary tree over [0, 2^32)."""

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.bases)


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """What a token of another group says about the word to come."""

    group: int
    """Whose tokens."""
    lut: Lut
    """Token -> number to add to the context."""


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Columns that share a map, an alphabet and tables."""

    map: Map
    differences: bool
    """Whether words are differences to the splat before."""
    shift: int
    """Of Map.LATTICE, else 0."""
    dictionary: Group | None
    """How the table of Map.DICTIONARY is coded."""
    dictionary_size: int
    """Its entries, else 0."""
    alphabet: Alphabet
    views: tuple[View, ...]
    squash: Lut | None
    """Sum of views modulo 256 -> context; None: the sum is the context."""
    references: tuple[tuple[tuple[int, int], ...], ...]
    """For each column: (view, earlier column) pairs."""
    tables: entropy.TableSet


def write_group(group: Group) -> bytes:
    """Serialise; read_group() reads it back."""
    out = bytearray([group.map | group.differences << 2])
    if group.map == Map.LATTICE:
        out.append(group.shift)
    if group.dictionary is not None:
        out += write_varint(group.dictionary_size) + write_group(group.dictionary)
    out += _write_alphabet(group.alphabet)
    out.append(len(group.views) | (group.squash is not None) << 7)
    for view in group.views:
        out.append(view.group)
        out += _write_lut(view.lut)
    if group.squash is not None:
        out += _write_lut(group.squash)
    if group.views:
        for references in group.references:
            out.append(len(references))
            for which, column in references:
                out += bytes([which, column])
    return bytes(out + group.tables.to_bytes())


def read_group(
    data: bytes, at: int, columns: list[int], groups: int, count: int, nested: bool = False
) -> tuple[Group, int]:
    """Read one group.

    Args:
        data: the payload.
        at: where the group starts.
        columns: numbers of its columns.
        groups: how many groups there are; views name one of them, so with 0 there can be no views.
        count: elements of the chunk; a dictionary has no more.
        nested: it describes a dictionary, so it has none itself.

    Raises:
        BitstreamError: a rule of the spec is broken.
    """
    head, at = _byte(data, at)
    if head > 7:
        raise BitstreamError(f"lossless: group head 0x{head:02X} is reserved")
    kind, shift, dictionary, size = Map(head & 3), 0, None, 0
    if kind == Map.LATTICE:
        shift, at = _byte(data, at)
        if shift > MAX_SHIFT:
            raise BitstreamError(f"lossless: lattice shift {shift} exceeds {MAX_SHIFT}")
    if kind == Map.DICTIONARY:
        size, at = read_varint(data, at)
        if nested or not 1 <= size <= count * len(columns):
            raise BitstreamError(f"lossless: a dictionary of {size} entries for {count} elements")
        dictionary, at = read_group(data, at, [0], 0, size, nested=True)
    alphabet, at = _read_alphabet(data, at)
    views, squash, references, at = _read_contexts(data, at, columns, groups)
    tables, at = entropy.TableSet.from_bytes(data, at)
    differences = bool(head & 4)
    group = Group(
        kind, differences, shift, dictionary, size, alphabet, views, squash, references, tables
    )
    return group, at


def _read_contexts(
    data: bytes, at: int, columns: list[int], groups: int
) -> tuple[tuple[View, ...], Lut | None, tuple[tuple[tuple[int, int], ...], ...], int]:
    """Views, squash table and references of a group."""
    head, at = _byte(data, at)
    if head & 0x7F > MAX_VIEWS:
        raise BitstreamError(f"lossless: {head & 0x7F} views; the limit is {MAX_VIEWS}")
    views = []
    for _ in range(head & 0x7F):
        group, at = _byte(data, at)
        if group >= groups:
            raise BitstreamError(f"lossless: a view of group {group} of {groups}")
        lut, at = _read_lut(data, at)
        views.append(View(group, lut))
    squash = None
    if head & 0x80:
        squash, at = _read_lut(data, at)
    references: list[tuple[tuple[int, int], ...]] = [()] * len(columns)
    for k in range(len(columns) if views else 0):
        number, at = _byte(data, at)
        if number > MAX_REFERENCES or at + 2 * number > len(data):
            raise BitstreamError(f"lossless: {number} references; the limit is {MAX_REFERENCES}")
        references[k] = tuple((data[at + 2 * i], data[at + 2 * i + 1]) for i in range(number))
        at += 2 * number
        for which, column in references[k]:
            if which >= len(views) or column >= columns[k]:
                raise BitstreamError(f"lossless: column {columns[k]} refers to view {which}, column {column}")
    return tuple(views), squash, tuple(references), at


def _byte(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise BitstreamError("lossless: payload ends inside its header")
    return data[at], at + 1


def _write_lut(lut: Lut) -> bytes:
    """Runs: how many, then value and length - 1 of each."""
    starts = np.flatnonzero(np.diff(lut, prepend=np.int16(-1)))
    lengths = np.diff(starts, append=256)
    runs = np.stack([lut[starts], lengths - 1], axis=1).astype(np.uint8)
    return write_varint(len(runs)) + runs.tobytes()


def _read_lut(data: bytes, at: int) -> tuple[Lut, int]:
    count, at = read_varint(data, at)
    if not 1 <= count <= 256 or at + 2 * count > len(data):
        raise BitstreamError(f"lossless: a table of {count} runs at byte {at}")
    runs = np.frombuffer(data, np.uint8, 2 * count, at).reshape(-1, 2)
    lengths = runs[:, 1].astype(np.int64) + 1
    if lengths.sum() != 256:
        raise BitstreamError(f"lossless: the runs of a table cover {lengths.sum()} of 256 entries")
    return np.repeat(runs[:, 0], lengths), at + 2 * count


def _write_alphabet(alphabet: Alphabet) -> bytes:
    """The tree in preorder, a bit a decision, then the single values."""
    bits: list[int] = []
    leaves = list(zip(alphabet.bases.tolist(), alphabet.lengths.tolist(), strict=True))[: alphabet.leaves]
    leaves.reverse()
    stack = [(0, 32)]
    while stack:
        base, length = stack.pop()
        inside = bool(leaves) and leaves[-1][0] < base + (1 << length)
        split = inside and leaves[-1][1] < length
        if length:
            bits.append(int(split))
        if split:
            stack += [(base + (1 << length - 1), length - 1), (base, length - 1)]
        else:
            bits.append(int(inside))
            if inside:
                leaves.pop()
    tree = np.packbits(np.array(bits, np.uint8), bitorder="little").tobytes()
    singles = alphabet.bases[alphabet.leaves :].tolist()
    steps = np.diff(np.array([0, *singles], np.int64)).tolist()
    return tree + write_varint(len(singles)) + b"".join(map(write_varint, steps))


def _read_alphabet(data: bytes, at: int) -> tuple[Alphabet, int]:
    bases, lengths, at = _read_tree(data, at)
    leaves = len(bases)
    count, at = read_varint(data, at)
    if not leaves + count or leaves + count > MAX_TOKENS:
        raise BitstreamError(f"lossless: an alphabet of {leaves} + {count} tokens")
    value = 0
    for _ in range(count):
        step, at = read_varint(data, at)
        value += step
        if value >= 1 << 32:
            raise BitstreamError("lossless: a single value exceeds 32 bits")
        bases.append(value)
    lengths += [0] * count
    return Alphabet(np.array(bases, np.uint32), np.array(lengths, np.uint8), leaves), at


def _read_tree(data: bytes, at: int) -> tuple[list[int], list[int], int]:
    """Bases and lengths of the leaves, and the offset of the byte after the tree."""
    bases: list[int] = []
    lengths: list[int] = []
    position, end = 8 * at, 8 * min(len(data), at + MAX_NODES // 8)
    stack = [(0, 32)]
    while stack:
        base, length = stack.pop()
        for split_bit in (True, False) if length else (False,):
            if position >= end:
                raise BitstreamError("lossless: an alphabet's tree has no end")
            bit = data[position >> 3] >> (position & 7) & 1
            position += 1
            if split_bit and bit:
                stack += [(base + (1 << length - 1), length - 1), (base, length - 1)]
                break
            if not split_bit and bit:
                bases.append(base)
                lengths.append(length)
    return bases, lengths, (position + 7) // 8
