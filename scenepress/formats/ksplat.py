""".ksplat of GaussianSplats3D, version 0.1: sections of splats in buckets, at three levels of precision.

Level 0 stores floats; levels 1 and 2 positions relative to the centre of a bucket, half-precision
scales and rotations, and SH as halves (1) or bytes (2). Read only. Axes are RDF.
"""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.formats.files import check_count, read_bytes
from scenepress.formats.values import OPACITY_BYTE_LOGITS, SH_C0, log_scales
from scenepress.scene import SH_COUNTS, Splats

HEADER, SECTION_HEADER = 4096, 1024
"""Bytes."""
DEFAULT_SH_RANGE = 1.5
_MAIN = struct.Struct("<BBHIIIIHHfffff")
_SECTION = struct.Struct("<IIIIfHHIIIIH")

Floats = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class _Section:
    """Where the parts of a section lie, in bytes from the start of the file."""

    count: int
    bucket_size: int
    bucket_count: int
    step: float
    offset: int
    """Code of a bucket's centre."""
    full_buckets: int
    partial_buckets: int
    sh_degree: int
    record: np.dtype[np.void]
    partial_at: int
    centres_at: int
    splats_at: int
    end: int


def read_ksplat(path: str | Path) -> Splats:
    """Read a .ksplat file of compression level 0, 1 or 2.

    Args:
        path: the file.

    Returns:
        The scene in file order, axes RDF, SH as high as the highest section's. Opacity bytes 0 and 255
        give logits -inf and +inf.

    Raises:
        FormatError: no .ksplat, damaged, or of another version.
        OSError: the file cannot be read.
    """
    data = read_bytes(path, ".ksplat")
    if len(data) < HEADER:
        raise FormatError(f"{path}: {len(data)} bytes are shorter than the header of a .ksplat")
    major, minor, _, max_sections, _, _, count, level, _, *floats = _MAIN.unpack_from(data)
    if (major, minor) != (0, 1):
        raise FormatError(f"{path}: .ksplat version {major}.{minor}; only 0.1 can be read")
    if level > 2:
        raise FormatError(f"{path}: compression level {level}; 0 to 2 can be read")
    if HEADER + max_sections * SECTION_HEADER > len(data):
        raise FormatError(f"{path}: {max_sections} section headers do not fit in {len(data)} bytes")
    check_count(count, path)
    low, high = floats[3] or -DEFAULT_SH_RANGE, floats[4] or DEFAULT_SH_RANGE
    if not (abs(low) < 1e30 and abs(high) < 1e30):
        raise FormatError(f"{path}: SH between {low:g} and {high:g} make no sense")
    parts = []
    position = HEADER + max_sections * SECTION_HEADER
    for i in range(max_sections):
        section = _section(data, HEADER + i * SECTION_HEADER, position, level, str(path))
        position = section.end
        if section.count:
            parts.append(_splats(data, section, level, (low, high), str(path)))
    if sum(len(p) for p in parts) != count:
        raise FormatError(f"{path}: sections hold {sum(len(p) for p in parts)} splats of {count}")
    return _joined(parts)


def _record(level: int, sh_degree: int) -> np.dtype[np.void]:
    real, half = ("<f4", "<f4") if level == 0 else ("<u2", "<f2")
    sh = ("<f4", "<f2", "u1")[level]
    fields = [("centre", real, 3), ("scale", half, 3), ("quat", half, 4), ("rgba", "u1", 4)]
    return np.dtype([*fields, ("sh", sh, (3 * SH_COUNTS[sh_degree],))])


def _section(data: bytes, header: int, start: int, level: int, path: str) -> _Section:
    """Parse a section header and check that its data, from byte `start` on, lies in the file."""
    fields = _SECTION.unpack_from(data, header)
    count, capacity, bucket_size, bucket_count, block, bucket_bytes, _, code_range, _, full, partial, degree = (
        fields
    )
    if degree not in SH_COUNTS:
        raise FormatError(f"{path}: SH degree {degree} in a section; 0 to 3 can be read")
    record = _record(level, degree)
    code_range = code_range or (1 if level == 0 else 32767)
    centres_at = start + 4 * partial
    splats_at = centres_at + bucket_bytes * bucket_count
    end = splats_at + capacity * record.itemsize
    if end > len(data) or count > capacity or full + partial > max(bucket_count, 0):
        raise FormatError(
            f"{path}: a section of {count} splats in {bucket_count} buckets ends at byte {end}; "
            f"the file has {len(data)}"
        )
    if level and count and (bucket_bytes != 12 or not 0 < block < 1e30):
        raise FormatError(f"{path}: buckets of {bucket_bytes} bytes, {block:g} wide, cannot be read")
    step = block / 2 / code_range if level else 0.0
    return _Section(
        count, bucket_size, bucket_count, step, code_range, full, partial, degree, record,
        start, centres_at, splats_at, end,
    )  # fmt: skip


