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


def unmorton21(codes: U64) -> NDArray[np.int64]:
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
    offset = unmorton21(coarse)[candidates] - unmorton21(codes)[:, None]
    distance = np.where(outside, np.iinfo(np.int64).max, (offset * offset).sum(2))
    best = distance.argmin(1)
    rows = np.arange(n)
    distance[rows, best] = np.iinfo(np.int64).max
    second = best if m == 1 else distance.argmin(1)
    return np.stack([candidates[rows, best], candidates[rows, second]], 1).astype(np.int32)


def merge(known: U64, columns: I32, codes: U64, first: int) -> tuple[U64, I32]:
    """Sorted uint64 codes with their int32 columns, with those of a level; equal codes in order of decoding.

    known and columns: [m]; codes [n], sorted, whose columns are first, first + 1, ...
    """
    at = np.searchsorted(known, codes, side="right")
    own = np.arange(first, first + len(codes), dtype=np.int32)
    return np.insert(known, at, codes), np.insert(columns, at, own)


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


def sh_predict(
    plane: I32, near: I32, active: I32, extents: U8, group: int, classes: U8, steps: I32, weights: I32
) -> tuple[I32, U8, U8]:
    """As sh_contexts, of a coefficient that is predicted from its neighbours: weights int32 [2], 4096 = 1.

    Returns (base int32 [a], context uint8 [a], flip uint8 [a]); they are read as those of predict().
    """
    step = steps[active].astype(np.int64)
    prediction = np.zeros(len(active), np.int64)
    if len(near):
        around = plane[near[active]].astype(np.int64)
        prediction = np.clip((2048 + around @ weights.astype(np.int64)) >> 12, -LIMIT, LIMIT)
    eighths = (16 * prediction + step) // (2 * step)
    base = (eighths + 4) >> 3
    fraction = eighths - 8 * base
    far = (np.abs(fraction) >= 2).astype(np.uint8)
    contexts = 2 * sh_contexts(plane, near, active, extents, group, classes, steps) + far
    return base.astype(np.int32), contexts.astype(np.uint8), (fraction < 0).astype(np.uint8)


def sh_scatter(plane: I32, first: int, active: I32, symbols: I32, steps: I32) -> None:
    """plane[first + active] = symbols * steps[active], saturated at +-SH_LIMIT. In place."""
    value = symbols.astype(np.int64) * steps[active]
    plane[first + active] = np.clip(value, -SH_LIMIT, SH_LIMIT)


def sh_inverse(planes: I32, first: int, steps: I32, shift: I32, rows: I32, out: NDArray[np.float32]) -> None:
    """Fill `out` float32 [n, C]: rows.T @ planes in units of 2**-19, non-zero values first moved towards zero.

    planes int32 [columns, capacity] within +-SH_LIMIT, of which columns first .. first + n - 1 count; steps
    int32 [n]; shift int32 [columns] in units of step / 128; rows int32 [columns, C] within +-127.
    """
    own = planes[:, first : first + len(steps)]
    move = (shift[:, None].astype(np.int64) * steps) >> 7
    size = np.maximum(np.abs(own.astype(np.int64)) - move, 0)
    total = (np.sign(own) * size).T @ rows.astype(np.int64)
    out[:] = total.astype(np.float32) * np.float32(2.0**-19)


def diffuse_errors(x: NDArray[np.float32], strength: float, dead_zone: float) -> I32:
    """Whole steps int32 [n, c] of float32 [n, c] in steps, row after row; an encoder's choice, not normative.

    A value is rounded after `strength` (0 .. 1) times the error of the row before was added to it, at most one
    step. Sizes below `dead_zone` steps become 0; 0.5 is plain rounding.
    """
    out = np.empty(x.shape, np.int32)
    error = np.zeros(x.shape[1], np.float32)
    for row, result in zip(x, out, strict=True):
        wanted = row + error
        whole = np.trunc(np.minimum(np.abs(wanted), np.float32(1e6)) + np.float32(1 - np.float32(dead_zone)))
        result[:] = np.where(wanted < 0, -whole, whole)
        error = np.clip(np.float32(strength) * (wanted - result.astype(np.float32)), -1, 1)
    return out


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


def refine(
    payload: bytes, cells: NDArray[np.uint32], exps: NDArray[np.int64], cell: int
) -> NDArray[np.int64]:
    """Lattice points int64 [n, 3]: the middles of what cell - exps bits each leave of cells of 2 ** cell.

    cells uint32 [n, 3]; exps int64 [3, n], cell - 32 .. cell. ValueError: as unpack_bits.
    """
    lengths = np.ascontiguousarray((cell - exps.T).astype(np.uint8).ravel())
    fields = unpack_bits(payload, lengths).reshape(-1, 3).astype(np.int64)
    half = (np.int64(1) << exps.T) >> 1
    points: NDArray[np.int64] = (cells.astype(np.int64) << cell) + (fields << exps.T) + half
    return points


