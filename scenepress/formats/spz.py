"""SPZ (.spz) of Niantic: planar bytes, gzipped as a whole (v1-v3) or as Zstandard streams (v4).

Positions are fixed-point, rotations smallest-three, scales steps of 1/16 in the logarithm, colours bytes.
Axes are RUB unless an extension record says otherwise. Spherical harmonics beyond +-1 are cut.
"""

from __future__ import annotations

import dataclasses
import gzip
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.files import whole_file
from scenepress.formats.files import check_count, read_bytes, warn_loss
from scenepress.formats.values import (
    OPACITY_BYTE_LOGITS,
    join_largest,
    opacities,
    representable,
    split_largest,
    to_bytes,
    unit_quats,
)
from scenepress.scene import SH_COUNTS, Axes, Splats
from scenepress.scene_ops import convert_axes

MAGIC = b"NGSP"
ANTIALIASED, EXTENSIONS = 1, 2
"""Bits of the flags byte."""
COORDINATE_SYSTEM = 0xADBE0003
"""Extension record that names the axes."""
AXES_BY_CODE: dict[int, Axes] = {
    1: "LDB", 2: "RDB", 3: "LUB", 4: "RUB", 5: "LDF", 6: "RDF", 7: "LUF", 8: "RUF",
}  # fmt: skip
CODE_OF_AXES = {axes: code for code, axes in AXES_BY_CODE.items()}
MAX_EXPANSION = 1024
"""Decompressed bytes that one byte of the file may stand for; gzip itself cannot do better."""
MAX_EXTENSION_BYTES = 1 << 20
COEFS = {**SH_COUNTS, 4: 24}
"""SH degree -> coefficients per channel; degree 4 is cut to 3 on reading."""
_HEADER = struct.Struct("<4sIIBBBB")
_RAW_SCALE = np.float32(np.sqrt(0.5) / 511)

Bytes = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class _Header:
    version: int
    count: int
    sh_degree: int
    fractional_bits: int
    flags: int
    last: int
    """Reserved up to v3, number of streams in v4."""

    def sizes(self) -> tuple[int, ...]:
        """Bytes of positions, alphas, colours, scales, rotations, SH."""
        position = 6 if self.version == 1 else 9
        rotation = 3 if self.version < 3 else 4
        return tuple(self.count * n for n in (position, 1, 3, 3, rotation, 3 * COEFS[self.sh_degree]))


def read_spz(path: str | Path, axes: Axes = "RUB") -> Splats:
    """Read an .spz file of version 1 to 4.

    Args:
        path: the file.
        axes: what to take the coordinates for where the file does not say. RUB is the format's rule;
            some tools, such as splat-transform 3, write those of the .ply, RDF.

    Returns:
        The scene in file order, axes as stored. Opacity bytes 0 and 255 give logits -inf and +inf.

    Raises:
        FormatError: no .spz, damaged, of a later version, or in axes that are turned by a quarter.
        OSError: the file cannot be read.
    """
    return parse_spz(read_bytes(path, ".spz"), str(path), axes)


def parse_spz(data: bytes, path: str, axes: Axes = "RUB") -> Splats:
    """The scene in the bytes of an .spz file; `path` is for messages. The rest as in read_spz()."""
    if data[:2] == b"\x1f\x8b":
        header, arrays, extensions = _unpack_gzip(data, path)
    else:
        header = _parse_header(data, len(data), path)
        if header.version == 4:
            arrays, extensions = _unpack_streams(data, header, path)
        else:
            arrays, extensions = _slice_arrays(data, header, path)
    if header.flags & EXTENSIONS:
        axes = _axes(extensions, axes, path)
    if header.sh_degree == 4:
        warn_loss(f"{path}: SH of degree 4 is cut to degree 3")
    return _splats(header, arrays, axes)


def _parse_header(data: bytes, size: int, path: str) -> _Header:
    """Check the first 16 bytes; `size` is that of the file, compressed or not."""
    if len(data) < _HEADER.size or data[:4] != MAGIC:
        raise FormatError(f"{path}: does not start with an SPZ header")
    _, *fields = _HEADER.unpack_from(data)
    header = _Header(*fields)
    if not 1 <= header.version <= 4:
        raise FormatError(f"{path}: SPZ version {header.version}; 1 to 4 can be read")
    if header.sh_degree not in COEFS:
        raise FormatError(f"{path}: SH degree {header.sh_degree}; SPZ has 0 to 4")
    if header.fractional_bits > 23:
        raise FormatError(f"{path}: {header.fractional_bits} fractional bits of 24 make no sense")
    check_count(header.count, path)
    if sum(header.sizes()) > MAX_EXPANSION * size:
        raise FormatError(f"{path}: {header.count} splats cannot stand in {size} bytes")
    return header


