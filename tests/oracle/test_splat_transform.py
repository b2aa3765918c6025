"""Conversions agree with splat-transform, the tool that most people convert splats with.

Skipped where it is not installed; `npm ci --ignore-scripts --prefix tests/oracle` installs the pinned
version. The exceptions are explained in docs/formats.md.
"""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from splat_scenes import random_splats, shared, sigmoid, with_arrays

from scenepress.formats import table
from scenepress.formats.ply import read_ply, write_ply
from scenepress.formats.sog import write_sog
from scenepress.formats.spz import write_spz
from scenepress.scene import Splats
from scenepress.scene_ops import convert_axes

TOOL = Path(__file__).parent / "node_modules/.bin/splat-transform"


def oracle(source: Path, target: Path, *options: str) -> None:
    """Convert `source` to `target` with splat-transform."""
    if not TOOL.exists() or shutil.which("node") is None:
        pytest.skip("splat-transform is not installed: npm ci --ignore-scripts --prefix tests/oracle")
    command = ["node", str(TOOL.resolve()), "-q", "-w", *options, str(source), str(target)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr + run.stdout


def raw_spz(scene: Splats) -> Splats:
    """The scene as splat-transform 3 takes it from an .spz: as if the axes on disk were those of a .ply.

    The format's authors say RUB, and so did splat-transform 2.
    """
    return dataclasses.replace(scene, axes="RDF")


def axes_of(scene: Splats) -> np.ndarray:
    """Principal axes of the ellipsoids: columns of [N, 3, 3], of arbitrary sign."""
    q = scene.quats.astype(np.float64)
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)


def assert_same_scene(got: Splats, want: Splats, angle: float = 1e-3, logit: float = 1e-5) -> None:
    """Same splats in the same order; opacities that SOG's reader cuts to 1e-6 count as equal to 0 and 1."""
    got, want = convert_axes(got, "RDF"), convert_axes(want, "RDF")
    assert (len(got), got.sh_degree, got.antialiased) == (len(want), want.sh_degree, want.antialiased)
    np.testing.assert_allclose(got.means, want.means, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got.log_scales, want.log_scales, atol=1e-5)
    np.testing.assert_allclose(got.sh0, want.sh0, atol=1e-5)
    np.testing.assert_allclose(got.shN, want.shN, atol=1e-6)
    limit = np.log(1e6)
    cut = [np.clip(s.opacity_logits, -limit, limit) for s in (got, want)]
    np.testing.assert_allclose(cut[0], cut[1], atol=logit, rtol=logit)
    cosine = np.abs(np.einsum("nij,nij->nj", axes_of(got), axes_of(want)))
    assert np.arccos(np.minimum(cosine, 1)).max(initial=0) < angle


