"""The encoder's first half: from float32 splats to integers on the lattices that the stages code."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scenepress import allocation
from scenepress.allocation import F64, Sensitivities
from scenepress.arrays import gram, tall_product
from scenepress.codecs.presets import Settings
from scenepress.kernels import splats as kernels
from scenepress.scene import Splats
from scenepress.stages import color, opacity, position, rotation, scale, sh
from scenepress.stages.context import CHANNELS, GROUPS, I32, KNOTS, SIZES, U8, step_of
from scenepress.stages.parameters import Steps

I64 = NDArray[np.int64]
OCTAVE = 256 / np.log(2)
SH_TILT = 0.85
"""Octaves by which SH steps grow per class. Dropped coefficients of overlapping splats err alike and add up,
most among the many splats of little importance: their steps grow less than sensitivities alone would have it."""
SH_DIFFUSION, COLOR_DIFFUSION = 0.5, 0.4
"""How much of a splat's rounding error the next one makes up for. A pixel sums many overlapping splats: errors
that alternate cancel there, errors that are alike add up."""
BLOCK = 1 << 13
"""Splats whose SH is quantised at a time, to keep memory low; errors are not diffused from one to the next."""
NARROWEST = 16
"""Fewest coded numbers that an octave of scale gets, of 256."""
ShOf = Callable[[slice], NDArray[np.float32]]
"""SH coefficients float32 [n, C] of some splats. The encoder never holds a sorted copy of all: they are most of a
scene."""


@dataclasses.dataclass(frozen=True)
class Lattice:
    """A scene on its lattices: what the stages code, without loss. Rows are splats."""

    classes: U8
    """uint8 [N]."""
    values: I32
    """int32 [CHANNELS, N]."""
    steps: I32
    """int32 [CHANNELS, N]."""
    logs: I32
    """int32 [3, N]: scales in 1/256 octave, as decoded."""
    sh: I32
    """int32 [columns, N]: dequantised transform coefficients."""
    sh_steps: I32
    """int32 [N]."""
    extents: U8
    """uint8 [N]."""
    frames: F64
    """float64 [N, 3, 3]: own axes, renamed, in columns, before quantisation."""


@dataclasses.dataclass(frozen=True)
class Transforms:
    """Of colour int32 [3, 3], of SH int8 [3 K, columns], and the shifts of SH int32 [15]."""

    color: I32
    basis: NDArray[np.int8]
    shift: I32


LARGEST = {"scale": 0.5, "opacity": 0.5, "rotation": 0.25, "color": 1.0, "sh": 0.5, "position": 1.0}
"""Largest steps: beyond these errors are no longer small, and sensitivities say nothing. In natural logarithms of
scale and opacity, half radians, SH coefficients, and own standard deviations."""


def codes_of(log2_step: F64, unit: float, largest: float, sizes: I64) -> U8:
    """Step codes of steps of `2 ** log2_step`, at most `largest`, for integers worth `unit` each.

    What rounding adds to the class of the most splats, the smaller ones make up for: so the mean over all splats,
    and with it the size of the file, hardly jumps when the wanted steps change a little.

    Args:
        log2_step: [classes].
        unit, largest: as said.
        sizes: [classes] splats of each.
    """
    exact = np.clip(16 * (np.minimum(log2_step, np.log2(largest)) - np.log2(unit)), 0, 255)
    codes = np.round(exact)
    owed = 0.0
    for c in np.argsort(-sizes, kind="stable"):
        if sizes[c] and exact[c] < 255:
            codes[c] = np.clip(np.round(exact[c] + np.clip(owed / sizes[c], -1, 1)), 0, 255)
        owed += float(sizes[c] * (exact[c] - codes[c]))
    result: U8 = codes.astype(np.uint8)
    return result


def fit_steps(
    sens: Sensitivities, classes: U8, log_scales: F64, delta: float, s: Settings, pool: ThreadPoolExecutor
) -> Steps:
    """Steps that give every value its equal share of the error; position offsets are for a grid unit of 1.

    sens and log_scales follow the renamed axes; delta is the step of a value of sensitivity 1.
    """
    count = int(classes.max(initial=0)) + 1
    octaves = log_scales / np.log(2)
    origin = 256 * (int(np.ceil(np.quantile(octaves, 0.9999))) - SIZES) if octaves.size else 0
    turns = pool.submit(_fit_turns, sens.rotation, octaves, origin, classes, count)
    moves = pool.submit(_fit_moves, sens.position, octaves, classes, count)
    curve, per_number = _fit_curve(sens.log_scale, octaves, origin, classes, count)

    def wanted(factor: float, sensitivity: F64) -> F64:
        half = allocation.half_log2(sensitivity)
        log: F64 = np.log2(delta * factor) - allocation.class_means(half, classes, count)
        return log

    scale_log, opacity_log = wanted(s.scale, per_number), wanted(s.opacity, sens.removal)
    color_log, sh_log = wanted(s.color, sens.color), wanted(s.sh, sens.color)
    sizes = np.bincount(classes, minlength=count)
    middle = float(np.median(classes)) if len(classes) else 0.0
    tilt = (SH_TILT - 1) * (np.arange(count) - middle)
    (a, b, lift), fits = turns.result(), moves.result()
    return Steps(
        scale=codes_of(scale_log, 1 / OCTAVE, LARGEST["scale"], sizes),
        opacity=codes_of(opacity_log, 1 / OCTAVE, LARGEST["opacity"], sizes),
        # The vector part is half the angle, in radians.
        rotation=codes_of(
            np.log2(delta * s.rotation) - 1 - a - b[-1] - lift[-1], 1 / rotation.UNIT, LARGEST["rotation"], sizes
        ),
        gain=np.clip(np.round(16 * (b[-1] - b)), 0, 255).astype(np.uint8),
        lift=np.clip(np.round(16 * (lift[-1] - lift)), 0, 255).astype(np.uint8),
        origin=origin,
        curve=curve,
        color=codes_of(color_log, 1 / color.UNIT, LARGEST["color"], sizes),
        sh=codes_of(sh_log + tilt, 1 / sh.UNIT, LARGEST["sh"], sizes),
        offset=np.stack([np.round(256 * (np.log2(delta * s.position) - a)) for a, _ in fits]).astype(np.int32),
        reach=round(256 * np.log2(LARGEST["position"])),
        slope=np.stack([np.round(-256 * b) for _, b in fits]).astype(np.int32),
    )


def _halves(sensitivity: F64) -> F64:
    """[3 N] of [N, 3], axis by axis: allocation.half_log2 of each."""
    return np.concatenate([allocation.half_log2(sensitivity[:, k]) for k in range(3)])


def _fit_turns(sensitivity: F64, octaves: F64, origin: int, classes: U8, count: int) -> tuple[F64, F64, F64]:
    """How turns about an axis matter: by class, by how far the other two scales differ, by the larger of them."""
    others = np.roll(octaves, -1, 1), np.roll(octaves, -2, 1)
    knots = np.minimum(np.round(2 * np.abs(others[0] - others[1])), KNOTS - 1).astype(np.intp)
    sizes = _octave(np.maximum(*others), origin)
    a, (b, lift) = allocation.fit_factors(
        _halves(sensitivity), np.tile(classes, 3), count, [knots.T.ravel(), sizes.T.ravel()], [KNOTS, SIZES]
    )
    return a, b, lift


def _fit_curve(sensitivity: F64, octaves: F64, origin: int, classes: U8, count: int) -> tuple[I32, F64]:
    """The curve of scales, int32 [SIZES], and the sensitivity of a coded number, [N]: the mean of the axes."""
    own = _octave(octaves, origin).T.ravel()
    stretch = _halves(sensitivity)
    _, (rise,) = allocation.fit_factors(stretch, np.tile(classes, 3), count, [own], [SIZES])
    curve = np.clip(np.round(256 * 2.0 ** (rise - rise[-1])), NARROWEST, 256).astype(np.int32)
    per_number = 4.0 ** (stretch - np.log2(curve[own] / 256))
    return curve, per_number.reshape(3, -1).mean(0)


def _fit_moves(sensitivity: F64, octaves: F64, classes: U8, count: int) -> list[tuple[F64, F64]]:
    """How moves along the axis of each rank of scale matter: allocation.fit_shape."""
    rank = np.argsort(octaves, axis=1, kind="stable")
    ordered = np.take_along_axis(octaves, rank, 1)
    moves = np.take_along_axis(np.stack([allocation.half_log2(sensitivity[:, k]) for k in range(3)], 1), rank, 1)
    return [allocation.fit_shape(moves[:, r], ordered, classes, count) for r in range(3)]


def walk(means: NDArray[np.float32]) -> NDArray[np.intp]:
    """An order of splats in which neighbours in space mostly follow each other: that of Morton codes.

    quantise() diffuses rounding errors along it.
    """
    if not len(means):
        return np.zeros(0, np.intp)
    low, high = np.quantile(means, [0.001, 0.999], axis=0)
    side = max(float((high - low).max()), 1e-30)
    cells = np.clip((means - low) / side * 65535, 0, 65535).astype(np.uint32)
    return np.argsort(position.morton(cells, 16), kind="stable")


def _octave(octaves: F64, origin: int) -> NDArray[np.intp]:
    return np.clip(np.floor(octaves - origin / 256), 0, SIZES - 1).astype(np.intp)


def _multiples(values: F64, steps: I32) -> I32:
    index = np.round(values / steps)
    limit = (kernels.LIMIT - 1) // steps  # So that no symbol is beyond what a token can say.
    return (np.clip(index, -limit, limit) * steps).astype(np.int32)


def fit_color(sh0: F64, weights: F64) -> I32:
    """int32 [3, 3] rows: principal axes of the colours, weighted by float64 [N]."""
    if not len(sh0):
        return np.eye(3, dtype=np.int32) * color.MATRIX_UNIT
    centred = sh0 - np.average(sh0, axis=0, weights=weights)
    _, vectors = np.linalg.eigh(gram(centred * np.sqrt(weights)[:, None]))
    return np.round(vectors[:, ::-1].T * color.MATRIX_UNIT).astype(np.int32)


def quantise(
    splats: Splats,
    sh_of: ShOf,
    quats: F64,
    log_scales: F64,
    classes: U8,
    steps: Steps,
    s: Settings,
    pool: ThreadPoolExecutor,
    chosen: Transforms | None = None,
) -> tuple[Lattice, Transforms]:
    """Everything but positions, on its lattice, for splats in the order of walk().

    quats and log_scales are canonical (rotation.canonical); the SH of `splats` is not looked at. chosen: the
    transforms to use; None: those that suit these splats.
    """
    n = len(splats)
    sh_steps = step_of(steps.sh[classes])
    finish_sh = _start_sh(sh_of, sh_steps, s.dead_zone, pool, None if chosen is None else chosen.basis)
    values, wide = np.empty((CHANNELS, n), np.int32), np.empty((CHANNELS, n), np.int32)
    wide[0:3] = step_of(steps.scale[classes])
    for k in range(3):
        values[k] = _multiples(scale.compress(log_scales[:, k] * OCTAVE, steps.origin, steps.curve), wide[k])
    logs = scale.expand(values[0:3], steps.origin, steps.curve)
    wide[3] = step_of(steps.opacity[classes])
    log_opacity = -np.logaddexp(0, -splats.opacity_logits.astype(np.float64))
    values[3] = _multiples(np.maximum(log_opacity * OCTAVE, -opacity.LOWEST), wide[3])
    wide[4:7] = rotation.steps(steps.rotation, steps.gain, steps.lift, steps.origin, classes, logs)
    for k in range(3):
        values[4 + k] = _multiples(quats[:, 1 + k] * rotation.UNIT, wide[4 + k])
    wide[7:10] = step_of(steps.color[classes])
    plain = splats.sh0.astype(np.float64)
    matrix = fit_color(plain, 1 / wide[7].astype(np.float64) ** 2) if chosen is None else chosen.color
    channels = tall_product(plain, matrix.T * (color.UNIT / color.MATRIX_UNIT))
    rounded = kernels.diffuse_errors((channels / wide[7][:, None]).astype(np.float32), COLOR_DIFFUSION, 0.5)
    limit = kernels.LIMIT // wide[7:10]
    values[7:10] = np.clip(rounded.T, -limit, limit) * wide[7:10]
    frames = frames_of(quats)
    coefficients, extents, basis = finish_sh()
    lattice = Lattice(classes, values, wide, logs, coefficients, sh_steps, extents, frames)
    # Diffused errors average out as they are: no shift of the reconstruction would help.
    return lattice, Transforms(matrix, basis, np.zeros(GROUPS, np.int32))


def _start_sh(
    sh_of: ShOf, steps: I32, dead_zone: float, pool: ThreadPoolExecutor, chosen: NDArray[np.int8] | None
) -> Callable[[], tuple[I32, U8, NDArray[np.int8]]]:
    """Quantise SH in the pool. What is returned waits for it: coefficients and extents of Lattice; the basis."""
    n, full = len(steps), sh_of(slice(0)).shape[1]
    width = full if chosen is None else chosen.shape[1]
    signed, extents = np.empty((width, n), np.int32), np.zeros(n, np.uint8)
    if not n or not width:
        return lambda: (signed[:0], extents, np.zeros((full, 0), np.int8))
    if chosen is None:
        some = slice(None, None, max(1, n // sh.BASIS_SAMPLES))
        basis = sh.fit_basis(sh_of(some), 1 / steps[some].astype(np.float64) ** 2)
    else:
        basis = chosen
    forward = np.linalg.pinv(basis.astype(np.float64)).T * (sh.BASIS_UNIT * sh.UNIT)

    def quantise_block(first: int) -> int:
        """How many columns of it are in use."""
        at = slice(first, first + BLOCK)
        step = steps[at, None]
        ratio = (tall_product(sh_of(at), forward.astype(np.float32)) / step).astype(np.float32)
        symbols = kernels.diffuse_errors(ratio, SH_DIFFUSION, dead_zone)
        limit = sh.LIMIT // step
        np.clip(symbols, -limit, limit, out=symbols)
        coded = symbols != 0
        last = np.where(coded.any(1), width - coded[:, ::-1].argmax(1), 0)
        extents[at] = np.searchsorted(sh.BOUNDS, last, side="left")
        signed[:, at] = (symbols * step).T
        return int(last.max())

    blocks = pool.map(quantise_block, range(0, n, BLOCK))

    def finish() -> tuple[I32, U8, NDArray[np.int8]]:
        used = max(blocks) if chosen is None else width
        return signed[:used], extents, np.ascontiguousarray(basis[:, :used])

    return finish


def frames_of(quats: F64) -> F64:
    """Rotation matrices float64 [N, 3, 3] of unit quaternions (w, x, y, z)."""
    w, x, y, z = quats.T
    return np.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        1,
    ).reshape(-1, 3, 3)  # fmt: skip
