"""Damaged and forged files of the lossy codec: a BitstreamError or a scene, soon, in little memory, nothing else.

Checksums are made right again after each change, so that the stages themselves meet the damage. SCENEPRESS_FUZZ=60
runs the mutations for sixty seconds instead of a few.
"""

from __future__ import annotations

import dataclasses
import os
import struct
import time
import tracemalloc
from collections.abc import Callable, Sequence

import backends
import numpy as np
import pytest
import splat_streams

from scenepress import container, metadata
from scenepress.codecs import splats as codec
from scenepress.container import Chunk
from scenepress.errors import BitstreamError
from scenepress.kernels.crc32c import crc32c
from scenepress.scene import Splats
from scenepress.stages import parameters, table, tiles
from scenepress.stages.parameters import Parameters
from scenepress.varint import write_varint

pytestmark = pytest.mark.filterwarnings("error")


def first(sh_count: int, tiles: int, most: int, wild: bool, kept: bool = False) -> splat_streams.Stream:
    """The first random stream with splats in every tile and level 0, several levels and, if any, SH."""
    for seed in range(1000):
        made = splat_streams.stream(seed, sh_count, tiles, most, wild, kept)
        counts = np.array([[level.count for level in f.levels] for f in made.filled])
        if counts[:, 0].all() and counts[:, 1:].any() and bool(made.parameters.basis.shape[1]) == bool(sh_count):
            return made
    raise AssertionError("no such stream")


SMALL = first(3, 2, 6, False)
KEPT = first(8, 2, 4, True, True)
PLAIN = first(0, 3, 9, False)
STREAMS = {"small": SMALL, "kept order": KEPT, "without SH": PLAIN}
MEGABYTE = 1 << 20


def outcome(data: bytes, **options: bool) -> Splats | None:
    """The scene, or None if the file is refused. Any other exception is a failure."""
    started = time.perf_counter()
    try:
        scene = codec.decode(data, **options)
    except BitstreamError:
        scene = None
    assert time.perf_counter() - started < 20
    return scene


def chunks_of(data: bytes) -> list[Chunk]:
    return list(container.read(data).chunks)


def with_chunk(chunks: Sequence[Chunk], at: int, **changes: object) -> bytes:
    return container.write([*chunks[:at], dataclasses.replace(chunks[at], **changes), *chunks[at + 1 :]])  # type: ignore[arg-type]


def test_the_streams_have_everything() -> None:
    for made in (SMALL, KEPT):
        assert {c.stage for c in chunks_of(made.data)} >= {*codec.STAGES}
        assert len({(c.level, c.tile) for c in chunks_of(made.data)}) > 2
    assert {c.stage for c in chunks_of(PLAIN.data)} >= {*codec.STAGES} - {table.SH}


@pytest.mark.parametrize("name", STREAMS)
def test_cut_anywhere(name: str) -> None:
    data = STREAMS[name].data
    whole = codec.decode(data)
    for size in range(0, len(data), 1 if name == "small" else 7):
        assert size % 5 or outcome(data[:size]) is None
        shown = outcome(data[:size], allow_truncated=True)
        assert shown is None or len(shown) <= len(whole)


