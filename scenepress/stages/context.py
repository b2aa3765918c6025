"""What every predicted attribute shares: steps, neighbours, predictions and their contexts.

A tile is coded level by level. The splats of a level are predicted from two near splats of the levels
before it and from channels of the same splat that are already known; the distance of the prediction to
the lattice, the disagreement of the neighbours and the importance class choose the entropy context.
Nothing depends on another splat of the same level, so a level decodes in parallel.
Normative text: docs/spec/context.md.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import BitstreamError
from scenepress.kernels import learned as learned_kernels
from scenepress.kernels import splats as kernels
from scenepress.stages import entropy
from scenepress.stages.entropy import Plane, PlaneDecoder, TableSet
from scenepress.stages.learned_context import Learned, Seen, spreads_of

step_of = kernels.step_of

I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]

SCALE, OPACITY, ROTATION, COLOR = (0, 1, 2), (3,), (4, 5, 6), (7, 8, 9)
CHANNELS = 10
"""Predicted integer channels of a splat: 3 of scale, 1 of opacity, 3 of rotation, 3 of colour."""
INPUTS: tuple[tuple[int, ...], ...] = ((), (0,), (0, 1), (0, 1, 2), (), (4,), (4, 5), (3,), (7,), (7, 8))
"""For each channel, the channels of the same splat that it is predicted from."""
MAX_CLASSES = 16
CONTEXTS = MAX_CLASSES * kernels.PHASES * kernels.SPREADS
CLASS_CONTEXTS = 1 + 4 * MAX_CLASSES
EXTENT_BINS = 10
EXTENT_CONTEXTS = MAX_CLASSES * EXTENT_BINS
SH_CONTEXTS, SH_PREDICTED_CONTEXTS = MAX_CLASSES * 6, MAX_CLASSES * 12
GROUPS = 15
"""SH extents beyond 0; group g holds the coefficients that extent g adds."""
KNOTS, SIZES = kernels.KNOTS, kernels.SIZES

@dataclasses.dataclass(frozen=True)
class Predictor:
    """How one channel is predicted: int32 bias [classes] and int16 weights (4096 = 1)."""

    bias: I32
    weights: I32


@dataclasses.dataclass
class Tile:
    """The splats of one tile that are already known, in order of decoding; grows level by level."""

    values: I32
    """int32 [CHANNELS, capacity]."""
    classes: U8
    """uint8 [capacity]: importance, 0 the most important."""
    extents: U8
    """uint8 [capacity]: SH extent, 0..15."""
    sh: I32
    """int32 [columns, capacity]: dequantised SH transform coefficients."""
    filled: int
    """Columns in use."""
    codes: U64
    """uint64 [filled]: 63-bit Morton codes, sorted."""
    columns: I32
    """int32 [filled]: column of each of `codes`."""
    logs: I32 = dataclasses.field(default_factory=lambda: np.zeros((3, 0), np.int32))
    """int32 [3, capacity]: scales (scale.md), if a learned model needs them; else [3, 0]."""

    @staticmethod
    def empty(capacity: int, sh_columns: int, learned: bool = False) -> Tile:
        """A tile that can hold `capacity` splats."""
        return Tile(
            np.zeros((CHANNELS, capacity), np.int32),
            np.zeros(capacity, np.uint8),
            np.zeros(capacity, np.uint8),
            np.zeros((sh_columns, capacity), np.int32),
            0,
            np.zeros(0, np.uint64),
            np.zeros(0, np.int32),
            np.zeros((3, capacity if learned else 0), np.int32),
        )

    def near(self, codes: U64) -> I32:
        """Columns of the two neighbours of each of the sorted `codes`: int32 [n, 2], or [0, 2]."""
        if not self.filled:
            return np.zeros((0, 2), np.int32)
        return self.columns[kernels.neighbours(codes, self.codes)]

    def place(self, codes: U64, learned: Learned | None, classes: int) -> Level:
        """The level of the sorted `codes`, before merge(); `classes` is the scene's number of them."""
        if learned is None:
            return Level(self.filled, len(codes), self.near(codes) if len(codes) else np.zeros((0, 2), np.int32))
        near, far = np.zeros((0, 4), np.int32), np.zeros((0, 4), np.int32)
        if self.filled and len(codes):
            found, far = learned_kernels.nearest(codes, self.codes)
            near = self.columns[found]
        seen = Seen(learned, spreads_of(classes), near, far)
        return Level(self.filled, len(codes), np.ascontiguousarray(near[:, :2]), seen)

    def merge(self, codes: U64) -> None:
        """Count the level whose sorted `codes` were just decoded as known."""
        self.codes, self.columns = kernels.merge(self.codes, self.columns, codes, self.filled)
        self.filled += len(codes)


