"""The encoder of splat scenes: prune, quantise, predict, code. decode() is in codecs/splats."""

from __future__ import annotations

import dataclasses
import itertools
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scenepress import allocation, scene_ops
from scenepress.allocation import Sensitivities
from scenepress.codecs import heads, lattice, placement, predictors, sh_predictors
from scenepress.codecs.lattice import Lattice, Transforms
from scenepress.codecs.placement import Placed
from scenepress.codecs.presets import Settings
from scenepress.container import Chunk
from scenepress.errors import LossWarning
from scenepress.scene import Splats
from scenepress.stages import (
    context,
    entropy,
    order,
    parameters,
    position,
    refinement,
    rotation,
    scale,
    sh,
    table,
    tiles,
)
from scenepress.stages.context import CHANNELS, GROUPS, I32, Level, Predictor, Symbols, Tile
from scenepress.stages.parameters import Parameters, Steps, Tables
from scenepress.stages.tiles import TileBox

COHERENCE = 3.5
"""dB that errors which add up instead of averaging out cost, as found on real scenes."""
UNSURE = 0.45
"""Pruning is so much more reluctant when the cameras are synthesised."""
COARSE_SHARE, COARSE_COUNT = 0.05, 20
"""So many of the splats may be placed more coarsely than wanted before a warning says so: fewer did not show."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What is coded: splats that are left, on their lattices, and where they go."""

    lattice: Lattice
    transforms: Transforms
    steps: Steps
    exponent: int
    boxes: list[TileBox]
    bounds: tuple[int, ...]
    cells: tuple[int, ...]
    source: NDArray[np.intp]
    """[N] index in the source of every splat."""
    placed: list[list[Placed]]
    """By tile and level."""
    removal: allocation.F64
    """float64 [N]: mean squared error if the splat is left out."""
    source_sh: int
    """SH coefficients per colour channel of the source."""
    source_count: int
    """Splats of the source."""
    keep_order: bool
    learned: bool
    """Whether the learned context model may be used."""


def channel_samples(scene: Prepared) -> list[heads.Sample]:
    """What the learned context model sees of some splats, and what it has to tell, channel by channel."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        built = [build_tile(scene, i) for i in range(len(scene.boxes))]
        tiles_, steps = [(tile, levels) for tile, levels, _ in built], [steps for *_, steps in built]
        fitted = predictors.fit(tiles_, steps, scene.bounds[-1] + 1, pool)
    seen = [channels for b in built for channels in heads.observe(b, fitted, scene.steps.origin)]
    return [heads.join([channels[c] for channels in seen]) for c in range(CHANNELS)] if seen else []


def code(scene: Prepared, progress: Callable[[str, float], None]) -> list[Chunk]:
    """The chunks of what prepare() returned, or trim()."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        progress("predicting", 0.0)
        built = list(pool.map(lambda i: build_tile(scene, i), range(len(scene.boxes))))
        progress("modelling", 0.2)
        fitted = predictors.fit(
            [(tile, levels) for tile, levels, _ in built],
            [steps for _, _, steps in built],
            scene.bounds[-1] + 1,
            pool,
        )
        learned = None
        if scene.learned:
            learned = heads.choose(built, fitted, scene.bounds[-1] + 1, scene.steps.origin, pool)
            built = [(tile, context.with_heads(levels, learned), steps) for tile, levels, steps in built]
        weights = sh.UNPREDICTED
        if scene.learned:
            known = [(tile, levels) for tile, levels, _ in built]
            weights = sh_predictors.fit(known, scene.steps.sh, len(scene.lattice.sh), pool)
        planes = list(pool.map(lambda b: _symbols(b[0], b[1], b[2], scene, fitted, weights), built))
        progress("coding", 0.6)
        tables = _fit_tables(planes, pool)
        p = dataclasses.replace(_parameters(scene, fitted, tables), learned=learned, sh_weights=weights)
        coded = pool.map(lambda i: _code_tile(scene, p, i, built[i][0], built[i][1], planes[i]), range(len(built)))
        chunks = [chunk for part in coded for chunk in part]
    progress("coding", 1.0)
    box_chunk = Chunk(table.TILES, 0, 0, len(scene.boxes), tiles.encode(scene.boxes))
    return [Chunk(table.SPLAT_PARAMETERS, 0, 0, 1, parameters.encode(p)), box_chunk, *chunks]


