"""What the lossless encoder decides: maps, alphabets, contexts. Nothing here binds a decoder.

Source of the alphabet: float values differ most in their sign, exponent and first mantissa bits, the rest is close
to noise; splitting the busiest interval in two until the alphabet is full finds those bits for any distribution.
"""

from __future__ import annotations

import dataclasses
import heapq
import math

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import lossless as kernels
from scenepress.stages.lossless import words as maps
from scenepress.stages.lossless.model import Alphabet, Lut
from scenepress.stages.lossless.words import Map, Words

MAX_SINGLES = 24
SAMPLE = 1 << 15
MAX_DICTIONARY = 1 << 16
TOKENS = (1, 4, 16, 112, 192)
"""Alphabet sizes aimed at: few different ones, so that what fitting tables caches is used again."""


@dataclasses.dataclass(frozen=True, eq=False)
class Mapped:
    """The words of a group's columns after its map."""

    map: Map
    differences: bool
    shift: int
    dictionary: Words | None
    """Table entries in increasing order, as ordered words."""
    columns: list[Words]


def map_columns(columns: list[Words], is_float: bool) -> Mapped:
    """The cheapest map for columns of bits, by an estimate on a sample."""
    if not is_float:
        return Mapped(Map.BITS, False, 0, None, columns)
    found = list(_candidates(columns))
    return min(found, key=_estimate) if len(found) > 1 else found[0]


def choose_alphabet(words: Words) -> Alphabet:
    """An alphabet that covers these words, which must not be empty."""
    ordered = np.sort(words)
    target = next((t for t in TOKENS if t >= math.sqrt(len(words)) / 5), TOKENS[-1])
    singles = _frequent(ordered)
    rest = ordered[~np.isin(ordered, singles)] if len(singles) else ordered
    leaves = sorted(_split(rest, target)) if len(rest) else []
    bases = np.array([base for base, _ in leaves] + singles.tolist(), np.uint32)
    lengths = np.array([length for _, length in leaves] + [0] * len(singles), np.uint8)
    return Alphabet(bases, lengths, len(leaves))


def assign(words: Words, alphabet: Alphabet) -> NDArray[np.uint8]:
    """The token of every word; a single value goes before the leaf around it."""
    return kernels.select().assign(np.ascontiguousarray(words), alphabet.bases, alphabet.leaves)


def bucket_lut(alphabet: Alphabet, counts: NDArray[np.int64], buckets: int) -> Lut:
    """Token -> one of at most `buckets` numbers, neighbours together, each about as frequent."""
    order = np.argsort(alphabet.bases, kind="stable")
    counts = counts[: len(alphabet)][order]
    before = np.cumsum(counts) - counts / 2
    lut = np.zeros(256, np.uint8)
    numbers = (before * buckets / max(counts.sum(), 1)).astype(np.int64).clip(0, buckets - 1)
    lut[order] = np.unique(numbers, return_inverse=True)[1]
    lut[len(alphabet) :] = lut[len(alphabet) - 1]
    return lut


def magnitude_lut(alphabet: Alphabet, mapped: Mapped, top: int) -> Lut:
    """Token -> half octaves of the magnitude it stands for, 0 to `top`, the largest one being `top`."""
    middle = alphabet.bases + ((np.uint64(1) << alphabet.lengths.astype(np.uint64)) >> 1).astype(np.uint32)
    values = np.abs(_values(middle, mapped).astype(np.float64))
    values[~np.isfinite(values)] = 0
    octaves = np.log2(np.maximum(values, 1e-30))
    lut = np.zeros(256, np.uint8)
    lut[: len(alphabet)] = np.rint(2 * (octaves - octaves.max()) + top).clip(0, top)
    lut[len(alphabet) :] = lut[len(alphabet) - 1]
    return lut


def table_cost(counts: NDArray[np.int64]) -> float:
    """Bits of symbols counted [contexts, symbols], and roughly of their tables."""
    used = counts[counts > 0]
    totals = counts.sum(axis=1)
    totals = totals[totals > 0]
    data = (totals * np.log2(totals)).sum() - (used * np.log2(used)).sum()
    return float(data) + 3 * len(used) + 30 * len(totals)


def squash_lut(sums: NDArray[np.uint8], buckets: int) -> Lut:
    """Sum -> one of at most `buckets` contexts, each about as frequent."""
    counts = np.bincount(sums, minlength=256)
    before = np.cumsum(counts) - counts / 2
    numbers = (before * buckets / max(counts.sum(), 1)).astype(np.int64).clip(0, buckets - 1)
    return np.unique(numbers, return_inverse=True)[1].astype(np.uint8)


