"""The `.press` container: header, chunk index, checksums, versions. Nothing else knows them.

Normative text: docs/spec/container.md. `write` makes a file of chunks, `read` gives them back after
every rule of the spec has been checked, `read_index` needs only the front of a file.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import struct
from collections.abc import Iterable, Sequence

from scenepress.errors import BitstreamError
from scenepress.kernels.crc32c import crc32c
from scenepress.stages import table
from scenepress.varint import Buffer as Buffer
from scenepress.varint import read_varint, write_varint

MAGIC = b"\x8apress\r\n"
VERSION = (1, 0)
HEADER = struct.Struct("<8sBBHIQI")
"""Magic, major, minor, flags, index length, file length, chunk count; the CRC-32C follows."""
HEADER_LENGTH = HEADER.size + 4

MAX_CHUNKS = 1 << 20
MAX_LEVELS = 32
MAX_TILES = 1 << 20
MAX_COUNT = (1 << 31) - 1
MAX_PAYLOAD = 1 << 40
FREE_COUNT, COUNT_PER_BYTE = 1 << 20, 64
"""A stage claims at most FREE_COUNT + COUNT_PER_BYTE * (file length) elements."""

MIN_ENTRY = 10
REQUIRED, RESERVED_CHUNK_FLAGS, RESERVED_FILE_FLAGS = 0x01, 0xF0, 0xFF00


@dataclasses.dataclass(frozen=True)
class Chunk:
    """One stage's payload for one tile at one level."""

    stage: int
    """Stage id (stages/table.py), 1..255."""
    level: int
    """0 (coarsest) to 31; 0 for stages that hold for the whole scene."""
    tile: int
    """0 to 2^20 - 1."""
    count: int
    """Elements that the payload decodes to, 0 to 2^31 - 1."""
    payload: bytes | memoryview
    """The stage's bytes."""
    required: bool = True
    """Whether a decoder that does not know the stage must refuse the file."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line of the chunk index: a chunk without its bytes."""

    stage: int
    level: int
    tile: int
    count: int
    required: bool
    offset: int
    """First byte of the payload in the file."""
    length: int
    """Bytes of the payload."""
    crc: int
    """CRC-32C of the payload."""


@dataclasses.dataclass(frozen=True)
class Index:
    """What the front of a file says about the whole."""

    version: tuple[int, int]
    """Format major and minor."""
    file_length: int
    """Bytes of the whole file."""
    entries: tuple[Entry, ...]
    """All chunks in file order, those of unknown optional stages included."""

    @property
    def levels(self) -> int:
        """One more than the highest level of a chunk; 0 if there are only chunks for the whole scene."""
        return max((e.level + 1 for e in self.entries if _is_levelled(e.stage)), default=0)


@dataclasses.dataclass(frozen=True)
class Container:
    """A file that passed every check, its payloads still encoded."""

    version: tuple[int, int]
    """Format major and minor."""
    chunks: tuple[Chunk, ...]
    """In file order, payloads views of the input; no unknown optional chunks, no incomplete levels."""
    levels: int
    """Levels that the whole file has."""
    complete_levels: int
    """Levels 0 .. complete_levels - 1 are here in full; fewer than `levels` only if truncated."""
    truncated: bool
    """Whether the input was shorter than the file says it is."""

    def select(self, stage: int) -> list[Chunk]:
        """All chunks of one stage, in file order (by level, then tile)."""
        return [chunk for chunk in self.chunks if chunk.stage == stage]

    def find(self, stage: int, level: int = 0, tile: int = 0) -> Chunk:
        """The one chunk of this stage, level and tile; BitstreamError if the file has none."""
        chunk = self._by_key.get((stage, level, tile))
        if chunk is None:
            raise BitstreamError(f"no {table.describe(stage)} chunk for level {level}, tile {tile}")
        return chunk

    @functools.cached_property
    def _by_key(self) -> dict[tuple[int, int, int], Chunk]:
        return {(chunk.stage, chunk.level, chunk.tile): chunk for chunk in self.chunks}


