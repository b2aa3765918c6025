"""How many bits values take, about: what training needs to make a scene cheap. Nothing here decides a symbol.

A symbol is taken to cost what its frequency among those of its context says; between whole symbols costs are
straight lines, but level around 0. That other values are predicted from it is left out.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scenepress.arrays import tall_product
from scenepress.codecs import encoder, predictors
from scenepress.codecs.encoder import Prepared
from scenepress.codecs.lattice import OCTAVE
from scenepress.scene import Splats
from scenepress.stages import color, context, rotation, scale, sh
from scenepress.stages.context import CHANNELS, CONTEXTS, MAX_CLASSES

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
SIZES = 6
"""Sizes of symbols told apart; beyond, a step more costs what it costs between the last two."""
STEEPEST, LEVELLEST = 6.0, 0.25
"""Bits of one step more, at most and at least."""
PRIOR = 8.0
"""Symbols of all contexts that each context is taken to have seen."""


def slopes(scene: Prepared, splats: Splats) -> dict[str, F32]:
    """Derivatives of the estimated bits with respect to the arrays of a scene, bits per unit, by name.

    Args:
        scene: its symbols give the frequencies, and the predictions.
        splats: those of the lattice, in its order, before quantisation; quats as rotation.canonical() gives them.
    """
    by_value = _channel_slopes(scene, _values(scene, splats)).astype(np.float64)
    quats = splats.quats.astype(np.float64)
    turn = np.zeros_like(quats)
    turn[:, 1:] = by_value[4:7].T * rotation.UNIT
    turn -= quats * (quats * turn).sum(axis=1, keepdims=True)  # The length is no value.
    fade = OCTAVE / (1 + np.exp(splats.opacity_logits.astype(np.float64)))
    matrix = scene.transforms.color * (color.UNIT / color.MATRIX_UNIT)
    wide = by_value[0:3].T * _widths(scene, splats) * (OCTAVE / scale.UNIT)
    rank = np.argsort(splats.log_scales, axis=1, kind="stable")
    np.put_along_axis(wide, rank, np.take_along_axis(wide, rank, 1) + _position_slopes(scene), 1)
    found = {
        "log_scales": wide,
        "opacity_logits": by_value[3] * fade,
        "quats": turn,
        "sh0": by_value[7:10].T @ matrix,
    }
    narrow = {name: array.astype(np.float32) for name, array in found.items()}
    return {**narrow, "shN": sh_slopes(scene, splats.shN)}


def _values(scene: Prepared, splats: Splats) -> F64:
    """Channel values float64 [CHANNELS, N] before rounding."""
    logs = splats.log_scales.astype(np.float64) * OCTAVE
    sizes = [scale.compress(logs[:, k], scene.steps.origin, scene.steps.curve) for k in range(3)]
    opacity = -np.logaddexp(0, -splats.opacity_logits.astype(np.float64)) * OCTAVE
    turns = splats.quats[:, 1:].astype(np.float64).T * rotation.UNIT
    matrix = scene.transforms.color * (color.UNIT / color.MATRIX_UNIT)
    return np.concatenate([sizes, [opacity], turns, matrix @ splats.sh0.astype(np.float64).T])


def _widths(scene: Prepared, splats: Splats) -> F64:
    """[N, 3]: coded numbers to an octave, at each scale."""
    octaves = splats.log_scales.astype(np.float64) / np.log(2) - scene.steps.origin / scale.UNIT
    at = np.clip(np.floor(octaves), 0, len(scene.steps.curve) - 1).astype(np.intp)
    widths: F64 = scene.steps.curve[at].astype(np.float64)
    return widths


def _position_slopes(scene: Prepared) -> F64:
    """[3]: bits of positions per unit of a splat's log_scales, by rank; smaller splats lie on finer lattices."""
    by_rank: F64 = scene.steps.slope.sum(axis=0) / (-scale.UNIT * np.log(2))
    return by_rank


def _channel_slopes(scene: Prepared, wanted: F64) -> F32:
    """float32 [CHANNELS, N]: bits per unit of the channels' values."""
    out = np.zeros(wanted.shape, np.float32)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        built = list(pool.map(lambda i: encoder.build_tile(scene, i), range(len(scene.boxes))))
        tiles, steps_of = [(tile, levels) for tile, levels, _ in built], [steps for *_, steps in built]
        fitted = predictors.fit(tiles, steps_of, scene.bounds[-1] + 1, pool)

        def channel(c: int) -> None:
            parts = []
            for (tile, levels, steps), placed in zip(built, scene.placed, strict=True):
                for level, here in zip(levels, placed, strict=True):
                    step = steps[c, level.own]
                    base, contexts, _ = context.channel_contexts(tile, level, c, fitted, step)
                    parts.append((here.rows, base, contexts, step))
            rows, base, contexts, step = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            symbols = np.abs(scene.lattice.values[c, rows] // step - base)
            rises = _rises(symbols, contexts, CONTEXTS)
            away = wanted[c, rows] / step - base
            out[c, rows] = _steepness(rises, contexts, away) / step

        list(pool.map(channel, range(CHANNELS if scene.boxes else 0)))
    return out


def sh_slopes(scene: Prepared, coefficients: F32) -> F32:
    """The same of SH coefficients: float32 [N, K, 3], bits per unit; contexts are class and coefficient."""
    lattice, basis = scene.lattice, scene.transforms.basis
    width, count = basis.shape[1], len(lattice.classes)
    if not width or not count:
        return np.zeros_like(coefficients)
    symbols = np.abs(lattice.sh).T // lattice.sh_steps[:, None]
    place = lattice.classes[:, None].astype(np.intp) * width + np.arange(width)
    rises = _rises(symbols.ravel(), place.ravel(), MAX_CLASSES * width)
    forward = (np.linalg.pinv(basis.astype(np.float64)).T * (sh.BASIS_UNIT * sh.UNIT)).astype(np.float32)
    away = tall_product(coefficients.reshape(count, -1), forward) / lattice.sh_steps[:, None].astype(np.float32)
    steep = _steepness(rises, place, away) / lattice.sh_steps[:, None].astype(np.float32)
    out: F32 = tall_product(steep, np.ascontiguousarray(forward.T))
    return out.reshape(coefficients.shape)


def _rises(symbols: NDArray[np.integer], contexts: NDArray[np.integer], count: int) -> F32:
    """float32 [count, SIZES]: bits that a symbol of size m + 1 takes more than one of size m."""
    place = contexts.astype(np.intp) * (SIZES + 1) + np.minimum(symbols, SIZES)
    seen = np.bincount(place, minlength=count * (SIZES + 1)).reshape(count, SIZES + 1).astype(np.float64)
    seen[:, SIZES] /= 2  # Holds all that are larger.
    seen += PRIOR * (seen.sum(axis=0) + 0.5) / (seen.sum() + 1)
    bits = -np.log2(seen)
    bits[:, 1:] += 1  # The sign.
    return np.clip(np.diff(bits, axis=1), LEVELLEST, STEEPEST).astype(np.float32)


def _steepness(rises: F32, contexts: NDArray[np.integer], away: NDArray[np.floating]) -> F32:
    """Bits per step at `away` steps from the prediction; shaped as `away`."""
    size = np.abs(away)
    at = np.minimum(size, SIZES - 1).astype(np.intp)
    steep = rises.ravel()[contexts.astype(np.intp) * SIZES + at] * np.sign(away) * np.minimum(2 * size, 1)
    return np.asarray(steep, np.float32)
