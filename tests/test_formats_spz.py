"""SPZ: every version is read, v3 and v4 are written to format precision, damage is named."""

import gzip
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from splat_scenes import (
    assert_bit_flips_are_harmless,
    assert_same_bits,
    assert_truncation_is_refused,
    random_splats,
    rotation_error,
    scenes,
    shared,
    sigmoid,
    with_arrays,
)

from scenepress.errors import FormatError, LossWarning
from scenepress.formats.spz import MAX_EXPANSION, read_spz, write_spz
from scenepress.scene import Splats
from scenepress.scene_ops import audit, convert_axes

in_tmp = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_close(got: Splats, want: Splats, sh_steps: tuple[float, float] = (4.5 / 128, 8.5 / 128)) -> None:
    """Within half a step of everything that SPZ quantises."""
    assert got.axes == "RUB"
    got = convert_axes(got, want.axes)
    assert (len(got), got.sh_degree, got.antialiased) == (len(want), want.sh_degree, want.antialiased)
    np.testing.assert_allclose(got.means, want.means, atol=0.5 / 4096 + 1e-6)
    assert rotation_error(got, want) < 0.0055
    np.testing.assert_allclose(got.log_scales, want.log_scales, atol=0.5 / 16 + 1e-5)
    np.testing.assert_allclose(sigmoid(got.opacity_logits), sigmoid(want.opacity_logits), atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(got.sh0, want.sh0, atol=0.5 / 255 / 0.15 + 1e-5)
    np.testing.assert_allclose(got.shN[:, :3], want.shN[:, :3], atol=sh_steps[0])
    np.testing.assert_allclose(got.shN[:, 3:], want.shN[:, 3:], atol=sh_steps[1])


@given(scene=scenes, version=st.sampled_from([3, 4]))
@in_tmp
def test_round_trip(tmp_path: Path, scene: Splats, version: int) -> None:
    write_spz(scene, tmp_path / "a.spz", version)
    got = read_spz(tmp_path / "a.spz")
    assert_close(got, scene)
    write_spz(got, tmp_path / "b.spz", version)
    again = read_spz(tmp_path / "b.spz")
    for name in ("means", "log_scales", "opacity_logits", "sh0", "shN"):  # A second pass changes nothing.
        np.testing.assert_array_equal(getattr(again, name), getattr(got, name))


def test_full_sh_precision_on_request(tmp_path: Path) -> None:
    scene = random_splats(50, 3)
    write_spz(scene, tmp_path / "a.spz", sh_bits=(8, 8))
    assert_close(read_spz(tmp_path / "a.spz"), scene, (0.51 / 128, 0.51 / 128))


def spz_bytes(version: int, arrays: bytes, degree: int = 0, flags: int = 0, count: int = 1) -> bytes:
    return struct.pack("<4sIIBBBB", b"NGSP", version, count, degree, 12, flags, 0) + arrays


def test_version_one_and_two_by_hand(tmp_path: Path) -> None:
    rest = bytes([255, 0, 128, 255, 160, 176, 192, 0, 128, 255])  # alpha, colour, scale, rotation
    position = np.array([1, -2, 0.5], "<f2").tobytes()
    (tmp_path / "a.spz").write_bytes(gzip.compress(spz_bytes(1, position + rest)))
    one = read_spz(tmp_path / "a.spz")
    position = b"".join(int(v * 4096).to_bytes(3, "little", signed=True) for v in (1, -2, 0.5))
    (tmp_path / "a.spz").write_bytes(spz_bytes(2, position + rest))  # The reader also takes it raw.
    two = read_spz(tmp_path / "a.spz")
    assert_same_bits(one, two)
    np.testing.assert_array_equal(one.means, [[1, -2, 0.5]])
    np.testing.assert_array_equal(one.log_scales, [[0, 1, 2]])
    assert one.opacity_logits[0] == np.inf
    np.testing.assert_allclose(one.quats[0, 1:], [-1, 0.5 / 127.5, 1], atol=1e-6)
    np.testing.assert_allclose(one.sh0[0], [-0.5 / 0.15, (128 / 255 - 0.5) / 0.15, 0.5 / 0.15], rtol=1e-6)
    assert one.axes == "RUB"


def test_degree_four_is_cut_and_said(tmp_path: Path) -> None:
    arrays = bytes(9 + 1 + 3 + 3 + 4) + bytes(range(128, 200))
    (tmp_path / "a.spz").write_bytes(gzip.compress(spz_bytes(3, arrays, degree=4)))
    with pytest.warns(LossWarning, match="degree 4"):
        got = read_spz(tmp_path / "a.spz")
    np.testing.assert_array_equal(got.shN, np.arange(45).reshape(1, 15, 3) / np.float32(128))


@pytest.mark.parametrize("version", [3, 4])
def test_extensions(tmp_path: Path, version: int) -> None:
    scene = random_splats(1, 0)
    write_spz(scene, tmp_path / "a.spz", version)
    data = (tmp_path / "a.spz").read_bytes()
    records = struct.pack("<III", 0xADBE0003, 4, 7) + struct.pack("<IIf", 0xADBE0002, 4, 1.0)

    def with_records(records: bytes) -> bytes:
        if version == 3:
            raw = bytearray(gzip.decompress(data))
            raw[14] |= 2
            return gzip.compress(bytes(raw) + records)
        raw = bytearray(data)
        raw[14] |= 2
        raw[16:20] = struct.pack("<I", 32 + len(records))
        return bytes(raw[:32]) + records + bytes(raw[32:])

    (tmp_path / "b.spz").write_bytes(with_records(records))
    with pytest.warns(LossWarning, match="0xadbe0002"):
        assert read_spz(tmp_path / "b.spz").axes == "LUF"
    for bad in (records[:-1], records[:4], struct.pack("<III", 0xADBE0003, 4, 9)):
        (tmp_path / "b.spz").write_bytes(with_records(bad))
        with pytest.raises(FormatError):
            read_spz(tmp_path / "b.spz")


@pytest.mark.parametrize("version", [3, 4])
def test_other_axes_are_named_in_the_file(tmp_path: Path, version: int) -> None:
    scene = random_splats(5, 3)
    write_spz(scene, tmp_path / "a.spz", version)
    write_spz(scene, tmp_path / "b.spz", version, axes="RDF")
    rub, rdf = read_spz(tmp_path / "a.spz"), read_spz(tmp_path / "b.spz", axes="LUF")
    assert (rub.axes, rdf.axes, read_spz(tmp_path / "a.spz", axes="LUF").axes) == ("RUB", "RDF", "LUF")
    np.testing.assert_array_equal(convert_axes(rub, "RDF").means, rdf.means)


def test_far_coordinates_cost_precision_and_it_is_said(tmp_path: Path) -> None:
    scene = with_arrays(random_splats(3, 0), means=[[5000, 0, 0], [0, -16000, 0], [1, 1, 1]])
    with pytest.warns(LossWarning, match="coordinates reach 16000"):
        write_spz(scene, tmp_path / "a.spz")
    np.testing.assert_allclose(convert_axes(read_spz(tmp_path / "a.spz"), "RDF").means, scene.means)
    with pytest.warns(LossWarning, match="2 beyond"):
        write_spz(scene, tmp_path / "a.spz", fractional_bits=12)
    got = read_spz(tmp_path / "a.spz")
    np.testing.assert_array_equal(got.opacity_logits[:2], -np.inf)


def test_invalid_splats_become_invisible_and_it_is_said(tmp_path: Path) -> None:
    clean = random_splats(4, 1)
    means, shN = clean.means.copy(), clean.shN.copy()
    means[0], shN[2, 1, 1] = np.nan, np.inf
    with pytest.warns(LossWarning, match="2 splats that the format cannot hold"):
        write_spz(with_arrays(clean, means=means, shN=shN), tmp_path / "a.spz")
    got = read_spz(tmp_path / "a.spz")
    assert audit(got).invalid == 0
    np.testing.assert_array_equal(np.isneginf(got.opacity_logits), [True, False, True, False])


@pytest.mark.parametrize("version", [2, 3, 4])
def test_truncation_and_bit_flips(tmp_path: Path, version: int) -> None:
    if version == 2:
        data = gzip.compress(spz_bytes(2, bytes(range(19)) * 3, count=3))
    else:
        write_spz(random_splats(5, 2), tmp_path / "a.spz", version)
        data = (tmp_path / "a.spz").read_bytes()
    assert_truncation_is_refused(read_spz, data, tmp_path / "b.spz")
    assert_bit_flips_are_harmless(read_spz, data, tmp_path / "b.spz", 400, head=128)
    raw = gzip.decompress(data) if version < 4 else data
    if version < 4:
        assert_truncation_is_refused(read_spz, raw, tmp_path / "b.spz")


def test_claims_beyond_the_file_are_refused_before_allocating(tmp_path: Path) -> None:
    target = tmp_path / "a.spz"
    for version, data in ((3, b"x"), (4, bytes(32))):
        header = spz_bytes(version, b"", count=10**9)
        target.write_bytes(gzip.compress(header + data) if version == 3 else header + data)
        with pytest.raises(FormatError, match="1000000000 splats cannot stand"):
            read_spz(target)
    target.write_bytes(gzip.compress(spz_bytes(3, bytes(50_000_000), count=1)))  # A bomb.
    with pytest.raises(FormatError, match="more than its header says"):
        read_spz(target)
    bomb = zstandard.ZstdCompressor().compress(bytes(100_000_000))
    count = len(bomb) * MAX_EXPANSION // 100
    toc = b"".join(struct.pack("<QQ", len(bomb) if n == 9 else 0, count * n) for n in (9, 1, 3, 3, 4))
    head = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, count, 0, 12, 0, 5, 32)
    target.write_bytes(head + toc + bomb)
    tracemalloc.start()
    with pytest.raises(FormatError, match=f"unpacks to 100000000 bytes; {count * 9}"):
        read_spz(target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000  # Refused before it was unpacked.


def test_the_table_of_streams_is_checked(tmp_path: Path) -> None:
    write_spz(random_splats(5, 1), tmp_path / "a.spz")
    data = (tmp_path / "a.spz").read_bytes()
    first, size = struct.unpack_from("<QQ", data, 32)
    for offset, value, why in (
        (40, struct.pack("<Q", size + 1), f"stream 0 holds {size + 1} bytes; {size} are due"),
        (32, struct.pack("<Q", 10**6), "stream 0 reaches beyond the end"),
        (32, struct.pack("<Q", first - 1), "stream 0 is damaged"),
        (15, b"\x05", "5 streams where 6"),
        (16, struct.pack("<I", 31), "table of streams at byte 31"),
        (16, struct.pack("<I", len(data)), "table of streams"),
        (len(data), b"\0", "1 bytes follow the last stream"),
    ):
        changed = data[:offset] + value + data[offset + len(value) :]
        (tmp_path / "b.spz").write_bytes(changed)
        with pytest.raises(FormatError, match=why):
            read_spz(tmp_path / "b.spz")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "SPZ header"),
        (b"PK" + bytes(40), "SPZ header"),
        (spz_bytes(5, bytes(100)), "version 5"),
        (spz_bytes(0, bytes(100)), "version 0"),
        (spz_bytes(3, bytes(20), degree=5), "SH degree 5"),
        (spz_bytes(3, bytes(21)), "1 bytes follow"),
        (gzip.compress(spz_bytes(4, bytes(60)), mtime=0), "inside gzip"),
        (b"\x1f\x8b" + bytes(50), "damaged gzip"),
        (zlib.compress(spz_bytes(3, bytes(20))), "SPZ header"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "a.spz").write_bytes(data)
    with pytest.raises(FormatError, match=why):
        read_spz(tmp_path / "a.spz")


def test_options_are_checked(tmp_path: Path) -> None:
    for options in ({"version": 2}, {"fractional_bits": 24}, {"sh_bits": (0, 4)}):
        with pytest.raises(ValueError, match="must be"):
            write_spz(random_splats(1, 0), tmp_path / "a.spz", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["minimal-raw", "minimal-v2", "minimal-v3", "minimal-v4"])
def test_minimal_fixtures(name: str) -> None:
    got = read_spz(shared(f"format-fixtures/splat-transform/{name}.spz"))
    assert len(got) == 4
    assert audit(got).invalid == 0


def test_real_files() -> None:
    scene = read_spz(shared("leica_8k_sh3.spz"))
    assert (len(scene), scene.sh_degree, scene.antialiased) == (8192, 3, True)
    assert audit(scene).invalid == 0
    big = read_spz(shared("fourth_st_131k_sh3.spz"))
    assert (len(big), big.sh_degree) == (131_199, 3)
    assert np.isinf(big.opacity_logits).any()
