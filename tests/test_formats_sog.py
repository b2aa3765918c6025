"""SOG: round trip at its precision, versions 1 and 2, zip and folder, bombs and damage named."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image
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
from scenepress.formats import table
from scenepress.formats.codebook import CODES, fit_codebook, fit_palette, nearest
from scenepress.formats.sog import palette_size, read_sog, write_sog
from scenepress.formats.values import morton_order
from scenepress.scene import Splats
from scenepress.scene_ops import audit

in_tmp = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def unpack(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def pack(files: dict[str, bytes], path: Path, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)
    return path


def edited(files: dict[str, bytes], edit: Callable[[dict[str, Any]], object]) -> dict[str, bytes]:
    meta = json.loads(files["meta.json"])
    edit(meta)
    return files | {"meta.json": json.dumps(meta).encode()}


@given(scene=scenes)
@in_tmp
def test_round_trip(tmp_path: Path, scene: Splats) -> None:
    if len(scene) == 0 and scene.sh_degree:
        with pytest.warns(LossWarning, match="no SH degree"):
            write_sog(scene, tmp_path / "a.sog")
    else:
        write_sog(scene, tmp_path / "a.sog")
    got = read_sog(tmp_path / "a.sog")
    want = scene.take(morton_order(scene.means))
    assert (len(got), got.antialiased, got.axes) == (len(want), want.antialiased, "RDF")
    if len(want):
        assert got.sh_degree == want.sh_degree
    # log1p(5) = 1.8: 16 bits over +-1.8, times the slope 6 at the rim.
    np.testing.assert_allclose(got.means, want.means, atol=3.6 / 65535 / 2 * 6 * 1.05)
    np.testing.assert_allclose(got.log_scales, want.log_scales, atol=0.1)
    np.testing.assert_allclose(got.sh0, want.sh0, atol=0.1)
    np.testing.assert_allclose(sigmoid(got.opacity_logits), sigmoid(want.opacity_logits), atol=0.5 / 255 + 1e-6)
    assert rotation_error(got, want) < 0.02
    if len(want):
        np.testing.assert_allclose(got.shN, want.shN, atol=0.05)  # So few have a palette entry each.


def test_folder_equals_zip(tmp_path: Path) -> None:
    scene = random_splats(50, 2, antialiased=True)
    write_sog(scene, tmp_path / "a.sog")
    write_sog(scene, tmp_path / "folder" / "meta.json")
    assert_same_bits(read_sog(tmp_path / "folder"), read_sog(tmp_path / "a.sog"))
    assert_same_bits(table.read(tmp_path / "folder" / "meta.json"), read_sog(tmp_path / "a.sog"))
    with pytest.raises(FileExistsError):
        write_sog(scene, tmp_path / "folder" / "meta.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.sog", "folder"]


def test_the_same_scene_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.sog", "b.sog"):
        write_sog(random_splats(1500, 1), tmp_path / name)
    assert (tmp_path / "a.sog").read_bytes() == (tmp_path / "b.sog").read_bytes()


def test_a_second_pass_loses_next_to_nothing(tmp_path: Path) -> None:
    scene = random_splats(1500, 3)
    write_sog(scene, tmp_path / "a.sog")
    once = read_sog(tmp_path / "a.sog")
    write_sog(once, tmp_path / "b.sog")
    twice, want = read_sog(tmp_path / "b.sog"), once.take(morton_order(once.means))
    for name in ("log_scales", "sh0", "shN"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(want, name))


def test_codebook_is_exact_for_few_values_and_near_optimal_for_many() -> None:
    few = np.array([3, 1, 2, 2, 1], np.float32)
    np.testing.assert_array_equal(fit_codebook(few)[nearest(fit_codebook(few), few)], few)
    values = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    book = fit_codebook(values)
    assert len(book) == CODES
    assert (np.diff(book) >= 0).all()
    error = np.mean((book[nearest(book, values)] - values) ** 2)
    # Panter-Dite: the least error of N levels on a normal variable is sqrt(3) pi / 2 / N^2.
    assert error < 1.3 * np.sqrt(3) * np.pi / 2 / CODES**2
    assert fit_codebook(np.zeros((0, 3), np.float32)).shape == (CODES,)


def test_palette_finds_clusters_and_beats_a_random_choice() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, 9)).astype(np.float32)
    rows = centres[rng.integers(0, 40, 5000)] + rng.normal(0, 0.01, (5000, 9)).astype(np.float32)
    palette, labels = fit_palette(rows, 256)
    assert len(palette) <= 256
    assert np.abs(palette[labels] - rows).max() < 0.2
    exact, where = fit_palette(np.repeat(centres, 9, axis=0), 64)
    np.testing.assert_array_equal(exact[where], np.repeat(centres, 9, axis=0))
    noise = rng.standard_normal((4000, 9)).astype(np.float32)
    palette, labels = fit_palette(noise, 512)
    chosen = noise[:: 4000 // 512][:512]
    gap = ((noise[:, None] - chosen[None]) ** 2).sum(axis=2).min(axis=1).mean()
    assert ((palette[labels] - noise) ** 2).sum(axis=1).mean() < 0.8 * gap
    assert [palette_size(n) for n in (5, 1024, 3000, 131_000, 10**7)] == [5, 1024, 2048, 65536, 65536]


def small(tmp_path: Path, degree: int = 1) -> dict[str, bytes]:
    write_sog(random_splats(20, degree), tmp_path / "small.sog")
    return unpack(tmp_path / "small.sog")


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "version 3": lambda m: m.update(version=3),
    "version True": lambda m: m.update(version=True),
    "number of splats is": lambda m: m.update(count="20"),
    "number of splats is '-1'": lambda m: m.update(count=-1),
    "1000000000 splats cannot stand": lambda m: m.update(count=10**9),
    "too few for": lambda m: m.update(count=300),
    "no object 'means'": lambda m: m.pop("means"),
    "means.mins must be 3": lambda m: m["means"].update(mins=[0, 0]),
    "absurd": lambda m: m["means"].update(mins=[0, 0, 1e39]),
    "codebook must be 256": lambda m: m["scales"].update(codebook=[0.0] * 255),
    "sh0.codebook must be": lambda m: m["sh0"].update(codebook=["a"] * 256),
    "no plain file name": lambda m: m["quats"].update(files=["../quats.webp"]),
    "'/etc/passwd' is no plain": lambda m: m["quats"].update(files=["/etc/passwd"]),
    "must be 1 names": lambda m: m["quats"].update(files=[]),
    "holds no file": lambda m: m["quats"].update(files=["other.webp"]),
    "shN.bands": lambda m: m["shN"].update(bands=4),
    "too few": lambda m: m["shN"].update(bands=2),
    "labels reach": lambda m: m["shN"].update(count=3),
}


@pytest.mark.parametrize("why", EDITS)
def test_bad_meta_is_named(tmp_path: Path, why: str) -> None:
    path = pack(edited(small(tmp_path), EDITS[why]), tmp_path / "a.sog")
    with pytest.raises(FormatError, match=why):
        read_sog(path)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000, b'{"version":NaN}', b"\xff\xfe"])
def test_bad_json_is_named(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(FormatError):
        read_sog(pack(small(tmp_path) | {"meta.json": data}, tmp_path / "a.sog"))


def image(width: int, height: int, kind: str = "WEBP") -> bytes:
    stream = io.BytesIO()
    Image.new("RGBA", (width, height)).save(stream, kind, lossless=True)
    return stream.getvalue()


def test_bombs(tmp_path: Path) -> None:
    files = small(tmp_path)
    huge = files | {"quats.webp": image(4000, 4000)}
    with pytest.raises(FormatError, match="4000x4000 pixels where 20"):
        read_sog(pack(huge, tmp_path / "a.sog"))
    for name in ("quats.webp", "meta.json"):
        bomb = files | {name: bytes(20_000_000)}
        with pytest.raises(FormatError, match="unpacks to more than"):
            read_sog(pack(bomb, tmp_path / "a.sog", zipfile.ZIP_DEFLATED))
    gif = files | {"quats.webp": image(8, 8, "GIF")}
    with pytest.raises(FormatError, match=r"quats\.webp is damaged"):
        read_sog(pack(gif, tmp_path / "a.sog"))


def test_links_out_of_a_folder_are_refused(tmp_path: Path) -> None:
    write_sog(random_splats(20, 0), tmp_path / "folder" / "meta.json")
    (tmp_path / "folder" / "quats.webp").rename(tmp_path / "quats.webp")
    with pytest.raises(FormatError, match="holds no file"):
        read_sog(tmp_path / "folder")
    (tmp_path / "folder" / "quats.webp").symlink_to(tmp_path / "quats.webp")
    with pytest.raises(FormatError, match="leads out"):
        read_sog(tmp_path / "folder")


def test_quirks_of_other_writers(tmp_path: Path) -> None:
    files = small(tmp_path, degree=2)
    want = read_sog(pack(files, tmp_path / "a.sog"))

    def quirks(meta: dict[str, Any]) -> None:
        meta["shN"].pop("bands")
        meta["shN"].pop("count")
        meta["antialias"] = True
        book = meta["scales"]["codebook"]
        book[0] = None

    got = read_sog(pack(edited(files, quirks), tmp_path / "b.sog", zipfile.ZIP_DEFLATED))
    assert got.antialiased
    np.testing.assert_array_equal(got.shN, want.shN)
    assert np.isfinite(got.log_scales).all()
    with pytest.warns(LossWarning, match="2DGS"):
        read_sog(pack(edited(files, lambda m: m.update(model="2dgs")), tmp_path / "b.sog"))


def test_truncation_and_bit_flips(tmp_path: Path) -> None:
    data = pack(small(tmp_path), tmp_path / "a.sog").read_bytes()
    assert_truncation_is_refused(read_sog, data, tmp_path / "b.sog", limit=40)
    assert_bit_flips_are_harmless(read_sog, data, tmp_path / "b.sog", 80)
    files = small(tmp_path)
    for name in files:  # Past the checksum of the zip.

        def read_with(path: Path, name: str = name) -> Splats:
            return read_sog(pack(files | {name: path.read_bytes()}, tmp_path / "c.sog"))

        assert_bit_flips_are_harmless(read_with, files[name], tmp_path / "part", 15)


def test_version_one(tmp_path: Path) -> None:
    def v1(meta: dict[str, Any]) -> None:
        del meta["version"], meta["count"]
        meta["means"]["shape"] = [20, 3]
        for name, size in (("scales", 3), ("sh0", 4)):
            meta[name].update(mins=[-1.0] * size, maxs=[2.0] * size)
        meta["shN"].update(mins=-0.5, maxs=0.5)

    files = small(tmp_path)
    got = read_sog(pack(edited(files, v1), tmp_path / "a.sog"))
    new = read_sog(pack(files, tmp_path / "b.sog"))
    np.testing.assert_array_equal(got.means, new.means)
    alpha = np.rint(sigmoid(new.opacity_logits) * 255)
    np.testing.assert_allclose(got.opacity_logits, -1 + 3 * alpha / 255, atol=1e-6)
    assert got.shN.shape == (20, 3, 3)
    assert np.abs(got.shN).max() <= 0.5
    for broken in ([], None, ["a"], [10**9]):
        bad = edited(edited(files, v1), lambda m, broken=broken: m["means"].update(shape=broken))
        with pytest.raises(FormatError):
            read_sog(pack(bad, tmp_path / "a.sog"))


@pytest.mark.parametrize(
    ("name", "count", "degree"),
    [
        ("leica_8k_sh3.sog", 8192, 3),
        ("statue_trumpet_sh0.sog", 89_292, 0),
        ("logo_307k_sh0_sogv1", 307_128, 0),
    ],
)
def test_real_files(name: str, count: int, degree: int) -> None:
    scene = table.read(shared(name))
    assert (len(scene), scene.sh_degree) == (count, degree)
    assert audit(scene).invalid == 0


def test_invalid_splats_are_said(tmp_path: Path) -> None:
    scene = random_splats(10, 1)
    means = scene.means.copy()
    means[3] = np.nan
    with pytest.warns(LossWarning, match="1 splats"):
        write_sog(with_arrays(scene, means=means), tmp_path / "a.sog")
    assert audit(read_sog(tmp_path / "a.sog")).invalid == 0


def test_invisible_splats_keep_their_colours(tmp_path: Path) -> None:
    scene = with_arrays(random_splats(30, 0), opacity_logits=np.full(30, -np.inf))
    write_sog(scene, tmp_path / "a.sog")
    got, want = read_sog(tmp_path / "a.sog"), scene.take(morton_order(scene.means))
    np.testing.assert_allclose(got.sh0, want.sh0, atol=0.05)
    assert np.isneginf(got.opacity_logits).all()


def test_a_bad_rotation_tag_is_the_identity(tmp_path: Path) -> None:
    files = small(tmp_path)
    with Image.open(io.BytesIO(files["quats.webp"])) as stored:
        pixels = np.array(stored.convert("RGBA"))
    pixels.reshape(-1, 4)[3, 3] = 251
    stream = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(stream, "WEBP", lossless=True, exact=True)
    got = read_sog(pack(files | {"quats.webp": stream.getvalue()}, tmp_path / "a.sog"))
    np.testing.assert_array_equal(got.quats[3], [1, 0, 0, 0])
