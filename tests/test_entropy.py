"""Entropy coding: round trips, backends alike, tables small, damage refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scenepress import kernels
from scenepress.errors import BitstreamError
from scenepress.stages import entropy
from scenepress.stages.entropy import Plane, PlaneDecoder, TableSet

NATIVE = [name for name in kernels.BACKENDS if name != "reference"]


@pytest.fixture(params=list(kernels.BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def draw(
    n: int, scale: float, contexts: int, seed: int = 0
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Laplacian residuals [n], wider in higher contexts."""
    rng = np.random.default_rng(seed)
    context = rng.integers(0, contexts, n).astype(np.uint8)
    values = np.rint(rng.laplace(size=n) * scale * 1.5**context)
    return np.clip(values, -(1 << 25) + 1, 1 << 25).astype(np.int32), context


def plane_of(values: NDArray[np.int32], contexts: NDArray[np.uint8], count: int) -> Plane:
    tokens, raw_values, raw_lengths = entropy.tokenize(values)
    table_set = entropy.fit(entropy.histogram(tokens, contexts, count))
    return Plane(tokens, contexts, table_set, raw_values, raw_lengths)


def test_token_limits(backend: str) -> None:
    edges = [0, 1, -1, 7, 8, -7, -8, 9, 1 << 25, 1 - (1 << 25)]
    values = np.array(edges, np.int32)
    tokens, raw, lengths = entropy.tokenize(values, backend=backend)
    assert tokens.tolist() == [0, 1, 2, 13, 15, 14, 16, 16, 103, 103]
    assert lengths.tolist() == [0, 0, 0, 0, 0, 0, 2, 2, 23, 23]
    assert (raw < 1 << lengths.astype(np.uint32)).all()
    np.testing.assert_array_equal(entropy.detokenize(tokens, raw, backend=backend), values)
    for bad, signed in (
        (1 + (1 << 25), True),
        (-(1 << 25), True),
        (-(1 << 31), True),
        (-1, False),
        (1 << 26, False),
    ):
        with pytest.raises(ValueError, match=r"values\[1\]"):
            entropy.tokenize(np.array([0, bad], np.int32), signed, backend)


@pytest.mark.parametrize("signed", [True, False])
def test_backends_tokenize_alike(backend: str, signed: bool) -> None:
    rng = np.random.default_rng(1)
    values = (rng.integers(0, 1 << 25, 100_000) >> rng.integers(0, 25, 100_000)).astype(np.int32)
    values = np.where(rng.random(100_000) < 0.5 * signed, -values, values).astype(np.int32)
    expected = entropy.tokenize(values, signed, "reference")
    tokens, raw, _ = got = entropy.tokenize(values, signed, backend)
    for want, have in zip(expected, got, strict=True):
        np.testing.assert_array_equal(have, want)
    np.testing.assert_array_equal(entropy.detokenize(tokens, raw, signed, backend), values)


@pytest.mark.parametrize("ways", [1, 2, 4, 8, 16, 32])
def test_round_trip_of_planes(backend: str, ways: int) -> None:
    sizes = [0, 1, 31, 32, 33, 700, 5]  # Planes that end inside a group of ways.
    data = [draw(n, 3.0 * (k + 1), 5, seed=k) for k, n in enumerate(sizes)]
    planes = [plane_of(values, contexts, 5) for values, contexts in data]
    payload = entropy.encode_planes(planes, ways, backend)
    assert payload == entropy.encode_planes(planes, ways, "reference")
    decoder = PlaneDecoder(payload, backend)
    for plane, (values, contexts) in zip(planes, data, strict=True):
        np.testing.assert_array_equal(decoder.values(plane.table_set, contexts), values)
    decoder.finish()


@pytest.mark.parametrize("count", [1, 8])
def test_backends_alike_on_many_symbols(backend: str, count: int) -> None:
    n = 100_000 if backend == "reference" else 3_000_000
    values, contexts = draw(n, 4.0, count)
    plane = plane_of(values, contexts, count)
    payload = entropy.encode_planes([plane], backend=backend)
    assert payload[0] == 5  # 32 ways.
    for other in NATIVE:
        assert payload == entropy.encode_planes([plane], backend=other)
        decoder = PlaneDecoder(payload, other)
        np.testing.assert_array_equal(decoder.values(plane.table_set, contexts), values)
        decoder.finish()
    decoder = PlaneDecoder(payload, backend)
    np.testing.assert_array_equal(decoder.values(plane.table_set, contexts), values)
    decoder.finish()