def _unpack_gzip(data: bytes, path: str) -> tuple[_Header, list[bytes], bytes]:
    unzip = zlib.decompressobj(wbits=31)
    try:
        head = unzip.decompress(data, _HEADER.size)
        header = _parse_header(head, len(data), path)
        if header.version == 4:
            raise FormatError(f"{path}: SPZ version 4 inside gzip; it is compressed by stream")
        body = unzip.decompress(unzip.unconsumed_tail, sum(header.sizes()) + MAX_EXTENSION_BYTES + 1)
    except zlib.error as error:
        raise FormatError(f"{path}: damaged gzip data: {error}") from None
    if not unzip.eof:
        raise FormatError(f"{path}: gzip data ends early, or holds more than its header says")
    return header, *_slice_arrays(head + body, header, path)


def _slice_arrays(data: bytes, header: _Header, path: str) -> tuple[list[bytes], bytes]:
    """Cut the planar arrays out of v1-v3 data; what follows them are extensions."""
    position, arrays = _HEADER.size, []
    for size in header.sizes():
        arrays.append(data[position : position + size])
        position += size
    if position > len(data):
        raise FormatError(f"{path}: {header.count} splats need {position} bytes; there are {len(data)}")
    rest = data[position:]
    if rest and not header.flags & EXTENSIONS:
        raise FormatError(f"{path}: {len(rest)} bytes follow the last splat")
    return arrays, rest


