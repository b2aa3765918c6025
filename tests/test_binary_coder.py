"""The adaptive binary coder: spec vectors (golden), round trips (property), backends alike."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scenepress.kernels.binary_coder import BACKENDS

SPEC = Path(__file__).parents[1] / "docs/spec/binary_coder.md"
ROW = re.compile(r"^\| ([0-9* ]+|-|INVALID) \| ([0-9* ]+|-) \| ([0-9A-F]+|-) \| [^|]+ \|$", re.MULTILINE)
VECTORS = ROW.findall(SPEC.read_text(encoding="utf-8"))


def digits(text: str) -> NDArray[np.uint8]:
    """`01*3 1` -> 0 1 0 1 0 1 1."""
    expanded = "".join(part.split("*")[0] * int((part + "*1").split("*")[1]) for part in text.split())
    return np.array([int(d) for d in expanded.replace("-", "")], np.uint8)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("bits", "contexts", "string"), VECTORS)
def test_spec_vector(bits: str, contexts: str, string: str, backend: str) -> None:
    kernel, payload = BACKENDS[backend], bytes.fromhex(string.replace("-", ""))
    decoded, exact = kernel.decode_bits(payload, digits(contexts))
    assert exact == (bits != "INVALID")
    if exact:
        np.testing.assert_array_equal(decoded, digits(bits))
        assert kernel.encode_bits(digits(bits), digits(contexts)) == payload


def test_the_spec_has_vectors() -> None:
    assert len(VECTORS) == 14  # Guards the regular expression above.


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), max_size=300))
def test_bits_come_back_and_backends_agree(coded: list[tuple[int, int]]) -> None:
    bits, contexts = np.array(coded, np.uint8).reshape(-1, 2).T.copy()
    payloads = {kernel.encode_bits(bits, contexts) for kernel in BACKENDS.values()}
    assert len(payloads) == 1
    for kernel in BACKENDS.values():
        decoded, exact = kernel.decode_bits(next(iter(payloads)), contexts)
        assert exact
        np.testing.assert_array_equal(decoded, bits)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=24), st.integers(0, 200))
def test_each_sequence_of_bits_has_one_string(payload: bytes, count: int) -> None:
    contexts = np.zeros(count, np.uint8)
    found = [kernel.decode_bits(payload, contexts) for kernel in BACKENDS.values()]
    assert len({exact for _, exact in found}) == 1
    if found[0][1]:
        np.testing.assert_array_equal(found[0][0], found[-1][0])
        assert found[0][0].size == count
        assert next(iter(BACKENDS.values())).encode_bits(found[0][0], contexts) == payload


@pytest.mark.parametrize("probability", [0.5, 0.05, 0.0005])
def test_native_equals_reference_and_stays_near_the_entropy(probability: float) -> None:
    rng = np.random.default_rng(7)
    count = 100_000
    bits = (rng.random(count) < probability).astype(np.uint8)
    contexts = rng.integers(0, 4, count).astype(np.uint8)
    payloads = [kernel.encode_bits(bits, contexts) for kernel in BACKENDS.values()]
    assert len(set(payloads)) == 1
    p = np.array([probability, 1 - probability])
    # Over the entropy: 1% because estimates keep moving, the floor of 32/65536, 50 bits to learn each state.
    assert 8 * len(payloads[0]) < count * (-(p * np.log2(p)).sum() * 1.01 + 2e-3) + 4 * 50
    for kernel in BACKENDS.values():
        decoded, exact = kernel.decode_bits(payloads[0], contexts)
        assert exact
        np.testing.assert_array_equal(decoded, bits)