@pytest.mark.parametrize("name", STREAMS)
def test_payloads_cut_or_too_long(name: str) -> None:
    chunks = chunks_of(STREAMS[name].data)
    for at, chunk in enumerate(chunks):
        payload = bytes(chunk.payload)
        for size in {*range(0, len(payload), 1 + len(payload) // 3), len(payload) - 1} - {-1}:
            assert outcome(with_chunk(chunks, at, payload=payload[:size])) is None
        for extra in (b"\0", b"\xff" * 9):
            # White space may follow JSON; this is none.
            assert outcome(with_chunk(chunks, at, payload=payload + extra)) is None


def flips(chunks: Sequence[Chunk], rng: np.random.Generator, each: int) -> list[tuple[int, bytes]]:
    """(which chunk, its payload with one bit changed), `each` of every chunk."""
    found = []
    for at, chunk in enumerate(chunks):
        bits = rng.permutation(8 * len(chunk.payload))[:each]
        for bit in bits.tolist():
            changed = bytearray(chunk.payload)
            changed[bit // 8] ^= 1 << bit % 8
            found.append((at, bytes(changed)))
    return found


@pytest.mark.parametrize("name", STREAMS)
def test_flipped_bits(name: str) -> None:
    chunks = chunks_of(STREAMS[name].data)
    refused = 0
    tried = flips(chunks, np.random.default_rng(3), 4)
    for at, payload in tried:
        refused += outcome(with_chunk(chunks, at, payload=payload)) is None
    assert refused > len(tried) // 2


def mutated(payload: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, put in, taken out or repeated."""
    changed = bytearray(payload)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(changed) + 1))
        kind = rng.integers(4)
        if kind == 0:
            changed[at : at + int(rng.integers(1, 4))] = b""
        elif kind == 1:
            changed[at:at] = rng.integers(0, 256, rng.integers(1, 4), np.uint8).tobytes()
        elif kind == 2 and changed:
            changed[at % len(changed)] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
        else:
            changed[at:at] = changed[at : at + 8]
    return bytes(changed)


def test_mutations_of_any_chunk_on_every_backend() -> None:
    seconds = float(os.environ.get("SCENEPRESS_FUZZ", 3))
    rng = np.random.default_rng(int(time.time()) if "SCENEPRESS_FUZZ" in os.environ else 0)
    until, tried = time.monotonic() + seconds, 0
    sources = [chunks_of(made.data) for made in STREAMS.values()]
    while time.monotonic() < until and (tried < 400 or "SCENEPRESS_FUZZ" in os.environ):
        tried += 1
        chunks = list(sources[int(rng.integers(len(sources)))])
        for _ in range(rng.integers(1, 3)):
            at = int(rng.integers(len(chunks)))
            changes: dict[str, object] = {"payload": mutated(bytes(chunks[at].payload), rng)}
            if rng.random() < 0.1:
                changes = {"count": int(rng.integers(0, 40))}
            chunks[at] = dataclasses.replace(chunks[at], **changes)  # type: ignore[arg-type]
        data = container.write(chunks)
        found = outcome(data)
        if tried % 8 == 0:
            with pytest.MonkeyPatch.context() as patch:
                backends.use("reference", patch)
                again = outcome(data)
            assert (found is None) == (again is None)
            for array in ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN"):
                if found is not None and again is not None:
                    assert getattr(found, array).tobytes() == getattr(again, array).tobytes()


# --- parameters ---


def extremes(p: Parameters, rng: np.random.Generator) -> Parameters:
    """One field replaced by anything that its range allows, or just beyond."""
    other = splat_streams.random_parameters(rng, p.sh_count, True)
    steps = {f.name: getattr(other.steps, f.name) for f in dataclasses.fields(p.steps)}
    fits = {k: v for k, v in steps.items() if np.shape(v) == np.shape(getattr(p.steps, k))}
    bounds = [*rng.integers(0, p.classes, len(p.bounds) - 1).tolist(), p.bounds[-1]]
    matrix = np.full((3, 3), rng.choice([-32769, -32768, 32767, 32768]), np.int32)
    predictors = other.predictors if other.classes == p.classes else p.predictors[::-1]
    edits: list[Callable[[], Parameters]] = [
        lambda: dataclasses.replace(p, exponent=int(rng.choice([-127, -126, 126, 127]))),
        lambda: dataclasses.replace(p, cells=tuple(rng.choice([0, 1, 40, 41], len(p.cells)).tolist())),
        lambda: dataclasses.replace(p, bounds=tuple(bounds)),
        lambda: dataclasses.replace(p, kept_order=not p.kept_order),
        lambda: dataclasses.replace(p, color=matrix),
        lambda: dataclasses.replace(p, shift=np.full(15, rng.choice([0, 64, 65]), np.int32)),
        lambda: dataclasses.replace(p, predictors=predictors),
        lambda: dataclasses.replace(p, basis=p.basis[:, : int(rng.integers(p.basis.shape[1] + 1))]),
    ]
    for name, value in fits.items():
        edits.append(lambda name=name, value=value: dataclasses.replace(  # type: ignore[misc]
            p, steps=dataclasses.replace(p.steps, **{name: value})
        ))  # fmt: skip
    tables = dataclasses.replace(p.tables, order=p.tables.extent)
    edits += [
        lambda: dataclasses.replace(p, tables=tables),
        lambda: dataclasses.replace(p, tables=dataclasses.replace(p.tables, channels=(None,) * 10)),
        lambda: dataclasses.replace(p, tables=dataclasses.replace(p.tables, channels=p.tables.channels[::-1])),
        lambda: dataclasses.replace(p, tables=dataclasses.replace(p.tables, extent=p.tables.channels[0])),
        lambda: dataclasses.replace(p, tables=dataclasses.replace(p.tables, groups=p.tables.groups[::-1])),
    ]
    return edits[int(rng.integers(len(edits)))]()


@pytest.mark.parametrize("name", STREAMS)
def test_other_parameters(name: str) -> None:
    """Payloads that were made for other parameters: contexts, steps and tables that do not fit them."""
    made = STREAMS[name]
    chunks = chunks_of(made.data)
    (at,) = [i for i, c in enumerate(chunks) if c.stage == table.SPLAT_PARAMETERS]
    rng = np.random.default_rng(1)
    for _ in range(60):
        outcome(with_chunk(chunks, at, payload=parameters.encode(extremes(made.parameters, rng))))


SIXTEEN = next(
    p for seed in range(999)
    if len((p := splat_streams.random_parameters(np.random.default_rng(seed), 3, False)).bounds) == 4
    and p.classes == 16
)  # fmt: skip
"""Of 16 classes in 4 levels."""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exponent": 127}, "grid exponent"),
        ({"cells": (0, 1, 1, 1)}, "cell exponents"),
        ({"cells": (1, 1, 41, 1)}, "cell exponents"),
        ({"shift": np.full(15, 65, np.int32)}, "SH shifts"),
        ({"shift": np.full(15, -1, np.int32)}, "SH shifts"),
        ({"color": np.full((3, 3), 32768, np.int32)}, "colour matrix"),
        ({"sh_count": 4}, "SH count"),
        ({"steps": {"scale": np.full(16, 256)}}, "scale steps"),
        ({"steps": {"opacity": np.full(16, -1)}}, "opacity steps"),
        ({"steps": {"gain": np.full(13, 256)}}, "rotation gains"),
        ({"steps": {"lift": np.full(16, 256)}}, "rotation lifts"),
        ({"steps": {"origin": 32769}}, "scale origin"),
        ({"steps": {"curve": np.zeros(16, np.int32)}}, "scale widths"),
        ({"steps": {"curve": np.full(16, 1025)}}, "scale widths"),
        ({"steps": {"slope": np.full((3, 3), 32768)}}, "position slopes"),
        ({"steps": {"offset": np.full((3, 16), 1048577)}}, "position offsets"),
        ({"steps": {"reach": -1048577}}, "position reach"),
    ],
)
def test_parameters_out_of_range(changes: dict[str, object], message: str) -> None:
    p = SIXTEEN
    assert parameters.decode(parameters.encode(p)).bounds == p.bounds
    if "steps" in changes:
        changes = {"steps": dataclasses.replace(p.steps, **changes["steps"])}  # type: ignore[arg-type]
    with pytest.raises(BitstreamError, match=message):
        parameters.decode(parameters.encode(dataclasses.replace(p, **changes)))  # type: ignore[arg-type]


@pytest.mark.parametrize("bounds", [(3, 3, 9, 15), (4, 3, 9, 15), (0, 15, 9, 15)])
def test_level_bounds_must_rise(bounds: tuple[int, ...]) -> None:
    with pytest.raises(BitstreamError, match="level bounds"):
        parameters.decode(parameters.encode(dataclasses.replace(SIXTEEN, bounds=bounds)))


# --- chunks and counts ---


def without(chunks: Sequence[Chunk], stage: int) -> list[Chunk]:
    """Without the first chunk of a stage."""
    at = next(i for i, c in enumerate(chunks) if c.stage == stage)
    return [*chunks[:at], *chunks[at + 1 :]]


@pytest.mark.parametrize("stage", [table.SPLAT_PARAMETERS, table.TILES, table.METADATA, *codec.STAGES])
def test_a_missing_chunk(stage: int) -> None:
    data = container.write(without(chunks_of(SMALL.data), stage))
    with pytest.raises(BitstreamError, match=r"missing|no .* chunk"):
        codec.decode(data)


@pytest.mark.parametrize("stage", codec.STAGES)
@pytest.mark.parametrize("count", [0, 1, 7, 100_000, 1_000_000])
def test_counts_that_do_not_agree(stage: int, count: int) -> None:
    chunks = chunks_of(SMALL.data)
    at = next(i for i, c in enumerate(chunks) if c.stage == stage and c.count != count)
    with pytest.raises(BitstreamError, match="other chunks say otherwise"):
        codec.decode(with_chunk(chunks, at, count=count))


def test_all_counts_of_a_level_alike_and_wrong() -> None:
    chunks = chunks_of(SMALL.data)
    last = chunks[-1]
    about = metadata.of(container.read(SMALL.data))
    for count in (1, last.count - 1, last.count + 1, 5000, 900_000):
        place = (last.level, last.tile)
        changed = [dataclasses.replace(c, count=count) if (c.level, c.tile) == place else c for c in chunks]
        if count != last.count:
            with pytest.raises(BitstreamError, match="in the metadata"):
                codec.decode(container.write(changed))
        told = dataclasses.replace(about, count=about.count - last.count + count)
        data = metadata.replace(container.write(changed), told)
        assert (outcome(data) is None) == (count != last.count)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (Chunk(table.SPLAT_PARAMETERS, 1, 0, 1, b"x"), "2 chunks"),
        (Chunk(table.TILES, 0, 1, 1, b"x"), "2 chunks"),
        (Chunk(table.LOSSLESS, 0, 0, 4, b"x"), "not a part of this scene"),
        (Chunk(table.SCALE, 31, 0, 4, b"x"), "no such place"),
        (Chunk(table.SCALE, 0, 3, 4, b"x"), "no such place"),
        (Chunk(table.SH, 0, 0, 4, b"x"), "not a part of this scene"),
    ],
)
def test_chunks_that_do_not_belong(extra: Chunk, message: str) -> None:
    with pytest.raises(BitstreamError, match=message):
        codec.decode(container.write([*chunks_of(PLAIN.data), extra]))


def test_optional_private_chunks_are_skipped() -> None:
    extra = Chunk(0x90, 0, 0, 3, b"of a friend", required=False)
    assert len(codec.decode(container.write([*chunks_of(PLAIN.data), extra]))) == len(PLAIN.scene)


def test_a_table_of_many_tiles_costs_little() -> None:
    chunks = chunks_of(PLAIN.data)
    (at,) = [i for i, c in enumerate(chunks) if c.stage == table.TILES]
    box = tiles.encode([tiles.TileBox((0, 0, 0), 4)])
    many = 100_000
    started = time.perf_counter()
    payload = bytes(chunks[at].payload) + box * many
    found = outcome(with_chunk(chunks, at, count=chunks[at].count + many, payload=payload))
    assert found is not None
    assert len(found) == len(PLAIN.scene)
    assert time.perf_counter() - started < 15
    for count in (chunks[at].count - 1, chunks[at].count + 1, 1_000_000):
        assert outcome(with_chunk(chunks, at, count=count)) is None


def forged(chunks: Sequence[Chunk], lengths: Sequence[int]) -> bytes:
    """A file that says its payloads are `lengths` long, but has only the first bytes of that."""
    index = b"".join(
        bytes([c.stage, 1]) + b"".join(map(write_varint, (c.level, c.tile, c.count, length)))
        + struct.pack("<I", crc32c(c.payload))
        for c, length in zip(chunks, lengths, strict=True)
    )  # fmt: skip
    size = container.HEADER_LENGTH + len(index) + sum(lengths)
    header = container.HEADER.pack(container.MAGIC, *container.VERSION, 0, len(index), size, len(chunks))
    front = header + struct.pack("<I", crc32c(index, crc32c(header))) + index
    return front + b"".join(bytes(c.payload) for c in chunks)


def test_a_promise_of_more_bytes_does_not_buy_splats() -> None:
    """A truncated file may claim any length, and so any count; what is here must be enough for it."""
    chunks = [dataclasses.replace(c, count=1 << 24) if c.level == 0 and c.stage >= 16 else c
              for c in chunks_of(PLAIN.data)]  # fmt: skip
    about = dataclasses.replace(metadata.of(container.read(PLAIN.data)), count=(1 << 31) - 1)
    chunks[0] = metadata.chunk(about)
    chunks = sorted(chunks, key=container._order)
    lengths = [len(c.payload) for c in chunks[:-1]] + [1 << 36]
    data = forged(chunks, lengths)
    assert container.read(data, allow_truncated=True).truncated
    tracemalloc.start()
    try:
        with pytest.raises(BitstreamError, match="splats in"):
            codec.decode(data, allow_truncated=True)
        assert tracemalloc.get_traced_memory()[1] < 50 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_a_billion_splats() -> None:
    about = dataclasses.replace(metadata.of(container.read(PLAIN.data)), count=10**9)
    with pytest.raises(BitstreamError, match="1000000000 in the metadata"):
        codec.decode(metadata.replace(PLAIN.data, about))
    chunks = [dataclasses.replace(c, count=10**9) if c.stage >= 16 else c for c in chunks_of(PLAIN.data)]
    data = forged(chunks, [len(c.payload) for c in chunks])
    with pytest.raises(BitstreamError, match="claim"):
        codec.decode(data)


def test_no_tile_claims_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "FREE_COUNT", 1 << 27)
    chunks = [dataclasses.replace(c, count=(1 << 24) + 1) if (c.stage >= 16 and (c.tile, c.level) == (0, 0)) else c
              for c in chunks_of(PLAIN.data)]  # fmt: skip
    about = metadata.of(container.read(PLAIN.data))
    old = next(c.count for c in chunks_of(PLAIN.data) if c.stage >= 16 and (c.tile, c.level) == (0, 0))
    data = metadata.replace(
        container.write(chunks), dataclasses.replace(about, count=about.count - old + (1 << 24) + 1)
    )
    with pytest.raises(BitstreamError, match="claims"):
        codec.decode(data)
