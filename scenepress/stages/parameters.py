"""Parameters of a scene: grid, levels, steps, transforms, predictors and tables that all tiles share.

Normative text: docs/spec/parameters.md.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress import varint
from scenepress.errors import BitstreamError
from scenepress.stages import context, entropy
from scenepress.stages.context import (
    CHANNELS,
    EXTENT_CONTEXTS,
    GROUPS,
    I32,
    INPUTS,
    KNOTS,
    MAX_CLASSES,
    SH_CONTEXTS,
    SH_PREDICTED_CONTEXTS,
    SIZES,
    U8,
    Predictor,
    Symbols,
)
from scenepress.stages.entropy import TableSet
from scenepress.stages.learned_context import MODELS, OUTPUTS, UNITS, Head, Learned

MAX_LEVELS = 16
MAX_EXPONENT = 126
"""The grid unit is 2 ** exponent scene units, -MAX_EXPONENT..MAX_EXPONENT."""
MAX_CELL = 40
MAX_WIDTH = 1024
SH_COUNTS = (0, 3, 8, 15)
SHIFT_UNIT = 128
"""Reconstruction shifts of SH are in units of step / SHIFT_UNIT."""

KEPT_ORDER, LEARNED, SH_PREDICTED = 1, 2, 4
"""Flags."""

MISC, STEP, WEIGHT, BIAS, BASIS, HEAD = range(6)
"""Contexts of the parameters' own plane."""


@dataclasses.dataclass(frozen=True)
class Steps:
    """Step codes by class (context.step_of), and what geometry's steps add for the splat's shape."""

    scale: U8
    """uint8 [classes]."""
    opacity: U8
    """uint8 [classes]."""
    rotation: U8
    """uint8 [classes]."""
    gain: U8
    """uint8 [KNOTS]: see rotation.steps."""
    lift: U8
    """uint8 [SIZES]: see rotation.steps."""
    origin: int
    """The smallest scale of the curve and the lifts, in 1/256 octave."""
    curve: I32
    """int32 [SIZES], 1..MAX_WIDTH: widths of scale.expand."""
    color: U8
    """uint8 [classes]."""
    sh: U8
    """uint8 [classes]."""
    offset: I32
    """int32 [3, classes]: see refinement.exponents."""
    slope: I32
    """int32 [3, 3]: see refinement.exponents."""
    reach: int
    """See refinement.exponents."""


@dataclasses.dataclass(frozen=True)
class Tables:
    """Entropy tables of every plane; None where the scene never needs one."""

    order: TableSet | None
    channels: tuple[TableSet | None, ...]
    """One per channel of context.CHANNELS."""
    extent: TableSet | None
    groups: tuple[TableSet | None, ...]
    """One per SH extent 1..15."""

    def all(self) -> Iterator[TableSet | None]:
        """In the order of the bitstream."""
        yield self.order
        yield from self.channels
        yield self.extent
        yield from self.groups


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Everything of docs/spec/parameters.md."""

    exponent: int
    """log2 of the grid unit in scene units."""
    kept_order: bool
    sh_count: int
    """SH coefficients per colour channel beyond the constant one: 0, 3, 8 or 15."""
    bounds: tuple[int, ...]
    """The last importance class of every level."""
    cells: tuple[int, ...]
    """log2 of the edge of every level's position cells, in grid units, 1..MAX_CELL."""
    steps: Steps
    color: I32
    """int32 [3, 3], 16384 = 1: coded channels are color @ sh0; its inverse is its transpose."""
    basis: NDArray[np.int8]
    """int8 [3 * sh_count, columns]."""
    shift: I32
    """int32 [15]: by SH extent group, how far a non-zero coefficient is moved towards zero."""
    predictors: tuple[tuple[Predictor, ...], ...]
    """[2][CHANNELS]: for levels without and with neighbours."""
    tables: Tables
    learned: Learned | None = None
    """The learned context model, if the file uses one."""
    sh_weights: I32 = dataclasses.field(default_factory=lambda: np.zeros((0, 2), np.int32))
    """int32 [columns, 2]: how SH coefficients follow from their neighbours (4096 = 1), or [0, 2]: not at all."""

    @property
    def classes(self) -> int:
        """Number of importance classes."""
        return self.bounds[-1] + 1


def weight_count(channel: int, with_near: bool) -> int:
    """Weights of a channel's predictor."""
    return 2 + 3 * len(INPUTS[channel]) if with_near else len(INPUTS[channel])


