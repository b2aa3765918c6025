"""PlayCanvas' compressed.ply: 16 bytes a splat within the bounds of its chunk of 256, SH as bytes.

Position and scale 11-10-11 bits, rotation 2-10-10-10, colour and opacity 8-8-8-8. Axes are RDF.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.files import whole_file
from scenepress.formats.files import read_bytes
from scenepress.formats.ply_header import Element, Header, read_header
from scenepress.formats.values import (
    OPACITY_BYTE_LOGITS,
    SH_C0,
    join_largest,
    morton_order,
    opacities,
    representable,
    split_largest,
    to_bytes,
    unit_quats,
)
from scenepress.scene import SH_COUNTS, Splats
from scenepress.scene_ops import convert_axes

CHUNK = 256
"""Splats that share bounds."""
MAX_LOG_SCALE = 20.0
"""Logarithms of scales are cut to +- this."""
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
_LEGACY = tuple(f"{end}_{axis}" for end in ("min", "max") for axis in "xyz") + tuple(
    f"{end}_scale_{axis}" for end in ("min", "max") for axis in "xyz"
)
BOUNDS = _LEGACY + tuple(f"{end}_{channel}" for end in ("min", "max") for channel in "rgb")
"""Properties of a chunk, in groups of three; files of old lack the last six: colours lie in 0..1."""

Floats = NDArray[np.float32]
Words = NDArray[np.uint32]


def read_compressed_ply(path: str | Path) -> Splats:
    """Read a compressed.ply.

    Args:
        path: the file.

    Returns:
        The scene in file order, axes RDF. Opacity bytes 0 and 255 give logits -inf and +inf.

    Raises:
        FormatError: no compressed.ply, or a damaged one.
        OSError: the file cannot be read.
    """
    data = read_bytes(path, "compressed.ply")
    with open(path, "rb") as stream:
        header = read_header(stream, str(path))
    if header.encoding != "binary_little_endian":
        raise FormatError(f"{path}: a compressed.ply is little-endian, not {header.encoding}")
    chunk, vertex, sh = (header.element(name) for name in ("chunk", "vertex", "sh"))
    if chunk is None or vertex is None or not set(PACKED) <= set(vertex.names):
        raise FormatError(f"{path}: no compressed.ply; elements chunk and vertex are not as they should be")
    if chunk.count < -(-vertex.count // CHUNK):
        raise FormatError(f"{path}: {chunk.count} chunks are too few for {vertex.count} splats")
    bounds = _bounds(_records(data, header, chunk), chunk, header.path)
    vertices = _records(data, header, vertex)
    position, rotation, scale, colour = (vertices[name].astype(np.uint32) for name in PACKED)
    which = np.arange(vertex.count) // CHUNK
    rgba = (colour[:, None] >> np.array([24, 16, 8, 0], np.uint32)) & np.uint32(255)
    rgb = _lerp(rgba[:, :3].astype(np.float32) / np.float32(255), bounds[4][which], bounds[5][which])
    return Splats(
        means=_lerp(_unpack_11_10_11(position), bounds[0][which], bounds[1][which]),
        quats=_unpack_rotation(rotation),
        log_scales=_lerp(_unpack_11_10_11(scale), bounds[2][which], bounds[3][which]),
        opacity_logits=OPACITY_BYTE_LOGITS[rgba[:, 3]],
        sh0=(rgb - np.float32(0.5)) / np.float32(SH_C0),
        shN=_sh(data, header, sh, vertex.count),
        antialiased=header.antialiased,
        axes="RDF",
    )


def _records(data: bytes, header: Header, element: Element) -> NDArray[np.void]:
    dtype, start = header.dtype(element), header.offset(element)
    end = start + element.count * dtype.itemsize
    if end > len(data):
        raise FormatError(f"{header.path}: element {element.name!r} ends at byte {end}; the file has {len(data)}")
    return np.frombuffer(data, dtype, element.count, start)


def _bounds(records: NDArray[np.void], chunk: Element, path: str) -> list[Floats]:
    """Six float32 [chunks, 3]: lower and upper ends of position, scale, colour."""
    if not set(_LEGACY) <= set(chunk.names):
        raise FormatError(f"{path}: element chunk lacks {sorted(set(_LEGACY) - set(chunk.names))}")
    groups = [BOUNDS[i : i + 3] for i in range(0, len(BOUNDS), 3)]
    out = []
    for group in groups:
        if set(group) <= set(chunk.names):
            out.append(np.stack([records[name].astype(np.float32) for name in group], axis=1))
        else:
            end = 0.0 if group[0] == "min_r" else 1.0
            out.append(np.full((len(records), 3), end, np.float32))
    return out


def _lerp(t: Floats, low: Floats, high: Floats) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):  # Damaged bounds: audit() will tell.
        return np.asarray(low * (np.float32(1) - t) + high * t, np.float32)


def _unpack_11_10_11(words: Words) -> Floats:
    x = (words >> np.uint32(21)).astype(np.float32) / np.float32(2047)
    y = ((words >> np.uint32(11)) & np.uint32(1023)).astype(np.float32) / np.float32(1023)
    z = (words & np.uint32(2047)).astype(np.float32) / np.float32(2047)
    return np.stack([x, y, z], axis=1)


def _pack_11_10_11(t: NDArray[np.float64]) -> Words:
    x, y, z = np.rint(np.clip(t, 0, 1) * np.array([2047, 1023, 2047])).astype(np.uint32).T
    return np.asarray(x << np.uint32(21) | y << np.uint32(11) | z, np.uint32)


def _unpack_rotation(words: Words) -> Floats:
    fields = (words[:, None] >> np.array([20, 10, 0], np.uint32)) & np.uint32(1023)
    rest = (fields.astype(np.float32) / np.float32(1023) - np.float32(0.5)) * np.float32(np.sqrt(2))
    return join_largest(words >> np.uint32(30), rest)


def _pack_rotation(quats: Floats) -> Words:
    index, rest = split_largest(unit_quats(quats))
    a, b, c = np.rint(np.clip(rest / np.sqrt(2) + 0.5, 0, 1) * 1023).astype(np.uint32).T
    words = index.astype(np.uint32) << np.uint32(30) | a << np.uint32(20) | b << np.uint32(10) | c
    return np.asarray(words, np.uint32)


def _sh(data: bytes, header: Header, element: Element | None, count: int) -> Floats:
    """Coefficients [count, K, 3] of the optional element `sh`; none if it is missing."""
    if element is None:
        return np.zeros((count, 0, 3), np.float32)
    names = [f"f_rest_{i}" for i in range(len(element.properties))]
    if len(names) not in (9, 24, 45) or set(names) != set(element.names) or element.count != count:
        raise FormatError(
            f"{header.path}: element sh has {element.count} rows of {len(names)}; {count} of 9, 24 or 45 "
            "f_rest properties are due"
        )
    if {kind for _, kind in element.properties} != {"u1"}:
        raise FormatError(f"{header.path}: SH coefficients must be uchar")
    records = _records(data, header, element)
    table = (np.arange(256) + 0.5) / 256
    table[[0, 255]] = 0, 1
    table = ((table - 0.5) * 8).astype(np.float32)
    planar = np.stack([records[name] for name in names], axis=1)
    return np.ascontiguousarray(table[planar].reshape(count, 3, len(names) // 3).transpose(0, 2, 1))


def write_compressed_ply(splats: Splats, path: str | Path) -> None:
    """Write a compressed.ply, splats in Z-order so that those of a chunk lie close together.

    SH are cut to +-4, log scales to +-20. Splats that the format cannot hold are made invisible, with a
    LossWarning.

    Args:
        splats: the scene; converted to RDF axes.
        path: the file to make; it appears whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    scene = convert_axes(representable(splats, str(path)), "RDF")
    scene = scene.take(morton_order(scene.means))
    position = scene.means.astype(np.float64)
    scale = np.clip(scene.log_scales.astype(np.float64), -MAX_LOG_SCALE, MAX_LOG_SCALE)
    colour = scene.sh0.astype(np.float64) * SH_C0 + 0.5
    which = np.arange(len(scene)) // CHUNK
    starts = np.arange(0, len(scene), CHUNK)
    bounds, units = [], []
    for values in (position, scale, colour):
        low, high = (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
        if len(scene):
            low = np.minimum.reduceat(values, starts).astype(np.float32)
            high = np.maximum.reduceat(values, starts).astype(np.float32)
        bounds += [low, high]
        extent = (high.astype(np.float64) - low)[which]
        units.append((values - low[which]) / np.where(extent > 0, extent, 1))
    alpha = to_bytes(opacities(scene.opacity_logits) * 255).astype(np.uint32)
    r, g, b = to_bytes(units[2] * 255).astype(np.uint32).T
    packed = np.stack(
        [
            _pack_11_10_11(units[0]),
            _pack_rotation(scene.quats),
            _pack_11_10_11(units[1]),
            r << np.uint32(24) | g << np.uint32(16) | b << np.uint32(8) | alpha,
        ],
        axis=1,
    )
    planar = scene.shN.transpose(0, 2, 1).reshape(len(scene), 3 * scene.shN.shape[1])
    sh = to_bytes(np.floor((planar.astype(np.float64) / 8 + 0.5) * 256))
    with whole_file(path) as stream:
        stream.write(_header(scene, len(starts)))
        stream.write(np.concatenate(bounds, axis=1).astype("<f4").tobytes())
        stream.write(packed.astype("<u4").tobytes())
        stream.write(sh.tobytes())


def _header(scene: Splats, chunks: int) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0", "comment scenepress"]
    if scene.antialiased:
        lines.append("comment SplatRenderMode: mip")
    lines.append(f"element chunk {chunks}")
    lines += [f"property float {name}" for name in BOUNDS]
    lines.append(f"element vertex {len(scene)}")
    lines += [f"property uint {name}" for name in PACKED]
    if scene.sh_degree:
        lines.append(f"element sh {len(scene)}")
        lines += [f"property uchar f_rest_{i}" for i in range(3 * SH_COUNTS[scene.sh_degree])]
    return ("\n".join([*lines, "end_header"]) + "\n").encode()
