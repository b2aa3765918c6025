"""Deformation fields as whole numbers: planes of several levels, and small networks.

Most numbers are zero; where they are not is what is coded. The planes go in steps, each one colour of a
checkerboard of one slice of channels, and contexts look at earlier steps only: a step decodes at once. Normative
text: docs/spec/hexplane.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import BitstreamError
from scenepress.stages import entropy
from scenepress.varint import read_signed, read_varint, write_signed, write_varint

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]

AXES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
TIME = 3
SLICE = 4
CONTEXTS, WEIGHT_CONTEXTS = 208, 32
MOST_LEVELS, MOST_LAYERS, MOST_SIDE, MOST_WIDTH = 16, 16, 65535, 512
HEAD_OUTPUTS = (3, 3, 4, 1)
"""Of position, scale, rotation and opacity; those of SH depend on the scene."""
HEADS = 5
LARGEST, LARGEST_BASE = 1 << 20, 1 << 20
EXPONENTS = (-40, 8)
MANTISSAS = (128, 255)
MOST_NUMBERS, FREE_NUMBERS, NUMBERS_PER_BYTE = 1 << 26, 1 << 20, 4096


class Numbers(NamedTuple):
    """A field on its grid."""

    bounds: F32
    """float32 [2, 3]."""
    levels: I64
    """int64 [L, 5]: channels, and texels along x, y, z and the time."""
    trunk: I64
    """int64 [K, 2]: inputs and outputs of layers."""
    heads: I64
    """int64 [2 H, 2]: of two layers for each head."""
    mask: int
    """Bit k: there is the head number k, of position, scale, rotation, opacity, SH."""
    plane_steps: I64
    """int64 [L, 2, 2]: of spatial planes and those of time, mantissa and exponent."""
    bases: I32
    """int32: for each level those of xy, xz, yz by channel, and one of all planes of time."""
    weight_steps: I64
    """int64 [layers, 2]: exponents of weights and bias, trunk first."""
    planes: I32
    """int32, flat: all planes, one after the other, each [second axis, first axis, channels]."""
    weights: I32
    """int32, flat: all layers, trunk first, each weight [outputs, inputs] and bias."""


def encode(numbers: Numbers) -> bytes:
    """The payload of a field.

    Raises:
        ValueError: what the format cannot hold.
    """
    head = _header(numbers)
    for part in (numbers.planes, numbers.weights):
        if len(part) and np.abs(part.astype(np.int64)).max() > LARGEST:
            raise ValueError(f"a number beyond {LARGEST}")
    steps = list(_steps(numbers.levels, numbers.planes))
    tokens = [entropy.tokenize(values) for _, _, values in steps]
    sets = []
    for of_time in (False, True):
        counts = np.zeros((CONTEXTS, 256), np.int64)
        for (is_time, contexts, _), (found, _, _) in zip(steps, tokens, strict=True):
            if is_time == of_time:
                counts += entropy.histogram(found, contexts, CONTEXTS)
        sets.append(entropy.fit(counts))
    planes = entropy.encode_planes([
        entropy.Plane(found, contexts, sets[is_time], raw, lengths)
        for (is_time, contexts, _), (found, raw, lengths) in zip(steps, tokens, strict=True)
    ])  # fmt: skip
    contexts = _weight_contexts(numbers.trunk, numbers.heads)
    found, raw, lengths = entropy.tokenize(numbers.weights)
    table = entropy.fit(entropy.histogram(found, contexts, WEIGHT_CONTEXTS))
    weights = entropy.encode_planes([entropy.Plane(found, contexts, table, raw, lengths)])
    tables = b"".join(t.to_bytes() for t in (*sets, table))
    payload = head + tables + write_varint(len(planes)) + planes + weights
    _check_count(_count(numbers.levels), len(payload))
    return payload


def decode(payload: bytes, sh_count: int) -> Numbers:
    """The field of a payload. sh_count: SH coefficients of the scene beyond the constant one, 0, 3, 8 or 15.

    Raises:
        BitstreamError: damaged.
    """
    empty, at = _read_header(payload, sh_count)
    _check_count(_count(empty.levels), len(payload))
    sets = []
    for contexts in (CONTEXTS, CONTEXTS, WEIGHT_CONTEXTS):
        found, at = entropy.TableSet.from_bytes(payload, at)
        if len(found.context_map) != contexts:
            raise BitstreamError(f"deformation field: a table set of {len(found.context_map)} contexts")
        sets.append(found)
    length, at = read_varint(payload, at)
    if length > len(payload) - at:
        raise BitstreamError("deformation field: its planes end after its payload")
    planes = np.zeros(_count(empty.levels), np.int32)
    decoder = entropy.PlaneDecoder(payload[at : at + length])
    for step in _walk(empty.levels, planes):
        values = decoder.values(sets[step.is_time], step.contexts())
        step.put(_checked(values))
    decoder.finish()
    rest = entropy.PlaneDecoder(payload[at + length :])
    weights = rest.values(sets[2], _weight_contexts(empty.trunk, empty.heads))
    rest.finish()
    return empty._replace(planes=planes, weights=_checked(weights))


def _checked(values: I32) -> I32:
    if len(values) and np.abs(values.astype(np.int64)).max() > LARGEST:
        raise BitstreamError(f"deformation field: a number beyond {LARGEST}")
    return values


def values(numbers: Numbers) -> tuple[F32, F32]:
    """Planes and weights as floats, flat as the numbers are."""
    planes = np.empty(len(numbers.planes), np.float32)
    at = base_at = 0
    for (channels, *sides), steps in zip(numbers.levels.tolist(), numbers.plane_steps, strict=True):
        steps_of = [float(m) * 2.0 ** float(e) for m, e in steps.tolist()]
        bases = numbers.bases[base_at : base_at + 3 * channels + 1].astype(np.float64)
        base_at += 3 * channels + 1
        spatial = 0
        for a, b in AXES:
            count = channels * sides[a] * sides[b]
            if b == TIME:
                base, step = bases[-1:], steps_of[1]
            else:
                base, step = bases[spatial * channels : (spatial + 1) * channels], steps_of[0]
                spatial += 1
            rows = numbers.planes[at : at + count].reshape(-1, channels)
            planes[at : at + count] = ((rows + base) * step).astype(np.float32).ravel()
            at += count
    weights = np.empty(len(numbers.weights), np.float32)
    at = 0
    shapes = _shapes(numbers.trunk, numbers.heads)
    for (inputs, outputs), exponents in zip(shapes, numbers.weight_steps, strict=True):
        for count, exponent in zip((inputs * outputs, outputs), exponents.tolist(), strict=True):
            weights[at : at + count] = (numbers.weights[at : at + count] * 2.0**exponent).astype(np.float32)
            at += count
    return planes, weights


def bucket(value: I64, top: int) -> I64:
    """b(v, top): min(floor(log2(v + 1)), top)."""
    edges = (1 << np.arange(1, top + 1)) - 1
    return np.searchsorted(edges, value, side="right").astype(np.int64)


class _Step:
    """Some channels of the texels of one colour of a plane."""

    def __init__(self, plane: I32, first: int, odd: bool, coarse: I64, is_time: bool) -> None:
        self.is_time = is_time
        self._plane, self._first, self._odd, self._coarse = plane, first, odd, coarse
        rows, columns = np.indices(plane.shape[:2])
        self._here = ((rows + columns) & 1) == odd

    def contexts(self) -> NDArray[np.uint8]:
        """From what the plane holds by now."""
        size = np.minimum(np.abs(self._plane.astype(np.int64)), 3)
        before = size[:, :, : self._first].sum(2)
        around = _beside(before)
        channels = min(SLICE, self._plane.shape[2] - self._first)
        if not self._odd:
            found = 24 * bucket(before, 5) + 4 * bucket(around, 5) + bucket(self._coarse, 3)
            return np.tile(found[self._here], channels).astype(np.uint8)
        common = 144 + 4 * bucket(before, 3) + bucket(around, 3)
        parts = [
            (common + 16 * bucket(_beside(size[:, :, self._first + k]), 3))[self._here] for k in range(channels)
        ]
        return np.concatenate(parts).astype(np.uint8)

    def get(self) -> I32:
        """Its numbers, channel by channel."""
        part = self._plane[:, :, self._first : self._first + SLICE]
        return np.ascontiguousarray(part[self._here].T).ravel()

    def put(self, numbers: I32) -> None:
        """Set them."""
        part = self._plane[:, :, self._first : self._first + SLICE]
        part[self._here] = numbers.reshape(part.shape[2], -1).T


def _beside(values: I64) -> I64:
    """The sum of the four texels beside each; none outside."""
    out = np.zeros_like(values)
    out[1:] += values[:-1]
    out[:-1] += values[1:]
    out[:, 1:] += values[:, :-1]
    out[:, :-1] += values[:, 1:]
    return out


def _walk(levels: I64, planes: I32) -> Iterator[_Step]:
    """Every step in order, over arrays that are filled as they go; steps without texels are left out."""
    at = 0
    before: list[I32] = []
    for channels, *sides in levels.tolist():
        own = []
        for number, (a, b) in enumerate(AXES):
            count = channels * sides[a] * sides[b]
            plane = planes[at : at + count].reshape(sides[b], sides[a], channels)
            at += count
            coarse = _coarse(before[number], plane.shape) if before else np.zeros(plane.shape[:2], np.int64)
            for first in range(0, channels, SLICE):
                for odd in (False, True):
                    if not odd or plane.shape[0] * plane.shape[1] > 1:
                        yield _Step(plane, first, odd, coarse, b == TIME)
            own.append(plane)
        before = own


def _coarse(plane: I32, shape: tuple[int, ...]) -> I64:
    total = np.minimum(np.abs(plane.astype(np.int64)), 3).sum(2)
    rows = np.arange(shape[0]) * total.shape[0] // shape[0]
    columns = np.arange(shape[1]) * total.shape[1] // shape[1]
    return np.asarray(total[np.ix_(rows, columns)])


def _steps(levels: I64, planes: I32) -> Iterator[tuple[bool, NDArray[np.uint8], I32]]:
    """Whether it is of time, contexts and numbers of every step: contexts see what a decoder would."""
    seen = np.zeros_like(planes)
    for to, given in zip(_walk(levels, seen), _walk(levels, np.ascontiguousarray(planes)), strict=True):
        contexts, numbers = to.contexts(), given.get()
        to.put(numbers)
        yield to.is_time, contexts, numbers


def _shapes(trunk: I64, heads: I64) -> list[tuple[int, int]]:
    return [(int(i), int(o)) for i, o in (*trunk.tolist(), *heads.tolist())]


def _weight_contexts(trunk: I64, heads: I64) -> NDArray[np.uint8]:
    parts = []
    for number, (inputs, outputs) in enumerate(_shapes(trunk, heads)):
        layer = min(number, 15)
        parts += [np.full(inputs * outputs, layer, np.uint8), np.full(outputs, 31 - layer, np.uint8)]
    return np.concatenate(parts)


def _count(levels: I64) -> int:
    return sum(c * sides[a] * sides[b] for c, *sides in levels.tolist() for a, b in AXES)


def _check_count(count: int, size: int) -> None:
    if count > min(MOST_NUMBERS, FREE_NUMBERS + NUMBERS_PER_BYTE * size):
        raise BitstreamError(f"deformation field: {count} numbers in {size} bytes")


def _header(n: Numbers) -> bytes:
    try:
        return _written_header(n)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"a number that is not in the range of its field: {error}") from None


def _written_header(n: Numbers) -> bytes:
    out = bytearray([len(n.levels)])
    out += b"".join(write_varint(int(v)) for v in n.levels.ravel())
    out.append(len(n.trunk))
    out += b"".join(write_varint(int(v)) for v in n.trunk[:, 1])
    out.append(n.mask)
    out += b"".join(write_varint(int(v)) for v in n.heads[::2, 1])
    out += n.bounds.astype("<f4").tobytes()
    out += b"".join(struct.pack("<Bb", m, e) for m, e in n.plane_steps.reshape(-1, 2).tolist())
    out += b"".join(write_signed(int(v)) for v in n.bases)
    out += b"".join(struct.pack("<bb", *pair) for pair in n.weight_steps.tolist())
    sh = int(n.heads[-1, 1]) // 3 - 1 if n.mask & 16 else 0
    try:
        _read_header(bytes(out), sh)  # What a decoder would refuse is not written.
    except BitstreamError as error:
        raise ValueError(str(error)) from None
    return bytes(out)


class _Reader:
    """Fields of a payload, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def varint(self, low: int, high: int, what: str) -> int:
        value, self.at = read_varint(self.data, self.at)
        return self._within(value, low, high, what)

    def signed(self, limit: int, what: str) -> int:
        value, self.at = read_signed(self.data, self.at)
        return self._within(value, -limit, limit, what)

    def unpack(self, layout: str) -> tuple[float, ...]:
        size = struct.calcsize(layout)
        if self.at + size > len(self.data):
            raise BitstreamError("deformation field: it ends within its header")
        found = struct.unpack_from(layout, self.data, self.at)
        self.at += size
        return found

    def byte(self, low: int, high: int, what: str, layout: str = "<B") -> int:
        return self._within(int(self.unpack(layout)[0]), low, high, what)

    def _within(self, value: int, low: int, high: int, what: str) -> int:
        if not low <= value <= high:
            raise BitstreamError(f"deformation field: {what} {value} is not in {low}..{high}")
        return value


