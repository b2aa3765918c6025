"""compressed.ply: round trip at its precision, old files, damage named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from splat_scenes import (
    assert_bit_flips_are_harmless,
    assert_truncation_is_refused,
    random_splats,
    rotation_error,
    scenes,
    shared,
    sigmoid,
    with_arrays,
)

from scenepress.errors import FormatError
from scenepress.formats import table
from scenepress.formats.compressed_ply import read_compressed_ply, write_compressed_ply
from scenepress.formats.values import morton_order
from scenepress.scene import Splats
from scenepress.scene_ops import audit

in_tmp = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(scene=scenes)
@in_tmp
def test_round_trip(tmp_path: Path, scene: Splats) -> None:
    write_compressed_ply(scene, tmp_path / "a.compressed.ply")
    got = read_compressed_ply(tmp_path / "a.compressed.ply")
    want = scene.take(morton_order(scene.means))
    assert (len(got), got.sh_degree, got.antialiased, got.axes) == (
        len(want), want.sh_degree, want.antialiased, "RDF"
    )  # fmt: skip
    np.testing.assert_allclose(got.means, want.means, atol=10 / 1023 / 2 * 1.01)
    np.testing.assert_allclose(got.log_scales, want.log_scales, atol=8 / 1023 / 2 * 1.01)
    np.testing.assert_allclose(got.sh0, want.sh0, atol=3.4 / 255 / 2 * 1.01)
    np.testing.assert_allclose(got.shN, want.shN, atol=8 / 256 / 2 * 1.01)
    np.testing.assert_allclose(sigmoid(got.opacity_logits), sigmoid(want.opacity_logits), atol=0.5 / 255 + 1e-6)
    assert rotation_error(got, want) < 0.005


def test_chunks_follow_the_curve(tmp_path: Path) -> None:
    """Chunks of neighbours have bounds far tighter than the scene's."""
    scene = random_splats(20_000, 0)
    write_compressed_ply(scene, tmp_path / "a.compressed.ply")
    got = read_compressed_ply(tmp_path / "a.compressed.ply")
    want = scene.take(morton_order(scene.means))
    assert np.abs(got.means - want.means).mean() < 10 / 1023 / 4 / 2


def test_old_files_have_no_colour_bounds(tmp_path: Path) -> None:
    scene = random_splats(3, 0)
    write_compressed_ply(scene, tmp_path / "a.compressed.ply")
    data = (tmp_path / "a.compressed.ply").read_bytes()
    for end in ("min", "max"):
        for channel in "rgb":
            data = data.replace(f"property float {end}_{channel}\n".encode(), b"")
    start = data.index(b"end_header\n") + 11
    (tmp_path / "b.ply").write_bytes(data[: start + 48] + data[start + 72 :])
    new, old = table.read(tmp_path / "a.compressed.ply"), read_compressed_ply(tmp_path / "b.ply")
    np.testing.assert_array_equal(new.means, old.means)
    t = (new.sh0 - new.sh0.min(axis=0)) / (new.sh0.max(axis=0) - new.sh0.min(axis=0))
    np.testing.assert_allclose(old.sh0 * 0.28209479 + 0.5, t, atol=1e-5)


def test_damage(tmp_path: Path) -> None:
    write_compressed_ply(random_splats(5, 1), tmp_path / "a.compressed.ply")
    data = (tmp_path / "a.compressed.ply").read_bytes()
    assert_truncation_is_refused(read_compressed_ply, data, tmp_path / "b.ply")
    assert_bit_flips_are_harmless(read_compressed_ply, data, tmp_path / "b.ply", 300)
    for old, new in (
        (b"vertex 5", b"vertex 1000000000"),
        (b"sh 5", b"sh 4"),
        (b"uchar f_rest_0", b"float f_rest_0"),
        (b"float min_x", b"float mon_x"),
        (b"chunk 1", b"chunk 0"),
        (b"binary_little_endian", b"ascii"),
        (b"packed_color", b"packed_colour"),
    ):
        (tmp_path / "b.ply").write_bytes(data.replace(old, new))
        with pytest.raises(FormatError, match=r"b\.ply"):
            read_compressed_ply(tmp_path / "b.ply")


def test_real_file() -> None:
    scene = table.read(shared("guitar_91k_sh0.compressed.ply"))
    assert (len(scene), scene.sh_degree) == (90_854, 0)
    assert audit(scene).invalid == 0


def test_ends_of_the_sh_range_are_exact(tmp_path: Path) -> None:
    scene = with_arrays(random_splats(2, 1), shN=np.array([[-4.0] * 9, [9.0] * 9]).reshape(2, 3, 3))
    write_compressed_ply(scene, tmp_path / "a.compressed.ply")
    got = read_compressed_ply(tmp_path / "a.compressed.ply")
    assert {float(v) for v in np.unique(got.shN)} == {-4.0, 4.0}