def write(chunks: Iterable[Chunk]) -> bytes:
    """A whole file. The order of `chunks` does not matter: the file's order is the canonical one.

    Raises:
        ValueError: a field out of its range, two chunks of one stage, level and tile, or counts far
            beyond what the bytes could hold (FREE_COUNT, COUNT_PER_BYTE).
    """
    ordered = sorted(chunks, key=_order)
    if len(ordered) > MAX_CHUNKS:
        raise ValueError(f"{len(ordered)} chunks; a file holds at most {MAX_CHUNKS}")
    payloads = [memoryview(chunk.payload).cast("B") for chunk in ordered]
    index = bytearray()
    for chunk, payload in zip(ordered, payloads, strict=True):
        _check_fields(chunk, len(payload), ValueError)
        index += bytes([chunk.stage, REQUIRED if chunk.required else 0])
        for value in (chunk.level, chunk.tile, chunk.count, len(payload)):
            index += write_varint(value)
        index += struct.pack("<I", crc32c(payload))
    _check_order(ordered, ValueError)
    length = HEADER_LENGTH + len(index) + sum(map(len, payloads))
    _check_counts(ordered, length, ValueError)
    header = HEADER.pack(MAGIC, *VERSION, 0, len(index), length, len(ordered))
    front = header + struct.pack("<I", crc32c(index, crc32c(header))) + index
    return b"".join([front, *payloads])


def read(data: Buffer, *, allow_truncated: bool = False) -> Container:
    """Check a whole file, or the first part of one, and return its chunks.

    Args:
        data: the file. Payloads are views of it: it must not change while they are used.
        allow_truncated: accept a file that was cut short after the chunks of the whole scene, and keep
            the levels that are complete.

    Raises:
        BitstreamError: the bytes break a rule of docs/spec/container.md; the message says which.
    """
    view = memoryview(data).cast("B").toreadonly()
    index = read_index(view)
    missing = index.file_length - len(view)
    if missing < 0:
        raise BitstreamError(f"{-missing} bytes follow the end of the file at byte {index.file_length}")
    if missing and not allow_truncated:
        raise BitstreamError(f"file cut short: it has {len(view)} of {index.file_length} bytes")
    complete = _complete_levels(index, len(view))
    chunks = []
    for entry in index.entries:
        if entry.offset + entry.length > len(view):
            continue
        payload = view[entry.offset : entry.offset + entry.length]
        if crc32c(payload) != entry.crc:
            raise BitstreamError(f"{_where(entry)}: checksum differs, so the payload is damaged")
        if table.is_known(entry.stage) and (not _is_levelled(entry.stage) or entry.level < complete):
            key = (entry.stage, entry.level, entry.tile, entry.count)
            chunks.append(Chunk(*key, payload, entry.required))
    return Container(index.version, tuple(chunks), index.levels, complete, missing > 0)


def read_index(data: Buffer) -> Index:
    """Check the header and the chunk index; `data` may end anywhere after them.

    Raises:
        BitstreamError: as for `read`, except what only the payloads can show.
    """
    view = memoryview(data).cast("B").toreadonly()
    version, index_length, file_length, count = _read_header(view)
    end = HEADER_LENGTH + index_length
    (stored,) = struct.unpack_from("<I", view, HEADER.size)
    if crc32c(view[HEADER_LENGTH:end], crc32c(view[: HEADER.size])) != stored:
        raise BitstreamError("header or chunk index damaged: their checksum differs")
    entries = _read_entries(view[HEADER_LENGTH:end], count, end)
    total = entries[-1].offset + entries[-1].length if entries else end
    if total != file_length:
        raise BitstreamError(f"chunks end at byte {total}, the file at {file_length}")
    _check_order(entries, BitstreamError)
    _check_counts(entries, file_length, BitstreamError)
    for entry in entries:
        if entry.required and not table.is_known(entry.stage):
            raise BitstreamError(
                f"{table.describe(entry.stage)} is required and not known to this version of "
                "scenepress: a newer one may read the file"
            )
    return Index(version, file_length, entries)


def _read_header(view: memoryview) -> tuple[tuple[int, int], int, int, int]:
    """Version, index length, file length, chunk count; the index lies within the view."""
    if bytes(view[:8]) != MAGIC[: len(view)] or not len(view):
        hint = ": a transfer changed its line ends" if bytes(view[1:6]) == MAGIC[1:6] else ""
        start = bytes(view[:8]).hex(" ") or "none"
        raise BitstreamError(f"not a .press file (first bytes: {start}){hint}")
    if len(view) < HEADER_LENGTH:
        raise BitstreamError(f"file cut short: {len(view)} bytes; the header has {HEADER_LENGTH}")
    _, major, minor, flags, index_length, file_length, count = HEADER.unpack_from(view)
    if major != VERSION[0]:
        raise BitstreamError(
            f"format {major}.{minor} is not readable: this version of scenepress reads {VERSION[0]}.x"
        )
    if flags & RESERVED_FILE_FLAGS:
        raise BitstreamError(f"reserved header flags 0x{flags & RESERVED_FILE_FLAGS:04X} are set")
    if count > MAX_CHUNKS:
        raise BitstreamError(f"header claims {count} chunks; the limit is {MAX_CHUNKS}")
    if file_length < HEADER_LENGTH + index_length:
        raise BitstreamError(f"file length {file_length} does not hold an index of {index_length} bytes")
    if index_length < MIN_ENTRY * count:
        raise BitstreamError(f"{count} chunks do not fit into an index of {index_length} bytes")
    if len(view) < (end := HEADER_LENGTH + index_length):
        raise BitstreamError(f"file cut short inside the chunk index: {len(view)} of {end} bytes")
    return (major, minor), index_length, file_length, count


