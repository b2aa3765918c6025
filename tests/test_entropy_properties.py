"""Entropy coding under arbitrary and damaged input: it comes back as it was, or BitstreamError, quickly."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from scenepress import kernels
from scenepress.errors import BitstreamError
from scenepress.stages import entropy
from scenepress.stages.entropy import Plane, PlaneDecoder, TableSet

BACKENDS = list(kernels.BACKENDS)
few = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def values_and_contexts(draw: st.DrawFn) -> tuple[NDArray[np.int32], NDArray[np.uint8], int]:
    n = draw(st.integers(0, 300))
    limit = 1 << draw(st.integers(0, 25))
    values = draw(arrays(np.int32, n, elements=st.integers(1 - limit, limit)))
    count = draw(st.sampled_from([1, 2, 17, 255]))
    return values, draw(arrays(np.uint8, n, elements=st.integers(0, count - 1))), count


@given(values_and_contexts(), st.sampled_from([0, 1, 2, 4, 8, 16, 32]), st.sampled_from(BACKENDS))
@few
def test_anything_comes_back(
    drawn: tuple[NDArray[np.int32], NDArray[np.uint8], int], ways: int, backend: str
) -> None:
    values, contexts, count = drawn
    tokens, raw_values, raw_lengths = entropy.tokenize(values, backend=backend)
    fitted = entropy.fit(entropy.histogram(tokens, contexts, count, backend), backend)
    table_set, end = TableSet.from_bytes(b"??" + fitted.to_bytes() + b"!", 2, backend)
    assert end == 2 + len(fitted.to_bytes())
    planes = [Plane(tokens, contexts, table_set, raw_values, raw_lengths)] * 2
    payload = entropy.encode_planes(planes, ways, backend)
    assert payload == entropy.encode_planes(planes, ways, "reference")
    decoder = PlaneDecoder(payload, backend)
    for _ in planes:
        np.testing.assert_array_equal(decoder.values(table_set, contexts), values)
    decoder.finish()


@given(st.binary(max_size=400), st.sampled_from(BACKENDS))
@few
def test_any_bytes_are_a_table_set_or_refused_alike(data: bytes, backend: str) -> None:
    results = []
    for name in (backend, "reference"):
        try:
            table_set, end = TableSet.from_bytes(data, 0, name)
            assert (table_set.frequencies.sum(axis=1) == 4096).all()
            results.append((table_set.context_map.tolist(), table_set.frequencies.tolist(), end))
        except BitstreamError:
            results.append(None)
    assert results[0] == results[1]


def sample(n: int = 300) -> tuple[Plane, NDArray[np.int32]]:
    rng = np.random.default_rng(3)
    contexts = rng.integers(0, 4, n).astype(np.uint8)
    values = np.rint(rng.laplace(size=n) * 5.0 ** (contexts - 1.0)).astype(np.int32)
    tokens, raw_values, raw_lengths = entropy.tokenize(values)
    table_set = entropy.fit(entropy.histogram(tokens, contexts, 4))
    return Plane(tokens, contexts, table_set, raw_values, raw_lengths), values


def outcome(payload: bytes, plane: Plane, backend: str) -> NDArray[np.int32] | None:
    """The values, or None if the payload is refused. Nothing else may happen."""
    try:
        decoder = PlaneDecoder(payload, backend)
        values = decoder.values(plane.table_set, plane.contexts)
        decoder.finish()
    except BitstreamError:
        return None
    return values


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ways", [1, 32])
def test_truncated_and_longer_payloads_are_refused(ways: int, backend: str) -> None:
    plane, _ = sample()
    payload = entropy.encode_planes([plane], ways)
    for end in range(len(payload)):
        assert outcome(payload[:end], plane, backend) is None
    assert outcome(payload + b"\0", plane, backend) is None
    for contexts in (plane.contexts[:-1], np.append(plane.contexts, plane.contexts[:1])):
        other = Plane(np.zeros(len(contexts), np.uint8), contexts, plane.table_set)
        assert outcome(payload, other, backend) is None


@pytest.mark.parametrize("ways", [1, 32])
def test_flipped_bits_decode_alike_or_are_refused(ways: int) -> None:
    plane, values = sample(100)
    payload = entropy.encode_planes([plane], ways)
    for position in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[position >> 3] ^= 1 << (position & 7)
        results = [outcome(bytes(damaged), plane, name) for name in BACKENDS]
        for result in results[1:]:
            assert (result is None) == (results[0] is None)
            assert result is None or np.array_equal(result, results[0])
        # Only raw bits carry no check of their own: that is the business of the container's checksum.
        if results[0] is not None:
            assert position >= 8 * len(payload) - int(plane.raw_lengths.sum()) - 8
            assert not np.array_equal(results[0], values)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_truncation_of_a_table_set_is_refused(backend: str) -> None:
    data = sample(3000)[0].table_set.to_bytes()
    for end in range(len(data)):
        with pytest.raises(BitstreamError):
            TableSet.from_bytes(data[:end], 0, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_huge_counts_allocate_nothing(backend: str) -> None:
    huge = b"\xff\xff\xff\xff\xff\x7f"
    tracemalloc.start()
    for payload in (b"\5" + huge + b"\0" + bytes(200), b"\5\0" + huge + bytes(200), b"\5" + huge + huge):
        with pytest.raises(BitstreamError):
            PlaneDecoder(payload, backend)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("backend", BACKENDS)
def test_misuse_is_a_value_error(backend: str) -> None:
    plane, _ = sample()
    with pytest.raises(ValueError, match="context 4 of 4"):
        Plane(plane.tokens, np.full(300, 4, np.uint8), plane.table_set)
    decoder = PlaneDecoder(entropy.encode_planes([plane]), backend)
    with pytest.raises(ValueError, match="context 9 of 4"):
        decoder.values(plane.table_set, np.full(3, 9, np.uint8))
    with pytest.raises(ValueError, match="contexts must be uint8"):
        decoder.values(plane.table_set, np.zeros(3, np.int64))
    impossible = Plane(np.array([255], np.uint8), np.zeros(1, np.uint8), plane.table_set)
    with pytest.raises(ValueError, match="symbol 255 at 0 has no probability"):
        entropy.encode_planes([impossible], backend=backend)
    with pytest.raises(ValueError, match="ways"):
        entropy.encode_planes([plane], 3, backend)
    with pytest.raises(ValueError, match="negative"):
        entropy.fit(np.full((1, 4), -1, np.int64), backend)


def test_unknown_backends_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot run here"):
        kernels.select("abacus")


def test_decoders_leave_the_payload_alone_and_start_afresh() -> None:
    plane, values = sample()
    payload = entropy.encode_planes([plane])
    for _ in range(2):
        np.testing.assert_array_equal(outcome(payload, plane, "auto"), values)


@pytest.mark.parametrize("backend", BACKENDS)
def test_native_fit_is_no_worse_than_the_reference(backend: str) -> None:
    for n in (50, 3000, 50_000):
        plane, _ = sample(n)
        counts = entropy.histogram(plane.tokens, plane.contexts, 4)

        def bits(name: str, counts: NDArray[np.int64] = counts) -> float:
            table_set = entropy.fit(counts, name)
            rows = table_set.frequencies[table_set.context_map].astype(float)
            return (
                8 * len(table_set.to_bytes()) + (counts * (12 - np.log2(np.maximum(rows, 1e-99)))).sum()
            )

        assert bits(backend) <= 1.01 * bits("reference") + 16


def test_the_environment_names_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    plane, values = sample()
    payload = entropy.encode_planes([plane])
    for name in BACKENDS:  # One table set serves decoders of all backends.
        monkeypatch.setenv("SCENEPRESS_BACKEND", name)
        assert kernels.resolve() == name
        np.testing.assert_array_equal(outcome(payload, plane, "auto"), values)


def test_threads_share_a_table_set() -> None:
    plane, values = sample(50_000)
    payload = entropy.encode_planes([plane])
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: outcome(payload, plane, "auto"), range(16)):
            np.testing.assert_array_equal(result, values)