def _read_header(data: bytes, sh_count: int) -> tuple[Numbers, int]:
    r = _Reader(data)
    limits = (MOST_WIDTH, MOST_SIDE, MOST_SIDE, MOST_SIDE, MOST_SIDE)
    count = r.byte(1, MOST_LEVELS, "levels")
    levels = [[r.varint(1, limit, "channels or side") for limit in limits] for _ in range(count)]
    width = sum(level[0] for level in levels)
    if width > MOST_WIDTH:
        raise BitstreamError(f"deformation field: {width} features are more than {MOST_WIDTH}")
    trunk = []
    for _ in range(r.byte(1, MOST_LAYERS, "layers")):
        trunk.append((width, r.varint(1, MOST_WIDTH, "width")))
        width = trunk[-1][1]
    mask = r.byte(0, (1 << HEADS) - 1, "heads")
    heads = []
    outputs = (*HEAD_OUTPUTS, 3 * (1 + sh_count))
    for k in range(HEADS):
        if mask >> k & 1:
            hidden = r.varint(1, MOST_WIDTH, "width")
            heads += [(width, hidden), (hidden, outputs[k])]
    bounds = np.array(r.unpack("<6f"), np.float32).reshape(2, 3)
    if not np.isfinite(bounds).all():
        raise BitstreamError("deformation field: bounds that are not finite")
    steps = [
        (r.byte(*MANTISSAS, "mantissa"), r.byte(*EXPONENTS, "exponent", "<b")) for _ in range(2 * len(levels))
    ]
    bases = [r.signed(LARGEST_BASE, "base") for level in levels for _ in range(3 * level[0] + 1)]
    exponents = [
        [r.byte(*EXPONENTS, "exponent", "<b") for _ in range(2)] for _ in range(len(trunk) + len(heads))
    ]
    none = np.zeros(0, np.int32)
    found = Numbers(
        bounds=bounds,
        levels=np.array(levels, np.int64),
        trunk=np.array(trunk, np.int64),
        heads=np.array(heads, np.int64).reshape(-1, 2),
        mask=mask,
        plane_steps=np.array(steps, np.int64).reshape(-1, 2, 2),
        bases=np.array(bases, np.int32),
        weight_steps=np.array(exponents, np.int64),
        planes=none,
        weights=none,
    )
    return found, r.at
