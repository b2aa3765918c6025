"""Kernels of the splat codec: the native ones give what the reference gives, and refuse what would crash them."""

from __future__ import annotations

from collections.abc import Callable

import backends
import numpy as np
import pytest
import splat_streams
from backends import NAMES, splat_kernels
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scenepress.codecs import decoder
from scenepress.errors import BitstreamError
from scenepress.kernels import reference_splats as reference
from scenepress.kernels import splats as chosen
from scenepress.stages import context, entropy, parameters, refinement, sh
from scenepress.stages.context import Level, Predictor, Tile
from scenepress.stages.entropy import PlaneDecoder, TableSet

if "cpu" not in NAMES:
    pytest.skip("the native module is not built", allow_module_level=True)

native = splat_kernels("cpu")
quick = settings(deadline=None, max_examples=60)

LIMIT = reference.LIMIT
SEEDS = st.integers(0, 2**32 - 1)
Floats = NDArray[np.float32]


def same(name: str, *args: object) -> tuple[NDArray[np.generic], ...]:
    """Results of all variants, after checking that they are the same arrays."""
    variants = [getattr(reference, name), getattr(native, name)]
    if hasattr(native, f"{name}_portable"):
        variants.append(getattr(native, f"{name}_portable"))
    found = [f if isinstance(f, tuple) else (f,) for f in (variant(*args) for variant in variants)]
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            np.testing.assert_array_equal(a, b)
    return found[1]


def test_every_kernel_is_compared_here() -> None:
    functions = {name for name in chosen.__all__ if callable(getattr(chosen, name))}
    assert functions == {*GOOD, "step_of", "decode_channel", "decode_sh_level", "dequantise_level"}


