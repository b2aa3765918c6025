""".splat: round trip at its precision, losses said, damage named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from splat_scenes import (
    assert_bit_flips_are_harmless,
    random_splats,
    rotation_error,
    scenes,
    shared,
    sigmoid,
    with_arrays,
)

from scenepress.errors import FormatError, LossWarning
from scenepress.formats.splat import read_splat, write_splat
from scenepress.scene import Splats

in_tmp = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(scene=scenes)
@in_tmp
def test_round_trip(tmp_path: Path, scene: Splats) -> None:
    if scene.sh_degree or scene.antialiased:
        with pytest.warns(LossWarning, match="no place for"):
            write_splat(scene, tmp_path / "a.splat")
    else:
        write_splat(scene, tmp_path / "a.splat")
    got = read_splat(tmp_path / "a.splat")
    volume = np.exp(scene.log_scales.astype(np.float64)).prod(axis=1) * sigmoid(scene.opacity_logits)
    want = scene.take(np.argsort(-volume, kind="stable"))
    np.testing.assert_array_equal(got.means, want.means)
    np.testing.assert_allclose(got.log_scales, want.log_scales, atol=1e-5)
    np.testing.assert_allclose(sigmoid(got.opacity_logits), sigmoid(want.opacity_logits), atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(got.sh0, want.sh0, atol=0.5 / 255 / 0.28209 + 1e-5)
    assert rotation_error(got, want) < 0.03
    assert (got.sh_degree, got.antialiased, got.axes) == (0, False, "RDF")


def test_zero_scale_stays_finite(tmp_path: Path) -> None:
    scene = with_arrays(random_splats(2, 0), log_scales=[[-200, 0, 0], [0, 0, 0]])
    write_splat(scene, tmp_path / "a.splat")
    got = read_splat(tmp_path / "a.splat")
    assert np.isfinite(got.log_scales).all()
    assert got.log_scales.min() < -80


def test_damage(tmp_path: Path) -> None:
    write_splat(random_splats(4, 0), tmp_path / "a.splat")
    data = (tmp_path / "a.splat").read_bytes()
    for size in range(1, len(data)):
        if size % 32:
            (tmp_path / "b.splat").write_bytes(data[:size])
            with pytest.raises(FormatError, match="no multiple of the 32"):
                read_splat(tmp_path / "b.splat")
    assert_bit_flips_are_harmless(read_splat, data, tmp_path / "b.splat")
    (tmp_path / "b.splat").write_bytes(np.full(80, -1, "<f4").tobytes())
    with pytest.raises(FormatError, match=r"no \.splat file"):
        read_splat(tmp_path / "b.splat")


def test_fixture() -> None:
    got = read_splat(shared("format-fixtures/splat-transform/minimal.splat"))
    np.testing.assert_array_equal(got.means[0], [-1, 0, -1])
    np.testing.assert_allclose(got.log_scales, np.log(0.1), atol=1e-4)


def test_a_rotation_of_zero_bytes_is_the_identity(tmp_path: Path) -> None:
    write_splat(random_splats(1, 0), tmp_path / "a.splat")
    data = (tmp_path / "a.splat").read_bytes()
    (tmp_path / "a.splat").write_bytes(data[:28] + bytes([128] * 4))
    np.testing.assert_array_equal(read_splat(tmp_path / "a.splat").quats, [[1, 0, 0, 0]])