def _splats(data: bytes, section: _Section, level: int, sh_range: tuple[float, float], path: str) -> Splats:
    records = np.frombuffer(data, section.record, section.count, section.splats_at)
    if level:
        bucket = _bucket_of_each(data, section, path)
        centres = np.frombuffer(data, "<f4", 3 * section.bucket_count, section.centres_at).reshape(-1, 3)
        codes = records["centre"].astype(np.float64) - section.offset
        with np.errstate(over="ignore", invalid="ignore"):  # Damaged centres: audit() will tell.
            means = (codes * section.step + centres[bucket]).astype(np.float32)
    else:
        means = np.array(records["centre"], np.float32)
    sh = records["sh"].astype(np.float32)
    if level == 2:
        sh = np.asarray(sh_range[0] + sh / 255 * (sh_range[1] - sh_range[0]), np.float32)
    colour_table = ((np.arange(256) / 255 - 0.5) / SH_C0).astype(np.float32)
    return Splats(
        means=means,
        quats=np.array(records["quat"], np.float32),
        log_scales=log_scales(records["scale"].astype(np.float32)),
        opacity_logits=OPACITY_BYTE_LOGITS[records["rgba"][:, 3]],
        sh0=colour_table[records["rgba"][:, :3]],
        shN=_by_coefficient(sh, section.sh_degree),
        axes="RDF",
    )


def _bucket_of_each(data: bytes, section: _Section, path: str) -> NDArray[np.intp]:
    """Bucket [count] of each splat: full ones first, then partial ones with counts of their own."""
    in_full = section.full_buckets * section.bucket_size
    rest = section.count - min(in_full, section.count)
    bucket = np.arange(section.count) // max(section.bucket_size, 1)
    if rest:
        sizes = np.frombuffer(data, "<u4", section.partial_buckets, section.partial_at).astype(np.int64)
        ends = np.cumsum(np.minimum(sizes, section.count))
        if not len(ends) or ends[-1] < rest:
            raise FormatError(f"{path}: partial buckets hold fewer than the {rest} splats due")
        which = np.searchsorted(ends, np.arange(rest), side="right")
        bucket[section.count - rest :] = section.full_buckets + which
    if section.count and int(bucket.max()) >= section.bucket_count:
        raise FormatError(f"{path}: splats reach beyond the {section.bucket_count} buckets")
    return bucket


def _by_coefficient(sh: Floats, degree: int) -> Floats:
    """Bands of r.., g.., b.. -> [N, K, 3]."""
    out = np.empty((len(sh), SH_COUNTS[degree], 3), np.float32)
    for band in range(1, degree + 1):
        first, width = SH_COUNTS[band - 1], 2 * band + 1
        planes = sh[:, 3 * first : 3 * (first + width)].reshape(-1, 3, width)
        out[:, first : first + width] = planes.transpose(0, 2, 1)
    return out


def _joined(parts: list[Splats]) -> Splats:
    coefs = max((p.shN.shape[1] for p in parts), default=0)

    def all_of(name: str, width: int) -> Floats:
        return np.concatenate([np.zeros((0, width), np.float32), *(getattr(p, name) for p in parts)])

    padded = [np.pad(p.shN, ((0, 0), (0, coefs - p.shN.shape[1]), (0, 0))) for p in parts]
    logits = [np.zeros(0, np.float32), *(p.opacity_logits for p in parts)]
    return Splats(
        means=all_of("means", 3),
        quats=all_of("quats", 4),
        log_scales=all_of("log_scales", 3),
        opacity_logits=np.concatenate(logits),
        sh0=all_of("sh0", 3),
        shN=np.concatenate([np.zeros((0, coefs, 3), np.float32), *padded]),
        axes="RDF",
    )