def steps_of(rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    """1..65535, small, large and in between."""
    return np.minimum(2.0 ** rng.uniform(0, 16, n), 65535).astype(np.int32)


def values_of(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Lattice values: near 0, anywhere, and saturated."""
    wide = 2.0 ** rng.uniform(0, 25, shape) * rng.choice([-1, 1], shape)
    return np.clip(wide, -LIMIT, LIMIT).astype(np.int32)


# --- neighbours ---


@quick
@given(
    st.lists(st.integers(0, 2**63 - 1), max_size=40),
    st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=40),
    st.booleans(),
)
def test_neighbours(fine: list[int], coarse: list[int], near: bool) -> None:
    if near:
        fine = [min(c + k, 2**63 - 1) for c in coarse for k in (0, 1, 8)]
    codes = np.sort(np.array(fine, np.uint64))
    known = np.sort(np.array(coarse, np.uint64))
    (found,) = same("neighbours", codes, known)
    assert found.shape == (len(codes), 2)
    assert ((found >= 0) & (found < len(known))).all()
    if len(known) > 1:
        assert (found[:, 0] != found[:, 1]).all()


@quick
@given(SEEDS, st.integers(0, 300), st.integers(1, 300), st.sampled_from([3, 9, 30, 63]))
def test_neighbours_of_dense_codes(seed: int, n: int, m: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    codes, known = (np.sort(rng.integers(0, 2**bits, size, np.uint64)) for size in (n, m))
    same("neighbours", codes, known)


def test_neighbours_search_a_window_and_prefer_the_smaller_index() -> None:
    code = np.array([0b111000], np.uint64)  # (2, 2, 2)
    same_place = np.array([0b111000] * 3, np.uint64)
    assert same("neighbours", code, same_place)[0].tolist() == [[0, 1]]
    assert same("neighbours", code, same_place[:1])[0].tolist() == [[0, 0]]
    far = np.arange(9, dtype=np.uint64)  # All nine lie before the code: the last four are candidates.
    assert set(same("neighbours", code, far)[0][0].tolist()) <= {5, 6, 7, 8}


# --- predict and reconstruct ---


@st.composite
def predictions(draw: st.DrawFn) -> tuple[object, ...]:
    rng = np.random.default_rng(draw(SEEDS))
    n, first = draw(st.integers(0, 40)), draw(st.integers(0, 20))
    inputs = np.array(draw(st.lists(st.integers(0, 9), max_size=3)), np.int32)
    near = rng.integers(0, first, (n, 2)).astype(np.int32) if first and n else np.zeros((0, 2), np.int32)
    width = 2 + 3 * len(inputs) if len(near) else len(inputs)
    weights = rng.integers(-32767, 32768, width).astype(np.int32) >> rng.integers(0, 12)
    bias = values_of(rng, (draw(st.integers(1, 16)),))
    classes = rng.integers(0, len(bias), n).astype(np.uint8)
    values = values_of(rng, (10, first + n + draw(st.integers(0, 3))))
    if draw(st.booleans()):
        values[:] >>= 10
    if draw(st.booleans()) and len(near):
        values[:, near[:, 1]] = values[:, near[:, 0]] + rng.integers(-3, 4, n)
    return values, first, near, draw(st.integers(0, 9)), inputs, weights, bias, classes, steps_of(rng, n)


@quick
@given(predictions(), SEEDS)
def test_predict_and_reconstruct(arguments: tuple[object, ...], seed: int) -> None:
    base, contexts, flip = same("predict", *arguments)
    values, first, _, channel, _, _, bias, classes, steps = arguments
    assert isinstance(steps, np.ndarray)
    assert isinstance(bias, np.ndarray)
    assert isinstance(values, np.ndarray)
    assert isinstance(classes, np.ndarray)
    assert isinstance(first, int)
    assert (np.abs(base.astype(np.int64) * steps) <= LIMIT + steps).all()
    assert (contexts // 15 == classes).all()
    assert set(np.unique(flip)) <= {0, 1}
    # Any lattice value comes back from its symbol, which tokens can hold.
    own = np.trunc(values[channel, first : first + len(base)] / steps).astype(np.int32)
    symbols = np.where(flip != 0, base - own, own - base).astype(np.int32)
    (back,) = same("reconstruct", base, flip, symbols, steps)
    np.testing.assert_array_equal(back, own * steps)
    rng = np.random.default_rng(seed)
    wild = rng.integers(-(2**25) + 1, 2**25 + 1, len(base)).astype(np.int32)
    (extreme,) = same("reconstruct", base, flip, wild, steps)
    assert (np.abs(extreme) <= LIMIT).all()


@pytest.mark.parametrize("step", [1, 2, 3, 17, 65535])
def test_predictions_saturate(step: int) -> None:
    none, no_near = np.zeros(0, np.int32), np.zeros((0, 2), np.int32)
    bias = np.array([LIMIT, -LIMIT], np.int32)
    values = np.full((1, 6), LIMIT, np.int32)
    values[0, 3:] = -LIMIT
    classes, steps = np.array([0, 1], np.uint8), np.full(2, step, np.int32)
    base, _, _ = same("predict", values, 0, no_near, 0, none, none, bias, classes, steps)
    assert base.tolist() == [(2 * LIMIT + step) // (2 * step), (-2 * LIMIT + step) // (2 * step)]
    near = np.array([[0, 1], [3, 3]], np.int32)
    weights = np.array([32767, 32767], np.int32)
    again, _, _ = same("predict", values, 4, near, 0, none, weights, bias, classes, steps)
    assert again.tolist() == base.tolist()


def test_many_predictions() -> None:
    """A whole tile at once, all variants, with steps and values of every size."""
    rng = np.random.default_rng(6)
    first, n = 30_000, 50_003
    near = rng.integers(0, first, (n, 2)).astype(np.int32)
    values, bias = values_of(rng, (10, first + n)), values_of(rng, (16,))
    classes, steps = rng.integers(0, 16, n).astype(np.uint8), steps_of(rng, n)
    weights = rng.integers(-32767, 32768, 11).astype(np.int32)
    inputs = np.array([0, 1, 2], np.int32)
    base, _, flip = same("predict", values, first, near, 3, inputs, weights, bias, classes, steps)
    symbols = (2.0 ** rng.uniform(0, 25, n) * rng.choice([-1, 1], n)).astype(np.int32)
    same("reconstruct", base, flip, symbols, steps)


def test_spread_says_how_far_the_neighbours_agree() -> None:
    values = np.zeros((1, 12), np.int32)
    gaps = [0, 4, 5, 19, 20, 79, 80]
    values[0, 1:8] = gaps
    near = np.array([[0, i] for i in range(1, 5)], np.int32)
    zero, one = np.zeros(2, np.int32), np.zeros(1, np.int32)
    classes, steps = np.zeros(4, np.uint8), np.full(4, 10, np.int32)
    none = np.zeros(0, np.int32)
    first = same("predict", values, 8, near, 0, none, zero, one, classes, steps)[1]
    second = same("predict", values, 8, near + np.array([0, 3], np.int32), 0, none, zero, one, classes, steps)[1]
    assert [c % 5 for c in (*first, *second[1:])] == [0, 0, 1, 1, 2, 2, 3]


# --- what follows from the shape ---


def test_steps_double_every_sixteen_codes() -> None:
    steps = chosen.step_of(np.arange(256))
    np.testing.assert_allclose(steps[160:], 2.0 ** (np.arange(160, 256) / 16), rtol=1 / 1024)
    np.testing.assert_array_equal(steps[16:] // 2, steps[:-16])
    assert (steps[0], steps[255]) == (1, 62758)


@quick
@given(SEEDS, st.integers(0, 40), st.integers(-(1 << 15), 1 << 15))
def test_expand_scales(seed: int, n: int, origin: int) -> None:
    rng = np.random.default_rng(seed)
    widths = np.minimum(2 ** rng.uniform(0, 10.01, 16), 1024).astype(np.int32)
    coded = values_of(rng, (3, n))
    coded[0] = np.arange(n) * 100 - 50
    (logs,) = same("expand_scales", coded, origin, widths)
    assert (np.abs(logs) <= 1 << 15).all()
    in_order = np.sort(coded, axis=1)
    (rising,) = same("expand_scales", in_order, origin, widths)
    assert (np.diff(rising, axis=1) >= 0).all()
    starts = np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.int32)[None]
    (octaves,) = same("expand_scales", starts, origin, widths)
    assert octaves[0].tolist() == np.clip(origin + 256 * np.arange(16), -(1 << 15), 1 << 15).tolist() or (
        widths >= 512
    ).any()


@quick
@given(SEEDS, st.integers(0, 40), st.integers(-(1 << 15), 1 << 15))
def test_rotation_steps(seed: int, n: int, origin: int) -> None:
    rng = np.random.default_rng(seed)
    base, gain, lift = (rng.integers(0, 256, size).astype(np.uint8) >> rng.integers(0, 8) for size in (16, 13, 16))
    scales = np.clip(rng.integers(-1000, 5000, (3, n)) + origin, -(1 << 15), 1 << 15).astype(np.int32)
    classes = rng.integers(0, 16, n).astype(np.uint8)
    (steps,) = same("rotation_steps", base, gain, lift, origin, classes, scales)
    assert ((steps >= 1) & (steps <= 65535)).all()


@quick
@given(SEEDS, st.integers(0, 40), st.integers(1, 40))
def test_position_exponents(seed: int, n: int, cell: int) -> None:
    rng = np.random.default_rng(seed)
    offset = rng.integers(-(1 << 20), (1 << 20) + 1, (3, 16)).astype(np.int32) >> rng.integers(0, 20)
    slope = rng.integers(-32767, 32768, (3, 3)).astype(np.int32) >> rng.integers(0, 15)
    reach = int(rng.integers(-(1 << 20), 1 << 20)) >> int(rng.integers(0, 20))
    scales = rng.integers(-(1 << 15), (1 << 15) + 1, (3, n)).astype(np.int32) >> rng.integers(0, 15)
    vectors = np.clip(values_of(rng, (3, n)), -70000, 70000)
    vectors[:, ::2] >>= 2
    classes = rng.integers(0, 16, n).astype(np.uint8)
    exps, world = same("position_exponents", offset, slope, reach, classes, scales, vectors, cell)
    assert ((exps >= max(1, cell - 24)) & (exps <= cell)).all()
    assert np.sort(world, axis=0).tolist() == np.repeat([[0], [1], [2]], n, 1).tolist()


# --- spherical harmonics ---


@quick
@given(SEEDS, st.integers(0, 40), st.integers(0, 20), st.integers(1, 15))
def test_sh_contexts_and_scatter(seed: int, n: int, first: int, group: int) -> None:
    rng = np.random.default_rng(seed)
    plane = np.clip(values_of(rng, (first + n,)), -(1 << 17), 1 << 17).astype(np.int32)
    near = rng.integers(0, first, (n, 2)).astype(np.int32) if first and n else np.zeros((0, 2), np.int32)
    extents = rng.integers(0, 16, n).astype(np.uint8)
    active = np.flatnonzero(extents >= group).astype(np.int32)
    classes, steps = rng.integers(0, 16, n).astype(np.uint8), steps_of(rng, n)
    (contexts,) = same("sh_contexts", plane, near, active, extents, group, classes, steps)
    assert (contexts // 6 == classes[active]).all()
    weights = (rng.integers(-32767, 32768, 2) >> rng.integers(0, 15)).astype(np.int32)
    base, predicted, flip = same("sh_predict", plane, near, active, extents, group, classes, steps, weights)
    assert (predicted // 2 == contexts).all()
    assert len(near) or not (base.any() or flip.any())
    symbols = rng.integers(-(2**25) + 1, 2**25 + 1, len(active)).astype(np.int32) >> rng.integers(0, 26)
    planes = [plane.copy(), plane.copy()]
    reference.sh_scatter(planes[0], first, active, symbols.astype(np.int32), steps)
    native.sh_scatter(planes[1], first, active, symbols.astype(np.int32), steps)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(*planes)
    np.testing.assert_array_equal(planes[0][:first], plane[:first])
    assert (np.abs(planes[0]) <= 1 << 17).all()


def inverse(planes: NDArray[np.int32], first: int, steps: NDArray[np.int32], *rest: NDArray[np.int32]) -> Floats:
    """sh_inverse() of all variants, which must write the same floats over whatever was there."""
    found = []
    for kernel in (reference.sh_inverse, native.sh_inverse, native.sh_inverse_portable):
        out = np.full((len(steps), rest[-1].shape[1]), np.nan, np.float32)
        kernel(planes, first, steps, *rest, out)
        found.append(out)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)
    return found[0]


@quick
@given(SEEDS, st.integers(0, 200), st.integers(0, 45), st.sampled_from([0, 9, 24, 45]), st.booleans())
def test_sh_inverse(seed: int, n: int, columns: int, width: int, full: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-127, 128, (columns, width)).astype(np.int32)
    planes = np.clip(values_of(rng, (columns, n)), -(1 << 17), 1 << 17).astype(np.int32)
    planes[rng.random(planes.shape) < 0.5] = 0
    if full:  # The largest sums there can be.
        rows[:], planes[:] = 127, 1 << 17
    shift = rng.integers(0, 65, columns).astype(np.int32)
    first = int(rng.integers(0, n + 1))
    inverse(planes, first, steps_of(rng, n - first), shift * np.int32(not full), rows)


def test_sh_inverse_moves_towards_zero_and_not_past_it() -> None:
    planes = np.array([[10, -10, 3, -3, 0]], np.int32)
    steps, shift = np.full(5, 10, np.int32), np.array([64], np.int32)
    out = inverse(planes, 0, steps, shift, np.array([[1]], np.int32))
    assert (out[:, 0] * 2**19).tolist() == [5, -5, 0, 0, 0]


# --- whole levels in one call ---


def both_ways(decode: Callable[[], list[NDArray[np.generic]]], patch: pytest.MonkeyPatch) -> list[object]:
    """What decode() gives, or that it refuses: natively in one call, natively in steps, and by the reference."""
    found: list[object] = []
    for backend, fused in (("cpu", True), ("cpu", False), ("portable", True), ("reference", False)):
        with patch.context() as inner:
            backends.use(backend, inner)
            inner.setattr(chosen, "FUSED", fused)
            try:
                found.append([a.tolist() for a in decode()])
            except BitstreamError:
                found.append("refused")
    return found


def a_level(rng: np.random.Generator, n: int, known: int) -> tuple[Tile, Level]:
    """A tile with `known` columns filled, and a level of n after them."""
    tile = Tile.empty(known + n, 7)
    tile.values[:] = values_of(rng, tile.values.shape) >> rng.integers(0, 22)
    tile.classes[:] = rng.integers(0, 4, known + n)
    tile.extents[:] = rng.integers(0, 16, known + n)
    tile.sh[:, :known] = rng.integers(-99, 100, (7, known))
    near = rng.integers(0, known, (n, 2)).astype(np.int32) if known and n else np.zeros((0, 2), np.int32)
    return tile, Level(known, n, near)


@quick
@given(SEEDS, st.integers(0, 70), st.integers(0, 9), st.booleans())
def test_channels_of_a_level(seed: int, n: int, known: int, damaged: bool) -> None:
    rng = np.random.default_rng(seed)
    tile, level = a_level(rng, n, known)
    channel, steps = int(rng.integers(10)), steps_of(rng, n)
    weights = [[rng.integers(-4096, 4097, parameters.weight_count(c, near)) for c in range(10)] for near in (0, 1)]
    predictors = [[Predictor(values_of(rng, (4,)), w.astype(np.int32)) for w in row] for row in weights]
    tile.values[channel, level.own] -= np.fmod(tile.values[channel, level.own], steps)
    wanted = tile.values.copy()
    symbols = context.channel_symbols(tile, level, channel, predictors, steps)
    table = context.fit([symbols])
    assert (table is None) == (n == 0)
    planes = [context.tokens_of(symbols, table)] if table else []
    payload = bytearray(entropy.encode_planes(planes))
    if damaged:
        payload[rng.integers(len(payload))] ^= 1 << rng.integers(8)

    def decode() -> list[NDArray[np.generic]]:
        again = Tile(wanted.copy(), tile.classes, tile.extents, tile.sh, tile.filled, tile.codes, tile.columns)
        again.values[channel, level.own] = 0
        decoder = PlaneDecoder(bytes(payload))
        fresh = TableSet.from_bytes(table.to_bytes())[0] if table else None
        context.decode_channel(decoder, again, level, channel, predictors, steps, fresh)
        decoder.finish()
        return [again.values]

    found = both_ways(decode, pytest.MonkeyPatch())
    assert found == found[:1] * len(found)
    assert damaged or found[0] == [wanted.tolist()]


@quick
@given(SEEDS, st.integers(0, 40), st.integers(0, 5), st.integers(-140, 120))
def test_floats_of_a_level(seed: int, n: int, first: int, exponent: int) -> None:
    rng = np.random.default_rng(seed)
    tile = Tile.empty(first + n, 0)
    tile.values[:] = values_of(rng, tile.values.shape) >> rng.integers(0, 22)
    turn = splat_streams.random_parameters(rng, 0, False).color
    corner = [int(c) for c in rng.integers(-(2**44), 2**44 + 1, 3)]
    logs = rng.integers(-(1 << 15), (1 << 15) + 1, (3, n)).astype(np.int32)
    offsets = rng.integers(0, 2**40, (n, 3))

    def floats() -> list[NDArray[np.generic]]:
        out = decoder.empty_scene(n, 0)
        decoder.dequantise(tile.values, first, logs, offsets, corner, exponent, turn, out)
        filled = (out.means, out.quats, out.log_scales, out.opacity_logits, out.sh0)
        return [array.view(np.uint32) for array in filled]

    found = both_ways(floats, pytest.MonkeyPatch())
    assert found == found[:1] * len(found)


@quick
@given(SEEDS, st.integers(0, 50), st.integers(0, 9), st.sampled_from(["", "damaged", "without tables"]))
def test_sh_of_a_level(seed: int, n: int, known: int, damage: str) -> None:
    rng = np.random.default_rng(seed)
    tile, level = a_level(rng, n, known)
    steps = steps_of(rng, n)
    bounds = np.array(sh.bounds_of(7))
    used = np.arange(7)[:, None] < bounds[tile.extents[level.own]]
    tile.sh[:, level.own] = np.where(used, rng.integers(-5, 6, (7, n)), 0) * steps
    tile.sh[:, level.own] -= tile.sh[:, level.own] * (np.abs(tile.sh[:, level.own]) > 1 << 17)
    weights = sh.UNPREDICTED
    if rng.integers(2):
        weights = (rng.integers(-32767, 32768, (7, 2)) >> rng.integers(0, 15)).astype(np.int32)
    extents, planes = sh.symbols(tile, level, steps, weights)
    table = context.fit([extents])
    groups = [context.fit([s for g, s in planes if g == group]) for group in range(1, 16)]
    payload = bytearray(sh.encode(extents, planes, table, groups))
    if damage == "damaged":
        payload[rng.integers(len(payload))] ^= 1 << rng.integers(8)
    if damage == "without tables":
        groups[int(rng.integers(15))] = None

    def decode() -> list[NDArray[np.generic]]:
        again = Tile.empty(known + n, 7)
        again.classes[:], again.extents[:known] = tile.classes, tile.extents[:known]
        again.sh[:, :known] = tile.sh[:, :known]
        fresh = [TableSet.from_bytes(t.to_bytes())[0] if t else None for t in (table, *groups)]
        sh.decode(bytes(payload), again, level, steps, fresh[0], fresh[1:], weights)
        return [again.extents, again.sh]

    found = both_ways(decode, pytest.MonkeyPatch())
    assert found == found[:1] * len(found)
    assert damage or found[0] == [tile.extents.tolist(), tile.sh.tolist()]


# --- bit fields ---


@quick
@given(st.lists(st.tuples(st.integers(0, 32), st.integers(0, 2**32 - 1)), max_size=60))
def test_bit_fields(fields: list[tuple[int, int]]) -> None:
    lengths = np.array([length for length, _ in fields], np.uint8)
    values = np.array([value for _, value in fields], np.uint32)
    packed = [module.pack_bits(values, lengths) for module in (reference, native)]  # type: ignore[attr-defined]
    assert packed[0] == packed[1]
    assert len(packed[0]) == (int(lengths.sum()) + 7) // 8
    (back,) = same("unpack_bits", packed[0], lengths)
    assert back.tolist() == [value & ((1 << length) - 1) for length, value in fields]


@quick
@given(st.binary(max_size=12), st.lists(st.integers(0, 32), max_size=5))
def test_backends_judge_any_bits_alike(payload: bytes, lengths: list[int]) -> None:
    found: list[object] = []
    for module in (reference, native):
        try:
            found.append(module.unpack_bits(payload, np.array(lengths, np.uint8)).tolist())  # type: ignore[attr-defined]
        except ValueError:
            found.append("refused")
    assert found[0] == found[1]
    if found[0] != "refused":  # There is one payload for some fields, but for zeros after it.
        again = native.pack_bits(np.array(found[0], np.uint32), np.array(lengths, np.uint8))  # type: ignore[attr-defined]
        assert payload.rstrip(b"\0") == again.rstrip(b"\0")


# --- the encoder's rounding ---


@pytest.mark.parametrize(("strength", "dead_zone"), [(0.0, 0.5), (0.5, 0.58), (0.9, 1.0)])
def test_diffuse_errors(strength: float, dead_zone: float) -> None:
    rng = np.random.default_rng(5)
    x = (rng.standard_normal((3000, 7)) * 2.0 ** rng.uniform(-3, 12, 7)).astype(np.float32)
    (whole,) = same("diffuse_errors", x, strength, dead_zone)
    if not strength:
        assert (np.abs(whole - x) <= 0.5 + 1e-3).all()
    # What is lost here is made up for there: sums drift less than with rounding alone.
    calm = np.full((1000, 1), 0.3, np.float32)
    drift = abs(float((native.diffuse_errors(calm, strength, 0.5) - calm).sum()))
    assert drift <= (1 - strength) * 300 + 50


# --- merging and refining ---


@quick
@given(st.lists(st.integers(0, 12)), st.lists(st.integers(0, 12)))
def test_merge(known: list[int], codes: list[int]) -> None:
    before, new = np.sort(np.array(known, np.uint64)), np.sort(np.array(codes, np.uint64))
    columns = np.arange(len(before), dtype=np.int32)[::-1].copy()
    merged, where = same("merge", before, columns, new, len(before))
    assert merged.tolist() == sorted(known + codes)
    assert sorted(where.tolist()) == list(range(len(merged)))
    for code in set(codes) & set(known):  # Those known before stand before those that are new.
        own = [column >= len(known) for column in where[merged == code].tolist()]
        assert own == sorted(own)


@quick
@given(SEEDS, st.integers(0, 30), st.integers(0, 40))
def test_refine(seed: int, n: int, cell: int) -> None:
    rng = np.random.default_rng(seed)
    exps = rng.integers(max(0, cell - 32), cell + 1, (3, n))
    cells = rng.integers(0, 1 << 21, (n, 3)).astype(np.uint32)
    points = (cells.astype(np.int64) << cell) + rng.integers(0, 1 << cell, (n, 3))
    points = (points >> exps.T << exps.T) + ((np.int64(1) << exps.T) >> 1)
    payload = refinement.encode(points, exps, cell)
    (found,) = same("refine", payload, cells, exps, cell)
    np.testing.assert_array_equal(found, points)


# --- arguments ---

I32, U8, U64 = np.int32, np.uint8, np.uint64
GOOD = {
    "neighbours": [np.zeros(2, U64), np.zeros(3, U64)],
    "predict": [
        np.zeros((10, 6), I32), 4, np.zeros((2, 2), I32), 3, np.zeros(1, I32), np.zeros(5, I32), np.zeros(2, I32),
        np.zeros(2, U8), np.ones(2, I32),
    ],
    "reconstruct": [np.zeros(2, I32), np.zeros(2, U8), np.zeros(2, I32), np.ones(2, I32)],
    "expand_scales": [np.zeros((3, 2), I32), 0, np.ones(16, I32)],
    "rotation_steps": [
        np.zeros(3, U8), np.zeros(13, U8), np.zeros(16, U8), 0, np.zeros(2, U8), np.zeros((3, 2), I32),
    ],
    "position_exponents": [
        np.zeros((3, 4), I32), np.zeros((3, 3), I32), 0, np.zeros(2, U8), np.zeros((3, 2), I32),
        np.zeros((3, 2), I32), 5,
    ],
    "sh_contexts": [
        np.zeros(6, I32), np.zeros((2, 2), I32), np.zeros(1, I32), np.zeros(2, U8), 1, np.zeros(2, U8),
        np.ones(2, I32),
    ],
    "sh_predict": [
        np.zeros(6, I32), np.zeros((2, 2), I32), np.zeros(1, I32), np.zeros(2, U8), 1, np.zeros(2, U8),
        np.ones(2, I32), np.zeros(2, I32),
    ],
    "sh_scatter": [np.zeros(6, I32), 4, np.zeros(1, I32), np.zeros(1, I32), np.ones(2, I32)],
    "sh_inverse": [
        np.zeros((3, 2), I32), 0, np.ones(2, I32), np.zeros(3, I32), np.zeros((3, 9), I32),
        np.zeros((2, 9), np.float32),
    ],
    "merge": [np.zeros(2, np.uint64), np.zeros(2, I32), np.zeros(3, np.uint64), 2],
    "refine": [bytes(3), np.zeros((2, 3), np.uint32), np.full((3, 2), 4, np.int64), 8],
    "diffuse_errors": [np.zeros((2, 3), np.float32), 0.5, 0.6],
    "pack_bits": [np.zeros(2, np.uint32), np.zeros(2, U8)],
    "unpack_bits": [b"\0", np.full(2, 4, U8)],
}  # fmt: skip
BAD = [
    ("neighbours", 1, np.zeros(0, U64)),
    ("predict", 0, np.zeros((10, 5), I32)),
    ("predict", 0, np.zeros((3, 6), I32)),
    ("predict", 1, -1),
    ("predict", 1, 5),
    ("predict", 1, 2**62),
    ("predict", 2, np.zeros((1, 2), I32)),
    ("predict", 2, np.zeros((2, 3), I32)),
    ("predict", 2, np.full((2, 2), 4, I32)),
    ("predict", 2, np.full((2, 2), -1, I32)),
    ("predict", 3, 10),
    ("predict", 3, -1),
    ("predict", 4, np.full(1, 10, I32)),
    ("predict", 4, np.full(1, -1, I32)),
    ("predict", 4, np.zeros(2, I32)),
    ("predict", 5, np.zeros(4, I32)),
    ("predict", 6, np.zeros(0, I32)),
    ("predict", 7, np.full(2, 2, U8)),
    ("predict", 8, np.zeros(2, I32)),
    ("predict", 8, np.full(2, 65536, I32)),
    ("predict", 8, np.full(2, -5, I32)),
    ("predict", 8, np.ones(3, I32)),
    *(("reconstruct", at, np.zeros(3, dtype)) for at, dtype in ((0, I32), (1, U8), (2, I32), (3, I32))),
    ("expand_scales", 2, np.ones(15, I32)),
    ("expand_scales", 2, np.zeros(16, I32)),
    ("rotation_steps", 0, np.zeros(0, U8)),
    ("rotation_steps", 1, np.zeros(12, U8)),
    ("rotation_steps", 2, np.zeros(13, U8)),
    ("rotation_steps", 4, np.full(2, 3, U8)),
    ("rotation_steps", 5, np.zeros((3, 3), I32)),
    ("position_exponents", 0, np.zeros((2, 4), I32)),
    ("position_exponents", 1, np.zeros((3, 2), I32)),
    ("position_exponents", 3, np.full(2, 4, U8)),
    ("position_exponents", 4, np.zeros((3, 1), I32)),
    ("position_exponents", 5, np.zeros((2, 2), I32)),
    ("position_exponents", 6, 0),
    ("position_exponents", 6, 63),
    ("sh_contexts", 1, np.full((2, 2), 6, I32)),
    ("sh_contexts", 1, np.full((2, 2), -1, I32)),
    ("sh_contexts", 1, np.zeros((3, 2), I32)),
    ("sh_contexts", 1, np.zeros((2, 1), I32)),
    ("sh_contexts", 2, np.full(1, 2, I32)),
    ("sh_contexts", 2, np.full(1, -1, I32)),
    ("sh_contexts", 3, np.zeros(1, U8)),
    ("sh_contexts", 5, np.zeros(1, U8)),
    ("sh_contexts", 6, np.ones(1, I32)),
    ("sh_predict", 1, np.full((2, 2), 6, I32)),
    ("sh_predict", 2, np.full(1, 2, I32)),
    ("sh_predict", 6, np.zeros(2, I32)),
    ("sh_predict", 6, np.full(2, 65536, I32)),
    ("sh_predict", 7, np.zeros(3, I32)),
    ("sh_predict", 7, np.full(2, 32768, I32)),
    ("sh_scatter", 0, np.zeros(5, I32)),
    ("sh_scatter", 1, -1),
    ("sh_scatter", 1, 2**62),
    ("sh_scatter", 2, np.full(1, 2, I32)),
    ("sh_scatter", 2, np.full(1, -1, I32)),
    ("sh_scatter", 3, np.zeros(2, I32)),
    ("sh_scatter", 4, np.ones(3, I32)),
    ("sh_inverse", 0, np.zeros((3, 1), I32)),
    ("sh_inverse", 0, np.zeros((2, 2), I32)),
    ("sh_inverse", 1, 1),
    ("sh_inverse", 1, -1),
    ("sh_inverse", 3, np.zeros(2, I32)),
    ("sh_inverse", 4, np.zeros((2, 9), I32)),
    ("sh_inverse", 4, np.zeros((3, 46), I32)),
    ("sh_inverse", 5, np.zeros((3, 9), np.float32)),
    ("sh_inverse", 5, np.zeros((2, 8), np.float32)),
    ("merge", 1, np.zeros(3, I32)),
    ("refine", 0, bytes(2)),
    ("refine", 0, b"\0\0\x01\x01"),
    ("refine", 1, np.zeros((3, 3), np.uint32)),
    ("refine", 2, np.full((3, 2), 9, np.int64)),
    ("refine", 2, np.full((3, 2), -1, np.int64)),
    ("refine", 3, 63),
    ("diffuse_errors", 1, 1.5),
    ("diffuse_errors", 2, -0.1),
    ("pack_bits", 0, np.zeros(3, np.uint32)),
    ("pack_bits", 1, np.full(2, 33, U8)),
    ("unpack_bits", 0, b""),
    ("unpack_bits", 0, b"\0\1"),
    ("unpack_bits", 1, np.full(2, 33, U8)),
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good_arguments(name: str) -> None:
    getattr(native, name)(*GOOD[name])


@pytest.mark.parametrize(("name", "at", "value"), BAD)
def test_bad_arguments_raise(name: str, at: int, value: object) -> None:
    arguments = [*GOOD[name]]
    arguments[at] = value
    with pytest.raises(ValueError):  # noqa: PT011  # Each says something else; none may crash.
        getattr(native, name)(*arguments)


@pytest.mark.parametrize("name", GOOD)
def test_wrong_shapes_raise(name: str) -> None:
    for at, value in enumerate(GOOD[name]):
        if isinstance(value, np.ndarray):
            arguments = [*GOOD[name]]
            arguments[at] = value[None]
            with pytest.raises(TypeError):
                getattr(native, name)(*arguments)
