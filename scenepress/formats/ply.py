"""The .ply of INRIA's 3DGS trainer: one row of numbers a splat, nothing quantised.

Properties may come in any order, any scalar type, ascii or binary; `f_rest` is channel-major (all of
red, then green, then blue). Axes are RDF. Whether the scene was trained antialiased stands in a comment
(ply_header.py).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.files import whole_file
from scenepress.formats.files import warn_loss
from scenepress.formats.ply_header import Element, Encoding, Header, read_header
from scenepress.scene import SH_COUNTS, Splats
from scenepress.scene_ops import convert_axes

ROWS = 8192
"""Splats copied at a time: their 2 MB stay in the cache while they are spread over the arrays."""

FLAT_LOG_SCALE = -20.0
"""Thickness given to splats of 2DGS files, which have no third scale."""

_MEANS = ("x", "y", "z")
_SH0 = ("f_dc_0", "f_dc_1", "f_dc_2")
_SCALES = ("scale_0", "scale_1", "scale_2")
_QUATS = ("rot_0", "rot_1", "rot_2", "rot_3")
_IGNORED = frozenset(("nx", "ny", "nz"))


@dataclasses.dataclass(frozen=True)
class _Columns:
    """Where each attribute stands among the vertex properties, and the SH degree to read."""

    means: list[int]
    sh0: list[int]
    rest: list[int]
    """3 * K columns, channel-major."""
    opacity: int
    scales: list[int]
    """Two or three columns."""
    quats: list[int]


def read_ply(path: str | Path) -> Splats:
    """Read an INRIA .ply, ascii or binary.

    Float32 values keep their bits. float64 is rounded to float32; unknown properties, SH beyond
    degree 3 and a missing third scale (2DGS) are reported as LossWarning.

    Args:
        path: the file.

    Returns:
        The scene, in file order, axes RDF.

    Raises:
        FormatError: no .ply, not a Gaussian-splat one, or shorter than its header says.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as stream:
        header = read_header(stream, str(path))
        vertex = header.element("vertex")
        if vertex is None:
            raise FormatError(f"{path}: no element 'vertex'")
        if header.element("chunk") is not None and "packed_position" in vertex.names:
            raise FormatError(f"{path}: a compressed.ply; read it with read_compressed_ply")
        columns = _columns(vertex, str(path))
        if header.encoding == "ascii":
            return _read_ascii(stream, header, vertex, columns)
    return _read_binary(path, header, vertex, columns)


def _columns(vertex: Element, path: str) -> _Columns:
    index = {name: i for i, name in enumerate(vertex.names)}
    is_flat = "scale_2" not in index and "scale_1" in index
    scales = _SCALES[:2] if is_flat else _SCALES
    missing = [n for n in (*_MEANS, *_SH0, "opacity", *scales, *_QUATS) if n not in index]
    if missing:
        raise FormatError(f"{path}: no Gaussian-splat .ply; its vertices lack {', '.join(missing)}")
    rest_count = sum(name.startswith("f_rest_") for name in index)
    rests = [f"f_rest_{i}" for i in range(rest_count)]
    if rest_count not in (0, 9, 24, 45, 72) or not index.keys() >= set(rests):
        raise FormatError(f"{path}: {rest_count} f_rest properties; degrees 0 to 3 have 0, 9, 24, 45")
    per_channel = rest_count // 3
    kept = min(per_channel, SH_COUNTS[3])
    rest = [index[rests[channel * per_channel + k]] for channel in range(3) for k in range(kept)]
    known = {*_MEANS, *_SH0, "opacity", *_SCALES, *_QUATS, *_IGNORED}
    extra = [name for name in index if name not in known and not name.startswith("f_rest_")]
    if extra:
        warn_loss(f"{path}: properties without a meaning here are left out: {', '.join(extra)[:200]}")
    if rest_count == 72:
        warn_loss(f"{path}: SH of degree 4 is cut to degree 3")
    if is_flat:
        warn_loss(f"{path}: 2DGS surfels (no scale_2) become 3D splats of log scale {FLAT_LOG_SCALE:g}")
    if any(kind in ("f8", "i4", "u4") for name, kind in vertex.properties if name in known):
        warn_loss(f"{path}: 32-bit integers or float64 values are rounded to float32")
    return _Columns(
        [index[n] for n in _MEANS],
        [index[n] for n in _SH0],
        rest,
        index["opacity"],
        [index[n] for n in scales],
        [index[n] for n in _QUATS],
    )