def encode(p: Parameters) -> bytes:
    """The payload of the parameters chunk."""
    head = bytearray()
    flags = KEPT_ORDER * p.kept_order | LEARNED * (p.learned is not None) | SH_PREDICTED * (len(p.sh_weights) > 0)
    shape = [flags, p.sh_count, p.basis.shape[1], p.classes, len(p.bounds)]
    if p.learned is not None:
        shape += [p.learned.model, sum((head is not None) << c for c, head in enumerate(p.learned.heads))]
    for value in shape:
        head += varint.write_varint(value)
    symbols = Symbols(*_flatten(p))
    own = context.fit([symbols])
    assert own is not None
    head += own.to_bytes()
    present = 0
    tables = list(p.tables.all())
    for i, table in enumerate(tables):
        present |= (table is not None) << i
    head += varint.write_varint(present)
    for table in tables:
        if table is not None:
            head += table.to_bytes()
    return bytes(head) + entropy.encode_planes([context.tokens_of(symbols, own)])


def _flatten(p: Parameters) -> tuple[I32, U8]:
    s = p.steps
    parts: list[tuple[int, Sequence[int] | NDArray[np.integer]]] = [
        (MISC, [p.exponent, *p.bounds, *p.cells]),
        *((STEP, _delta(codes)) for codes in (s.scale, s.opacity, s.rotation, s.gain, s.lift, s.color, s.sh)),
        (BIAS, [s.origin]),
        (STEP, s.curve),
        *((BIAS, _delta(row)) for row in s.offset),
        (WEIGHT, s.slope.ravel()), (BIAS, [s.reach]),
        (BIAS, p.color.ravel()), (BASIS, p.basis.T.ravel()), (MISC, p.shift),
    ]  # fmt: skip
    for row in p.predictors:
        for predictor in row:
            parts += [(WEIGHT, predictor.weights), (BIAS, predictor.bias)]
    parts.append((WEIGHT, p.sh_weights.ravel()))
    for head in p.learned.heads if p.learned is not None else ():
        if head is not None:
            parts += [(HEAD, head.weights.ravel()), (BIAS, head.bias)]
    values = np.concatenate([np.asarray(v, np.int32) for _, v in parts])
    contexts = np.concatenate([np.full(len(v), c, np.uint8) for c, v in parts])
    return values, contexts


def _delta(v: NDArray[np.integer]) -> I32:
    return np.diff(v.astype(np.int32), prepend=np.int32(0)).astype(np.int32)


class _Reader:
    """Hands out the decoded parameter integers in order."""

    def __init__(self, values: I32) -> None:
        self.values, self.at = values, 0

    def take(self, count: int) -> I32:
        part = self.values[self.at : self.at + count]
        self.at += count
        return part

    def limited(self, what: str, count: int, low: int, high: int, delta: bool = False) -> NDArray[np.int64]:
        part = self.take(count).astype(np.int64)
        part = np.cumsum(part) if delta else part
        if count and not (low <= part.min() and part.max() <= high):
            raise BitstreamError(f"splat parameters: {what} outside {low}..{high}")
        return part


def decode(payload: bytes) -> Parameters:
    """Parameters of a payload.

    Raises:
        BitstreamError: a value out of its range, or damaged bytes.
    """
    at, shape = 0, []
    for what, limit in (
        ("flags", KEPT_ORDER | LEARNED | SH_PREDICTED),
        ("SH count", 15),
        ("columns", 45),
        ("classes", MAX_CLASSES),
        ("levels", MAX_LEVELS),
    ):
        value, at = varint.read_varint(payload, at)
        if value > limit:
            raise BitstreamError(f"splat parameters: {what} is {value}, at most {limit} is allowed")
        shape.append(value)
    flags, sh_count, columns, classes, levels = shape
    if sh_count not in SH_COUNTS or columns > 3 * sh_count or not 1 <= levels <= classes:
        raise BitstreamError(
            f"splat parameters: SH count {sh_count}, {columns} columns, {levels} levels, {classes} classes"
        )
    model, heads = 0, 0
    if flags & LEARNED:
        model, at = varint.read_varint(payload, at)
        heads, at = varint.read_varint(payload, at)
        if model not in MODELS or heads >> CHANNELS:
            raise BitstreamError(f"splat parameters: context model {model} with heads {heads:b} is unknown")
    if flags & SH_PREDICTED and not columns:
        raise BitstreamError("splat parameters: a prediction of no SH columns")
    own, at = TableSet.from_bytes(payload, at)
    present, at = varint.read_varint(payload, at)
    tables: list[TableSet | None] = []
    for i in range(2 + CHANNELS + GROUPS):
        table = None
        if present >> i & 1:
            table, at = TableSet.from_bytes(payload, at)
        tables.append(table)
    if present >> len(tables):
        raise BitstreamError("splat parameters: tables of unknown planes")
    counts = [(MISC, 1 + 2 * levels), (STEP, 3 * classes + KNOTS + SIZES + 2 * classes), (BIAS, 1), (STEP, SIZES),
              (BIAS, 3 * classes),
              (WEIGHT, 9), (BIAS, 10), (BASIS, 3 * sh_count * columns), (MISC, GROUPS)]  # fmt: skip
    for with_near in (False, True):
        for channel in range(CHANNELS):
            counts += [(WEIGHT, weight_count(channel, with_near)), (BIAS, classes)]
    predicted = 2 * columns if flags & SH_PREDICTED else 0
    counts.append((WEIGHT, predicted))
    counts += [(HEAD, OUTPUTS * UNITS), (BIAS, OUTPUTS)] * heads.bit_count()
    contexts = np.concatenate([np.full(n, c, np.uint8) for c, n in counts])
    decoder = entropy.PlaneDecoder(payload[at:])
    read = _Reader(context.decode_plane(decoder, own, contexts))
    decoder.finish()
    p = _build(read, bool(flags & KEPT_ORDER), sh_count, columns, classes, levels, tables)
    weights = read.limited("SH weights", predicted, -32767, 32767).reshape(-1, 2).astype(np.int32)
    p = dataclasses.replace(p, sh_weights=weights, learned=_learned(read, model, heads) if model else None)
    _check_contexts(p)
    return p


