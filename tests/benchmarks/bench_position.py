"""Size and speed of the position stage on trained scenes, beside other ways to code the same points.

    python tests/benchmarks/bench_position.py [--shared DIR]

Each scene's centres go on a grid of 2^b cells along its longest side, in 4 tiles, each in 3 levels (an eighth, a
fourth and all of the splats); a level knows those before it. Bits are per splat, over all tiles and levels:

    press      this stage
    order0     each bit of a code by itself, with its probability
    uniform    log2(cells^n / n!): an unordered multiset of uniformly spread points, no two levels or tiles alike
    octree     the ideal code length of an adaptive octree occupancy coder that also sees the levels before
    draco      Draco's kd-tree coder, point for point the same set: one tile without levels, at most 20,000 points,
               beside press on that set (only where DracoPy is installed; it is slow)
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import harness
import numpy as np
from numpy.typing import NDArray

from scenepress.formats.ply import read_ply
from scenepress.scene import Splats
from scenepress.stages import position

Codes = NDArray[np.uint64]

SHARED = harness.SHARED
SCENES = ("trained/plush_150k_sh3.ply", "trained/lego_110k_sh3.ply", "leica_8k_sh3.ply")
LEVELS = (8, 4, 1)
"""A level ends with this fraction (1/x) of the splats."""
DRACO_POINTS = 20_000


@dataclasses.dataclass(frozen=True)
class Level:
    """What one call codes."""

    codes: Codes
    coarse: Codes
    bits: int


def tiles(means: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Halve by the median of the two widest axes: 4 tiles, or 1 of a small scene."""
    parts: list[NDArray[np.intp]] = [np.arange(len(means))]
    for axis in np.argsort(-means.std(axis=0))[:2] if len(means) > 20_000 else ():
        sorts = [part[np.argsort(means[part, axis], kind="stable")] for part in parts]
        parts = [half for part in sorts for half in np.array_split(part, 2)]
    return parts