def _empty(count: int, sh_coefs: int, antialiased: bool) -> Splats:
    return Splats(
        means=np.empty((count, 3), np.float32),
        quats=np.empty((count, 4), np.float32),
        log_scales=np.empty((count, 3), np.float32),
        opacity_logits=np.empty(count, np.float32),
        sh0=np.empty((count, 3), np.float32),
        shN=np.empty((count, sh_coefs, 3), np.float32),
        antialiased=antialiased,
        axes="RDF",
    )


def _select(columns: list[int]) -> slice | list[int]:
    """The same columns as a slice where they are consecutive: a view instead of a gather."""
    if columns and columns == list(range(columns[0], columns[0] + len(columns))):
        return slice(columns[0], columns[0] + len(columns))
    return columns


def _fill(out: Splats, start: int, block: NDArray[np.float32], columns: _Columns) -> None:
    """Spread rows of float32 [n, properties] over the arrays of `out`, from splat `start` on."""
    rows = slice(start, start + len(block))
    out.means[rows] = block[:, _select(columns.means)]
    out.quats[rows] = block[:, _select(columns.quats)]
    out.log_scales[rows, len(columns.scales) :] = FLAT_LOG_SCALE
    out.log_scales[rows, : len(columns.scales)] = block[:, _select(columns.scales)]
    out.opacity_logits[rows] = block[:, columns.opacity]
    out.sh0[rows] = block[:, _select(columns.sh0)]
    if columns.rest:
        rest = block[:, _select(columns.rest)].reshape(len(block), 3, -1)
        out.shN[rows] = rest.transpose(0, 2, 1)


def _begin_binary(path: str | Path, header: Header, vertex: Element) -> tuple[int, np.dtype[np.void]]:
    """Where the vertices start, and what one is; FormatError if the file is too short."""
    dtype = header.dtype(vertex)
    start = header.offset(vertex)
    size = os.path.getsize(path)
    if start + vertex.count * dtype.itemsize > size:
        raise FormatError(
            f"{path}: {vertex.count} splats of {dtype.itemsize} bytes from byte {start} on need "
            f"{start + vertex.count * dtype.itemsize} bytes; the file has {size}"
        )
    return start, dtype