def _read_entries(index: memoryview, count: int, offset: int) -> tuple[Entry, ...]:
    """All lines of the index; the first payload is at byte `offset` of the file."""
    entries, at = [], 0
    for number in range(count):
        try:
            stage, flags = struct.unpack_from("<BB", index, at)
            level, at = read_varint(index, at + 2)
            tile, at = read_varint(index, at)
            elements, at = read_varint(index, at)
            length, at = read_varint(index, at)
            (crc,) = struct.unpack_from("<I", index, at)
        except (struct.error, BitstreamError) as error:
            raise BitstreamError(f"chunk index entry {number}: {error}") from None
        at += 4
        if flags & RESERVED_CHUNK_FLAGS:
            reserved = flags & RESERVED_CHUNK_FLAGS
            raise BitstreamError(f"chunk index entry {number}: reserved flags 0x{reserved:02X} are set")
        entry = Entry(stage, level, tile, elements, bool(flags & REQUIRED), offset, length, crc)
        _check_fields(entry, length, BitstreamError)
        entries.append(entry)
        offset += length
    if at != len(index):
        raise BitstreamError(f"{len(index) - at} bytes follow the last entry of the chunk index")
    return tuple(entries)


def _is_levelled(stage: int) -> bool:
    return stage >= table.FIRST_LEVEL_STAGE


def _order(chunk: Chunk | Entry) -> tuple[int, int, int, int]:
    """Sort key of the file: whole-scene stages by id, then level by level, within it tile by tile."""
    if _is_levelled(chunk.stage):
        return 1, chunk.level, chunk.tile, chunk.stage
    return 0, chunk.stage, chunk.level, chunk.tile


def _where(chunk: Chunk | Entry) -> str:
    return f"chunk {table.describe(chunk.stage)}, level {chunk.level}, tile {chunk.tile}"


def _check_fields(chunk: Chunk | Entry, length: int, error: type[ValueError]) -> None:
    """The limits of docs/spec/container.md, section 4, for one chunk."""
    if not 1 <= chunk.stage <= 255:
        raise error(f"{_where(chunk)}: stage ids are 0x01 to 0xFF")
    for name, value, limit in (
        ("level", chunk.level, MAX_LEVELS - 1),
        ("tile", chunk.tile, MAX_TILES - 1),
        ("count", chunk.count, MAX_COUNT),
        ("length", length, MAX_PAYLOAD),
    ):
        if not 0 <= value <= limit:
            raise error(f"{_where(chunk)}: {name} {value} is not in 0..{limit}")


def _check_order(chunks: Sequence[Chunk | Entry], error: type[ValueError]) -> None:
    """Canonical order, each (stage, level, tile) once."""
    for before, after in itertools.pairwise(chunks):
        if _order(before) == _order(after):
            raise error(f"{_where(after)} occurs twice")
        if _order(before) > _order(after):
            raise error(f"{_where(after)} comes after {_where(before)}: wrong order")


def _check_counts(chunks: Sequence[Chunk | Entry], file_length: int, error: type[ValueError]) -> None:
    """No stage claims more elements than a file of this length can plausibly hold."""
    totals = [0] * 256
    for chunk in chunks:
        totals[chunk.stage] += chunk.count
    stage, limit = totals.index(max(totals)), FREE_COUNT + COUNT_PER_BYTE * file_length
    if totals[stage] > limit:
        raise error(
            f"{table.describe(stage)} chunks claim {totals[stage]} elements in a file of "
            f"{file_length} bytes; the limit is {limit}"
        )


def _complete_levels(index: Index, available: int) -> int:
    """Levels that the first `available` bytes hold in full; raises if a whole-scene chunk is cut."""
    for entry in index.entries:
        if entry.offset + entry.length > available:
            if not _is_levelled(entry.stage):
                raise BitstreamError(f"file cut short before the end of {_where(entry)}")
            return entry.level
    return index.levels
