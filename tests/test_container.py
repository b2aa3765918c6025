"""Container: spec vectors (golden), round trip and canonical form (property), damage of every kind."""

import contextlib
import dataclasses
import re
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenepress import container
from scenepress.container import Chunk
from scenepress.errors import BitstreamError
from scenepress.kernels.crc32c import BACKENDS, crc32c
from scenepress.stages import table
from scenepress.varint import read_varint, write_varint

SPEC = Path(__file__).parents[1] / "docs/spec"
TEXT = (SPEC / "container.md").read_text()
INTEGERS = re.findall(r"^\| ((?:[0-9A-F]{2} ?)+) \| (\d+|INVALID) \| [^|]+ \|$", TEXT, re.MULTILINE)
CHECKSUMS = re.findall(r"^\| ([0-9A-F ]+|\(none\)) \| ([0-9A-F]{8}) \|", TEXT, re.MULTILINE)
FILES = re.findall(r"^\| ([0-9A-F]{60,}) \| ([^|]+) \| ([^|]+) \|$", TEXT, re.MULTILINE)

SCENE_STAGES = [0x01, 0x02, 0x03]
LEVEL_STAGES = [0x11, 0x12, 0x1F]


@st.composite
def chunk_sets(draw: st.DrawFn) -> list[Chunk]:
    keys = draw(
        st.lists(
            st.one_of(
                st.tuples(st.sampled_from(SCENE_STAGES), st.just(0), st.just(0)),
                st.tuples(st.sampled_from(LEVEL_STAGES), st.integers(0, 31), st.integers(0, 2**20 - 1)),
            ),
            unique=True,
            max_size=12,
        )
    )
    return [
        Chunk(*key, draw(st.integers(0, 80_000)), draw(st.binary(max_size=40)), draw(st.booleans()))
        for key in keys
    ]


def describe(chunk: Chunk) -> str:
    optional = "" if chunk.required else "?"
    payload = bytes(chunk.payload).hex().upper()
    return f"{chunk.stage:02X}{optional}:{chunk.level}:{chunk.tile}:{chunk.count}:{payload}"


def three_levels() -> bytes:
    """A small file with two whole-scene chunks, three levels and two tiles."""
    chunks = [Chunk(table.METADATA, 0, 0, 0, b"{}"), Chunk(table.SPLAT_PARAMETERS, 0, 0, 0, b"steps")]
    for level in range(3):
        for tile in range(2):
            chunks.append(Chunk(table.POSITION, level, tile, 4, bytes([level, tile] * 3)))
            chunks.append(Chunk(table.OPACITY, level, tile, 4, bytes([tile])))
    return container.write(chunks)


def test_the_spec_has_vectors() -> None:
    assert (len(INTEGERS), len(CHECKSUMS), len(FILES)) == (9, 5, 31)  # Guards the regular expressions.


@pytest.mark.parametrize(("encoded", "value"), INTEGERS)
def test_integer_vector(encoded: str, value: str) -> None:
    data = bytes.fromhex(encoded)
    if value == "INVALID":
        with pytest.raises(BitstreamError, match="integer at byte 0"):
            read_varint(data, 0)
    else:
        assert read_varint(data, 0) == (int(value), len(data))
        assert write_varint(int(value)) == data


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("encoded", "value"), CHECKSUMS)
def test_checksum_vector(encoded: str, value: str, backend: str) -> None:
    data = b"" if encoded == "(none)" else bytes.fromhex(encoded)
    assert f"{BACKENDS[backend](data, 0):08X}" == value


@given(data=st.binary(max_size=70), cut=st.integers(0, 70), offset=st.integers(0, 7))
def test_checksum_backends_agree_and_continue(data: bytes, cut: int, offset: int) -> None:
    expected = BACKENDS["reference"](data, 0)
    unaligned = memoryview(bytes(offset) + data)[offset:]
    for backend in BACKENDS.values():
        assert backend(unaligned, 0) == expected
        assert backend(data[cut:], backend(data[:cut], 0)) == expected


def test_native_checksums_agree_on_a_long_input() -> None:
    if "native" not in BACKENDS:
        pytest.skip("the native module is not built")
    data = np.random.default_rng(0).integers(0, 256, 1_000_003, np.uint8).tobytes()
    assert BACKENDS["native"](data, 7) == BACKENDS["portable"](data, 7)
    assert BACKENDS["native"](data[:20_000], 7) == BACKENDS["reference"](data[:20_000], 7)


@pytest.mark.parametrize(("file", "chunks", "why"), FILES, ids=[why for _, _, why in FILES])
def test_file_vector(file: str, chunks: str, why: str) -> None:
    data = bytes.fromhex(file)
    if chunks.startswith("INVALID "):
        with pytest.raises(BitstreamError, match=re.escape(chunks.removeprefix("INVALID "))):
            container.read(data)
    else:
        assert " ".join(map(describe, container.read(data).chunks)) == chunks.replace("(none)", "")


def test_the_stage_table_is_that_of_the_spec() -> None:
    text = (SPEC / "stages.md").read_text()
    rows = re.findall(r"^\| 0x(\w\w) \| ([a-z ]+) \| (\w*) ?\| (\w+) \|", text, re.MULTILINE)
    listed = {int(number, 16): table.Stage(*row) for number, *row in rows}
    assert listed == table.STAGES


