"""Lossless: spec vectors (golden), every bit back (property), damage, and smaller than zstd on real scenes."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scenepress import container, metadata
from scenepress.codecs import lossless
from scenepress.errors import BitstreamError
from scenepress.formats.ply import read_ply
from scenepress.kernels import lossless as kernels
from scenepress.scene import Splats
from scenepress.stages import lossless as stage
from scenepress.stages.lossless import words as maps
from tests.inputs import shared

ROOT = Path(__file__).resolve().parents[1]
SPEC = (ROOT / "docs/spec/lossless.md").read_text()
VECTORS = re.findall(r"^\| ([0-9A-F]*) \| (\d+) \| ([^|]+) \| ([^|]+) \|$", SPEC, re.MULTILINE)
SPECIAL = np.array([0x7FC01234, 0xFFFFFFFF, 0x80000000, 0x7F800000, 0xFF800000, 1, 0x80000001], np.uint32)
SH_OF_DEGREE = {0: 0, 1: 3, 2: 8, 3: 15}


def scene_of(bits: np.ndarray) -> Splats:
    """uint32 [N, 14 + 3 K] as a scene, bit for bit."""
    rows = np.ascontiguousarray(bits).view(np.float32)
    means, quats, scales, sh0 = (rows[:, a:b].copy() for a, b in ((0, 3), (3, 7), (7, 10), (11, 14)))
    shn = rows[:, 14:].copy().reshape(len(rows), (rows.shape[1] - 14) // 3, 3)
    return Splats(means, quats, scales, rows[:, 10].copy(), sh0, shn)


def trained_like(n: int, degree: int, seed: int = 0) -> Splats:
    """Random splats with unit rotations, correlated colours, and some special values."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, 14 + 3 * SH_OF_DEGREE[degree])).astype(np.float32)
    rows[:, 3:7] /= np.linalg.norm(rows[:, 3:7], axis=1, keepdims=True)
    rows[:, 12:14] = rows[:, 11:12] + 0.1 * rows[:, 12:14]
    bits = rows.view(np.uint32)
    for k, special in enumerate(SPECIAL):
        bits[(5 * k + 1) % n, (3 * k) % bits.shape[1]] = special
    return scene_of(bits)


def assert_same_bits(a: Splats, b: Splats) -> None:
    assert (a.axes, a.antialiased) == (b.axes, b.antialiased)
    for field in ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN"):
        one, other = getattr(a, field), getattr(b, field)
        assert one.shape == other.shape
        np.testing.assert_array_equal(one.view(np.uint32), other.view(np.uint32), err_msg=field)


def test_the_spec_has_vectors() -> None:
    assert len(VECTORS) == 32  # Guards the regular expression.


@pytest.mark.parametrize(("payload", "count", "columns", "why"), VECTORS, ids=[row[3] for row in VECTORS])
def test_vector(payload: str, count: str, columns: str, why: str) -> None:
    if columns.startswith("INVALID "):
        with pytest.raises(BitstreamError, match=re.escape(columns.removeprefix("INVALID "))):
            stage.decode(bytes.fromhex(payload), int(count))
        return
    expected: list[list[int]] = []
    for column in columns.split(" / "):
        zeros = re.fullmatch(r"0\*(\d+)", column)
        expected += (
            [[0] * int(count)] * int(zeros[1]) if zeros else [[int(word, 16) for word in column.split()]]
        )
    assert stage.decode(bytes.fromhex(payload), int(count)).tolist() == expected


words = st.integers(0, 2**32 - 1) | st.sampled_from(SPECIAL.tolist())
columns = st.sampled_from([14, 23]).flatmap(
    lambda c: st.integers(1, 12).flatmap(lambda n: arrays(np.uint32, (c, n), elements=words))
)


@settings(max_examples=40)
@given(bits=columns)
def test_arbitrary_bits_come_back(bits: np.ndarray) -> None:
    np.testing.assert_array_equal(stage.decode(stage.encode(bits), bits.shape[1]), bits)


