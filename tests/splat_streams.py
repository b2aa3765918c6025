"""Files of the splats codec made without its encoder: any parameters that the format allows, any lattice values.

What they must decode to is worked out here from docs/spec, not by the code under test.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from scenepress import container, metadata
from scenepress.container import Chunk
from scenepress.metadata import Metadata
from scenepress.scene import Splats
from scenepress.stages import (
    context,
    entropy,
    learned_context,
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
from scenepress.stages.context import Level, Predictor, Tile, step_of
from scenepress.stages.learned_context import Head, Learned
from scenepress.stages.parameters import Parameters, Steps, Tables
from scenepress.stages.tiles import TileBox

I64 = NDArray[np.int64]
LIMIT = 1 << 24
DEGREES = {0: 0, 3: 1, 8: 2, 15: 3}


def spread(rng: np.random.Generator, limit: int, shape: int | tuple[int, ...]) -> I64:
    """Integers within +-limit, of every size."""
    size = np.exp2(rng.uniform(0, np.log2(limit + 1), shape)).astype(np.int64) - rng.integers(0, 2, shape)
    return np.clip(size, 0, limit) * rng.choice([-1, 1], shape)


def random_parameters(rng: np.random.Generator, sh_count: int, wild: bool, kept: bool = False) -> Parameters:
    """Anything that docs/spec/parameters.md allows if `wild`, else what a scene could have. Without tables."""
    levels = int(rng.integers(1, 5))
    classes = int(rng.integers(levels, 17))
    bounds = (*np.sort(rng.choice(classes - 1, levels - 1, replace=False)).tolist(), classes - 1)
    columns = int(rng.integers(0, 3 * sh_count + 1))
    reach = 8 if wild else 4
    steps = Steps(
        *(rng.integers(0, 32 * reach, classes).astype(np.uint8) for _ in range(3)),
        gain=rng.integers(0, 16 * reach, parameters.KNOTS).astype(np.uint8),
        lift=rng.integers(0, 16 * reach, parameters.SIZES).astype(np.uint8),
        origin=int(rng.integers(-(1 << 15), (1 << 15) + 1)) if wild else -12 * 256,
        curve=rng.integers(1, 1025, parameters.SIZES).astype(np.int32),
        color=rng.integers(0, 32 * reach, classes).astype(np.uint8),
        sh=rng.integers(0, 32 * reach, classes).astype(np.uint8),
        offset=spread(rng, 1 << 20 if wild else 3000, (3, classes)).astype(np.int32),
        slope=spread(rng, 32767 if wild else 99, (3, 3)).astype(np.int32),
        reach=int(spread(rng, 1 << 20, 1)[0]),
    )
    predictors = tuple(
        tuple(
            Predictor(
                spread(rng, LIMIT if wild else 3000, classes).astype(np.int32),
                spread(rng, 32767 if wild else 4096, parameters.weight_count(c, near)).astype(np.int32),
            )
            for c in range(context.CHANNELS)
        )
        for near in (False, True)
    )
    return Parameters(
        exponent=int(rng.integers(-126, 127)) if wild else -20,
        kept_order=kept,
        sh_count=sh_count,
        bounds=bounds,
        cells=tuple(rng.integers(1, 41, levels).tolist()),
        steps=steps,
        color=(spread(rng, 32767, (3, 3)) if wild else np.eye(3) * 16384).astype(np.int32),
        basis=rng.integers(-127, 128, (3 * sh_count, columns)).astype(np.int8),
        shift=rng.integers(0, 65, parameters.GROUPS).astype(np.int32),
        predictors=predictors,
        tables=Tables(None, (None,) * context.CHANNELS, None, (None,) * parameters.GROUPS),
    )


def with_learned(rng: np.random.Generator, p: Parameters, heads: int, sh_predicted: bool) -> Parameters:
    """With the learned context model, random heads for the channels whose bits are set, and SH weights."""
    weights = np.zeros((p.basis.shape[1] if sh_predicted else 0, 2), np.int32)
    weights += spread(rng, 4096, weights.shape).astype(np.int32)
    found = tuple(_head(rng) if heads >> c & 1 else None for c in range(context.CHANNELS))
    return dataclasses.replace(p, learned=Learned(1, found), sh_weights=weights)


def _head(rng: np.random.Generator) -> Head:
    weights = rng.integers(-127, 128, (2, learned_context.UNITS)) * (rng.random((2, learned_context.UNITS)) < 0.3)
    return Head(weights.astype(np.int8), rng.integers(0, 4000, 2).astype(np.int32))


@dataclasses.dataclass
class Filled:
    """One tile: lattice values in the order of decoding, and the planes that code them."""

    box: TileBox
    tile: Tile
    offsets: I64
    """[n, 3]: positions from the corner."""
    levels: list[Level]
    payloads: list[dict[int, bytes]]
    """By level: those without tables."""
    orders: list[context.Symbols | None]
    channels: list[list[context.Symbols]]
    extents: list[context.Symbols]
    planes: list[list[tuple[int, context.Symbols]]]


def _multiples(rng: np.random.Generator, steps: I64, limit: int) -> NDArray[np.int32]:
    size = np.where(rng.random(steps.shape) < 0.7, 20 * steps, limit - 1)
    bounded = np.minimum(np.maximum(size, 1), limit - 1)
    wide = (rng.uniform(-1, 1, steps.shape) * bounded).astype(np.int64)
    return (wide - np.fmod(wide, steps)).astype(np.int32)


def _values(rng: np.random.Generator, p: Parameters, tile: Tile, own: slice) -> None:
    """Fill the level's channels."""
    s, classes, n = p.steps, tile.classes[own], own.stop - own.start
    plain = {0: s.scale, 1: s.scale, 2: s.scale, 3: s.opacity, 7: s.color, 8: s.color, 9: s.color}
    for channel, codes in plain.items():
        tile.values[channel, own] = _multiples(rng, step_of(codes[classes]).astype(np.int64), LIMIT)
    wanted = rotation.steps(
        s.rotation, s.gain, s.lift, s.origin, classes, scale.expand(tile.values[:3, own], s.origin, s.curve)
    )
    tile.values[4:7, own] = _multiples(rng, wanted.astype(np.int64), rng.choice([2, 1 << 14, LIMIT]))
    extents = rng.integers(0, 16, n) if rng.random() < 0.8 else np.zeros(n)
    tile.extents[own] = extents
    used = np.arange(len(tile.sh))[:, None] < np.array(sh.bounds_of(len(tile.sh)))[tile.extents[own]]
    steps = np.broadcast_to(step_of(s.sh[classes]).astype(np.int64), (len(tile.sh), n))
    tile.sh[:, own] = np.where(used, _multiples(rng, steps, 1 << 17), 0)