def trim(scene: Prepared, count: int) -> Prepared:
    """Without the `count` splats that matter least; everything else stays as it is.

    Raises:
        ValueError: every splat is to be kept.
    """
    if scene.keep_order:
        raise ValueError("a scene that keeps its order keeps every splat")
    kept = np.ones(len(scene.removal), np.bool_)
    kept[np.argsort(scene.removal, kind="stable")[:count]] = False
    return dataclasses.replace(scene, placed=[[_those(p, kept[p.rows]) for p in tile] for tile in scene.placed])


def _those(p: Placed, kept: NDArray[np.bool_]) -> Placed:
    return Placed(p.rows[kept], p.cells[kept], p.offsets[kept], p.exps[:, kept], p.cell)


def require_valid(splats: Splats) -> None:
    """Refuse values that integers cannot hold or no renderer can draw: they would decode to something else."""
    if (found := scene_ops.audit(splats)).invalid:
        raise ValueError(f"{found}: leave them out first (scene_ops.drop_invalid), or use the preset \"lossless\"")


def delta_of(settings: Settings, count: int) -> float:
    """The step of a value of sensitivity 1: `count` splats of 16 values share the error that `psnr` allows."""
    return float(np.sqrt(12 * 10 ** (-(settings.psnr + COHERENCE) / 10) / (16 * max(count, 1))))