@settings(max_examples=40)
@given(bits=arrays(np.uint32, (2, 20), elements=words), lattice=st.integers(0, 20), data=st.data())
def test_maps_are_bijections(bits: np.ndarray, lattice: int, data: st.DataObject) -> None:
    for column in bits:
        np.testing.assert_array_equal(maps.from_ordered(maps.to_ordered(column)), column)
        np.testing.assert_array_equal(maps.from_differences(maps.to_differences(column)), column)
    steps = data.draw(arrays(np.int32, 20, elements=st.integers(-(2**24), 2**24)))
    values = (steps / 2.0**lattice).astype(np.float32).view(np.uint32)
    mapped = maps.to_lattice(values)
    assert mapped is not None
    np.testing.assert_array_equal(maps.from_lattice(*mapped), values)
    found = maps.to_lattice(bits[0])
    if found is not None:
        np.testing.assert_array_equal(maps.from_lattice(*found), bits[0])


@given(bits=arrays(np.uint32, (4, 9), elements=words))
def test_completed_rotations_are_a_bijection(bits: np.ndarray) -> None:
    split = maps.split_rotations(list(bits))
    assert split[0].max() <= 7
    np.testing.assert_array_equal(np.stack(maps.join_rotations(split)), bits)


@pytest.mark.parametrize("shape", [(14, 0), (13, 5), (17, 5), (14, 65_537)], ids=str)
def test_encoder_refuses_other_shapes(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="bits must be"):
        stage.encode(np.zeros(shape, np.uint32))


def test_ordered_words_follow_the_values() -> None:
    values = np.array([-np.inf, -2, -1e-40, -0.0, 0.0, 1e-40, 1, np.inf], np.float32)
    assert (np.diff(maps.to_ordered(values.view(np.uint32)).astype(np.int64)) > 0).all()