def _read_binary(path: str | Path, header: Header, vertex: Element, columns: _Columns) -> Splats:
    start, dtype = _begin_binary(path, header, vertex)
    out = _empty(vertex.count, len(columns.rest) // 3, header.antialiased)
    workers = max(1, min(8, os.cpu_count() or 1, vertex.count // ROWS))
    edges = np.linspace(0, vertex.count, workers + 1).astype(int)

    def read_part(part: int) -> None:
        with open(path, "rb", buffering=0) as stream:
            for first, block in _blocks(stream, str(path), start, edges[part], edges[part + 1], dtype):
                _fill(out, first, block, columns)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(read_part, range(workers)))
    return out


def _blocks(
    stream: BinaryIO, path: str, start: int, first: int, last: int, dtype: np.dtype[np.void]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Rows first..last as float32 [n, properties], ROWS at a time, through one buffer."""
    buffer = np.empty(ROWS, dtype)
    kinds = {dtype[name].str for name in dtype.names or ()}
    is_float32 = kinds in ({"<f4"}, {">f4"})
    stream.seek(start + first * dtype.itemsize)
    for row in range(first, last, ROWS):
        records = buffer[: min(ROWS, last - row)]
        if not _fill_buffer(stream, records.view(np.uint8).data):
            raise FormatError(f"{path}: ends while splat {row} and the next ones are read")
        if is_float32:
            yield row, records.view(min(kinds)).reshape(len(records), -1)
        else:
            yield row, _mixed(records)


def _fill_buffer(stream: BinaryIO, buffer: memoryview) -> bool:
    """Read until `buffer` is full; False if the file ends before."""
    filled = 0
    while filled < len(buffer):
        got = stream.readinto(buffer[filled:])  # type: ignore[attr-defined]
        if not got:
            return False
        filled += got
    return True


def _mixed(records: NDArray[np.void]) -> NDArray[np.float32]:
    """Records of several scalar types as float32 [n, properties]."""
    names = records.dtype.names or ()
    block = np.empty((len(records), len(names)), np.float32)
    with np.errstate(over="ignore"):
        for i, name in enumerate(names):
            block[:, i] = records[name]
    return block


def _begin_ascii(stream: BinaryIO, header: Header, vertex: Element) -> int:
    """Go to the first vertex; numbers of a line. FormatError if the file is too short."""
    stream.seek(0, os.SEEK_END)
    width = len(vertex.properties)
    if any(kind == "list" for _, kind in vertex.properties):
        raise FormatError(f"{header.path}: list properties of element vertex cannot be read")
    if vertex.count * width * 2 > stream.tell() - header.data_start + 1:
        raise FormatError(f"{header.path}: too short for {vertex.count} splats of {width} numbers")
    stream.seek(header.data_start)
    for element in header.elements[: header.elements.index(vertex)]:
        for _ in range(element.count):
            if not stream.readline():
                raise FormatError(f"{header.path}: ends within element {element.name!r}")
    return width


def _read_ascii(stream: BinaryIO, header: Header, vertex: Element, columns: _Columns) -> Splats:
    width = _begin_ascii(stream, header, vertex)
    out = _empty(vertex.count, len(columns.rest) // 3, header.antialiased)
    for row in range(0, vertex.count, ROWS):
        count = min(ROWS, vertex.count - row)
        _fill(out, row, _ascii_rows(stream, header.path, row, count, width), columns)
    return out


def _ascii_rows(stream: BinaryIO, path: str, first: int, count: int, width: int) -> NDArray[np.float32]:
    """The next `count` lines of `width` numbers; numbers beyond float32 become infinite."""
    words: list[bytes] = []
    for row in range(first, first + count):
        line = stream.readline(64 * width + 64).split()
        if len(line) != width:
            raise FormatError(f"{path}: splat {row} has {len(line)} numbers instead of {width}")
        words += line
    try:
        with np.errstate(over="ignore"):
            return np.array(words).astype(np.float64).astype(np.float32).reshape(count, width)
    except ValueError as error:
        raise FormatError(f"{path}: among splats {first} to {first + count - 1}: {error}") from None


def rows(stream: BinaryIO, header: Header, vertex: Element) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """All vertices in file order as float32 [n, properties], with the number of the first of each block.

    Raises:
        FormatError: list properties, or fewer vertices than the header says.
    """
    if header.encoding == "ascii":
        width = _begin_ascii(stream, header, vertex)
        for row in range(0, vertex.count, ROWS):
            yield row, _ascii_rows(stream, header.path, row, min(ROWS, vertex.count - row), width)
    else:
        start, dtype = _begin_binary(header.path, header, vertex)
        yield from _blocks(stream, header.path, start, 0, vertex.count, dtype)


def write_ply(splats: Splats, path: str | Path, encoding: Encoding = "binary_little_endian") -> None:
    """Write an INRIA .ply: x y z, f_dc, f_rest, opacity, scale, rot; converted to RDF axes if need be.

    Keeps every float32 bit of scenes in RDF axes, in every encoding but for NaN payloads in ascii.

    Args:
        splats: the scene.
        path: the file to make; it appears whole or not at all.
        encoding: as in the header line "format".

    Raises:
        OSError: the file cannot be written.
    """
    scene = convert_axes(splats, "RDF")
    columns = _written_columns(scene.shN.shape[1])
    header = ["ply", f"format {encoding} 1.0", "comment scenepress"]
    if scene.antialiased:
        header.append("comment SplatRenderMode: mip")
    header.append(f"element vertex {len(scene)}")
    header += [f"property float {name}" for name in columns]
    with whole_file(path) as stream:
        stream.write(("\n".join([*header, "end_header"]) + "\n").encode())
        for start in range(0, len(scene), ROWS):
            block = _gather(scene, start, len(columns))
            if encoding == "ascii":
                lines = (" ".join(map(repr, row)) for row in block.astype(object).tolist())
                stream.write(("\n".join(lines) + "\n").encode())
            else:
                order = ">" if encoding == "binary_big_endian" else "<"
                stream.write(block.astype(order + "f4").tobytes())


def _written_columns(sh_coefs: int) -> list[str]:
    rest = [f"f_rest_{i}" for i in range(3 * sh_coefs)]
    return [*_MEANS, *_SH0, *rest, "opacity", *_SCALES, *_QUATS]


def _gather(scene: Splats, start: int, width: int) -> NDArray[np.float32]:
    """ROWS splats from `start` on as float32 [n, width] in the order of _written_columns."""
    rows = slice(start, start + ROWS)
    count = len(scene.means[rows])
    return np.concatenate(
        [
            scene.means[rows],
            scene.sh0[rows],
            scene.shN[rows].transpose(0, 2, 1).reshape(count, width - 14),
            scene.opacity_logits[rows, None],
            scene.log_scales[rows],
            scene.quats[rows],
        ],
        axis=1,
    )