@given(chunks=chunk_sets())
def test_round_trip(chunks: list[Chunk]) -> None:
    data = container.write(chunks)
    assert container.write(chunks[::-1]) == data
    back = container.read(data)
    assert {(c.stage, c.level, c.tile): c for c in chunks} == {
        (c.stage, c.level, c.tile): dataclasses.replace(c, payload=bytes(c.payload)) for c in back.chunks
    }
    assert container.write(back.chunks) == data
    assert not back.truncated
    assert back.complete_levels == back.levels


@given(chunks=chunk_sets(), where=st.integers(0), bit=st.integers(0, 7))
def test_every_bit_is_checked(chunks: list[Chunk], where: int, bit: int) -> None:
    data = bytearray(container.write(chunks))
    data[where % len(data)] ^= 1 << bit
    with pytest.raises(BitstreamError):
        container.read(data)


@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_bitstream_errors(data: bytes) -> None:
    for front in (b"", container.MAGIC, container.write([])[:12]):
        with pytest.raises(BitstreamError):
            container.read(front + data[:150], allow_truncated=True)


@settings(max_examples=300)
@given(where=st.integers(8), value=st.integers(0, 255), insert=st.booleans())
def test_forged_checksums_raise_only_bitstream_errors(where: int, value: int, insert: bool) -> None:
    data = bytearray(three_levels())
    where = 8 + where % (len(data) - 8)
    data[where : where + (0 if insert else 1)] = bytes([value])
    index_length = int.from_bytes(data[12:16], "little")
    checksum = crc32c(data[32 : 32 + index_length], crc32c(data[:28]))
    data[28:32] = struct.pack("<I", checksum)
    with contextlib.suppress(BitstreamError):  # A harmless change may pass, and nothing else escapes.
        assert len(container.read(data).chunks) <= 14


def test_truncation_at_every_byte() -> None:
    data = three_levels()
    whole = container.read(data)
    index = container.read_index(data)
    parameters_end = next(e.offset for e in index.entries if e.stage >= table.FIRST_LEVEL_STAGE)
    level_ends = [max(e.offset + e.length for e in index.entries if e.level == k) for k in range(3)]
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            container.read(data[:length])
        if length < parameters_end:
            with pytest.raises(BitstreamError):
                container.read(data[:length], allow_truncated=True)
            continue
        cut = container.read(data[:length], allow_truncated=True)
        assert cut.truncated
        assert cut.levels == 3
        assert cut.complete_levels == sum(end <= length for end in level_ends)
        kept = [c for c in whole.chunks if c.stage < 0x10 or c.level < cut.complete_levels]
        assert list(map(describe, cut.chunks)) == list(map(describe, kept))
    assert container.read(data, allow_truncated=True) == whole


def test_the_index_needs_only_the_front() -> None:
    data = three_levels()
    front = data[: 32 + int.from_bytes(data[12:16], "little")]
    assert container.read_index(front) == container.read_index(data)
    assert container.read_index(front).file_length == len(data)


def test_find_and_select() -> None:
    back = container.read(three_levels())
    assert bytes(back.find(table.POSITION, 2, 1).payload) == b"\x02\x01" * 3
    assert [(c.level, c.tile) for c in back.select(table.OPACITY)] == [
        (level, tile) for level in range(3) for tile in range(2)
    ]
    with pytest.raises(BitstreamError, match=r"no sh \(0x16\) chunk for level 1, tile 0"):
        back.find(table.SH, 1)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([Chunk(0, 0, 0, 0, b"")], "stage ids"),
        ([Chunk(0x11, 32, 0, 0, b"")], "level 32"),
        ([Chunk(0x11, 0, -1, 0, b"")], "tile -1"),
        ([Chunk(0x11, 0, 0, 2**31, b"")], "count 2147483648"),
        ([Chunk(0x11, 0, 0, 0, b""), Chunk(0x11, 0, 0, 0, b"")], "occurs twice"),
        ([Chunk(0x11, 0, 0, 10**9, b"")], "claim 1000000000"),
    ],
    ids=["stage", "level", "tile", "count", "twice", "claim"],
)
def test_write_refuses_what_read_would(chunks: list[Chunk], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        container.write(chunks)


def test_a_huge_index_is_read_in_bounded_time() -> None:
    chunks = [Chunk(0x11, 0, tile, 1, b"") for tile in range(20_000)]
    data = container.write(chunks)
    start = time.perf_counter()
    assert len(container.read(data).chunks) == 20_000
    assert time.perf_counter() - start < 5


def test_too_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = three_levels()
    monkeypatch.setattr(container, "MAX_CHUNKS", 3)
    with pytest.raises(ValueError, match="14 chunks; a file holds at most 3"):
        container.write([Chunk(0x11, 0, tile, 0, b"") for tile in range(14)])
    with pytest.raises(BitstreamError, match="the limit is 3"):
        container.read(data)


def test_a_cut_index_is_not_called_damaged() -> None:
    with pytest.raises(BitstreamError, match="inside the chunk index: 40 of"):
        container.read(three_levels()[:40])
