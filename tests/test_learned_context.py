"""The learned context model: docs/spec/learned_context.md, files that use it, and what it saves."""

from __future__ import annotations

import dataclasses
import hashlib

import backends
import learned_vectors
import numpy as np
import pytest
import spec_vectors
import splat_streams
from hypothesis import given, settings
from hypothesis import strategies as st

from scenepress import container
from scenepress.codecs import placement, splats
from scenepress.codecs.presets import Settings
from scenepress.errors import BitstreamError
from scenepress.kernels import learned, reference_learned
from scenepress.scene import Splats
from scenepress.stages import learned_context, parameters, table

PAGE = "learned_context"
quick = settings(deadline=None, max_examples=25)


@pytest.fixture(params=backends.NAMES)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    backends.use(str(request.param), monkeypatch)
    return str(request.param)


def numbers(cell: str) -> list[int]:
    """`1 2*3` -> 1 2 2 2."""
    parts = [(word + "*1").split("*")[:2] for word in cell.split()]
    return [int(n) for n, times in parts for _ in range(int(times))]


def vectors(heading: str) -> pytest.MarkDecorator:
    found = spec_vectors.rows(PAGE, heading)
    assert len(found) >= 4
    return pytest.mark.parametrize("row", found, ids=[str(i) for i in range(len(found))])


def test_vectors_are_up_to_date() -> None:
    assert spec_vectors.main(["--check"], learned_vectors.TABLES) == 0


@vectors("### 7.1 ")
def test_logarithms(row: list[str]) -> None:
    m = int(row[0])
    e = m.bit_length() - 1
    assert int(row[1]) == 16 * e + ((16 * m >> e) - 16)
    assert reference_learned.log16(np.array([m])).tolist() == [int(row[1])]


@vectors("### 7.2 ")
def test_differences(row: list[str], backend: str) -> None:
    d, step, wanted = map(int, row)
    features = np.zeros((learned.FEATURES, 1), np.int8)
    values = [np.array([v], np.int32) for v in (d, 0, step)]
    learned.residual_features(features, 0, *values)
    assert features[[22, 32], 0].tolist() == [wanted, abs(wanted)]


@vectors("### 7.3 ")
def test_neighbours(row: list[str], backend: str) -> None:
    coarse, codes = (np.array([int(c, 16) for c in cell.split()], np.uint64) for cell in row[:2])
    near, far = learned.nearest(codes, coarse)
    assert [near.ravel().tolist(), far.ravel().tolist()] == [numbers(cell) for cell in row[2:]]


@vectors("### 7.4 ")
def test_channels(row: list[str], backend: str) -> None:
    channel, prediction, kind, step = map(int, row[:4])
    around, seen = (np.array(numbers(cell), np.int32) for cell in row[4:6])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learned_vectors.kernels, "learned_predict", learned.learned_predict)
        found = learned_vectors.predict(channel, prediction, kind, step, around, seen)
    assert found == [int(cell) for cell in row[6:]]


def test_models_are_the_pages() -> None:
    text = (spec_vectors.SPEC / f"{PAGE}.md").read_text("utf-8")
    for number, digest in learned_context.MODELS.items():
        assert f"| {number} | 7360 | {digest} |" in text
        network = learned_context.load(number)
        data = network.weights.tobytes() + network.bias.astype("<i4").tobytes()
        assert hashlib.sha256(data).hexdigest() == digest
        # What section 4 says of the sums.
        widest = 127 * np.abs(network.weights.astype(np.int64)).sum(2) + np.abs(network.bias)
        assert widest.max() < 1 << 31


@quick
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 3, 15]), st.booleans())
def test_files_decode_to_what_they_say(seed: int, sh_count: int, wild: bool) -> None:
    made = splat_streams.stream(seed, sh_count, most=60, wild=wild, learned=True)
    found = [_decoded(made.data, name) for name in backends.NAMES]
    for scene in found:
        for field in ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN"):
            np.testing.assert_array_equal(getattr(scene, field), getattr(made.scene, field))
    again = parameters.decode(parameters.encode(made.parameters))
    assert parameters.encode(again) == parameters.encode(made.parameters)


def _decoded(data: bytes, backend: str) -> Splats:
    with pytest.MonkeyPatch.context() as patch:
        backends.use(backend, patch)
        return splats.decode(data)


@quick
@given(st.integers(0, 2**32 - 1))
def test_damage_is_refused_the_same_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = splat_streams.stream(seed % 50, 3, most=40, learned=True)
    chunks = container.read(made.data).chunks
    at = int(rng.integers(len(chunks)))
    payload = bytearray(chunks[at].payload)
    if payload:
        payload[rng.integers(min(len(payload), 400))] ^= 1 << rng.integers(8)
    changed = dataclasses.replace(chunks[at], payload=bytes(payload))
    data = container.write([*chunks[:at], changed, *chunks[at + 1 :]])
    found = []
    for name in backends.NAMES:
        try:
            found.append(_decoded(data, name).means.tobytes())
        except BitstreamError:
            found.append(b"refused")
    assert found == found[:1] * len(found)


def surface(n: int) -> Splats:
    """A wavy sheet of splats that change slowly, but some of them have all attributes at random."""
    rng = np.random.default_rng(0)
    at = rng.uniform(-1, 1, (n, 2)).astype(np.float32)
    height = np.sin(3 * at[:, 0]) * np.cos(2 * at[:, 1]) / 4
    noise = rng.normal(0, np.where(rng.random(n) < 0.3, 0.5, 0.01), (6, n)).astype(np.float32)
    wide = 1.5 * at[:, 1]
    scales = np.stack([wide - 4.5 + noise[0], wide - 4.5 + noise[1], wide - 7 + noise[2]], 1)
    quats = np.stack([np.ones(n), noise[3], noise[4], at[:, 0] / 3], 1)
    color = np.stack([np.sin(4 * at[:, 0]), np.cos(4 * at[:, 1]), at[:, 0]], 1) + noise[3:].T
    sh = np.repeat(color[:, None] / 4, 3, 1) + rng.normal(0, 0.02, (n, 3, 3))
    means = np.concatenate([at, height[:, None]], 1)
    arrays = (means, quats / np.linalg.norm(quats, axis=1, keepdims=True), scales, 1 + 3 * noise[5], color, sh)
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays))


def test_scenes_get_smaller_and_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "LEVEL_LEAST", 1000)
    scene = surface(9000)
    plain = Settings(psnr=40.0, learned=False)
    with_model, without = (splats.encode(scene, s) for s in (dataclasses.replace(plain, learned=True), plain))
    chunk = container.read(with_model).find(table.SPLAT_PARAMETERS)
    found = parameters.decode(bytes(chunk.payload)).learned
    assert found is not None
    assert any(head is not None for head in found.heads)
    assert len(with_model) < 0.99 * len(without)
    decoded = [splats.decode(data) for data in (with_model, without)]
    for field in ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN"):
        np.testing.assert_array_equal(*(getattr(d, field) for d in decoded))


def test_damaged_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(learned_context.MODELS, 1, "0" * 64)
    with pytest.raises(ValueError, match="install scenepress again"):
        learned_context.load.__wrapped__(1)
