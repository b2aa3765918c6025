"""The .splatv of antimatter15's viewer: SpacetimeGaussians in 64 bytes a splat, halves and bytes.

Two words, the magic number and the length of a JSON list of chunks; the chunk of type "splat" has its splats as a
picture of texwidth x texheight words, sixteen a splat. Axes are RDF.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.files import whole_file
from scenepress.formats.files import check_count, read_bytes, warn_loss
from scenepress.formats.values import OPACITY_BYTE_LOGITS, SH_C0, log_scales, opacities, to_bytes
from scenepress.scene import PolynomialSplats, Splats

MAGIC = 0x674B
WORDS = 16
"""Of 32 bits, a splat."""
_WIDTH = 4096
"""Words in a row of the picture, as the viewer's own files have it."""
_MAX_JSON = 1 << 20


def read_splatv(path: str | Path) -> PolynomialSplats:
    """Read a .splatv file. Splats of opacity 0 that only fill the last row are left out.

    Raises:
        FormatError: damaged, or no such file.
        OSError: the file cannot be read.
    """
    data = read_bytes(path, "scene")
    head = np.frombuffer(data[:8].ljust(8, b"\0"), "<u4")
    if len(data) < 8 or head[0] != MAGIC:
        raise FormatError(f"{path}: does not start as a .splatv file")
    if head[1] > min(_MAX_JSON, len(data) - 8):
        raise FormatError(f"{path}: its list of chunks of {head[1]} bytes is longer than the file, or absurd")
    start = 8 + int(head[1])
    size = _splat_bytes(data[8:start], str(path))
    if size > len(data) - start or size % (4 * WORDS):
        raise FormatError(f"{path}: {size} bytes of splats, of which the file has {len(data) - start}")
    count = check_count(size // (4 * WORDS), path)
    words = np.frombuffer(data, "<u4", count * WORDS, start).reshape(count, WORDS)
    return _scene(words[words.any(axis=1)])


def _splat_bytes(text: bytes, path: str) -> int:
    """Bytes of the first chunk, which must be the splats."""
    try:
        chunks = json.loads(text)
        first = chunks[0]
        size, kind = first["size"], first["type"]
    except (ValueError, RecursionError, TypeError, KeyError, IndexError) as error:
        raise FormatError(f"{path}: its list of chunks cannot be read: {error}") from None
    if kind != "splat" or not isinstance(size, int) or size < 0:
        raise FormatError(f"{path}: its first chunk is not of splats")
    return size


def _scene(words: NDArray[np.uint32]) -> PolynomialSplats:
    halves = np.ascontiguousarray(words).view("<f2").astype(np.float32).reshape(len(words), 2 * WORDS)
    color = np.ascontiguousarray(words[:, 7:8]).view(np.uint8).reshape(len(words), 4)
    with np.errstate(divide="ignore", invalid="ignore"):
        splats = Splats(
            means=np.ascontiguousarray(words[:, :3]).view("<f4").astype(np.float32),
            quats=halves[:, 6:10].copy(),
            log_scales=log_scales(halves[:, 10:13]),
            opacity_logits=OPACITY_BYTE_LOGITS[color[:, 3]],
            sh0=((color[:, :3] / 255 - 0.5) / SH_C0).astype(np.float32),
            shN=np.empty((len(words), 0, 3), np.float32),
        )
        log_duration = log_scales(halves[:, 31])
    motion = halves[:, 16:25].reshape(-1, 3, 3).copy()
    return PolynomialSplats(splats, motion, halves[:, 26:30].copy(), halves[:, 30].copy(), log_duration)


def write_splatv(scene: PolynomialSplats, path: str | Path) -> None:
    """Write a .splatv file: halves and bytes, no SH; the most opaque and largest splats first, as the viewer does.

    Raises:
        FormatError: a scene of other axes than RDF, or motion of a degree above 3.
        OSError: the file cannot be written.
    """
    splats, degree = scene.splats, scene.motion.shape[1]
    if degree > 3 or splats.axes != "RDF":
        raise FormatError(
            f"{path}: degree {degree} in {splats.axes} axes; the format has motion of degree 3 in RDF"
        )
    if splats.sh_degree or splats.antialiased:
        warn_loss(f"{path}: the format has no place for SH beyond the constant, nor for the antialiased flag")
    count = len(splats)
    rows = max(1, -(-count * WORDS // _WIDTH))
    words = np.zeros((rows * _WIDTH // WORDS, WORDS), "<u4")
    opacity = opacities(splats.opacity_logits)
    with np.errstate(over="ignore", invalid="ignore"):
        order = np.argsort(-(opacity * np.exp(splats.log_scales.sum(axis=1, dtype=np.float64))), kind="stable")
        halves = np.zeros((count, 2 * WORDS), np.float32)
        halves[:, 6:10] = splats.quats
        halves[:, 10:13] = np.exp(splats.log_scales)
        halves[:, 16 : 16 + 3 * degree] = scene.motion.reshape(count, -1)
        halves[:, 26:30] = scene.spin
        halves[:, 30] = scene.center
        halves[:, 31] = np.exp(scene.log_duration)
        packed = halves.astype("<f2").view("<u4").reshape(count, WORDS)
    packed[:, :3] = splats.means.astype("<f4").view("<u4")
    color = np.concatenate([0.5 + SH_C0 * splats.sh0.astype(np.float64), opacity[:, None]], axis=1) * 255
    packed[:, 7] = to_bytes(color).view("<u4")[:, 0]
    words[:count] = packed[order]
    chunk = {"type": "splat", "size": words.nbytes, "texwidth": _WIDTH, "texheight": rows, "cameras": []}
    text = json.dumps([chunk], separators=(",", ":")).encode()
    with whole_file(path) as stream:
        stream.write(np.array([MAGIC, len(text)], "<u4").tobytes() + text + words.tobytes())
