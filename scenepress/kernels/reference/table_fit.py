"""Which tables to write (docs/spec/entropy.md, 7): an encoder's choice, so floats are welcome."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels.reference.table_set import (
    FIRST_EXPLICIT_HEAD,
    MAX_TABLES,
    MAX_UNARY,
    SINGLE_HEAD,
    base_levels,
    frequencies_of,
    parse_table_set,
)
from scenepress.kernels.reference.tokens import TOKENS

PARAMETRIC_BITS = 16
Bits = list[tuple[int, int]]
"""(value, how many of its low bits), in the order of writing."""


def _pack(bits: Bits) -> bytes:
    value = position = 0
    for number, count in bits:
        value |= number << position
        position += count
    return value.to_bytes((position + 7) // 8, "little")


def _count(bits: Bits) -> int:
    return sum(count for _, count in bits)


@functools.lru_cache(maxsize=16)
def _parametric_costs(last: int) -> NDArray[np.float64]:
    """Bits per token, [256 parametric tables, last + 1]."""
    tokens = list(range(last + 1))
    rows = [frequencies_of(tokens, base_levels(index, last))[: last + 1] for index in range(256)]
    costs: NDArray[np.float64] = 12 - np.log2(np.array(rows, np.float64))
    return costs


def _entropy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits of each row [..., A] under its own distribution."""
    total = counts.sum(axis=-1)
    terms = counts * np.log2(np.maximum(counts, 1))
    result: NDArray[np.float64] = total * np.log2(np.maximum(total, 1)) - terms.sum(axis=-1)
    return result


