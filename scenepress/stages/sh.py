"""SH coefficients: a transform of the scene's own, a per-splat extent, and quantised coefficients.

x = basis @ y: the columns of the basis are the scene's principal axes of the 3 * K coefficients, strongest
first, in 8-bit integers. A splat of extent e codes its first BOUNDS[e] coefficients; the others are zero.
Normative text: docs/spec/sh.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.arrays import gram
from scenepress.errors import BitstreamError
from scenepress.kernels import splats as kernels
from scenepress.stages import context, entropy
from scenepress.stages.context import EXTENT_BINS, GROUPS, I32, U8, Level, Symbols, Tile

BOUNDS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 30, 37, 45)
"""Coefficients coded at each extent."""
BASIS_UNIT = 128
"""Basis entries are integers in units of 1 / BASIS_UNIT."""
UNIT = 4096
"""Transform coefficients are integers in units of 1 / UNIT."""
LIMIT = 1 << 17
"""Transform coefficients saturate at +-LIMIT, so that the inverse transform fits 32 bits."""
BASIS_SAMPLES = 32_768
UNPREDICTED: I32 = np.zeros((0, 2), np.int32)
"""Weights of scenes whose coefficients are coded as they are."""


def bounds_of(columns: int) -> tuple[int, ...]:
    """BOUNDS for a scene with fewer transform coefficients."""
    return tuple(min(b, columns) for b in BOUNDS)


def _extent_contexts(tile: Tile, level: Level) -> U8:
    classes = tile.classes[level.own].astype(np.int64)
    if len(level.near):
        wide = tile.extents.astype(np.int64)
        bins = (wide[level.near[:, 0]] + wide[level.near[:, 1]] + 1) >> 2
    else:
        bins = np.full(level.count, EXTENT_BINS - 1, np.int64)
    return (classes * EXTENT_BINS + bins).astype(np.uint8)


def _planes(columns: int, extents: U8) -> Iterator[tuple[int, int, I32]]:
    """(group, coefficient, active rows int32) of every coefficient plane, in the order of coding."""
    bounds = bounds_of(columns)
    for group in range(1, GROUPS + 1):
        active = np.flatnonzero(extents >= group).astype(np.int32)
        for coefficient in range(bounds[group - 1], bounds[group]):
            yield group, coefficient, active


def symbols(
    tile: Tile, level: Level, steps: I32, weights: I32 = UNPREDICTED
) -> tuple[Symbols, list[tuple[int, Symbols]]]:
    """The extents' plane, and (group, plane) of every coefficient, from the values in the tile.

    steps int32 [count]; weights int32 [columns, 2], or UNPREDICTED.
    """
    extents = tile.extents[level.own]
    first = Symbols(extents.astype(np.int32), _extent_contexts(tile, level), signed=False)
    planes = []
    for group, j, active in _planes(len(tile.sh), extents):
        coded = (tile.sh[j], level.near, active, extents, group, tile.classes[level.own], steps)
        values = tile.sh[j, level.first + active] // steps[active]
        if len(weights):
            base, contexts, flip = kernels.sh_predict(*coded, weights[j])
            values = np.where(flip != 0, base - values, values - base)
        else:
            contexts = kernels.sh_contexts(*coded)
        planes.append((group, Symbols(values.astype(np.int32), contexts)))
    return first, planes


def encode(
    extents: Symbols, planes: list[tuple[int, Symbols]], table: entropy.TableSet | None,
    groups: Sequence[entropy.TableSet | None],
) -> bytes:  # fmt: skip
    """Payload of what symbols() returned."""
    coded = []
    for symbols, tables in [(extents, table)] + [(s, groups[g - 1]) for g, s in planes]:
        if len(symbols.values):
            assert tables is not None
            coded.append(context.tokens_of(symbols, tables))
    return entropy.encode_planes(coded)


def decode(
    payload: bytes, tile: Tile, level: Level, steps: I32, table: entropy.TableSet | None,
    groups: Sequence[entropy.TableSet | None], weights: I32 = UNPREDICTED,
) -> None:  # fmt: skip
    """Decode the level's extents and coefficients into the tile; steps int32 [count], weights as in symbols().

    Raises:
        BitstreamError: damaged payload.
    """
    decoder = entropy.PlaneDecoder(payload)
    if kernels.FUSED and table is not None:
        handle, (extent_tables, *group_tables) = decoder.parts(table, *groups)
        bounds = np.array(bounds_of(len(tile.sh)), np.int32)
        with context.damage():
            kernels.decode_sh_level(
                handle, extent_tables, group_tables, tile.sh, tile.extents, level.first, level.near,
                tile.classes[level.own], steps, bounds, weights,
            )  # fmt: skip
        decoder.finish()
        return
    extents = context.decode_plane(decoder, table, _extent_contexts(tile, level), signed=False)
    if len(extents) and int(extents.max()) > GROUPS:
        raise BitstreamError(f"SH extent {int(extents.max())}, at most {GROUPS} is defined")
    narrow = extents.astype(np.uint8)
    tile.extents[level.own] = narrow
    classes = tile.classes[level.own]
    for group, j, active in _planes(len(tile.sh), narrow):
        coded = (tile.sh[j], level.near, active, narrow, group, classes, steps)
        if len(weights):
            base, contexts, flip = kernels.sh_predict(*coded, weights[j])
            values = context.decode_plane(decoder, groups[group - 1], contexts)
            values = base + np.where(flip != 0, -values, values)
        else:
            contexts = kernels.sh_contexts(*coded)
            values = context.decode_plane(decoder, groups[group - 1], contexts)
        kernels.sh_scatter(tile.sh[j], level.first, active, values, steps)
    decoder.finish()


def dequantise(
    coefficients: I32, first: int, steps: I32, shift: I32, basis: NDArray[np.int8], out: NDArray[np.float32]
) -> None:
    """Fill `out` float32 [n, K, 3], C-contiguous, with the SH coefficients of n splats.

    coefficients int32 [columns, capacity], of columns first .. first + n - 1; steps int32 [n]; shift int32
    [GROUPS]; basis int8 [3 * K, columns].
    """
    bounds = bounds_of(len(coefficients))
    per_column = np.zeros(len(coefficients), np.int32)
    for group in range(1, GROUPS + 1):
        per_column[bounds[group - 1] : bounds[group]] = shift[group - 1]
    rows = np.ascontiguousarray(basis.T).astype(np.int32)
    kernels.sh_inverse(coefficients, first, steps, per_column, rows, out.reshape(len(out), len(basis)))


def fit_basis(coefficients: NDArray[np.floating], weights: NDArray[np.float64]) -> NDArray[np.int8]:
    """int8 [C, C] basis for float [N, C] coefficients, weighted by float64 [N]; looks at BASIS_SAMPLES of them."""
    stride = max(1, len(coefficients) // BASIS_SAMPLES)
    some = weights[::stride]
    x = coefficients[::stride] * np.sqrt(some / max(float(some.sum()), 1e-300)).astype(np.float32)[:, None]
    _, vectors = np.linalg.eigh(gram(x).astype(np.float64))
    return np.clip(np.round(vectors[:, ::-1] * BASIS_UNIT), -127, 127).astype(np.int8)