REAL = {
    "leica_8k_sh3.spz": 1e-3,
    "leica_8k_sh3.sog": 1e-3,
    "logo_307k_sh0_sogv1/meta.json": 1e-3,
    "guitar_91k_sh0.compressed.ply": 1e-3,
    "format-fixtures/splat-transform/minimal-raw.spz": 1e-3,
    "format-fixtures/splat-transform/minimal-v2.spz": 1e-3,
    "format-fixtures/splat-transform/minimal-v3.spz": 1e-3,
    "format-fixtures/splat-transform/minimal-v4.spz": 1e-3,
    "format-fixtures/splat-transform/minimal.ksplat": 1e-3,
    # The byte 128 is 0 here and in the format's first viewer, 1/255 in splat-transform.
    "format-fixtures/splat-transform/minimal.splat": 0.02,
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_read_alike(tmp_path: Path, name: str) -> None:
    source = shared(name)
    oracle(source, tmp_path / "oracle.ply")
    got = table.read(source)
    if name.endswith(".spz"):
        got = raw_spz(got)
    assert_same_scene(got, read_ply(tmp_path / "oracle.ply"), REAL[name])


def scene(degree: int = 3, count: int = 700) -> Splats:
    """Random splats of moderate SH, antialiased."""
    made = random_splats(count, degree, seed=5, antialiased=True)
    return with_arrays(made, shN=made.shN * 0.5)


@pytest.mark.parametrize("name", ["a.v3.spz", "a.v4.spz", "a.compressed.ply", "a.sog", "a.ply"])
def test_it_reads_what_we_write(tmp_path: Path, name: str) -> None:
    ours = tmp_path / name
    if ours.suffix == ".spz":
        write_spz(scene(), ours, 3 if "v3" in name else 4)
    elif ours.suffix == ".sog":
        write_sog(scene(), ours)
    else:
        table.write(scene(), ours)
    oracle(ours, tmp_path / "oracle.ply")
    got = table.read(ours)
    if name.endswith(".spz"):
        got = raw_spz(got)
    assert_same_scene(got, read_ply(tmp_path / "oracle.ply"))


def matched(got: Splats, want: Splats) -> Splats:
    """`want` in the order of `got`, by the nearest position."""
    gaps = ((got.means[:, None].astype(np.float64) - want.means[None]) ** 2).sum(axis=2)
    index = gaps.argmin(axis=1)
    assert len(np.unique(index)) == len(want)
    return want.take(index)


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.spz", ("--spz-version", "3"), {"means": 2e-4, "log_scales": 0.032, "sh0": 0.02, "shN": 0.07}),
        ("a.spz", ("--spz-version", "4"), {"means": 2e-4, "log_scales": 0.032, "sh0": 0.02, "shN": 0.07}),
        ("a.compressed.ply", (), {"means": 0.01, "log_scales": 0.005, "sh0": 0.01, "shN": 0.032}),
        ("a.glb", (), {"means": 0, "log_scales": 1e-5, "sh0": 0, "shN": 0}),
        ("a.sog", ("-g", "cpu", "-i", "1"), {"means": 1e-3, "log_scales": 0.2, "sh0": 0.2, "shN": 0.6}),
    ],
)
def test_we_read_what_it_writes(
    tmp_path: Path, name: str, options: tuple[str, ...], tolerance: dict[str, float]
) -> None:
    want = scene(degree=1 if name == "a.sog" else 3)
    write_ply(want, tmp_path / "source.ply")
    oracle(tmp_path / "source.ply", tmp_path / name, *options)
    got = table.read(tmp_path / name)
    got = raw_spz(got) if name == "a.spz" else convert_axes(got, "RDF")
    want = matched(got, want)
    assert got.sh_degree == want.sh_degree
    assert got.antialiased == (name != "a.glb")  # For which splat-transform has no place.
    for field, limit in tolerance.items():
        np.testing.assert_allclose(getattr(got, field), getattr(want, field), atol=limit, err_msg=field)
    np.testing.assert_allclose(sigmoid(got.opacity_logits), sigmoid(want.opacity_logits), atol=0.0041)
    cosine = np.abs(np.einsum("nij,nij->nj", axes_of(got), axes_of(want)))
    assert np.arccos(np.minimum(cosine, 1)).max() < 0.03


@pytest.mark.parametrize("version", [3, 4])
def test_spz_is_quantised_alike(tmp_path: Path, version: int) -> None:
    """Both write the same codes, but for values half way between two."""
    want = scene()
    write_ply(want, tmp_path / "source.ply")
    oracle(tmp_path / "source.ply", tmp_path / "oracle.spz", "--spz-version", str(version))
    write_spz(dataclasses.replace(want, axes="RUB"), tmp_path / "ours.spz", version)
    ours = table.read(tmp_path / "ours.spz")
    theirs = matched(ours, table.read(tmp_path / "oracle.spz"))
    for field in ("means", "log_scales", "opacity_logits", "sh0", "shN"):
        equal = getattr(ours, field) == getattr(theirs, field)
        assert equal.mean() > 0.999, field
