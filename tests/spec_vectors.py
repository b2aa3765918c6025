"""Write the test vectors of the splat codec's pages under docs/spec.

    python tests/spec_vectors.py [--check]

Rows come from the NumPy reference. `--check` writes nothing and fails if a table would change: after a change
of the bitstream run it without, and read the difference.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import splat_streams
from numpy.typing import NDArray

from scenepress.kernels import reference_splats as kernels
from scenepress.kernels.crc32c import crc32c
from scenepress.stages import (
    color,
    context,
    entropy,
    opacity,
    order,
    parameters,
    refinement,
    rotation,
    scale,
    sh,
    tiles,
)
from scenepress.stages.context import Level, Tile
from scenepress.stages.tiles import TileBox

SPEC = Path(__file__).parents[1] / "docs/spec"
Row = list[str]
I32 = NDArray[np.int32]


def words(values: Iterable[object]) -> str:
    """Numbers with spaces between; runs of three and more as n*k."""
    out: list[str] = []
    for value in [str(v) for v in values]:
        text, _, times = out[-1].partition("*") if out else ("", "", "")
        if text == value:
            out[-1] = f"{value}*{int(times or 1) + 1}"
        else:
            out.append(value)
    return " ".join(" ".join([w.split("*")[0]] * 2) if w.endswith("*2") else w for w in out)


def bits(values: NDArray[np.float32]) -> str:
    """Bit patterns of floats."""
    return words(f"{v:08X}" for v in np.asarray(values, np.float32).ravel().view(np.uint32).tolist())


def ints(*values: int) -> I32:
    return np.array(values, np.int32)


# --- tiles ---


def tile_payloads() -> list[Row]:
    good = [
        ([], "no tiles"),
        ([TileBox((0, 0, 0), 1)], "one"),
        ([TileBox((-1, 1, -64), 16), TileBox((63, 64, -(2**44)), 40)], "signs, limits"),
    ]
    one = tiles.encode([TileBox((0, 0, 0), 1)])
    bad = [
        (one[:-1], 1, "cut short"),
        (one + b"\0", 1, "a byte too many"),
        (b"\0\0\0\0", 1, "0 bits"),
        (b"\x29\0\0\0", 1, "41 bits"),
        (b"\1" + bytes.fromhex("8280808080800800") + b"\0", 1, "a coordinate beyond 2^44"),
        (b"\1\x80\0\0\0", 1, "not the shortest form"),
    ]
    rows = [
        [tiles.encode(boxes).hex().upper(), "; ".join(f"{b.bits} {words(b.corner)}" for b in boxes), why]
        for boxes, why in good
    ]
    return rows + [[payload.hex().upper(), f"INVALID {count}", why] for payload, count, why in bad]


def tile_codes() -> list[Row]:
    rows = []
    for size, cells, code in ((1, 1, 0), (1, 40, 0), (5, 3, 46), (40, 40, 0), (40, 1, 2**63 - 1), (20, 2, 7)):
        depth = tiles.depth_of(size, cells)
        wide = int(tiles.widen(np.array([code], np.uint64), depth)[0])
        rows.append([str(size), str(cells), str(depth), f"{code:X}", f"{wide:X}"])
    return rows


# --- parameters ---


def steps() -> list[Row]:
    codes = [0, 1, 15, 16, 31, 32, 47, 64, 100, 160, 200, 254, 255]
    return [[str(c), str(int(kernels.step_of(np.array([c]))[0]))] for c in codes]


def numbers_of(p: parameters.Parameters) -> list[int]:
    """The integers of parameters.md, section 2, deltas undone."""
    s = p.steps
    lists: list[Sequence[int] | NDArray[np.integer]] = [
        [p.exponent], p.bounds, p.cells, s.scale, s.opacity, s.rotation, s.gain, s.lift, s.color, s.sh, [s.origin],
        s.curve, s.offset.ravel(), s.slope.ravel(), [s.reach], p.color.ravel(), p.basis.T.ravel(), p.shift,
    ]  # fmt: skip
    for row in p.predictors:
        for predictor in row:
            lists += [predictor.weights, predictor.bias]
    lists.append(p.sh_weights.ravel())
    for head in p.learned.heads if p.learned else ():
        lists += [head.weights.ravel(), head.bias] if head else []
    return [int(v) for part in lists for v in part]


def parameter_result(p: parameters.Parameters) -> str:
    flags = int(p.kept_order) + 2 * (p.learned is not None) + 4 * (len(p.sh_weights) > 0)
    head = [flags, p.sh_count, p.basis.shape[1], p.classes, len(p.bounds)]
    if p.learned:
        head += [p.learned.model, sum(1 << c for c, own in enumerate(p.learned.heads) if own)]
    present = [i for i, t in enumerate(p.tables.all()) if t is not None]
    return f"{words(head)} {words(numbers_of(p))}; {words(present)}".strip()


def of_size(classes: int, levels: int, columns: int, sh_count: int, kept: bool) -> parameters.Parameters:
    for seed in range(100_000):
        p = splat_streams.random_parameters(np.random.default_rng(seed), sh_count, False, kept)
        if (p.classes, len(p.bounds), p.basis.shape[1]) == (classes, levels, columns):
            return p
    raise AssertionError("no such parameters")


def parameter_payloads() -> list[Row]:
    small, large = of_size(1, 1, 0, 0, False), of_size(4, 2, 2, 3, True)
    one = entropy.fit(entropy.histogram(np.array([0, 1, 0], np.uint8), np.zeros(3, np.uint8), 1))
    table_sets = dataclasses.replace(
        large.tables, order=one, channels=(one, *large.tables.channels[1:]),
        groups=(*large.tables.groups[:-1], one),
    )  # fmt: skip
    rng = np.random.default_rng(1)  # All backends fit the same tables to it.
    learned = splat_streams.with_learned(rng, of_size(1, 1, 1, 3, False), heads=1 << 8, sh_predicted=True)
    rows = [
        [parameters.encode(p).hex().upper(), parameter_result(p), why]
        for p, why in (
            (small, "the smallest"),
            (dataclasses.replace(large, tables=table_sets), "kept order, two levels, SH, three table sets"),
            (learned, "a learned context model, SH predicted"),
        )
    ]
    wide = entropy.fit(entropy.histogram(np.arange(66, dtype=np.uint8) % 2, np.arange(66, dtype=np.uint8), 66))
    bad = [
        (dataclasses.replace(small, exponent=127), "an exponent out of range"),
        (dataclasses.replace(large, bounds=(3, 3)), "bounds that do not rise"),
        (dataclasses.replace(large, cells=(1, 0)), "a cell out of range"),
        (
            dataclasses.replace(small, tables=dataclasses.replace(small.tables, order=wide)),
            "a table set of 66 contexts for order",
        ),
    ]
    payloads = [(parameters.encode(p), why) for p, why in bad]
    good, seen = parameters.encode(small), parameters.encode(learned)
    payloads += [
        (b"\x08" + good[1:], "an unknown flag"),
        (b"\4" + good[1:], "a prediction of no SH columns"),
        (seen[:5] + b"\2" + seen[6:], "an unknown context model"),
        (seen[:5] + b"\0" + seen[6:], "context model 0"),
        (seen[:6] + b"\x80\x0a" + seen[8:], "a head of channel 10"),
        (good[:1] + b"\1" + good[2:], "SH count 1"),
        (good[:2] + b"\1" + good[3:], "a column without SH"),
        (good[:3] + b"\0" + good[4:], "no classes"),
        (good[:4] + b"\2" + good[5:], "more levels than classes"),
        (good + b"\0", "a byte too many"),
        (good[:-1], "cut short"),
    ]
    return rows + [[payload.hex().upper(), "INVALID", why] for payload, why in payloads]


# --- context ---


def neighbours() -> list[Row]:
    rng = np.random.default_rng(2)
    far = np.sort(rng.integers(0, 2**63, 9, np.uint64))
    cases = [
        (np.array([5], np.uint64), np.array([0, 5, 9], np.uint64)),
        (np.array([0, 7, 7, 0x38], np.uint64), np.array([0, 7, 8, 0x38], np.uint64)),
        (np.arange(12, dtype=np.uint64), np.array([3, 11, 63], np.uint64)),
        (far, np.sort(rng.integers(0, 2**63, 4, np.uint64))),
    ]
    return [
        [
            words(f"{c:X}" for c in coarse.tolist()), words(f"{c:X}" for c in codes.tolist()),
            words(kernels.neighbours(codes, coarse).ravel().tolist()),
        ]
        for coarse, codes in cases
    ]  # fmt: skip


def prediction(near: bool, kind: int, bias: int, weights: I32, values: I32, step: int, symbol: int) -> Row:
    """One row of the table of predictions, its last three cells computed."""
    inputs = (len(values) - 2) // 3 if near else len(values)
    tile, pairs = np.zeros((4, 3), np.int32), np.zeros((0, 2), np.int32)
    if near:
        tile[3, :2] = values[:2]
        pairs = np.array([[0, 1]], np.int32)
        for j in range(inputs):
            tile[j, [2, 0, 1]] = values[2 + 3 * j : 5 + 3 * j]
    else:
        tile[:inputs, 2] = values
    biases = np.full(kind + 1, bias, np.int32)
    base, contexts, flip = kernels.predict(
        tile, 2, pairs, 3, ints(*range(inputs)), weights, biases, np.array([kind], np.uint8), ints(step)
    )
    value = kernels.reconstruct(base, flip, ints(symbol), ints(step))
    cells = ["yes" if near else "no", kind, bias, words(weights), words(values), step, symbol]
    return [str(c) for c in (*cells, base[0], contexts[0], value[0])]


def predictions() -> list[Row]:
    top = 1 << 24
    return [
        prediction(False, 0, 0, ints(), ints(), 1, 0),
        prediction(False, 3, -7, ints(), ints(), 10, 2),
        prediction(False, 3, -4, ints(), ints(), 10, 2),
        prediction(False, 3, -5, ints(), ints(), 10, 2),
        prediction(False, 15, 11, ints(4096), ints(100), 16, -1),
        prediction(False, 1, 11, ints(2048, -1), ints(101, 4096), 7, 5),
        prediction(True, 0, 0, ints(2048, 2048), ints(10, 13), 7, 0),
        prediction(True, 0, 0, ints(2048, 2048), ints(10, 14), 8, 1),
        prediction(True, 2, 5, ints(2048, 2048), ints(-100, 60), 20, -3),
        prediction(True, 2, 5, ints(4096, 0, 4096, -4096, 0), ints(-100, 60, 31, 11, 999), 20, 3),
        prediction(True, 4, -1, ints(1, 2, 3, 4, 5, 6, 7, 8), ints(*range(-4000, 4000, 1000)), 3, 3),
        prediction(True, 1, 0, ints(32767, 32767), ints(top, top), 1, 1),
        prediction(False, 1, -top, ints(), ints(), 65535, -9),
        prediction(False, 0, 1, ints(), ints(), 62758, 33554432),
    ]


# --- order ---


def orders() -> list[Row]:
    rows = []
    for lowest, highest, near, classes, indices, total in (
        (0, 3, [], [0, 3, 1, 0, 0], None, 5),
        (2, 4, [(0, 0), (1, 0), (0, 1)], [2, 4, 3], [6, 0, 3], 7),
        (5, 5, [], [5, 5], [1, 0], 2),
        (0, 0, [], [0], [0], 1),
        (0, 0, [], [0, 0], None, 2),
    ):
        tile, level = order_level(near, len(classes))
        tile.classes[level.own] = classes
        symbols = order.symbols(tile, level, lowest) if highest > lowest else None
        table = context.fit([symbols]) if symbols else None
        kept = None if indices is None else np.array(indices, np.int32)
        payload = order.encode(symbols, table, kept, total)
        rows.append([
            table.to_bytes().hex().upper() if table else "", payload.hex().upper(), f"{lowest}..{highest}",
            "; ".join(words(pair) for pair in near), "" if indices is None else str(total), words(classes),
            words(indices or []),
        ])  # fmt: skip
    good = rows[1]
    for payload, why in (
        (bytes.fromhex(good[1])[:-1], "INVALID 3 cut short"),
        (bytes.fromhex(good[1]) + b"\0", "INVALID 3 a byte too many"),
        (bytes.fromhex(good[1])[:-1] + b"\xff", "INVALID 3 ones in the filling"),
    ):
        rows.append([good[0], payload.hex().upper(), *good[2:5], why, ""])
    rows.append(["", "0007", "5..5", "", "2", "INVALID 2 ones in the filling", ""])
    rows.append(["", "000B", "0..0", "", "3", "INVALID 2 index 3 of 3", ""])
    rows.append(["", "010000", "0..0", "", "", "INVALID 2 classes where there is one", ""])
    rows.append(["0100", "00", "0..1", "", "", "INVALID 2 no classes where there are two", ""])
    return rows


def order_level(near: Sequence[tuple[int, int]], count: int) -> tuple[Tile, Level]:
    """A level of `count` whose neighbours have these classes."""
    tile = Tile.empty(2 * len(near) + count, 0)
    tile.classes[: 2 * len(near)] = np.array(near, np.uint8).ravel()
    pairs = np.arange(2 * len(near), dtype=np.int32).reshape(-1, 2)
    return tile, Level(2 * len(near), count, pairs)


# --- scale, opacity, rotation ---


def scales() -> list[Row]:
    rows = []
    curves = [(-3072, [256] * 16), (-3072, [16, 20, 30, 45, 80, 128, 200] + [256] * 9), (100, [1] * 15 + [1024])]
    for origin, widths in curves:
        for value in (0, -1, 15, 16, 36, 300, 5000, -(1 << 24), 1 << 24):
            logs = kernels.expand_scales(ints(value)[None], origin, np.array(widths, np.int32))
            rows.append([str(origin), words(widths), str(value), str(logs[0, 0]), bits(scale.dequantise(logs))])
    return rows


def opacities() -> list[Row]:
    values = [5, 0, -1, -2, -100, -255, -256, -257, -1000, -4094, -4095, -4096, -(1 << 24)]
    table = opacity.dequantise(-np.arange(4096, dtype=np.int32))
    rows = [[str(v), bits(opacity.dequantise(ints(v)))] for v in values]
    return [*rows, ["all", f"CRC {crc32c(table.astype('<f4').tobytes()):08X}"]]


def rotation_steps() -> list[Row]:
    gains = [0, 4, 9, 15, 22, 30, 39, 49, 60, 72, 85, 99, 114]
    lifts = [90, 80, 70, 60, 50, 40, 30, 20, 10, 9, 8, 7, 6, 5, 4, 0]
    rows = []
    for base, origin, s in (
        (0, 0, (0, 0, 0)), (40, -3000, (-2000, -1500, -1000)), (40, -3000, (-2000, -1937, -1936)),
        (100, -3000, (-1400, -3100, 2000)), (255, 5, (-9, 4, 5)), (200, -32768, (-32768, 32767, 0)),
    ):  # fmt: skip
        found = kernels.rotation_steps(
            np.array([base], np.uint8), np.array(gains, np.uint8), np.array(lifts, np.uint8), origin,
            np.zeros(1, np.uint8), ints(*s)[:, None],
        )  # fmt: skip
        rows.append([str(base), words(gains), words(lifts), str(origin), words(s), words(found[:, 0])])
    return rows


def quaternions() -> list[Row]:
    rows = []
    for v in ((0, 0, 0), (1, -2, 3), (16384, 16384, 16384), (12345, -9876, 5432), (23170, 23170, 0), (32768, 0, 0),
              (-40000, 1, 0), (1 << 24, -(1 << 24), 5)):  # fmt: skip
        rows.append([words(v), bits(quaternion_of(ints(*v)))])
    return rows


def quaternion_of(v: I32) -> NDArray[np.float32]:
    x = v.astype(np.float64) / rotation.UNIT
    return np.array([np.sqrt(max(1 - float((x * x).sum()), 0.0)), *x]).astype(np.float32)


# --- refinement ---


def exponents() -> list[Row]:
    rows = []
    for cell, offset, slope, reach, s, v in (
        (10, (0, 0, 0), (0,) * 9, 0, (0, 0, 0), (0, 0, 0)),
        (20, (100, 600, 1100), (256, 0, 0, 0, 256, 0, 0, 0, 256), 2560, (300, 100, 200), (0, 0, 0)),
        (20, (100, 600, 1100), (256, 0, 0, 0, 256, 0, 0, 0, 256), 2560, (300, 100, 200), (23000, 0, 0)),
        (20, (100, 600, 1100), (256, 0, 0, 0, 256, 0, 0, 0, 256), 2560, (-300, -300, -300), (9000, -12000, 7000)),
        (9, (900, 1200, 2000), (20, -7, 3, 1, 80, -4, 0, 2, 300), 700, (500, 1500, 900), (-9000, 12000, 17000)),
        (33, (-900, 9000, 7000), (20, -7, 3, 1, 80, -4, 0, 2, 300), 99999, (5, 7, 7), (14189, 14189, 14189)),
        (40, (-(1 << 20), 0, 1 << 20), (0,) * 9, 1 << 20, (1, 2, 3), (100000, -100000, 100000)),
        (1, (5000, 5000, 5000), (0,) * 9, 5000, (1, 2, 3), (1, 2, 3)),
    ):
        found, _ = kernels.position_exponents(
            ints(*offset)[:, None], ints(*slope).reshape(3, 3), reach, np.zeros(1, np.uint8), ints(*s)[:, None],
            ints(*v)[:, None], cell,
        )  # fmt: skip
        rows.append([str(cell), words(offset), words(slope), str(reach), words(s), words(v), words(found[:, 0])])
    return rows


def refinements() -> list[Row]:
    rows = []
    for cell, exps, cells, field, corner, exponent in (
        (5, (5, 5, 5), (1, 2, 3), (0, 0, 0), (0, 0, 0), 0),
        (5, (1, 2, 5), (1, 2, 3), (9, 5, 0), (-100, 200, -300), -3),
        (26, (2, 3, 20), (1, 0, 70000), (0xABCDEF, 0x123456, 0x3F), (-(2**44), 2**44, 5), -40),
        (40, (16, 40, 30), (0, 0, 0), (0xFFFFFF, 0, 1), (2**44, -(2**44), 0), 126),
        (1, (1, 1, 1), (0, 0, 0), (0, 0, 0), (0, -1, -2), -126),
    ):
        e, g, h = (np.array([v], np.int64) for v in (exps, cells, field))
        offsets = (g << cell) + (h << e) + (np.int64(1) << (e - 1))
        payload = refinement.encode(offsets, e.T, cell)
        where = [int(o) + c for o, c in zip(offsets[0], corner, strict=True)]
        largest = float(np.finfo(np.float32).max)
        means = np.clip(np.array(where, np.float64) * 2.0**exponent, -largest, largest).astype(np.float32)
        rows.append([
            str(cell), words(exps), words(cells), payload.hex().upper(), words(corner), str(exponent),
            words(where), bits(means),
        ])  # fmt: skip
    good = rows[1]
    for payload, why in (
        (good[3][:-2], "INVALID cut short"), (good[3] + "00", "INVALID a byte too many"),
        (good[3][:-2] + "FF", "INVALID ones in the filling"),
    ):  # fmt: skip
        rows.append([*good[:3], payload, *good[4:6], why, ""])
    return rows


# --- colour and SH ---


def colors() -> list[Row]:
    rows = []
    for matrix, v in (
        ((16384, 0, 0, 0, 16384, 0, 0, 0, 16384), (4096, -2048, 1)),
        ((9459, 9459, 9459, -11585, 0, 11585, 6689, -13377, 6689), (5000, -311, 77)),
        ((32767, -32768, 1, 2, 3, 4, 5, 6, 7), (1 << 24, 1 << 24, -(1 << 24))),
        ((123, -456, 789, 32767, 32767, 32767, -1, -1, -1), (16777213, 16777213, 3)),
    ):
        found = color.dequantise(ints(*v)[:, None], ints(*matrix).reshape(3, 3))
        rows.append([words(matrix), words(v), bits(found)])
    return rows


def extent_contexts() -> list[Row]:
    rows = []
    for kind, near in ((0, ()), (3, ()), (0, (0, 0)), (0, (0, 1)), (7, (1, 2)), (15, (15, 15)), (2, (9, 0))):
        tile, level = order_level([(0, 0)] if near else [], 1)
        tile.extents[: len(near)] = near
        tile.classes[level.own] = kind
        found = sh.symbols(tile, level, ints(1))[0].contexts[0]
        rows.append([str(kind), words(near), str(found)])
    return rows


def sh_contexts() -> list[Row]:
    rows = []
    for kind, extent, group, near, step in (
        (0, 3, 2, (), 10), (4, 3, 3, (), 10), (0, 3, 3, (0, 0), 10), (0, 3, 2, (0, 5), 10), (0, 3, 2, (0, 4), 10),
        (15, 15, 15, (-10, 10), 10), (1, 5, 1, (-10, 9), 10), (1, 5, 1, (131072, -131072), 1),
        (2, 1, 1, (1, 0), 2),
    ):  # fmt: skip
        plane = np.array([*near, 0], np.int32)
        pairs = np.array([[0, 1]] if near else np.zeros((0, 2)), np.int32).reshape(-1, 2)
        found = kernels.sh_contexts(
            plane, pairs, ints(0), np.array([extent], np.uint8), group, np.array([kind], np.uint8), ints(step)
        )
        rows.append([str(c) for c in (kind, extent, group, words(near), step, found[0])])
    return rows


def sh_values() -> list[Row]:
    rows = []
    for symbol, step in ((0, 5), (3, 5), (-3, 5), (131072, 1), (131073, 1), (-5, 60000), (33554432, 62758)):
        plane = np.zeros(1, np.int32)
        kernels.sh_scatter(plane, 0, ints(0), ints(symbol), ints(step))
        rows.append([str(symbol), str(step), str(plane[0])])
    return rows


def sh_inverses() -> list[Row]:
    rng = np.random.default_rng(4)
    rows = []
    for step, shift, values, basis in (
        (10, (0,), (10,), [[1], [-1], [127]]),
        (10, (64,), (-10,), [[1], [-1], [127]]),
        (100, (20, 64, 1), (300, -100, 0), [[100, 5, 1], [-3, 127, 2], [0, 0, 9]]),
        (3, (64, 64), (1, -1), [[100, 5], [-3, 127], [0, 0]]),
        (1, (0,) * 45, (131072,) * 45, [[127] * 45, [-127] * 45, [127, -126] + [1] * 43]),
        (77, (*range(0, 45, 5),), (*rng.integers(-50, 51, 9) * 77,), rng.integers(-127, 128, (9, 9)).tolist()),
    ):
        found = np.empty((1, len(basis)), np.float32)
        transposed = np.array(basis, np.int32).T.copy()
        kernels.sh_inverse(ints(*values)[:, None], 0, ints(step), ints(*shift), transposed, found)
        flat = "; ".join(words(row) for row in basis)
        rows.append([str(step), words(shift), words(values), flat, bits(found)])
    return rows


def sh_predictions() -> list[Row]:
    cases = [
        (0, (5, 5), (-100, 999), (0, 0), 10),
        (2, (3, 2), (), (4096, 4096), 10),
        (2, (3, 3), (10, 10), (2048, 2048), 10),
        (2, (3, 3), (10, 4), (2048, 2048), 10),
        (15, (15, 15), (-40, 3), (1500, -700), 16),
        (1, (9, 4), (131072, -131072), (32767, -32767), 1),
        (1, (9, 4), (-131072, 131072), (32767, 1), 60000),
    ]
    rows = []
    for kind, (extent, group), around, weights, step in cases:
        near = np.array([[0, 1]] if around else np.zeros((0, 2)), np.int32)
        found = kernels.sh_predict(
            ints(*around, *[0] * (3 - len(around))), near, ints(0), np.array([extent], np.uint8), group,
            np.array([kind], np.uint8), ints(step), ints(*weights),
        )  # fmt: skip
        front = [str(kind), str(extent), str(group), words(around), str(step), words(weights)]
        rows.append([*front, *(str(array[0]) for array in found)])
    return rows


TABLES: dict[tuple[str, str], Callable[[], list[Row]]] = {
    ("tiles", "### 4.1 "): tile_payloads,
    ("tiles", "### 4.2 "): tile_codes,
    ("parameters", "### 4.1 "): steps,
    ("parameters", "### 4.2 "): parameter_payloads,
    ("context", "### 4.1 "): neighbours,
    ("context", "### 4.2 "): predictions,
    ("order", "## 2. "): orders,
    ("scale", "## 3. "): scales,
    ("opacity", "## 3. "): opacities,
    ("rotation", "### 3.1 "): rotation_steps,
    ("rotation", "### 3.2 "): quaternions,
    ("refinement", "### 4.1 "): exponents,
    ("refinement", "### 4.2 "): refinements,
    ("color", "## 3. "): colors,
    ("sh", "### 4.1 "): extent_contexts,
    ("sh", "### 4.2 "): sh_contexts,
    ("sh", "### 4.3 "): sh_values,
    ("sh", "### 4.4 "): sh_inverses,
    ("sh", "### 4.5 "): sh_predictions,
}
"""By page and the beginning of the heading that the table stands under."""


def _split(text: str, heading: str) -> tuple[str, str, str]:
    """What stands before the rows of the table, the rows, and what comes after."""
    at = text.index("\n|---", text.index("\n" + heading)) + 1
    begin = text.index("\n", at) + 1
    end = begin
    while text.startswith("|", end):
        end = text.index("\n", end) + 1
    return text[:begin], text[begin:end], text[end:]


def rows(page: str, heading: str) -> list[Row]:
    """The cells of the table under a heading of a page."""
    _, body, _ = _split((SPEC / f"{page}.md").read_text("utf-8"), heading)
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in body.splitlines()]


def main(arguments: list[str], tables: dict[tuple[str, str], Callable[[], list[Row]]] | None = None) -> int:
    """Fill all tables; 1 if --check found one that would change."""
    changed = []
    for (page, heading), make in (TABLES if tables is None else tables).items():
        path = SPEC / f"{page}.md"
        before, body, after = _split(path.read_text("utf-8"), heading)
        fresh = "".join("| " + " | ".join(row) + " |\n" for row in make())
        if fresh != body:
            changed.append(f"{page}.md {heading}")
            if "--check" not in arguments:
                path.write_text(before + fresh + after, "utf-8")
    print("\n".join(changed) or "nothing changed")
    return int(bool(changed) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
