"""Positions and rANS payloads decoded on a device: the same bits as everywhere else."""

import numpy as np
import pytest

from scenepress.kernels import position, raster
from scenepress.stages import entropy

pytestmark = pytest.mark.skipif("cuda" not in raster.BACKENDS, reason="no CUDA device, or no CUDA module")

if "cuda" in raster.BACKENDS:
    from scenepress.kernels import _native_cuda

BITS = 42


def stream(count: int, coarse: int, seed: int) -> tuple[bytes, np.ndarray, np.ndarray]:
    """A payload, and the sorted codes and coarse codes it holds and needs."""
    rng = np.random.default_rng(seed)
    cells = np.clip(rng.normal(1 << 13, 2000, (count + coarse, 3)), 0, (1 << 14) - 1).astype(np.uint32)
    codes = position.fastest().morton_codes(cells)
    fine, rough = np.sort(codes[:count]), np.sort(codes[count:])
    return position.fastest().encode_positions(fine, rough, BITS), fine, rough


def test_many_position_streams() -> None:
    streams = [stream(1 + 400 * i, 90 * i, i) for i in range(40)]
    jobs = [(payload, len(codes), coarse, BITS) for payload, codes, coarse in streams]
    for (_, codes, _), (found, result) in zip(streams, _native_cuda.decode_position_streams(jobs), strict=True):
        assert result == position.EXACT
        np.testing.assert_array_equal(found, codes)


def test_damaged_position_streams_end_as_on_the_cpu() -> None:
    payload, codes, coarse = stream(300, 100, 1)
    rng = np.random.default_rng(2)
    damaged = [payload[:cut] for cut in range(0, len(payload), 17)]
    for _ in range(40):
        flipped = bytearray(payload)
        flipped[rng.integers(len(flipped))] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    found = _native_cuda.decode_position_streams([(data, len(codes), coarse, BITS) for data in damaged])
    for data, (decoded, result) in zip(damaged, found, strict=True):
        expected, code = position.fastest().decode_positions(data, len(codes), coarse, BITS)
        assert result == code
        if code == position.EXACT:
            np.testing.assert_array_equal(decoded, expected)


def test_morton_codes() -> None:
    cells = np.random.default_rng(3).integers(0, 1 << 21, (100_000, 3)).astype(np.uint32)
    codes = _native_cuda.morton_codes(cells)
    np.testing.assert_array_equal(codes, position.fastest().morton_codes(cells))
    np.testing.assert_array_equal(_native_cuda.morton_cells(codes), cells)


def planes(count: int, length: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Values and contexts below 5 of some planes."""
    rng = np.random.default_rng(seed)
    contexts = rng.integers(0, 5, (count, length)).astype(np.uint8)
    values = np.rint(rng.laplace(size=(count, length)) * 6.0 * 1.8**contexts).astype(np.int32)
    return list(zip(values, contexts, strict=True))


@pytest.mark.parametrize("ways", [1, 2, 8, 32])
def test_many_rans_payloads(ways: int) -> None:
    groups = [planes(1 + i % 3, 1 + 997 * i, i) for i in range(20)]
    tokens = [[entropy.tokenize(values) for values, _ in group] for group in groups]
    counts = sum(entropy.histogram(t[0], contexts, 5) for ts, group in zip(tokens, groups, strict=True)
                 for t, (_, contexts) in zip(ts, group, strict=True))  # fmt: skip
    table_set = entropy.fit(counts)
    payloads = []
    for ts, group in zip(tokens, groups, strict=True):
        coded = [entropy.Plane(t[0], contexts, table_set, t[1], t[2])
                 for t, (_, contexts) in zip(ts, group, strict=True)]  # fmt: skip
        payloads.append((entropy.encode_planes(coded, ways=ways), [contexts for _, contexts in group]))
    found = _native_cuda.rans_decode_payloads(payloads, table_set.frequencies, table_set.context_map, True)
    for group, decoded in zip(groups, found, strict=True):
        for (values, _), plane in zip(group, decoded, strict=True):
            np.testing.assert_array_equal(plane, values)


def test_damaged_rans_payloads_are_refused() -> None:
    values, contexts = planes(1, 5000, 9)[0]
    tokens, raw, lengths = entropy.tokenize(values)
    table_set = entropy.fit(entropy.histogram(tokens, contexts, 5))
    payload = entropy.encode_planes([entropy.Plane(tokens, contexts, table_set, raw, lengths)])
    rng = np.random.default_rng(10)
    for _ in range(20):
        damaged = bytearray(payload)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        job = (bytes(damaged), [contexts])
        try:
            decoded = _native_cuda.rans_decode_payloads([job], table_set.frequencies, table_set.context_map, True)
        except ValueError:
            with pytest.raises(ValueError, match="payload"):
                decode_here(bytes(damaged), contexts, table_set)
        else:
            np.testing.assert_array_equal(decoded[0][0], decode_here(bytes(damaged), contexts, table_set))


def decode_here(payload: bytes, contexts: np.ndarray, table_set: entropy.TableSet) -> np.ndarray:
    decoder = entropy.PlaneDecoder(payload)
    values = decoder.values(table_set, contexts)
    decoder.finish()
    return values