def test_certain_symbols_cost_nothing(backend: str) -> None:
    tokens = np.full(5000, 77, np.uint8)
    table_set = entropy.fit(entropy.histogram(tokens, np.zeros_like(tokens), 1))
    assert table_set.frequencies[0, 77] == 4096
    payload = entropy.encode_planes([Plane(tokens, np.zeros_like(tokens), table_set)], 1, backend)
    assert len(payload) == 7
    decoder = PlaneDecoder(payload, backend)
    np.testing.assert_array_equal(decoder.plane(table_set, 5000), tokens)
    decoder.finish()


def test_bytes_as_symbols(backend: str) -> None:
    tokens = np.random.default_rng(0).binomial(255, 0.7, 9000).astype(np.uint8)
    table_set = entropy.fit(entropy.histogram(tokens, np.zeros_like(tokens), 1))
    decoder = PlaneDecoder(
        entropy.encode_planes([Plane(tokens, np.zeros_like(tokens), table_set)]), backend
    )
    np.testing.assert_array_equal(decoder.plane(table_set, 9000), tokens)
    decoder.finish()
    with pytest.raises(BitstreamError, match="not tokens"):
        PlaneDecoder(entropy.encode_planes([]), backend).values(table_set, 1)


def bits_of(counts: NDArray[np.int64], table_set: TableSet) -> float:
    frequencies = table_set.frequencies[table_set.context_map].astype(float)
    return float((counts * (12 - np.log2(np.maximum(frequencies, 1e-99)))).sum())


@pytest.mark.parametrize("n", [20, 300, 5000, 100_000])
@pytest.mark.parametrize("scale", [0.15, 1.0, 9.0, 4000.0])
def test_tables_cost_little(n: int, scale: float) -> None:
    values, contexts = draw(n, scale, 1)
    counts = entropy.histogram(entropy.tokenize(values)[0], contexts, 1)
    table_set = entropy.fit(counts)
    p = counts[counts > 0] / n
    entropy_bits = -n * (p * np.log2(p)).sum()
    used = int((counts > 0).sum())
    assert (
        8 * len(table_set.to_bytes()) + bits_of(counts, table_set)
        <= 1.006 * entropy_bits + 12 + 8 * used
    )


def test_contexts_that_differ_get_tables_and_those_alike_share() -> None:
    values, contexts = draw(40_000, 1.0, 6)
    contexts = (contexts // 2 * 2 + np.arange(40_000) % 2).astype(np.uint8)  # Three kinds, two of each.
    values, _ = draw(40_000, 1.0, 1)
    values = (values * 4 ** (contexts // 2)).astype(np.int32)
    table_set = plane_of(values, contexts, 6).table_set
    assert table_set.context_map.tolist() == [0, 0, 1, 1, 2, 2]
    few = plane_of(values[:30], contexts[:30], 6).table_set
    assert len(few.frequencies) == 1


def test_parametric_tables_agree(backend: str) -> None:
    for index in range(256):
        for last in (1, 20, 103):
            data = bytes([1, last, index])
            got, end = TableSet.from_bytes(data, 0, backend)
            want, _ = TableSet.from_bytes(data, 0, "reference")
            np.testing.assert_array_equal(got.frequencies, want.frequencies)
            assert end == 3
            assert got.frequencies.sum() == 4096
            assert (got.frequencies[0, : last + 1] > 0).all()


def test_random_table_sets_parse_alike(backend: str) -> None:
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(2000):
        data = bytes(rng.integers(0, 256, 60).astype(np.uint8))
        data = bytes([data[0] % 4, data[1] % 3, *data[2:]])
        results = []
        for name in ("reference", backend):
            try:
                table_set, end = TableSet.from_bytes(data, 0, name)
                results.append((table_set.context_map.tolist(), table_set.frequencies.tolist(), end))
            except BitstreamError:
                results.append(None)
        assert results[0] == results[1]
        outcomes.add(results[0] is None)
    assert outcomes == {True, False}
