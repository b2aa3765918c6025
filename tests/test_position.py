"""Position stage: round trips (property), backends alike, damage refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scenepress.errors import BitstreamError
from scenepress.kernels import position as kernels
from scenepress.kernels import reference_position
from scenepress.stages import position

settings.register_profile("position", deadline=None)  # The reference is slow on purpose.
settings.load_profile("position")

Codes = NDArray[np.uint64]

SPEC = Path(__file__).parents[1] / "docs/spec/position.md"
LIST = r"([0-9A-F* ]+|-)"
ROW = re.compile(rf"^\| (\d+) \| {LIST} \| ([0-9A-F* ]+|-|INVALID \d+) \| {LIST} \| [^|]+ \|$", re.MULTILINE)
VECTORS = ROW.findall(SPEC.read_text(encoding="utf-8"))
PRIORS = re.findall(r"^\| ([0-4]) ((?:\| (?:-|\d+, \d+) ){6})\|$", SPEC.read_text(encoding="utf-8"), re.MULTILINE)


def numbers(text: str) -> Codes:
    """`3*2 A` -> 3 3 10."""
    parts = [(part + "*1").split("*")[:2] for part in text.split() if part != "-"]
    return np.array([int(x, 16) for x, times in parts for _ in range(int(times))], np.uint64)


def surface(count: int, bits_per_axis: int, seed: int) -> Codes:
    """Sorted codes of noisy points on a sphere, unevenly spread: like a trained scene."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((count, 3)) * [1, 0.5, 0.1]
    points /= np.linalg.norm(points, axis=1, keepdims=True) * (1 + 0.01 * rng.standard_normal((count, 1)))
    cells = np.clip((points + 1.2) / 2.4 * 2**bits_per_axis, 0, 2**bits_per_axis - 1).astype(np.uint32)
    return np.sort(position.morton(cells, bits_per_axis))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Codes, Codes, int]:
    bits = draw(st.integers(0, 63))
    code = st.integers(0, 2**bits - 1)
    near = st.integers(0, min(2**bits - 1, 20)).map(lambda d: 2**bits - 1 - d)
    lists = st.lists(st.one_of(code, near, st.just(2**bits // 3)), max_size=60)
    codes, coarse = draw(lists), draw(lists)
    if draw(st.booleans()):
        coarse = coarse + codes[::2]
    return np.sort(np.array(codes, np.uint64)), np.sort(np.array(coarse, np.uint64)), bits


@pytest.mark.parametrize("backend", kernels.BACKENDS)
@pytest.mark.parametrize(("bits", "coarse", "codes", "payload"), VECTORS)
def test_spec_vector(bits: str, coarse: str, codes: str, payload: str, backend: str) -> None:
    kernel, data = kernels.BACKENDS[backend], bytes.fromhex(payload.replace("-", ""))
    if codes.startswith("INVALID"):
        count = int(codes.split()[1])
        assert kernel.decode_positions(data, count, numbers(coarse), int(bits))[1] != kernels.EXACT
        with pytest.raises(BitstreamError, match="position payload"):
            position.decode(data, count, numbers(coarse), int(bits))
        return
    assert kernel.encode_positions(numbers(codes), numbers(coarse), int(bits)) == data
    decoded, result = kernel.decode_positions(data, len(numbers(codes)), numbers(coarse), int(bits))
    assert result == kernels.EXACT
    np.testing.assert_array_equal(decoded, numbers(codes))


def test_the_spec_has_vectors_and_the_priors_of_the_code() -> None:
    assert len(VECTORS) == 21  # Guards the regular expressions above.
    assert len(PRIORS) == 5
    for weight, row in PRIORS:
        for ratio, cell in enumerate(row.strip("| ").split(" | ")):
            if cell != "-":
                assert cell == "{}, {}".format(*reference_position.PRIORS[int(weight)][ratio])


def test_contexts_with_a_dash_cannot_occur() -> None:
    reached = {reference_position.split_context(left, right) for left in range(200) for right in range(200)}
    dashes = {
        (int(weight), ratio)
        for weight, row in PRIORS
        for ratio, cell in enumerate(row.strip("| ").split(" | "))
        if cell == "-"
    }
    assert reached | dashes == {(weight, ratio) for weight in range(5) for ratio in range(6)}
    assert not reached & dashes


@given(problem=problems())
def test_codes_come_back_and_backends_agree(problem: tuple[Codes, Codes, int]) -> None:
    codes, coarse, bits = problem
    payloads = {kernel.encode_positions(codes, coarse, bits) for kernel in kernels.BACKENDS.values()}
    assert len(payloads) == 1
    payload = payloads.pop()
    for kernel in kernels.BACKENDS.values():
        decoded, result = kernel.decode_positions(payload, len(codes), coarse, bits)
        assert result == kernels.EXACT
        np.testing.assert_array_equal(decoded, codes)
    np.testing.assert_array_equal(position.decode(payload, len(codes), coarse, bits), codes)


@pytest.mark.parametrize("split", [0, 1000, 6000])
def test_native_equals_reference_on_a_scene(split: int) -> None:
    codes = surface(8_000, 12, seed=1)
    in_coarse = np.zeros(len(codes), bool)
    in_coarse[np.random.default_rng(2).permutation(len(codes))[:split]] = True
    fine, coarse = codes[~in_coarse], codes[in_coarse]
    payloads = [kernel.encode_positions(fine, coarse, 36) for kernel in kernels.BACKENDS.values()]
    assert len(set(payloads)) == 1
    for kernel in kernels.BACKENDS.values():
        np.testing.assert_array_equal(kernel.decode_positions(payloads[0], len(fine), coarse, 36)[0], fine)


@settings(max_examples=200)
@given(payload=st.binary(max_size=60), count=st.integers(0, 40), problem=problems())
def test_backends_judge_any_bytes_alike(payload: bytes, count: int, problem: tuple[Codes, Codes, int]) -> None:
    _, coarse, bits = problem
    found = [kernel.decode_positions(payload, count, coarse, bits) for kernel in kernels.BACKENDS.values()]
    assert len({result for _, result in found}) == 1
    if found[0][1] == kernels.EXACT:  # Only what encode() writes is accepted.
        np.testing.assert_array_equal(found[0][0], found[-1][0])
        assert position.encode(found[0][0], coarse, bits) == payload


@pytest.mark.parametrize("with_coarse", [False, True])
def test_every_truncation_and_every_added_byte_is_refused(with_coarse: bool) -> None:
    codes = surface(300, 12, seed=3)
    coarse = codes[::3] if with_coarse else codes[:0]
    payload = position.encode(codes, coarse, 36)
    for size in range(len(payload)):
        with pytest.raises(BitstreamError, match="position payload"):
            position.decode(payload[:size], len(codes), coarse, 36)
    for extra in (b"\0", b"\1", b"\xff"):
        with pytest.raises(BitstreamError, match="position payload"):
            position.decode(payload + extra, len(codes), coarse, 36)


def test_flipped_bits_give_valid_codes_or_an_error() -> None:
    codes = surface(200, 10, seed=4)
    payload = position.encode(codes, codes[::5], 30)
    refused = 0
    for i in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[i // 8] ^= 1 << i % 8
        try:
            decoded = position.decode(bytes(damaged), len(codes), codes[::5], 30)
        except BitstreamError:
            refused += 1
            continue
        assert decoded[-1] < 2**30
        assert (decoded[1:] >= decoded[:-1]).all()
        assert not np.array_equal(decoded, codes)  # Each multiset has one payload.
    assert refused > 0


def test_absurd_counts_are_refused_at_once() -> None:
    none = np.zeros(0, np.uint64)
    for count in (-1, position.MAX_COUNT + 1, 10**9):
        with pytest.raises(BitstreamError, match="claims"):
            position.decode(b"\0", count, none, 36)
    with pytest.raises(BitstreamError, match="position payload"):
        position.decode(b"\0", position.MAX_COUNT, none, 63)


def test_duplicates_and_extremes() -> None:
    none = np.zeros(0, np.uint64)
    for codes, bits in [
        (np.zeros(100_000, np.uint64), 0),
        (np.full(100_000, 2**63 - 1, np.uint64), 63),
        (np.array([0] * 17 + [2**63 - 1] * 15, np.uint64), 63),
        (np.arange(2**12, dtype=np.uint64), 12),
    ]:
        for coarse in (none, codes[:1], codes):
            payload = position.encode(codes, coarse, bits)
            np.testing.assert_array_equal(position.decode(payload, len(codes), coarse, bits), codes)


def test_bad_arguments() -> None:
    good = np.array([1, 2], np.uint64)
    with pytest.raises(ValueError, match=r"codes must not decrease: codes\[1\]"):
        position.encode(good[::-1], good, 4)
    with pytest.raises(ValueError, match=r"coarse must be below 2\^1"):
        position.encode(good[:1], good, 1)
    with pytest.raises(ValueError, match="bits must lie"):
        position.encode(good, good, 64)
    with pytest.raises(ValueError, match="uint64"):
        position.encode(good.astype(np.int64), good, 4)  # type: ignore[arg-type]


@given(st.lists(st.tuples(*[st.integers(0, 2**21 - 1)] * 3), max_size=20))
def test_morton_round_trip_and_backends(cells: list[tuple[int, int, int]]) -> None:
    xyz = np.array(cells, np.uint32).reshape(-1, 3)
    codes = position.morton(xyz, 21)
    assert codes.tolist() == [
        int("".join(x + y + z for x, y, z in zip(*(f"{v:021b}" for v in cell), strict=True)), 2) for cell in cells
    ]
    np.testing.assert_array_equal(position.unmorton(codes, 21), xyz)
    for kernel in kernels.BACKENDS.values():
        np.testing.assert_array_equal(kernel.morton_codes(xyz), codes)
        np.testing.assert_array_equal(kernel.morton_cells(codes), xyz)


def test_morton_refuses_what_does_not_fit() -> None:
    for bad in ([[0, 0, 4]], [[0, -1, 0]]):
        with pytest.raises(ValueError, match=r"\[0, 2\^2\)"):
            position.morton(np.array(bad, np.int32), 2)
    with pytest.raises(ValueError, match="below 2"):
        position.unmorton(np.array([64], np.uint64), 2)