def fill(rng: np.random.Generator, p: Parameters, box: TileBox, counts: list[int]) -> Filled:
    """A tile of random lattice values with `counts` splats in its levels."""
    tile = Tile.empty(sum(counts), p.basis.shape[1], p.learned is not None)
    made = Filled(box, tile, np.zeros((sum(counts), 3), np.int64), [], [], [], [], [], [])
    coarse = np.zeros(0, np.uint64)
    for number, count in enumerate(counts):
        depth = min(max(box.bits - p.cells[number], 0), 21)
        cell = box.bits - depth
        cells = rng.integers(0, 2**depth, (count, 3))
        cells[count // 2 :] >>= int(rng.integers(0, depth + 1))
        codes = position.morton(cells.astype(np.uint32), depth)
        cells, codes = cells[np.argsort(codes)], np.sort(codes)
        wide = tiles.widen(codes, depth)
        level = tile.place(wide, p.learned, p.classes)
        lowest = p.bounds[number - 1] + 1 if number else 0
        tile.classes[level.own] = rng.integers(lowest, p.bounds[number] + 1, count)
        _values(rng, p, tile, level.own)
        s = p.steps
        classes, vectors = tile.classes[level.own], tile.values[4:7, level.own]
        logs = scale.expand(tile.values[:3, level.own], s.origin, s.curve)
        exps, _ = refinement.exponents(s.offset, s.slope, s.reach, classes, logs, vectors, cell)
        fields = rng.integers(0, np.int64(1) << (cell - exps.T))
        offsets = (cells << cell) + (fields << exps.T) + (np.int64(1) << exps.T) // 2
        made.offsets[level.own] = offsets
        made.payloads.append(
            {
                table.POSITION: position.encode(codes, coarse >> np.uint64(3 * (21 - depth)), 3 * depth),
                table.POSITION_REFINEMENT: refinement.encode(offsets, exps, cell),
            }
        )
        single = p.bounds[number] == lowest
        made.orders.append(None if single else order.symbols(tile, level, lowest))
        made.channels.append(_channels(p, tile, level, logs))
        extents, planes = sh.symbols(tile, level, step_of(s.sh[classes]), p.sh_weights)
        made.extents.append(extents)
        made.planes.append(planes)
        made.levels.append(level)
        tile.merge(wide)
        coarse = np.sort(np.concatenate([coarse, wide]))
    return made


def _channels(p: Parameters, tile: Tile, level: Level, logs: NDArray[np.int32]) -> list[context.Symbols]:
    s, classes = p.steps, tile.classes[level.own]
    turns = rotation.steps(s.rotation, s.gain, s.lift, s.origin, classes, logs)
    steps = [step_of(s.scale[classes])] * 3 + [step_of(s.opacity[classes]), *turns]
    steps += [step_of(s.color[classes])] * 3
    context.begin(tile, level, s.origin)
    found = []
    for c in range(context.CHANNELS):
        if c == len(context.SCALE):
            context.show_scales(tile, level, logs, s.origin)
        found.append(context.channel_symbols(tile, level, c, p.predictors, steps[c]))
    return found


def fit_tables(filled: list[Filled], columns: int) -> Tables:
    """The tables that code them all."""

    def fit(symbols: list[context.Symbols | None]) -> entropy.TableSet | None:
        return context.fit([s for s in symbols if s is not None])

    return Tables(
        fit([s for f in filled for s in f.orders]),
        tuple(fit([level[c] for f in filled for level in f.channels]) for c in range(context.CHANNELS)),
        fit([s for f in filled for s in f.extents]) if columns else None,
        tuple(
            fit([s for f in filled for planes in f.planes for g, s in planes if g == group])
            for group in range(1, parameters.GROUPS + 1)
        ),
    )


def chunks_of(p: Parameters, filled: list[Filled], indices: NDArray[np.int32] | None) -> list[Chunk]:
    """All chunks but the metadata; `indices` by tile and level, if the order is kept."""
    chunks = [
        Chunk(table.SPLAT_PARAMETERS, 0, 0, 1, parameters.encode(p)),
        Chunk(table.TILES, 0, 0, len(filled), tiles.encode([f.box for f in filled])),
    ]
    total, at = sum(len(f.offsets) for f in filled), 0
    stages = {
        table.SCALE: context.SCALE, table.OPACITY: context.OPACITY, table.ROTATION: context.ROTATION,
        table.COLOUR: context.COLOR,
    }  # fmt: skip
    for tile, f in enumerate(filled):
        for number, level in enumerate(f.levels):
            kept = None if indices is None else indices[at : at + level.count]
            at += level.count
            if not level.count:
                continue
            payloads = dict(f.payloads[number])
            payloads[table.ORDER] = order.encode(f.orders[number], p.tables.order, kept, total)
            for stage, channels in stages.items():
                planes = [context.tokens_of(f.channels[number][c], p.tables.channels[c]) for c in channels]
                payloads[stage] = entropy.encode_planes(planes)
            if p.basis.shape[1]:
                payloads[table.SH] = sh.encode(
                    f.extents[number], f.planes[number], p.tables.extent, p.tables.groups
                )
            chunks += [Chunk(stage, number, tile, level.count, payload) for stage, payload in payloads.items()]
    return chunks


def with_metadata(chunks: list[Chunk], count: int, sh_count: int) -> bytes:
    """A whole file."""
    about = Metadata(count, DEGREES[sh_count], "RUB", True, "splats", encoder="tests/splat_streams.py")
    return container.write([metadata.chunk(about), *chunks])


def floats(p: Parameters, f: Filled) -> Splats:
    """What a tile decodes to, from the words of docs/spec: everything in Python's own numbers."""
    v = f.tile.values.astype(np.int64)
    n = v.shape[1]
    corner = np.array(f.box.corner, object)
    largest = float(np.finfo(np.float32).max)
    unit = 2.0**p.exponent
    means = [[max(-largest, min(largest, float(int(x)) * unit)) for x in row] for row in f.offsets + corner]
    xyz = v[4:7] / 2.0**15
    w = np.sqrt(np.maximum(1 - (xyz[0] ** 2 + xyz[1] ** 2 + xyz[2] ** 2), 0))
    logs = [[_log_scale(p, int(c)) * (0.6931471805599453 / 256) for c in row] for row in v[:3].T]
    i = np.clip(-v[3], 0, 4095)
    alpha = 2.0 ** (-np.maximum(i, 1) / 256)
    logits = np.where(i == 0, 9.0, np.log(alpha / (1 - alpha)))
    rgb = (v[7:10].T @ p.color.astype(np.int64)).astype(np.float32) * np.float32(2.0**-26)
    flat = np.zeros((n, 3 * p.sh_count), np.int64)
    codes = p.steps.sh[f.tile.classes].tolist()
    steps = [int(16384 * 2 ** (c % 16 / 16) + 0.5) * 2 ** (c // 16) // 16384 for c in codes]
    for j in range(p.basis.shape[1]):
        group = next(g for g in range(1, 16) if j < sh.BOUNDS[g])
        shifts = np.array([int(p.shift[group - 1]) * step >> 7 for step in steps], np.int64)
        y = f.tile.sh[j].astype(np.int64)
        flat += np.outer(np.sign(y) * np.maximum(np.abs(y) - shifts, 0), p.basis[:, j].astype(np.int64))
    return Splats(
        np.array(means, np.float64).reshape(n, 3).astype(np.float32),
        np.stack([w, *xyz], 1).astype(np.float32),
        np.array(logs, np.float64).reshape(n, 3).astype(np.float32),
        logits.astype(np.float32),
        rgb,
        (flat.astype(np.float32) * np.float32(2.0**-19)).reshape(n, p.sh_count, 3),
        antialiased=True,
        axes="RUB",
    )


def _log_scale(p: Parameters, coded: int) -> int:
    widths = [int(w) for w in p.steps.curve]
    i, start = 0, 0
    while i < 15 and start + widths[i] <= coded:
        start += widths[i]
        i += 1
    log = p.steps.origin + 256 * i + (256 * (coded - start) + (widths[i] >> 1)) // widths[i]
    return max(-(1 << 15), min(1 << 15, log))


@dataclasses.dataclass
class Stream:
    """A file, what is in it, and what it decodes to."""

    data: bytes
    parameters: Parameters
    filled: list[Filled]
    scene: Splats


def stream(
    seed: int, sh_count: int = 0, tile_count: int = 2, most: int = 20, wild: bool = True, kept: bool = False,
    learned: bool = False,
) -> Stream:  # fmt: skip
    """A random file of at most `most` splats in each level of each of its tiles."""
    rng = np.random.default_rng(seed)
    p = random_parameters(rng, sh_count, wild, kept)
    if learned:
        p = with_learned(rng, p, int(rng.integers(1, 1 << 10)), bool(p.basis.shape[1]))
    filled = []
    for _ in range(tile_count):
        bits = int(rng.integers(1, 41)) if wild else 20
        x, y, z = (int(c) for c in spread(rng, 1 << 44 if wild else 1 << 20, 3))
        counts = rng.integers(0, most + 1, len(p.bounds)) * (rng.random(len(p.bounds)) < 0.8)
        filled.append(fill(rng, p, TileBox((x, y, z), bits), counts.tolist()))
    total = sum(len(f.offsets) for f in filled)
    indices = rng.permutation(total).astype(np.int32) if kept else None
    p = dataclasses.replace(p, tables=fit_tables(filled, p.basis.shape[1]))
    data = with_metadata(chunks_of(p, filled, indices), total, sh_count)
    # By level, then tile, then code; or as the indices say.
    by = [
        np.arange(level.first, level.first + level.count) + start
        for number in range(len(p.bounds))
        for f, start in zip(filled, np.cumsum([0] + [len(f.offsets) for f in filled]), strict=False)
        for level in [f.levels[number]]
    ]
    rows = np.argsort(indices) if indices is not None else np.concatenate(by)
    parts = [floats(p, f) for f in filled]
    arrays = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")
    joined = {name: np.concatenate([getattr(part, name) for part in parts])[rows] for name in arrays}
    return Stream(data, p, filled, dataclasses.replace(parts[0], **joined))