_MANTISSAS = np.array(
    [
        16384,
        17109,
        17867,
        18658,
        19484,
        20347,
        21247,
        22188,
        23170,
        24196,
        25268,
        26386,
        27554,
        28774,
        30048,
        31379,
    ]
)
"""round(2 ** (14 + i / 16)), listed so that no power function decides a step."""


def step_of(code: NDArray[np.integer]) -> I32:
    """Quantisation step >= 1 of a step code 0..255: 2 ** (code / 16) in 14-bit mantissas, floored."""
    wide = code.astype(np.int64)
    steps: I32 = ((_MANTISSAS[wide & 15] << (wide >> 4)) >> 14).astype(np.int32)
    return steps


KNOTS = 13
"""Rotation steps are given for scale differences of 0, 1/2, ..., 6 octaves."""
SIZES = 16
"""Octaves of scale for which precision is given."""
SCALE_LIMIT = 1 << 15
REFINEMENT_BITS = 24
"""Most bits per axis below a level's cells."""


def expand_scales(coded: I32, origin: int, widths: I32) -> I32:
    """Logarithms int32 [k, n], in 1/256 octave, of coded values int32 [k, n].

    The curve is piecewise linear: the octave from origin + 256 i on takes widths[i] > 0 coded numbers, from
    0 at `origin` up; the first and last piece go on outside. widths int32 [SIZES].
    """
    starts = np.concatenate([[0], np.cumsum(widths.astype(np.int64))])
    i = np.clip(np.searchsorted(starts, coded, side="right") - 1, 0, SIZES - 1)
    within = ((coded.astype(np.int64) - starts[i]) * 256 + (widths[i] >> 1)) // widths[i]
    logs: I32 = np.clip(origin + 256 * i + within, -SCALE_LIMIT, SCALE_LIMIT).astype(np.int32)
    return logs


def rotation_steps(base: U8, gain: U8, lift: U8, origin: int, classes: U8, scales: I32) -> I32:
    """Steps int32 [3, n] of the components of a rotation.

    base uint8 [classes], gain uint8 [KNOTS], lift uint8 [SIZES]: step codes that are added, for the class,
    the difference and the larger one of the other two scales; scales int32 [3, n] in 1/256 octave.
    """
    out = np.empty_like(scales)
    for axis in range(3):
        a, b = scales[(axis + 1) % 3].astype(np.int64), scales[(axis + 2) % 3].astype(np.int64)
        knot = np.minimum((np.abs(a - b) + 64) >> 7, KNOTS - 1)
        size = np.clip((np.maximum(a, b) - origin) >> 8, 0, SIZES - 1)
        code = base[classes].astype(np.int64) + gain[knot] + lift[size]
        out[axis] = step_of(np.minimum(code, 255))
    return out


def axes(vectors: I32) -> NDArray[np.int64]:
    """int64 [3, 3, n]: rotation matrices in units of 2**-30; [i, k] is world component i of own axis k.

    vectors int32 [3, n]: quaternion vector parts in units of 2**-15; the real part is what is left of 1.
    """
    x, y, z = np.clip(vectors.astype(np.int64), -(1 << 15), 1 << 15)
    rest = np.maximum((1 << 30) - x * x - y * y - z * z, 0)
    w = np.sqrt(rest.astype(np.float64)).astype(np.int64)  # The exact floor, as rest < 2**53.
    one = 1 << 29
    rows = (
        (one - y * y - z * z, x * y - w * z, x * z + w * y),
        (x * y + w * z, one - x * x - z * z, y * z - w * x),
        (x * z - w * y, y * z + w * x, one - x * x - y * y),
    )
    return 2 * np.stack([np.stack(row) for row in rows])


def position_exponents(
    offset: I32, slope: I32, reach: int, classes: U8, scales: I32, vectors: I32, cell: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Exponents of the final position steps, and which own axis each world axis serves.

    offset int32 [3, classes] and slope int32 [3, 3] (256 = 1): for the splat's smallest, middle and
    largest scale (rank r), log2 of the step in 1/256 octave of the finest grid unit is
    offset[r, class] + sum over ranks j of slope[r, j] * scale_j / 256, but at most scale_r + reach.
    scales, vectors int32 [3, n]; cell: exponent >= 1 of the cells, an upper bound.
    Returns (int64 [3, n] exponents per world axis,
    int64 [3, n] world axis of each rank).
    """
    rank = np.argsort(scales, axis=0, kind="stable")
    ordered = np.take_along_axis(scales, rank, 0).astype(np.int64)
    size = np.abs(axes(vectors))
    n = scales.shape[1]
    rows = np.arange(n)
    world = np.empty((3, n), np.int64)
    free = np.ones((3, n), bool)
    for r in range(2):
        world[r] = np.where(free, size[:, rank[r], rows], -1).argmax(0)
        free[world[r], rows] = False
    world[2] = free.argmax(0)
    result = np.empty((3, n), np.int64)
    for r in range(3):
        log = offset[r][classes].astype(np.int64) + ((slope[r].astype(np.int64) @ ordered) >> 8)
        log = np.minimum(log, ordered[r] + reach)
        result[world[r], rows] = np.clip(log >> 8, max(1, cell - REFINEMENT_BITS), cell)
    return result, world