def _estimate(counts: NDArray[np.float64], parametric: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits of data and table for each row of counts [R, A], given its parametric bits [R, 256]."""
    explicit = _entropy(counts) + 24 + 2.5 * (counts > 0).sum(axis=1)
    best: NDArray[np.float64] = np.minimum(explicit, parametric.min(axis=1) + PARAMETRIC_BITS)
    return best


def cluster(counts: NDArray[np.float64], parametric: NDArray[np.float64]) -> list[list[int]]:
    """Merge the rows of counts [R, A] two at a time while that saves bits. Returns rows per cluster."""
    groups = [[row] for row in range(len(counts))]
    counts, parametric = counts.copy(), parametric.copy()
    own = _estimate(counts, parametric)
    gains = np.full((len(groups), len(groups)), -np.inf)
    for i in range(len(groups)):
        gains[i, :i] = (
            own[i] + own[:i] - _estimate(counts[i] + counts[:i], parametric[i] + parametric[:i])
        )
    alive = len(groups)
    while alive > 1:
        best = int(gains.argmax())
        i, j = divmod(best, len(groups))
        if gains[i, j] <= 0 and alive <= MAX_TABLES:
            break
        counts[j] += counts[i]
        parametric[j] += parametric[i]
        groups[j] += groups[i]
        groups[i] = []
        alive -= 1
        gains[i, :] = gains[:, i] = -np.inf
        own[j] = _estimate(counts[j : j + 1], parametric[j : j + 1])[0]
        others = np.array([k for k, group in enumerate(groups) if group and k != j], np.int64)
        merged = _estimate(counts[others] + counts[j], parametric[others] + parametric[j])
        gains[np.maximum(others, j), np.minimum(others, j)] = own[others] + own[j] - merged
    return [group for group in groups if group]


def _rice(steps: list[int], rice: int) -> Bits | None:
    bits: Bits = []
    for step in steps:
        code = 2 * step - 1 if step > 0 else -2 * step
        if code >> rice > MAX_UNARY:
            return None
        bits.append(((1 << (code >> rice)) - 1, (code >> rice) + 1))
        bits.append((code & ((1 << rice) - 1), rice))
    return bits


def _runs(used: NDArray[np.bool_]) -> Bits:
    """Lengths of the runs of unused and used symbols, unused first, as Elias-gamma numbers."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], used, [False]])))
    lengths = np.diff(np.concatenate([[0], edges]))
    lengths[0] += 1
    bits: Bits = []
    for length in lengths.tolist():
        width = length.bit_length() - 1
        bits += [((1 << width) - 1, width + 1), (length & ((1 << width) - 1), width)]
    return bits


def _explicit(
    steps: list[int], free: int, index: int, precision: int, used: NDArray[np.bool_]
) -> Bits | None:
    sparse = int(not used.all())
    found = [(rice, bits) for rice in range(4) if (bits := _rice(steps, rice)) is not None]
    if not found:
        return None
    rice, codes = min(found, key=lambda pair: _count(pair[1]))
    head = FIRST_EXPLICIT_HEAD + (free | precision << 1 | rice << 3 | sparse << 5)
    bits = [(head, 8), *([] if free else [(index, 8)]), (len(used) - 1, 8)]
    return bits + (_runs(used) if sparse else []) + codes


def _corrections(counts: NDArray[np.float64], index: int, precision: int) -> list[int]:
    """The step per symbol that gains most bits of data over its own cost, others being equal."""
    base = np.array(base_levels(index, len(counts) - 1)) / 65536
    base -= base.max()
    probability = np.exp2(base) / np.exp2(base).sum()
    steps = np.arange(-31, 32)
    octaves = steps / (1 << precision)
    gain = counts[:, None] * octaves - counts.sum() * probability[:, None] * (
        np.exp2(octaves) - 1
    ) / np.log(2)
    price = 1 + np.where(steps > 0, 2 * steps - 1, -2 * steps) / 2
    chosen: list[int] = steps[(gain - price).argmax(axis=1)].tolist()
    return chosen


def _candidates(counts: NDArray[np.float64], index: int | None) -> list[Bits]:
    """Ways to write one table: for each, its bits. counts [last + 1], the last one not zero."""
    used = counts > 0
    last = len(counts) - 1
    if used.sum() == 1:
        return [[(0, 8)] if last == 0 else [(SINGLE_HEAD, 8), (last, 8)]]
    found: list[Bits | None] = []
    if index is not None:
        found.append([(last, 8), (index, 8)])
    for precision in range(4):
        levels = np.rint(np.log2(counts[used]) * (1 << precision)).astype(int)
        steps = [0, *np.diff(levels).tolist()]
        found.append(_explicit(steps, 1, 0, precision, used))
        if index is not None:
            steps = _corrections(counts, index, precision)
            found.append(_explicit(steps, 0, index, precision, np.ones(last + 1, bool)))
            if not used.all():
                kept = [step for step, use in zip(steps, used, strict=True) if use]
                found.append(_explicit(kept, 0, index, precision, used))
    return [bits for bits in found if bits is not None]


def _best_table(counts: NDArray[np.float64]) -> Bits:
    """The cheapest way to write a table for counts [A] together with the data it codes."""
    last = int(np.flatnonzero(counts).max())
    counts = counts[: last + 1]
    index = int((_parametric_costs(last) @ counts).argmin()) if last < TOKENS else None

    def total(bits: Bits) -> float:
        frequencies = parse_table_set(b"\1" + _pack(bits), 0)[1][0, : last + 1].astype(np.float64)
        costs = np.where(counts > 0, 12 - np.log2(np.maximum(frequencies, 1e-9)), 0)
        return float(_count(bits) + (counts * costs).sum())

    return min(_candidates(counts, index), key=total)


def _write_map(mapped: list[int], tables: int) -> Bits:
    bits: Bits = []
    used = 1
    for before, table in itertools.pairwise(mapped) if tables > 1 else ():
        bits.append((int(table == before), 1))
        if table != before:
            choices = min(used + 1, tables)
            bits.append((table, (choices - 1).bit_length()))
            used = max(used, table + 1)
    return bits


def fit_table_set(counts: NDArray[np.int64]) -> bytes:
    """int64 [C, 256] -> a serialised table set that codes exactly these symbols in few bits."""
    rows = np.flatnonzero(counts.any(axis=1))
    if not len(rows):
        return bytes([len(counts), 0] if len(counts) == 1 else [len(counts), 1, 0])
    last = int(np.flatnonzero(counts.any(axis=0)).max())
    live = counts[rows, : last + 1].astype(np.float64)
    parametric = live @ _parametric_costs(last).T if last < TOKENS else np.full((len(rows), 256), np.inf)
    groups = cluster(live, parametric)
    group_of = {int(rows[k]): g for g, group in enumerate(groups) for k in group}
    mapped: list[int] = []
    order: list[int] = []  # Groups by first use.
    for context in range(len(counts)):
        group = group_of.get(context)
        if group is not None and group not in order:
            order.append(group)
        # A context without symbols does as the one before it; before the first, as the first.
        mapped.append(order.index(group) if group is not None else (mapped[-1] if mapped else 0))
    head: Bits = [(len(counts), 8)] + ([(len(groups), 8)] if len(counts) > 1 else [])
    tables = [_best_table(counts[rows[groups[g]]].sum(axis=0).astype(np.float64)) for g in order]
    return _pack(head + _write_map(mapped, len(groups)) + [bit for table in tables for bit in table])