@dataclasses.dataclass(frozen=True)
class Level:
    """Where one level of one tile lies: its splats are columns first .. first + count - 1 of the tile."""

    first: int
    count: int
    near: I32
    """int32 [count, 2]: columns of the neighbours, or [0, 2]."""
    seen: Seen | None = None
    """In files with a learned model."""

    @property
    def own(self) -> slice:
        """The level's columns."""
        return slice(self.first, self.first + self.count)


@dataclasses.dataclass(frozen=True)
class Symbols:
    """One plane before entropy coding: int32 values and uint8 contexts, [n] both."""

    values: I32
    contexts: U8
    signed: bool = True


def tokens_of(symbols: Symbols, table_set: TableSet) -> Plane:
    """The plane that codes `symbols`."""
    tokens, raw, lengths = entropy.tokenize(symbols.values, symbols.signed)
    return Plane(tokens, symbols.contexts, table_set, raw, lengths)


def fit(symbols: Sequence[Symbols]) -> TableSet | None:
    """The tables for all planes of one kind; None if there is nothing to code."""
    if not sum(len(s.values) for s in symbols):
        return None
    tokens = np.concatenate([entropy.tokenize(s.values, s.signed)[0] for s in symbols])
    contexts = np.concatenate([s.contexts for s in symbols])
    return entropy.fit(entropy.histogram(tokens, contexts, int(contexts.max()) + 1))


def cost(symbols: Symbols, weights: NDArray[np.float64]) -> float:
    """Bits of at least one symbol and of the tables that fit them, which are not told the weights.

    weights: float64 [n]: how many symbols each stands for.
    """
    tokens, _, lengths = entropy.tokenize(symbols.values, symbols.signed)
    tables = entropy.fit(entropy.histogram(tokens, symbols.contexts, int(symbols.contexts.max()) + 1))
    shares = tables.frequencies[tables.context_map[symbols.contexts], tokens] / 4096
    return float((weights * (lengths - np.log2(shares))).sum()) + 8 * len(tables.to_bytes())


def decode_plane(decoder: PlaneDecoder, table_set: TableSet | None, contexts: U8, signed: bool = True) -> I32:
    """Values of the next plane.

    Raises:
        BitstreamError: damaged, or the file has no table for a context.
    """
    if not len(contexts):
        return np.zeros(0, np.int32)
    if table_set is None or int(contexts.max()) >= len(table_set.context_map):
        raise BitstreamError("a plane needs an entropy table that the splat parameters do not have")
    return decoder.values(table_set, contexts, signed)