def levels(scene: Splats, grid_bits: int, by: str) -> list[Level]:
    """Levels of all tiles; `by` is how splats come into levels: "random", or by "significance"."""
    means = scene.means.astype(np.float64)
    low = means.min(axis=0)
    step = (means.max(axis=0) - low).max() / (2**grid_bits - 1)
    cells = ((means - low) / step).astype(np.int64)
    opacity = 1 / (1 + np.exp(-scene.opacity_logits.astype(np.float64)))
    area = np.exp(scene.log_scales.astype(np.float64).sum(axis=1) * 2 / 3)
    random = np.random.default_rng(0).permutation(len(means))
    priority = np.argsort(random if by == "random" else -opacity * area)
    rank = np.argsort(priority)
    found = []
    for tile in tiles(means):
        origin = cells[tile].min(axis=0)
        bits = max(1, int((cells[tile] - origin).max()).bit_length())
        codes = position.morton((cells[tile] - origin).astype(np.uint32), bits)[np.argsort(rank[tile])]
        ends = [0] + [len(tile) // part for part in LEVELS]
        for begin, end in itertools.pairwise(ends):
            found.append(Level(np.sort(codes[begin:end]), np.sort(codes[:begin]), 3 * bits))
    return found


def order0_bits(level: Level) -> float:
    """Each bit position with the entropy of its own probability."""
    total = 0.0
    for b in range(level.bits):
        ones = float((level.codes >> np.uint64(b) & np.uint64(1)).mean())
        total += sum(-p * math.log2(p) for p in (ones, 1 - ones) if p > 0)
    return total * len(level.codes)


def uniform_bits(level: Level) -> float:
    n = len(level.codes)
    return n * level.bits - math.lgamma(n + 1) / math.log(2)


def adaptive_bits(contexts: NDArray[np.int64], bits: NDArray[np.bool_]) -> float:
    """Code length of bits under one adaptive (Krichevsky-Trofimov) estimate per context."""
    size = int(contexts.max(initial=0)) + 1
    ones = np.bincount(contexts, bits, size)
    counts = np.bincount(contexts, minlength=size)
    log_gamma = np.vectorize(math.lgamma, otypes=[float])
    nats = 2 * math.lgamma(0.5) + log_gamma(counts + 1) - log_gamma(ones + 0.5) - log_gamma(counts - ones + 0.5)
    return float(nats[counts > 0].sum()) / math.log(2)


def counts_in(keys: Codes, shift: int, codes: Codes) -> NDArray[np.int64]:
    """How many sorted codes start with each key, which lacks their lowest `shift` bits."""
    begin = np.searchsorted(codes, keys << np.uint64(shift))
    return np.searchsorted(codes, (keys + np.uint64(1)) << np.uint64(shift)) - begin


def face_neighbours(keys: Codes, depth: int) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Axis, side and whether the node beside each node (all of one depth, sorted) is occupied."""
    cells = position.unmorton(keys, depth).astype(np.int64)
    for axis in range(3):
        for side in (0, 1):
            moved = cells.copy()
            moved[:, axis] += 2 * side - 1
            inside = (moved[:, axis] >= 0) & (moved[:, axis] < 1 << depth)
            codes = position.morton(np.where(inside[:, None], moved, 0).astype(np.uint32), depth)
            yield axis, side, inside & (keys[np.searchsorted(keys, codes).clip(max=len(keys) - 1)] == codes)


def octree_bits(level: Level) -> float:
    """An octree coder: occupancy bits in contexts of neighbours, siblings and coarse points; a node with one point
    says so and stores the rest plainly."""  # fmt: skip
    total, codes = 0.0, level.codes
    alive = np.ones(len(codes), bool)  # Points not yet stored plainly.
    for depth in range(level.bits // 3):
        shift = level.bits - 3 * depth
        points = codes[alive]
        keys, n = np.unique(points >> np.uint64(shift), return_counts=True)
        everyone = np.unique(codes >> np.uint64(shift))  # Points stored plainly are neighbours too.
        index = np.searchsorted(everyone, keys)
        beside = {(a, s): full[index] for a, s, full in face_neighbours(everyone, depth)} if depth else {}
        around = sum(full.astype(np.int64) for full in beside.values()) + np.zeros(len(keys), np.int64)
        coarse = np.minimum(counts_in(keys, shift, level.coarse), 2)
        total += adaptive_bits((depth * 7 + around) * 3 + coarse, n == 1)
        single = n == 1
        total += int(single.sum()) * shift
        where = np.flatnonzero(alive)
        alive[where[single[np.searchsorted(keys, points >> np.uint64(shift))]]] = False
        keep = ~single
        before = np.zeros(int(keep.sum()), np.int64)
        for child in range(8):
            child_keys = keys[keep] * np.uint64(8) + np.uint64(child)
            full = counts_in(child_keys, shift - 3, points) > 0
            sides = [(axis, child >> (2 - axis) & 1) for axis in range(3)]
            near = sum((beside[side][keep].astype(np.int64) for side in sides if beside), 0 * before)
            seen = np.minimum(counts_in(child_keys, shift - 3, level.coarse), 2)
            implied = (before == 0) & (child == 7)
            context = ((child * 4 + near) * 3 + seen) * 4 + np.minimum(before, 3)
            total += adaptive_bits(context[~implied], full[~implied])
            before += full
    if alive.any():  # How many points share each last cell.
        n = np.unique(codes[alive], return_counts=True)[1]
        total += adaptive_bits(np.zeros(int(n.sum()), np.int64), np.arange(int(n.sum())) < len(n))
    return total


def draco_bits(codes: Codes, bits: int) -> float:
    """Draco, checked to hold the same points."""
    import DracoPy

    cells = position.unmorton(codes, bits // 3)
    top = float(2 ** (bits // 3) - 1)
    data = DracoPy.encode(
        cells.astype(np.float32), quantization_bits=bits // 3, compression_level=10, quantization_range=top,
        quantization_origin=[0.0, 0.0, 0.0],
    )  # fmt: skip
    back = np.rint(np.asarray(DracoPy.decode(data).points)).astype(np.uint32).reshape(-1, 3)
    assert np.array_equal(np.sort(position.morton(back, bits // 3)), codes)
    return 8.0 * len(data)


def processor_s(call: Callable[[], object]) -> float:
    """Median processor time of a call: what one core needs, whatever else the machine does."""
    samples = []
    for _ in range(7):
        start = time.process_time()
        call()
        samples.append(time.process_time() - start)
    return statistics.median(samples)


def size_line(scene: str, splats: Splats, grid_bits: int, by: str) -> None:
    parts = levels(splats, grid_bits, by)
    payloads = [position.encode(part.codes, part.coarse, part.bits) for part in parts]
    for part, payload in zip(parts, payloads, strict=True):  # Wrong is not small.
        assert np.array_equal(position.decode(payload, len(part.codes), part.coarse, part.bits), part.codes)
    sizes = np.array([8 * len(payload) for payload in payloads])
    counts = np.array([len(part.codes) for part in parts])
    count = int(counts.sum())
    line: dict[str, harness.Value | harness.Timing] = {
        "scene": scene, "splats": count, "grid_bits": grid_bits, "levels_by": by,
        "press": float(sizes.sum() / count),
        "press_by_level": [round(float(sizes[i::3].sum() / counts[i::3].sum()), 3) for i in range(3)],
        "order0": sum(map(order0_bits, parts)) / count, "uniform": sum(map(uniform_bits, parts)) / count,
        "octree": sum(map(octree_bits, parts)) / count,
    }  # fmt: skip
    if importlib.util.find_spec("DracoPy"):
        whole = np.unique(np.concatenate([part.codes for part in parts[:3]]))  # Draco drops doubles.
        some = whole[:: -(-len(whole) // DRACO_POINTS)]
        none = np.zeros(0, np.uint64)
        line["draco_points"] = len(some)
        line["draco"] = draco_bits(some, parts[0].bits) / len(some)
        line["press_without_levels"] = 8 * len(position.encode(some, none, parts[0].bits)) / len(some)

    def encode() -> None:
        for p in parts:
            position.encode(p.codes, p.coarse, p.bits)

    def decode() -> None:
        for p, payload in zip(parts, payloads, strict=True):
            position.decode(payload, len(p.codes), p.coarse, p.bits)

    line |= {
        "encode": harness.measure(encode, repeats=3), "decode": harness.measure(decode, repeats=3),
        "encode_mcodes_per_core_s": count / processor_s(encode) / 1e6,
        "decode_mcodes_per_core_s": count / processor_s(decode) / 1e6,
    }  # fmt: skip
    harness.record("position", line)


def main() -> None:
    """Record a line for each scene, grid and way into levels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of real inputs")
    folder = parser.parse_args().shared / "data/splats"
    if not folder.is_dir():
        sys.exit(f"bench_position: no {folder}: give --shared")
    for scene in SCENES:
        splats = read_ply(folder / scene)
        for grid_bits in (10, 12, 14):
            for by in ("random", "significance"):
                size_line(Path(scene).stem, splats, grid_bits, by)


if __name__ == "__main__":
    main()
