"""Axes conversion against evaluated SH and covariances; the audit; dropping."""

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from splat_scenes import assert_same_bits, random_splats, with_arrays

from scenepress import scene_ops
from scenepress.scene import Axes, Splats
from scenepress.scene_ops import Finding, audit, convert_axes, drop_invalid


def sh_basis(d: np.ndarray) -> np.ndarray:
    """Degrees 1 to 3 of the real SH basis of 3DGS at unit directions [N, 3] -> [N, 15]."""
    x, y, z = d.T
    xx, yy, zz = x * x, y * y, z * z
    return np.stack(
        [
            -0.4886025119029199 * y,
            0.4886025119029199 * z,
            -0.4886025119029199 * x,
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * zz - xx - yy),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (xx - yy),
            -0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * zz - xx - yy),
            0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -0.4570457994644658 * x * (4 * zz - xx - yy),
            1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ],
        axis=1,
    )


def covariance(scene: Splats) -> np.ndarray:
    q = scene.quats.astype(np.float64)
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    r = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)
    m = r * np.exp(scene.log_scales.astype(np.float64))[:, None, :]
    return m @ m.transpose(0, 2, 1)


@pytest.mark.parametrize("axes", get_args(Axes))
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_conversion_is_the_flip_of_everything_visible(axes: Axes, degree: int) -> None:
    scene = random_splats(40, degree, seed=1)
    got = convert_axes(scene, axes)
    flip = np.array([1 if a == b else -1 for a, b in zip(axes, "RDF", strict=True)])
    assert got.axes == axes
    np.testing.assert_array_equal(got.means, scene.means * flip)
    np.testing.assert_allclose(covariance(got), covariance(scene) * np.outer(flip, flip), atol=1e-12)
    d = np.random.default_rng(2).standard_normal((40, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    k = scene.shN.shape[1]
    before = np.einsum("nk,nkc->nc", sh_basis(d)[:, :k], scene.shN)
    after = np.einsum("nk,nkc->nc", sh_basis(d * flip)[:, :k], got.shN)
    np.testing.assert_allclose(after, before, atol=1e-12)


def test_conversion_there_and_back_keeps_every_bit() -> None:
    scene = random_splats(10, 3)
    for axes, other in pairwise(get_args(Axes)):
        there = convert_axes(convert_axes(scene, axes), other)
        assert_same_bits(convert_axes(there, "RDF"), scene)
    assert convert_axes(scene, "RDF") is scene


def test_audit_counts_by_attribute_and_cause() -> None:
    clean = random_splats(10, 1)
    means, quats, shN = clean.means.copy(), clean.quats.copy(), clean.shN.copy()
    scales, logits = clean.log_scales.copy(), clean.opacity_logits.copy()
    means[0, 1] = np.nan
    means[1] = 1e20
    quats[1] = 0
    quats[2, 0] = np.inf
    shN[3, 2, 1] = -1e5
    scales[4, 0] = 1e4
    scales[8, 0] = -1e4  # Thin, not wrong.
    logits[5:8] = np.nan, np.inf, -np.inf
    scene = with_arrays(clean, means=means, quats=quats, shN=shN, log_scales=scales, opacity_logits=logits)
    found = audit(scene)
    assert (found.splats, found.invalid) == (10, 6)
    assert set(found.findings) == {
        Finding("means", "not finite", 1),
        Finding("means", "too large", 1),
        Finding("quats", "not finite", 1),
        Finding("quats", "no direction", 1),
        Finding("shN", "too large", 1),
        Finding("log_scales", "too large", 1),
        Finding("opacity_logits", "not finite", 1),
    }
    assert "6 of 10" in str(found)
    assert_same_bits(drop_invalid(scene), scene.take(np.array([6, 7, 8, 9])))
    assert audit(drop_invalid(scene)).findings == ()


def test_a_clean_or_empty_scene_is_left_alone() -> None:
    for scene in (random_splats(5, 2), random_splats(0, 3)):
        assert audit(scene).invalid == 0
        assert drop_invalid(scene) is scene


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["means", "quats", "log_scales", "opacity_logits", "sh0", "shN"])
@pytest.mark.parametrize("bits", [0x7F800001, 0x7FC00000, 0xFF800000, 0x7F7FFFFF])
def test_any_bits_are_handled_without_a_word(bits: int, name: str) -> None:
    """Signalling NaNs too, of which NumPy warns where it converts them."""
    array = getattr(random_splats(9, 3), name).copy()
    array.view(np.uint32).reshape(9, -1)[:6, 0] = bits
    scene = with_arrays(random_splats(9, 3), **{name: array})
    opaque = name == "opacity_logits" and not np.isnan(np.array(bits, np.uint32).view(np.float32))
    assert audit(scene).invalid == (0 if opaque else 6)
    convert_axes(scene, "LUF")
    scene_ops.enlarge(scene, 4.0 * scene_ops.viewing_scale(scene))


def test_basis_is_the_one_of_3dgs() -> None:
    d = np.random.default_rng(0).standard_normal((50, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    np.testing.assert_allclose(scene_ops.sh_basis(d), sh_basis(d), atol=1e-12)


@pytest.mark.parametrize("mirror", [False, True])
def test_transform_moves_everything_visible(mirror: bool) -> None:
    rng = np.random.default_rng(3)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    if (np.linalg.det(rotation) < 0) != mirror:
        rotation = -rotation
    scene, shift, scale = random_splats(40, 3), np.array([1.0, 2, 3]), 1.7
    got = scene_ops.transform(scene, rotation, shift, scale)
    np.testing.assert_allclose(got.means, scale * scene.means @ rotation.T + shift, atol=1e-5)
    want = scale**2 * rotation @ covariance(scene) @ rotation.T
    np.testing.assert_allclose(covariance(got), want, rtol=1e-4, atol=1e-5)
    d = rng.standard_normal((40, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    before = np.einsum("nk,nkc->nc", sh_basis(d), scene.shN)
    after = np.einsum("nk,nkc->nc", sh_basis(d @ rotation.T), got.shN)
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_transform_refuses_what_splats_cannot_follow() -> None:
    for rotation, scale in ((np.diag([1.0, 2, 1]), 1.0), (np.eye(3), 0.0), (np.full((3, 3), np.nan), 1.0)):
        with pytest.raises(ValueError, match="not a similarity"):
            scene_ops.transform(random_splats(1, 0), rotation, np.zeros(3), scale)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1.0, np.pi - 1e-9, np.pi, 3.5])
def test_quaternion_of_a_matrix(angle: float) -> None:
    axis = np.array([1, -2, 2]) / 3
    x = np.cross(np.eye(3), axis)
    matrix = np.eye(3) + np.sin(angle) * x + (1 - np.cos(angle)) * x @ x
    want = np.array([np.cos(angle / 2), *np.sin(angle / 2) * axis])
    got = scene_ops.quat_of_matrix(matrix)
    np.testing.assert_allclose(got * np.sign(got @ want), want, atol=1e-9)