def prepare(
    splats: Splats, sens: Sensitivities, settings: Settings, *, sure: bool, like: Parameters | None = None
) -> Prepared:
    """Prune, choose lattices, quantise and place.

    Args:
        splats: see codecs.splats.encode().
        sens: from sensitivity.measure().
        settings: see Settings.
        sure: whether `sens` is over given cameras.
        like: lattices_of() a scene whose lattices are to be used; None: those that suit this one.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # More threads would only need more memory.
        return _prepare(splats, sens, settings if sure else _unsure(settings), like, pool)


def lattices_of(scene: Prepared) -> Parameters:
    """What the file of the scene says about its lattices; predictors and tables are left empty."""
    bias = np.zeros(scene.bounds[-1] + 1, np.int32)
    none = tuple(
        tuple(Predictor(bias, np.zeros(parameters.weight_count(c, near), np.int32)) for c in range(CHANNELS))
        for near in (False, True)
    )
    return _parameters(scene, none, Tables(None, (None,) * CHANNELS, None, (None,) * GROUPS))


def _unsure(settings: Settings) -> Settings:
    return dataclasses.replace(settings, prune=settings.prune * UNSURE)


def _prepare(
    splats: Splats, sens: Sensitivities, settings: Settings, like: Parameters | None, pool: ThreadPoolExecutor
) -> Prepared:
    total, sh_count = len(splats), splats.shN.shape[1]
    rows = np.arange(len(splats))
    kept = sens.removal > settings.prune * delta_of(settings, len(splats)) ** 2
    if settings.prune and not settings.keep_order and kept.any():  # If no camera saw anything, keep everything.
        rows = rows[kept]
    delta = delta_of(settings, len(rows))
    rows = rows[lattice.walk(splats.means[rows])]
    coefficients = splats.shN

    def sh_of(some: slice) -> NDArray[np.float32]:
        picked = coefficients[rows[some]]
        return picked.reshape(len(picked), 3 * picked.shape[1])

    splats, sens = dataclasses.replace(splats, shN=coefficients[:, :0]).take(rows), sens.take(rows)
    quats, renamed = rotation.canonical(splats.quats)
    # float32 deviations go no further, and the ranges of the parameters are made for it.
    log_scales = np.clip(np.take_along_axis(splats.log_scales.astype(np.float64), renamed, 1), -88.7, 88.7)
    sens = dataclasses.replace(
        sens,
        position=np.take_along_axis(sens.position, renamed, 1),
        log_scale=np.take_along_axis(sens.log_scale, renamed, 1),
        rotation=np.take_along_axis(sens.rotation, renamed, 1),
    )
    classes = allocation.classify(sens.color)
    bounds = placement.plan_levels(classes)
    if like is not None and like.bounds != bounds:
        raise ValueError(f"lattices for levels {like.bounds} do not fit a scene with levels {bounds}")
    steps, chosen = (like.steps, Transforms(like.color, like.basis, like.shift)) if like else (None, None)
    steps = steps or lattice.fit_steps(sens, classes, log_scales, delta, settings, pool)
    on_lattice, transforms = lattice.quantise(
        splats, sh_of, quats, log_scales, classes, steps, settings, pool, chosen
    )
    wanted = placement.log_steps(steps, on_lattice)
    means = splats.means.astype(np.float64)
    exponent = like.exponent if like else placement.choose_exponent(wanted, means)
    if like is None:
        down = 256 * exponent
        steps = dataclasses.replace(steps, offset=steps.offset - down, reach=steps.reach - down)
        wanted = wanted - exponent
    points = means / 2.0**exponent
    _warn_of_coarse_positions(placement.coarsened(wanted, points), len(rows), exponent, means)
    level_of = np.searchsorted(bounds, classes)
    cells = like.cells if like else placement.choose_cells(wanted[2], level_of, len(bounds))
    members = placement.split(points, settings.tile_size, placement.widest(cells)) if len(points) else []
    boxes = [placement.box_of(points[tile], max(cells)) for tile in members]

    def place(tile: int, level: int) -> Placed:
        mine, box, cell = members[tile], boxes[tile], cells[level]
        mine = mine[level_of[mine] == level]
        found = placement.place(points, mine, box, cell, on_lattice, steps, wanted)
        return _sorted(found, tiles.depth_of(box.bits, cell))

    done = list(pool.map(lambda job: place(*job), itertools.product(range(len(boxes)), range(len(cells)))))
    placed = [done[i : i + len(cells)] for i in range(0, len(done), len(cells))]
    return Prepared(
        on_lattice, transforms, steps, exponent, boxes, bounds, cells, rows, placed, sens.removal, sh_count, total,
        settings.keep_order, settings.learned,
    )  # fmt: skip


def _warn_of_coarse_positions(count: int, total: int, exponent: int, means: allocation.F64) -> None:
    if count > max(COARSE_SHARE * total, COARSE_COUNT):
        warnings.warn(
            f"{count} of {total} splats are placed in steps of {2.0 ** (exponent + 1):.1g} units, coarser than "
            f"the preset asks for, since the scene reaches {np.abs(means).max():.1g} units from its origin: "
            "leave its farthest splats out, or move it to its origin",
            LossWarning,
            stacklevel=2,
        )


def _sorted(p: Placed, depth: int) -> Placed:
    """The same splats in order of their position codes; equal cells in order of the source."""
    o = np.argsort(position.morton(p.cells.astype(np.uint32), depth), kind="stable")
    return Placed(p.rows[o], p.cells[o], p.offsets[o], p.exps[:, o], p.cell)


def _codes(box: TileBox, placed: Placed) -> tuple[NDArray[np.uint64], int]:
    depth = box.bits - placed.cell
    return position.morton(placed.cells.astype(np.uint32), depth), depth


def build_tile(scene: Prepared, index: int) -> tuple[Tile, list[Level], I32]:
    """The tile with all its lattice values, its levels, and the steps of its channels."""
    placed, source = scene.placed[index], scene.lattice
    rows = np.concatenate([p.rows for p in placed])
    tile = Tile.empty(len(rows), len(source.sh), scene.learned)
    tile.values[:] = source.values[:, rows]
    tile.classes[:] = source.classes[rows]
    tile.extents[:] = source.extents[rows]
    tile.sh[:] = source.sh[:, rows]
    if scene.learned:
        tile.logs[:] = scale.expand(np.ascontiguousarray(tile.values[:3]), scene.steps.origin, scene.steps.curve)
    levels = []
    for p in placed:
        codes, depth = _codes(scene.boxes[index], p)
        wide = tiles.widen(codes, depth)
        levels.append(tile.place(wide, heads.NOTHING if scene.learned else None, scene.bounds[-1] + 1))
        if len(codes):
            tile.merge(wide)
    return tile, levels, source.steps[:, rows]


@dataclasses.dataclass(frozen=True)
class _Planes:
    """Symbols of one level of one tile."""

    order: Symbols | None
    channels: list[Symbols]
    extents: Symbols
    sh: list[tuple[int, Symbols]]


def _symbols(
    tile: Tile, levels: list[Level], steps: I32, scene: Prepared,
    fitted: tuple[tuple[Predictor, ...], ...], weights: I32,
) -> list[_Planes]:  # fmt: skip
    result = []
    for index, level in enumerate(levels):
        lowest = scene.bounds[index - 1] + 1 if index else 0
        single = scene.bounds[index] == lowest
        sh_steps = context.step_of(scene.steps.sh[tile.classes[level.own]])
        extents, planes = sh.symbols(tile, level, sh_steps, weights)
        result.append(
            _Planes(
                None if single else order.symbols(tile, level, lowest),
                context.level_symbols(tile, level, steps[:, level.own], scene.steps.origin, fitted),
                extents,
                planes,
            )
        )
    return result


def _fit_tables(tiles_: list[list[_Planes]], pool: ThreadPoolExecutor) -> Tables:
    levels = [planes for tile in tiles_ for planes in tile]
    jobs: list[list[Symbols]] = [[p.order for p in levels if p.order is not None]]
    jobs += [[p.channels[c] for p in levels] for c in range(CHANNELS)]
    jobs.append([p.extents for p in levels])
    jobs += [[s for p in levels for g, s in p.sh if g == group] for group in range(1, GROUPS + 1)]
    if not any(p.sh for p in levels):
        jobs[1 + CHANNELS] = []
    sets: list[entropy.TableSet | None] = list(pool.map(context.fit, jobs))
    return Tables(sets[0], tuple(sets[1 : 1 + CHANNELS]), sets[1 + CHANNELS], tuple(sets[2 + CHANNELS :]))


def _parameters(
    scene: Prepared, fitted: tuple[tuple[Predictor, ...], ...], tables: Tables
) -> Parameters:
    t = scene.transforms
    return Parameters(
        scene.exponent, scene.keep_order, scene.source_sh, scene.bounds, scene.cells, scene.steps, t.color,
        t.basis, t.shift, fitted, tables,
    )  # fmt: skip


def _code_tile(
    scene: Prepared, p: Parameters, index: int, tile: Tile, levels: list[Level], planes: list[_Planes]
) -> list[Chunk]:
    chunks = []
    coarse = np.zeros(0, np.uint64)
    for number, (level, placed, plane) in enumerate(zip(levels, scene.placed[index], planes, strict=True)):
        if not level.count:
            continue
        codes, depth = _codes(scene.boxes[index], placed)
        known = coarse >> np.uint64(3 * (tiles.DEPTH - depth))
        kept = scene.source[placed.rows].astype(np.int32) if p.kept_order else None
        payloads = {
            table.POSITION: position.encode(codes, known, 3 * depth),
            table.ORDER: order.encode(plane.order, p.tables.order, kept, scene.source_count),
            table.SCALE: _channels(plane, context.SCALE, p.tables),
            table.OPACITY: _channels(plane, context.OPACITY, p.tables),
            table.ROTATION: _channels(plane, context.ROTATION, p.tables),
            table.COLOUR: _channels(plane, context.COLOR, p.tables),
            table.POSITION_REFINEMENT: refinement.encode(placed.offsets, placed.exps, placed.cell),
        }
        if p.basis.shape[1]:
            payloads[table.SH] = sh.encode(plane.extents, plane.sh, p.tables.extent, p.tables.groups)
        chunks += [Chunk(stage, number, index, level.count, payload) for stage, payload in payloads.items()]
        coarse = np.sort(np.concatenate([coarse, tiles.widen(codes, depth)]))
    return chunks


def _channels(planes: _Planes, channels: tuple[int, ...], tables: Tables) -> bytes:
    coded = []
    for c in channels:
        table_set = tables.channels[c]
        assert table_set is not None
        coded.append(context.tokens_of(planes.channels[c], table_set))
    return entropy.encode_planes(coded)