def _unpack_streams(data: bytes, header: _Header, path: str) -> tuple[list[bytes], bytes]:
    import zstandard  # Not needed by the other formats, and slow to load.

    sizes = header.sizes()
    present = [size for size in sizes if size]
    if len(data) < 32 or header.last != len(present):
        raise FormatError(f"{path}: {header.last} streams where {len(present)} are due")
    toc = struct.unpack_from("<I", data, 16)[0]
    position = toc + 16 * len(present)
    if not 32 <= toc <= 32 + MAX_EXTENSION_BYTES or position > len(data):
        raise FormatError(f"{path}: table of streams at byte {toc} of {len(data)}")
    streams = []
    for i, size in enumerate(present):
        packed, unpacked = struct.unpack_from("<QQ", data, toc + 16 * i)
        if unpacked != size:
            raise FormatError(f"{path}: stream {i} holds {unpacked} bytes; {size} are due")
        if packed > len(data) - position:
            raise FormatError(f"{path}: stream {i} reaches beyond the end of the file")
        frame = data[position : position + packed]
        position += packed
        try:
            claimed = zstandard.frame_content_size(frame)  # -1 if the frame does not say.
            if claimed not in (size, -1):
                raise FormatError(f"{path}: stream {i} unpacks to {claimed} bytes; {size} are due")
            unpack = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress
            plain = unpack(frame, max_output_size=size, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise FormatError(f"{path}: stream {i} is damaged: {error}") from None
        if len(plain) != size:
            raise FormatError(f"{path}: stream {i} unpacks to {len(plain)} bytes; {size} are due")
        streams.append(plain)
    if position != len(data):
        raise FormatError(f"{path}: {len(data) - position} bytes follow the last stream")
    rest = iter(streams)
    return [next(rest) if size else b"" for size in sizes], data[32:toc]


def _axes(extensions: bytes, axes: Axes, path: str) -> Axes:
    """Walk the extension records; only the coordinate system has a place here."""
    position = 0
    while position < len(extensions):
        if len(extensions) - position < 8:
            raise FormatError(f"{path}: an extension record is cut short")
        kind, length = struct.unpack_from("<II", extensions, position)
        position += 8
        if length > len(extensions) - position:
            raise FormatError(f"{path}: extension {kind:#x} of {length} bytes is cut short")
        if kind == COORDINATE_SYSTEM and length == 4:
            code = struct.unpack_from("<I", extensions, position)[0]
            if code and code not in AXES_BY_CODE:
                raise FormatError(f"{path}: coordinate system {code} is not supported; 0 to 8 are")
            axes = AXES_BY_CODE.get(code, axes)
        else:
            warn_loss(f"{path}: extension {kind:#x} is left out")
        position += length
    return axes


def _splats(header: _Header, arrays: list[bytes], axes: Axes) -> Splats:
    raw = [np.frombuffer(a, np.uint8) for a in arrays]
    n, coefs = header.count, COEFS[header.sh_degree]
    scale_table = np.arange(256, dtype=np.float32) / np.float32(16) - np.float32(10)
    colour_table = ((np.arange(256) / 255 - 0.5) / 0.15).astype(np.float32)
    sh_table = (np.arange(256, dtype=np.float32) - 128) / np.float32(128)
    return Splats(
        means=_positions(header, raw[0]),
        quats=_quats_from_three(raw[4]) if header.version < 3 else _quats_from_words(raw[4]),
        log_scales=scale_table[raw[3]].reshape(n, 3),
        opacity_logits=OPACITY_BYTE_LOGITS[raw[1]],
        sh0=colour_table[raw[2]].reshape(n, 3),
        shN=sh_table[raw[5].reshape(n, coefs, 3)[:, : SH_COUNTS[3]]],
        antialiased=bool(header.flags & ANTIALIASED),
        axes=axes,
    )


def _positions(header: _Header, raw: Bytes) -> NDArray[np.float32]:
    if header.version == 1:
        return raw.view("<f2").astype(np.float32).reshape(header.count, 3)
    words = np.zeros((len(raw) // 3, 4), np.uint8)
    words[:, 1:] = raw.reshape(-1, 3)
    fixed = words.view("<i4").astype(np.int32) >> 8  # The shift carries the sign down.
    step = np.float32(2.0**-header.fractional_bits)
    return (fixed.astype(np.float32) * step).reshape(header.count, 3)


def _quats_from_three(raw: Bytes) -> NDArray[np.float32]:
    """Bytes x, y, z with w >= 0 (v1, v2) -> (w, x, y, z)."""
    xyz = raw.reshape(-1, 3).astype(np.float32) / np.float32(127.5) - np.float32(1)
    w = np.sqrt(np.maximum(1 - np.einsum("ij,ij->i", xyz, xyz), np.float32(0)))
    return np.concatenate([w[:, None], xyz], axis=1)


def _quats_from_words(raw: Bytes) -> NDArray[np.float32]:
    """Index of the largest of x, y, z, w, then sign and 9 bits of the others (v3, v4) -> (w, x, y, z)."""
    words = raw.view("<u4").astype(np.uint32)
    fields = words[:, None] >> np.array([20, 10, 0], np.uint32)
    rest = (fields & np.uint32(511)).astype(np.float32) * _RAW_SCALE
    np.negative(rest, out=rest, where=(fields & np.uint32(512)) != 0)
    return np.ascontiguousarray(np.roll(join_largest(words >> np.uint32(30), rest), 1, axis=1))


def write_spz(
    splats: Splats,
    path: str | Path,
    version: Literal[3, 4] = 4,
    fractional_bits: int | None = None,
    sh_bits: tuple[int, int] = (5, 4),
    axes: Axes = "RUB",
) -> None:
    """Write an .spz file.

    Splats that the format cannot hold are made invisible, with a LossWarning.

    Args:
        splats: the scene; converted to `axes`.
        path: the file to make; it appears whole or not at all.
        version: 3 (gzip) or 4 (Zstandard).
        fractional_bits: precision of positions, steps of 2**-fractional_bits; 0 to 23. None: 12, or as
            many as the farthest coordinate leaves, with a LossWarning.
        sh_bits: kept bits, 1 to 8, of SH of degree 1 and of higher degrees.
        axes: stored coordinates; others than RUB are named in an extension record.

    Raises:
        ValueError: an option out of range.
        OSError: the file cannot be written.
    """
    if version not in (3, 4) or not all(1 <= bits <= 8 for bits in sh_bits):
        raise ValueError(f"SPZ version must be 3 or 4, sh_bits 1 to 8; got {version}, {sh_bits}")
    if fractional_bits is not None and not 0 <= fractional_bits <= 23:
        raise ValueError(f"fractional_bits must be 0 to 23, got {fractional_bits}")
    bits = _fitting_bits(splats, str(path)) if fractional_bits is None else fractional_bits
    scene = representable(splats, str(path), max_coordinate=(2.0**23 - 1) / 2**bits)
    scene = convert_axes(scene, axes)
    arrays = _encode(scene, bits, sh_bits)
    present = [array for array in arrays if array]
    record = b"" if axes == "RUB" else struct.pack("<III", COORDINATE_SYSTEM, 4, CODE_OF_AXES[axes])
    flags = (ANTIALIASED if scene.antialiased else 0) | (EXTENSIONS if record else 0)
    last = len(present) if version == 4 else 0
    header = _HEADER.pack(MAGIC, version, len(scene), scene.sh_degree, bits, flags, last)
    with whole_file(path) as stream:
        if version == 3:
            stream.write(gzip.compress(b"".join([header, *arrays, record]), compresslevel=6, mtime=0))
        else:
            stream.write(_pack_streams(header, record, present))


def _fitting_bits(splats: Splats, path: str) -> int:
    """12, or fewer where some valid coordinate needs the room."""
    finite = np.abs(splats.means[np.isfinite(splats.means)])
    farthest = float(finite.max(initial=0))
    bits = 12
    while bits and farthest > (2.0**23 - 1) / 2**bits:
        bits -= 1
    if bits < 12:
        warn_loss(f"{path}: coordinates reach {farthest:g}, so positions are kept to {2.0**-bits:g}")
    return bits


def _encode(scene: Splats, fractional_bits: int, sh_bits: tuple[int, int]) -> list[bytes]:
    """The six planar arrays of v3 and v4."""
    fixed = np.rint(scene.means.astype(np.float64) * 2.0**fractional_bits).astype("<i4")
    return [
        fixed.view(np.uint8).reshape(-1, 4)[:, :3].tobytes(),
        to_bytes(opacities(scene.opacity_logits) * 255).tobytes(),
        to_bytes(scene.sh0.astype(np.float64) * (0.15 * 255) + 127.5).tobytes(),
        to_bytes((scene.log_scales.astype(np.float64) + 10) * 16).tobytes(),
        _words_from_quats(scene.quats).tobytes(),
        _sh_bytes(scene.shN, sh_bits).tobytes(),
    ]


def _sh_bytes(shN: NDArray[np.float32], sh_bits: tuple[int, int]) -> Bytes:
    """Coefficients as bytes around 128, rounded to so many bits for degree 1 and for higher ones."""
    # Scaling by 128 is exact, so float32 rounds like the reals; beyond 2 all values are cut anyway.
    codes = np.rint(np.clip(shN, -2, 2) * np.float32(128)).astype(np.int16)
    np.clip(codes + np.int16(128), 0, 255, out=codes)
    for part, bits in ((slice(0, 3), sh_bits[0]), (slice(3, None), sh_bits[1])):
        step = 1 << (8 - bits)
        codes[:, part] = (codes[:, part] + np.int16(step // 2)) & np.int16(-step)
    return np.asarray(np.minimum(codes, 255), np.uint8)


def _words_from_quats(quats: NDArray[np.float32]) -> NDArray[np.uint32]:
    index, rest = split_largest(np.roll(unit_quats(quats), -1, axis=1))
    magnitude = np.minimum(np.floor(511 * np.sqrt(2) * np.abs(rest) + 0.5), 511).astype(np.uint32)
    fields = magnitude | np.where(rest < 0, np.uint32(512), np.uint32(0))
    shifted = fields << np.array([20, 10, 0], np.uint32)
    words = index.astype(np.uint32) << np.uint32(30) | shifted[:, 0] | shifted[:, 1] | shifted[:, 2]
    return np.asarray(words, "<u4")


def _pack_streams(header: bytes, record: bytes, arrays: list[bytes]) -> bytes:
    import zstandard

    frames = [zstandard.ZstdCompressor(level=12).compress(array) for array in arrays]
    toc = [struct.pack("<QQ", len(f), len(a)) for f, a in zip(frames, arrays, strict=True)]
    offset = struct.pack("<I12x", 32 + len(record))
    return b"".join([header, offset, record, *toc, *frames])
