"""NumPy reference of the splat codec's context kernels: normative, written for reading.

Every function here is integers in, integers out, and has a native twin of the same name that must
return the same arrays (docs/spec/context.md, docs/spec/sh.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]

SPREADS = 5
"""Spread bins of a context; the last one says that there are no neighbours."""
PHASES = 3
"""Phase bins of a context: how far the prediction lies from a lattice point."""
LIMIT = 1 << 24
"""Channel values and predictions saturate at +-LIMIT."""
WINDOW = 4
"""Neighbours are sought among this many coarse codes on either side."""


def _unmorton21(codes: U64) -> NDArray[np.int64]:
    """int64 [n, 3] coordinates of 63-bit Morton codes, x in the highest bit of each triple."""
    out = np.empty((len(codes), 3), np.int64)
    for axis in range(3):
        v = (codes >> np.uint64(2 - axis)) & np.uint64(0x1249249249249249)
        for shift, mask in (
            (2, 0x10C30C30C30C30C3),
            (4, 0x100F00F00F00F00F),
            (8, 0x1F0000FF0000FF),
            (16, 0x1F00000000FFFF),
            (32, 0x1FFFFF),
        ):
            v = (v | (v >> np.uint64(shift))) & np.uint64(mask)
        out[:, axis] = v.astype(np.int64)
    return out


def neighbours(codes: U64, coarse: U64) -> I32:
    """Two near coarse codes of every code: int32 [n, 2], indices into `coarse`, nearest first.

    codes uint64 [n] and coarse uint64 [m], m > 0, are sorted 63-bit Morton codes. Candidates are the
    WINDOW coarse codes before and after the insertion point; ties go to the smaller index. With m = 1
    both columns name it.
    """
    n, m = len(codes), len(coarse)
    at = np.searchsorted(coarse, codes, side="left")
    candidates = at[:, None] + np.arange(-WINDOW, WINDOW)
    outside = (candidates < 0) | (candidates >= m)
    candidates = np.clip(candidates, 0, m - 1)
    offset = _unmorton21(coarse)[candidates] - _unmorton21(codes)[:, None]
    distance = np.where(outside, np.iinfo(np.int64).max, (offset * offset).sum(2))
    best = distance.argmin(1)
    rows = np.arange(n)
    distance[rows, best] = np.iinfo(np.int64).max
    second = best if m == 1 else distance.argmin(1)
    return np.stack([candidates[rows, best], candidates[rows, second]], 1).astype(np.int32)


def predict(
    values: I32, first: int, near: I32, channel: int, inputs: I32, weights: I32, bias: I32, classes: U8, steps: I32
) -> tuple[I32, U8, U8]:
    """Predict `channel` of n new rows; returns (base int32 [n], context uint8 [n], flip uint8 [n]).

    values int32 [channels, capacity]: decoded channel values, one row of the tile per column; the n new
    rows start at column `first`. near int32 [n, 2]: columns of two coarser neighbours, or [0, 2] if the
    level has none. inputs int32 [j]: channels of the same splat that are already decoded. weights int32
    (4096 = 1): for the two neighbours' `channel` (if any), then per input its own value and (if any) the
    neighbours' values. bias int32 [number of classes]. classes uint8 [n], steps int32 [n] > 0.
    The symbol k of a row stands for value (base + (-k if flip else k)) * step.
    """
    n = len(classes)
    own = slice(first, first + n)
    terms = [values[channel, near[:, 0]], values[channel, near[:, 1]]] if len(near) else []
    for i in inputs:
        terms.append(values[i, own])
        if len(near):
            terms += [values[i, near[:, 0]], values[i, near[:, 1]]]
    total = np.full(n, 2048, np.int64)
    for weight, term in zip(weights, terms, strict=True):
        total += np.int64(weight) * term
    prediction = np.clip(bias[classes] + (total >> 12), -LIMIT, LIMIT)
    step = steps.astype(np.int64)
    eighths = (16 * prediction + step) // (2 * step)
    base = (eighths + 4) >> 3
    fraction = eighths - 8 * base
    phase = np.where(fraction == 0, 0, np.where(np.abs(fraction) <= 2, 1, 2))
    if len(near):
        gap = np.abs(terms[0].astype(np.int64) - terms[1])
        spread = (2 * gap >= step).astype(np.int64) + (gap >= 2 * step) + (gap >= 8 * step)
    else:
        spread = np.full(n, SPREADS - 1, np.int64)
    context = classes.astype(np.int64) * (PHASES * SPREADS) + phase * SPREADS + spread
    return base.astype(np.int32), context.astype(np.uint8), (fraction < 0).astype(np.uint8)


def reconstruct(base: I32, flip: U8, symbols: I32, steps: I32) -> I32:
    """Channel values int32 [n] of the symbols, saturated at +-LIMIT."""
    index = base.astype(np.int64) + np.where(flip != 0, -symbols.astype(np.int64), symbols)
    values: I32 = np.clip(index * steps, -LIMIT, LIMIT).astype(np.int32)
    return values


def sh_contexts(plane: I32, near: I32, active: I32, extents: U8, group: int, classes: U8, steps: I32) -> U8:
    """Contexts uint8 [a] of one SH coefficient of the active rows of a level.

    plane int32 [capacity]: the coefficient of every column of the tile; near int32 [n, 2] columns, or [0, 2];
    active int32 [a] rows of the level; extents, classes uint8 [n]; steps int32 [n]. A context is the class,
    whether `group` is the row's last, and the size of the coefficient at the neighbours.
    """
    step = steps[active].astype(np.int64)
    size = np.zeros(len(active), np.int64)
    if len(near):
        sum_ = np.abs(plane[near[active, 0]].astype(np.int64)) + np.abs(plane[near[active, 1]])
        size = (2 * sum_ >= step).astype(np.int64) + (sum_ >= 2 * step)
    last = (extents[active] == group).astype(np.int64)
    contexts: U8 = (classes[active].astype(np.int64) * 6 + last * 3 + size).astype(np.uint8)
    return contexts


SH_LIMIT = 1 << 17


def sh_scatter(plane: I32, first: int, active: I32, symbols: I32, steps: I32) -> None:
    """plane[first + active] = symbols * steps[active], saturated at +-SH_LIMIT. In place."""
    value = symbols.astype(np.int64) * steps[active]
    plane[first + active] = np.clip(value, -SH_LIMIT, SH_LIMIT)


def sh_inverse(planes: I32, steps: I32, shift: I32, rows: I32) -> NDArray[np.float32]:
    """float32 [n, C]: rows.T @ planes in units of 2**-19, non-zero values first moved towards zero.

    planes int32 [columns, n] within +-SH_LIMIT; steps int32 [n]; shift int32 [columns] in units of
    step / 128; rows int32 [columns, C] within +-127.
    """
    move = (shift[:, None].astype(np.int64) * steps) >> 7
    size = np.maximum(np.abs(planes.astype(np.int64)) - move, 0)
    total = (np.sign(planes) * size).T @ rows.astype(np.int64)
    result: NDArray[np.float32] = total.astype(np.float32) * np.float32(2.0**-19)
    return result


def pack_bits(fields: NDArray[np.uint32], lengths: U8) -> bytes:
    """The low `lengths` bits (0..32) of every field, lowest bit first; zeros fill the last byte."""
    at = np.arange(32, dtype=np.uint32)
    bits = ((fields[:, None] >> at) & 1).astype(np.uint8)
    return np.packbits(bits[at < lengths[:, None]], bitorder="little").tobytes()


def unpack_bits(payload: bytes, lengths: U8) -> NDArray[np.uint32]:
    """Fields uint32 [n] of pack_bits. ValueError: the payload has fewer bits, or not a zero filling."""
    at = np.arange(32, dtype=np.uint32)
    mask = at < lengths[:, None]
    bits = np.unpackbits(np.frombuffer(payload, np.uint8), bitorder="little")
    total = int(mask.sum())
    if len(bits) < total or bits[total:].any():
        raise ValueError("bits missing, or bits set after the last one")
    spread = np.zeros(mask.shape, np.uint32)
    spread[mask] = bits[:total]
    fields: NDArray[np.uint32] = (spread << at).sum(1, dtype=np.uint32)
    return fields
