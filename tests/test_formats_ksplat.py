""".ksplat at all levels, by a writer of the test's own; damage named."""

import struct
from pathlib import Path

import numpy as np
import pytest
from splat_scenes import (
    assert_bit_flips_are_harmless,
    assert_truncation_is_refused,
    random_splats,
    rotation_error,
    shared,
    sigmoid,
)

from scenepress.errors import FormatError
from scenepress.formats import table
from scenepress.formats.ksplat import read_ksplat
from scenepress.scene import Splats

BLOCK, BUCKET = 5.0, 4


def section(scene: Splats, level: int) -> tuple[bytes, bytes]:
    """(header, data) with buckets of 4 splats in file order, the last two partial."""
    n = len(scene)
    buckets = [np.arange(i, min(i + BUCKET, n - 3)) for i in range(0, n - 3, BUCKET)] + [np.arange(n - 3, n)]
    full = sum(len(b) == BUCKET for b in buckets)
    partial = [b for b in buckets if len(b) < BUCKET]
    centres = np.array([scene.means[b].mean(axis=0) for b in buckets], "<f4")
    owner = np.concatenate([np.full(len(b), i) for i, b in enumerate(buckets)])
    rgba = np.concatenate([scene.sh0 * 0.28209479 + 0.5, sigmoid(scene.opacity_logits)[:, None]], axis=1)
    rgba = np.clip(np.rint(rgba * 255), 0, 255).astype("u1")
    bands = [(0, 3), (3, 8), (8, 15)][: scene.sh_degree]
    sh = np.concatenate(
        [np.zeros((n, 0)), *(scene.shN[:, a:b].transpose(0, 2, 1).reshape(n, -1) for a, b in bands)], axis=1
    )
    real = "<f4" if level == 0 else "<f2"
    rows = []
    for i in range(n):
        if level == 0:
            row = scene.means[i].astype("<f4").tobytes()
        else:
            code = np.rint((scene.means[i] - centres[owner[i]]) / (BLOCK / 2) * 32767) + 32767
            row = code.astype("<u2").tobytes()
        row += np.exp(scene.log_scales[i]).astype(real).tobytes() + scene.quats[i].astype(real).tobytes()
        row += rgba[i].tobytes()
        if level == 2:
            row += np.rint((sh[i] + 1.5) / 3 * 255).astype("u1").tobytes()
        else:
            row += sh[i].astype(real).tobytes()
        rows.append(row)
    data = b"".join(rows)
    if level:
        data = struct.pack(f"<{len(partial)}I", *map(len, partial)) + centres.tobytes() + data
    header = struct.pack(
        "<IIIIfHHIIIIH", n, n, BUCKET, len(buckets) if level else 0, BLOCK, 12, 0, 32767 if level else 1,
        len(data), full if level else 0, len(partial) if level else 0, scene.sh_degree,
    )  # fmt: skip
    return header + bytes(1024 - len(header)), data


def ksplat(parts: list[Splats], level: int, spare_sections: int = 1) -> bytes:
    sections = [section(part, level) for part in parts]
    total = sum(map(len, parts))
    head = struct.pack(
        "<BBHIIIIHH5f", 0, 1, 0, len(parts) + spare_sections, len(parts), total, total, level, 0, 0, 0, 0, 0, 0
    )
    headers = b"".join(h for h, _ in sections) + bytes(1024 * spare_sections)
    return head + bytes(4096 - len(head)) + headers + b"".join(d for _, d in sections)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_levels(tmp_path: Path, level: int, degree: int) -> None:
    one, two = random_splats(13, degree, 1), random_splats(21, max(degree - 1, 0), 2)
    shrunk = [Splats(p.means / 4, p.quats, p.log_scales, p.opacity_logits, p.sh0, p.shN) for p in (one, two)]
    (tmp_path / "a.ksplat").write_bytes(ksplat(shrunk, level))
    got = table.read(tmp_path / "a.ksplat")
    assert (len(got), got.sh_degree, got.axes) == (34, degree, "RDF")
    want = np.concatenate([p.means for p in shrunk])
    np.testing.assert_allclose(got.means, want, atol=1e-6 if level == 0 else 5 / 65534)
    np.testing.assert_allclose(
        got.log_scales, np.concatenate([one.log_scales, two.log_scales]), atol=1e-6 if level == 0 else 1e-3
    )
    assert rotation_error(got.take(np.arange(13)), one) < (1e-6 if level == 0 else 2e-3)
    np.testing.assert_allclose(got.shN[:13], one.shN, atol=[1e-7, 1e-3, 3 / 510 * 1.01][level])
    low = two.shN.shape[1]
    np.testing.assert_allclose(got.shN[13:, :low], two.shN, atol=[1e-7, 1e-3, 3 / 510 * 1.01][level])
    np.testing.assert_array_equal(got.shN[13:, low:], 0)
    np.testing.assert_allclose(
        sigmoid(got.opacity_logits[:13]), sigmoid(one.opacity_logits), atol=0.5 / 255 + 1e-6
    )


@pytest.mark.parametrize("level", [0, 1, 2])
def test_damage(tmp_path: Path, level: int) -> None:
    data = ksplat([random_splats(9, 1)], level, spare_sections=0)
    assert_truncation_is_refused(read_ksplat, data, tmp_path / "a.ksplat", limit=60)
    (tmp_path / "a.ksplat").write_bytes(data)
    body = data[:42] + data[4096 : 4096 + 42] + data[5120:]

    def read_body(path: Path) -> Splats:
        part = path.read_bytes()
        full = part[:42] + data[42:4096] + part[42:84] + data[4138:5120] + part[84:]
        (tmp_path / "b.ksplat").write_bytes(full)
        return read_ksplat(tmp_path / "b.ksplat")

    assert_bit_flips_are_harmless(read_body, body, tmp_path / "part", 300, head=84)


@pytest.mark.parametrize(
    ("offset", "value", "why"),
    [
        (0, b"\x01", "version 1.1"),
        (1, b"\x02", "version 0.2"),
        (4, b"\xff\xff\xff\x7f", "section headers do not fit"),
        (16, struct.pack("<I", 10**9), "hold 9 splats of 1000000000"),
        (20, b"\x03", "level 3"),
        (36, struct.pack("<f", np.nan), "make no sense"),
        (4096, struct.pack("<I", 10**9), "section of 1000000000 splats"),
        (4100, struct.pack("<I", 10**9), "ends at byte"),
        (4108, struct.pack("<I", 10**9), "1000000000 buckets"),
        (4112, struct.pack("<f", -1), "cannot be read"),
        (4136, b"\x07", "SH degree 7"),
        (5120, struct.pack("<I", 0), "fewer than"),
    ],
)
def test_bad_headers_are_named(tmp_path: Path, offset: int, value: bytes, why: str) -> None:
    data = bytearray(ksplat([random_splats(9, 0)], 1, spare_sections=0))
    data[offset : offset + len(value)] = value
    (tmp_path / "a.ksplat").write_bytes(data)
    with pytest.raises(FormatError, match=why):
        read_ksplat(tmp_path / "a.ksplat")


def test_fixture() -> None:
    got = read_ksplat(shared("format-fixtures/splat-transform/minimal.ksplat"))
    np.testing.assert_array_equal(got.means[0], [-1, 0, -1])
    assert len(got) == 4