def completes_rotations(split: list[Words]) -> bool:
    """Whether coding the largest component by its distance from unit norm saves bits."""
    residual = split[4][:SAMPLE].astype(np.float64)
    return bool(len(residual)) and float(np.log2(residual + 1).mean()) < 16


def _candidates(columns: list[Words]) -> list[Mapped]:
    ordered = [maps.to_ordered(column) for column in columns]
    found = [Mapped(Map.ORDERED, False, 0, None, ordered)]
    lattice = maps.to_lattice(np.concatenate(columns))
    if lattice is not None:
        parts = np.split(lattice[0], len(columns))
        found.append(Mapped(Map.LATTICE, False, lattice[1], None, parts))
    table = _distinct(np.concatenate(ordered))
    if table is not None:
        found.append(Mapped(Map.DICTIONARY, False, 0, table, _look_up(ordered, table)))
    if len(columns) == 1:
        found += [
            dataclasses.replace(m, differences=True, columns=[maps.to_differences(m.columns[0])])
            for m in found
        ]
    return found


def _distinct(words: Words) -> Words | None:
    """The different words, increasing, if they are few enough for a dictionary."""
    for sample in (words[:: 1 + len(words) // MAX_DICTIONARY], words):
        runs = np.sort(sample)
        table = runs[np.diff(runs, prepend=~runs[:1]) != 0]
        if len(table) > 0.8 * len(sample):  # 2^16 draws of 2^16 values give 0.63.
            return None
    return table if len(table) <= min(MAX_DICTIONARY, len(words) // 2) else None


def _look_up(columns: list[Words], table: Words) -> list[Words]:
    return [np.searchsorted(table, column).astype(np.uint32) for column in columns]


def _estimate(mapped: Mapped) -> float:
    """Bits of all columns, from the alphabet that a sample would get."""
    total = sum(map(len, mapped.columns))
    sample = np.concatenate([column[: SAMPLE // len(mapped.columns)] for column in mapped.columns])
    alphabet = choose_alphabet(sample)
    counts = np.bincount(assign(sample, alphabet), minlength=len(alphabet))
    used = counts[counts > 0]
    bits = -(used * np.log2(used / len(sample))).sum() + (counts * alphabet.lengths).sum()
    table = 0.0
    if mapped.dictionary is not None:
        steps = np.diff(mapped.dictionary.astype(np.int64), prepend=0)
        table = float(np.log2(steps + 1).sum() + 3 * len(steps))
    return float(bits) * total / len(sample) + table + 10 * len(alphabet)


def _frequent(ordered: Words) -> Words:
    """Values so frequent that they deserve a token, increasing."""
    starts = np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))
    counts = np.diff(starts, append=len(ordered))
    often = np.flatnonzero(counts >= max(6, len(ordered) // 512))
    best = often[np.argsort(-counts[often], kind="stable")[:MAX_SINGLES]]
    return np.sort(ordered[starts[best]])


def _split(ordered: Words, most: int) -> list[tuple[int, int]]:
    """(base, length) of disjoint intervals that cover all words: the busiest is halved while there is room."""
    heap = [(-len(ordered), 0, 32, 0, len(ordered))]
    done: list[tuple[int, int]] = []
    while heap and len(heap) + len(done) < most:
        _, base, length, low, high = heapq.heappop(heap)
        if length == 0:
            done.append((base, 0))
            continue
        half = base + (1 << length - 1)
        middle = low + int(np.searchsorted(ordered[low:high], np.uint32(half)))
        for part in ((base, low, middle), (half, middle, high)):
            if part[2] > part[1]:
                heapq.heappush(heap, (part[1] - part[2], part[0], length - 1, part[1], part[2]))
    return done + [(base, length) for _, base, length, _, _ in heap]


def _values(words: Words, mapped: Mapped) -> NDArray[np.float32]:
    """Floats that words stand for, differences aside."""
    if mapped.map == Map.LATTICE:
        return maps.from_lattice(words, mapped.shift).view(np.float32)
    if mapped.dictionary is not None:
        words = mapped.dictionary[np.minimum(words, len(mapped.dictionary) - 1)]
    return (words if mapped.map == Map.BITS else maps.from_ordered(words)).view(np.float32)