def _learned(read: _Reader, model: int, present: int) -> Learned:
    heads: list[Head | None] = []
    for channel in range(CHANNELS):
        if not present >> channel & 1:
            heads.append(None)
            continue
        weights = read.limited("head weights", OUTPUTS * UNITS, -127, 127).astype(np.int8)
        bias = read.limited("head biases", OUTPUTS, -(1 << 24), 1 << 24).astype(np.int32)
        heads.append(Head(weights.reshape(OUTPUTS, UNITS), bias))
    return Learned(model, tuple(heads))


def _build(
    read: _Reader,
    kept_order: bool,
    sh_count: int,
    columns: int,
    classes: int,
    levels: int,
    tables: list[TableSet | None],
) -> Parameters:
    exponent = int(read.limited("grid exponent", 1, -MAX_EXPONENT, MAX_EXPONENT)[0])
    bounds = tuple(read.limited("level bounds", levels, 0, classes - 1).tolist())
    if any(b <= a for a, b in itertools.pairwise(bounds)) or bounds[-1] != classes - 1:
        raise BitstreamError(f"splat parameters: level bounds {bounds} do not rise to {classes - 1}")
    cells = tuple(read.limited("cell exponents", levels, 1, MAX_CELL).tolist())

    def codes(what: str, count: int) -> U8:
        return read.limited(what, count, 0, 255, delta=True).astype(np.uint8)

    def offsets() -> I32:
        return read.limited("position offsets", classes, -(1 << 20), 1 << 20, delta=True).astype(np.int32)

    steps = Steps(
        scale=codes("scale steps", classes),
        opacity=codes("opacity steps", classes),
        rotation=codes("rotation steps", classes),
        gain=codes("rotation gains", KNOTS),
        lift=codes("rotation lifts", SIZES),
        color=codes("colour steps", classes),
        sh=codes("SH steps", classes),
        origin=int(read.limited("scale origin", 1, -(1 << 15), 1 << 15)[0]),
        curve=read.limited("scale widths", SIZES, 1, MAX_WIDTH).astype(np.int32),
        offset=np.stack([offsets() for _ in range(3)]),
        slope=read.limited("position slopes", 9, -32767, 32767).reshape(3, 3).astype(np.int32),
        reach=int(read.limited("position reach", 1, -(1 << 20), 1 << 20)[0]),
    )
    color = read.limited("colour matrix", 9, -32768, 32767).reshape(3, 3).astype(np.int32)
    basis = (
        read.limited("SH basis", 3 * sh_count * columns, -127, 127)
        .reshape(columns, 3 * sh_count)
        .T.astype(np.int8)
    )
    shift = read.limited("SH shifts", GROUPS, 0, SHIFT_UNIT // 2).astype(np.int32)
    predictors = []
    for with_near in (False, True):
        row = []
        for channel in range(CHANNELS):
            weights = read.limited("weights", weight_count(channel, with_near), -32767, 32767).astype(np.int32)
            row.append(Predictor(read.limited("biases", classes, -(1 << 24), 1 << 24).astype(np.int32), weights))
        predictors.append(tuple(row))
    split = Tables(tables[0], tuple(tables[1 : 1 + CHANNELS]), tables[1 + CHANNELS], tuple(tables[2 + CHANNELS :]))
    return Parameters(
        exponent, kept_order, sh_count, bounds, cells, steps, color, np.ascontiguousarray(basis), shift,
        tuple(predictors), split,
    )  # fmt: skip


def _check_contexts(p: Parameters) -> None:
    groups = SH_PREDICTED_CONTEXTS if len(p.sh_weights) else SH_CONTEXTS
    wanted = [context.CLASS_CONTEXTS] + [context.CONTEXTS] * CHANNELS + [EXTENT_CONTEXTS] + [groups] * GROUPS
    for table, count in zip(p.tables.all(), wanted, strict=True):
        if table is not None and len(table.context_map) > count:
            raise BitstreamError(
                f"splat parameters: a table set of {len(table.context_map)} contexts, not at most {count}"
            )