def channel_contexts(
    tile: Tile, level: Level, channel: int, predictors: Sequence[Sequence[Predictor]], steps: I32
) -> tuple[I32, U8, U8]:
    """Base, contexts and flips of one channel (kernels.predict) with the level's predictor."""
    predictor = predictors[1 if len(level.near) else 0][channel]
    return kernels.predict(
        tile.values, level.first, level.near, channel, np.array(INPUTS[channel], np.int32),
        predictor.weights, predictor.bias, tile.classes[level.own], np.ascontiguousarray(steps),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Coding:
    """How the symbols of one channel of a level are to be read."""

    base: I32
    contexts: U8
    flip: U8
    prediction: I32 | None = None
    """int32 [count], where a learned model will compare it with the values."""


def with_heads(levels: Sequence[Level], learned: Learned) -> list[Level]:
    """The same levels, to be coded with these heads."""

    def changed(seen: Seen | None) -> Seen | None:
        return Seen(learned, seen.spreads, seen.near, seen.far) if seen is not None else None

    return [dataclasses.replace(level, seen=changed(level.seen)) for level in levels]


def begin(tile: Tile, level: Level, origin: int) -> None:
    """Show the network what is known of the level before its scales; `origin` as in scale.md."""
    if level.seen is not None and len(level.seen.near):
        level.seen.features = learned_kernels.level_features(
            tile.values, tile.logs, tile.classes, level.first, level.seen.near, level.seen.far, origin
        )


def show_scales(tile: Tile, level: Level, logs: I32, origin: int) -> None:
    """Show the network the level's scales, int32 [3, count] from scale.expand()."""
    if level.seen is None:
        return
    tile.logs[:, level.own] = logs
    if len(level.seen.near):
        learned_kernels.shape_features(level.seen.features, logs, origin)


def coding(
    tile: Tile, level: Level, channel: int, predictors: Sequence[Sequence[Predictor]], steps: I32
) -> Coding:
    """How `channel` of the level is coded; channels before it stand in the tile."""
    seen = level.seen
    head = seen.learned.heads[channel] if seen is not None else None
    if seen is None or not len(seen.near) or not seen.learned.listens(channel):
        base, contexts, flip = channel_contexts(tile, level, channel, predictors, steps)
        if head is not None and seen is not None:
            contexts = contexts // kernels.SPREADS * np.uint8(seen.spreads) + np.uint8(seen.spreads - 1)
        return Coding(base, contexts, flip)
    if head is None:
        return watched(tile, level, channel, predictors, steps)
    predictor, network = predictors[1][channel], seen.learned.network
    return Coding(
        *learned_kernels.learned_predict(
            tile.values, level.first, seen.near, channel, np.array(INPUTS[channel], np.int32), predictor.weights,
            predictor.bias, tile.classes[level.own], np.ascontiguousarray(steps), seen.features,
            network.weights[channel], network.bias[channel], head.weights, head.bias, seen.spreads,
        )
    )  # fmt: skip


def watched(
    tile: Tile, level: Level, channel: int, predictors: Sequence[Sequence[Predictor]], steps: I32
) -> Coding:
    """How `channel` is coded without a head, while the network watches for the sake of later ones."""
    assert level.seen is not None
    predictor = predictors[1][channel]
    prediction = learned_kernels.linear_prediction(
        tile.values, level.first, level.seen.near, channel, np.array(INPUTS[channel], np.int32),
        predictor.weights, predictor.bias, tile.classes[level.own],
    )  # fmt: skip
    return Coding(*channel_contexts(tile, level, channel, predictors, steps), prediction)


def show_values(tile: Tile, level: Level, channel: int, coded: Coding, steps: I32) -> None:
    """Show the network the level's values of `channel`, which stand in the tile."""
    if level.seen is not None and coded.prediction is not None:
        values = np.ascontiguousarray(tile.values[channel, level.own])
        learned_kernels.residual_features(
            level.seen.features, channel, values, coded.prediction, np.ascontiguousarray(steps)
        )


def channel_symbols(
    tile: Tile, level: Level, channel: int, predictors: Sequence[Sequence[Predictor]], steps: I32
) -> Symbols:
    """What codes `channel` of the level, whose lattice values already stand in the tile."""
    coded = coding(tile, level, channel, predictors, steps)
    k = tile.values[channel, level.own] // steps - coded.base
    show_values(tile, level, channel, coded, steps)
    return Symbols(np.where(coded.flip != 0, -k, k).astype(np.int32), coded.contexts)


def level_symbols(
    tile: Tile, level: Level, steps: I32, origin: int, predictors: Sequence[Sequence[Predictor]]
) -> list[Symbols]:
    """What codes all channels of the level; steps int32 [CHANNELS, count], `origin` as in scale.md."""
    begin(tile, level, origin)
    result = []
    for channel in range(CHANNELS):
        if channel == len(SCALE) and level.seen is not None:
            show_scales(tile, level, np.ascontiguousarray(tile.logs[:, level.own]), origin)
        result.append(channel_symbols(tile, level, channel, predictors, steps[channel]))
    return result


def decode_channel(
    decoder: PlaneDecoder, tile: Tile, level: Level, channel: int, predictors: Sequence[Sequence[Predictor]],
    steps: I32, table_set: TableSet | None,
) -> None:  # fmt: skip
    """Decode one channel of the level into the tile."""
    plain = level.seen is None or not level.seen.learned.listens(channel)
    if kernels.FUSED and table_set is not None and plain:
        predictor = predictors[1 if len(level.near) else 0][channel]
        handle, (tables,) = decoder.parts(table_set)
        with damage():
            kernels.decode_channel(
                handle, tables, tile.values, level.first, level.near, channel, np.array(INPUTS[channel], np.int32),
                predictor.weights, predictor.bias, tile.classes[level.own], np.ascontiguousarray(steps),
            )  # fmt: skip
        return
    coded = coding(tile, level, channel, predictors, steps)
    symbols = decode_plane(decoder, table_set, coded.contexts)
    tile.values[channel, level.own] = kernels.reconstruct(
        coded.base, coded.flip, symbols, np.ascontiguousarray(steps)
    )
    show_values(tile, level, channel, coded, steps)


def decode_channels(
    payload: bytes, tile: Tile, level: Level, channels: Sequence[int], wanted: Sequence[I32],
    predictors: Sequence[Sequence[Predictor]], tables: Sequence[TableSet | None],
) -> None:  # fmt: skip
    """Decode a payload that holds these channels of the level, into the tile.

    wanted: int32 [count] steps of each channel; tables: by channel, of all channels.

    Raises:
        BitstreamError: damaged payload.
    """
    decoder = PlaneDecoder(payload)
    for channel, steps in zip(channels, wanted, strict=True):
        decode_channel(decoder, tile, level, channel, predictors, steps, tables[channel])
    decoder.finish()


def unpack_bits(payload: bytes, lengths: U8) -> NDArray[np.uint32]:
    """Bit fields uint32 [n] of `lengths` bits each (kernels.unpack_bits).

    Raises:
        BitstreamError: bits are missing, or set where there should be none.
    """
    with damage():
        return kernels.unpack_bits(payload, lengths)


@contextlib.contextmanager
def damage() -> Iterator[None]:
    """Kernels say ValueError when bytes are damaged; callers are told BitstreamError."""
    try:
        yield
    except ValueError as error:
        raise BitstreamError(str(error)) from None