@given(
    pairs=st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=60),
    start=st.integers(0, 9),
)
def test_kernels_agree(pairs: list[tuple[int, int]], start: int) -> None:
    lengths = np.array([start, *(length for _, length in pairs)], np.uint8)
    values = np.array([0, *(v for v, _ in pairs)], np.uint32)
    packed = [kernel.pack_bits(values, lengths).tobytes() for kernel in kernels.BACKENDS.values()]
    assert len(set(packed)) == 1
    tokens = np.arange(1, len(lengths), dtype=np.uint8)
    bases = np.arange(256, dtype=np.uint32) << np.uint32(20)
    table = np.zeros(256, np.uint8)
    table[: len(lengths)] = lengths
    raw = np.frombuffer(packed[0], np.uint8)
    expected = [
        ((v & ((1 << length) - 1)) + (t << 20)) % 2**32
        for t, (v, length) in zip(tokens.tolist(), pairs, strict=True)
    ]
    for kernel in kernels.BACKENDS.values():
        got, end = kernel.expand(tokens, bases, table, raw, start)
        assert (got.tolist(), end) == (expected, int(lengths.astype(int).sum()))
        if end > start:
            with pytest.raises(ValueError, match="raw bits"):
                kernel.expand(tokens, bases, table, raw[: (end - 1) // 8], start)


@given(
    words=arrays(np.uint32, 30, elements=words),
    leaves=st.sets(st.integers(0, 2**32 - 1), max_size=200),
    singles=st.sets(words, max_size=20),
)
def test_kernels_assign_alike(words: np.ndarray, leaves: set[int], singles: set[int]) -> None:
    bases = np.array([*sorted(leaves), *sorted(singles)], np.uint32)
    tokens = [kernel.assign(words, bases, len(leaves)).tolist() for kernel in kernels.BACKENDS.values()]
    assert all(other == tokens[0] for other in tokens)
    for word, token in zip(words.tolist(), tokens[0], strict=True):
        if word in singles:
            assert bases[token] == word
        else:
            assert token == max(sum(base <= word for base in leaves) - 1, 0)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_scene_round_trip(degree: int) -> None:
    scene = dataclasses.replace(trained_like(3000, degree), antialiased=True, axes="RUB")
    data = lossless.encode(scene, source_name="a.ply", source_format="ply", unit="m", up="+y")
    assert_same_bits(lossless.decode(data), scene)
    about = metadata.of(container.read(data))
    assert (about.count, about.sh_degree, about.source_name, about.up) == (3000, degree, "a.ply", "+y")
    assert data == lossless.encode(scene, source_name="a.ply", source_format="ply", unit="m", up="+y")


def test_many_tiles() -> None:
    scene = trained_like(70_001, 0)
    seen: list[float] = []
    data = lossless.encode(scene, progress=seen.append)
    chunks = container.read(data).select(stage.STAGE_ID)
    assert [c.count for c in chunks] == [35_000, 35_001]
    assert seen[-1] == 1
    assert_same_bits(lossless.decode(data), scene)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_tiny_scenes(n: int) -> None:
    scene = trained_like(n, 1) if n else scene_of(np.zeros((0, 23), np.uint32))
    data = lossless.encode(scene)
    assert_same_bits(lossless.decode(data, levels=3), scene)
    assert len(data) < 800 + 120 * n


def test_nothing_but_nan() -> None:
    scene = scene_of(np.full((300, 14), 0x7FC00001, np.uint32))
    data = lossless.encode(scene)
    assert_same_bits(lossless.decode(data), scene)
    assert len(data) < 800


def test_quantised_scenes_shrink_to_their_lattice() -> None:
    rng = np.random.default_rng(3)
    n = 6000
    rows = np.empty((n, 23), np.float32)
    rows[:, :3] = rng.integers(-(2**20), 2**20, (n, 3)) / 4096
    rows[:, 7:] = rng.integers(0, 16, (n, 16)) / 128 - 0.3
    kept = (rng.integers(-511, 512, (n, 3)) / np.float32(1500)).astype(np.float32)
    largest = np.sqrt(1 - (kept.astype(np.float64) ** 2).sum(axis=1)).astype(np.float32)
    rows[:, 3:7] = np.column_stack([largest, kept])
    scene = scene_of(rows.view(np.uint32))
    data = lossless.encode(scene)
    assert_same_bits(lossless.decode(data), scene)
    ideal = n * (3 * 21 + 16 * 4 + 3 * 10) / 8
    assert len(data) < 1.08 * ideal + 3000


def test_truncation_at_every_byte() -> None:
    data = lossless.encode(trained_like(4, 0))
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            lossless.decode(data[:length])
        with pytest.raises(BitstreamError):
            lossless.decode(data[:length], allow_truncated=True)
    with pytest.raises(BitstreamError, match="from the whole only"):
        lossless.decode(data[:-1], allow_truncated=True)


@settings(max_examples=200)
@given(where=st.integers(0), new=st.integers(0, 255), cut=st.booleans())
def test_damaged_payloads_raise_only_bitstream_errors(where: int, new: int, cut: bool) -> None:
    payload = bytearray(PAYLOAD)
    payload[where % len(payload)] = new
    if cut:
        del payload[where % len(payload) + 1 :]
    try:
        bits = stage.decode(payload, 40)
    except BitstreamError:
        return
    assert bits.shape == (14, 40)


PAYLOAD = stage.encode(np.ascontiguousarray(lossless._to_columns(trained_like(40, 0))))


@pytest.mark.parametrize("count", [0, 65_537, 10**9])
def test_absurd_counts_are_refused(count: int) -> None:
    with pytest.raises(BitstreamError, match="splats in a chunk"):
        stage.decode(PAYLOAD, count)


def test_a_count_that_the_payload_cannot_hold() -> None:
    for count in (39, 41, 65_536):
        with pytest.raises(BitstreamError):
            stage.decode(PAYLOAD, count)


def rebuilt(scene: Splats, **changes: object) -> bytes:
    """A file whose metadata were changed after encoding."""
    file = container.read(lossless.encode(scene))
    about = dataclasses.replace(metadata.of(file), **changes)
    return container.write([metadata.chunk(about), *file.select(stage.STAGE_ID)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 10**9}, "claim 1000000000 splats, the chunks 10"),
        ({"sh_degree": 2}, "SH degree"),
        ({"codec": "splats"}, "codec"),
    ],
    ids=["count", "degree", "codec"],
)
def test_metadata_and_chunks_must_agree(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BitstreamError, match=message):
        lossless.decode(rebuilt(trained_like(10, 1), **changes))


def test_misplaced_tiles() -> None:
    file = container.read(lossless.encode(trained_like(10, 0)))
    tile = dataclasses.replace(file.find(stage.STAGE_ID), tile=1)
    data = container.write([file.find(1), tile])
    with pytest.raises(BitstreamError, match="misplaced"):
        lossless.decode(data)


def test_levels_below_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        lossless.decode(lossless.encode(trained_like(2, 0)), levels=0)


@pytest.mark.parametrize("name", ["leica_8k_sh3.ply", "gsplayer_20k_sh0.ply"])
def test_real_scenes_are_smaller_than_zstd(name: str) -> None:
    path = shared(f"splats/{name}")
    scene = read_ply(path)
    data = lossless.encode(scene)
    assert_same_bits(lossless.decode(data), scene)
    assert len(data) < 0.9 * len(zstandard.compress(path.read_bytes(), 19))
