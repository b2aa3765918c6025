"""The native projection, covariance and spherical harmonics against gsplat's PyTorch functions."""

from __future__ import annotations

import numpy as np
import pytest

from scenepress.kernels import _native
from scenepress.render import raster_input
from tests.test_render import camera, random_splats

torch = pytest.importorskip("torch")
torch_impl = pytest.importorskip("gsplat.cuda._torch_impl")


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize(("distance", "size"), [(4.0, (121, 77)), (1.0, (60, 90)), (30.0, (640, 480))])
def test_splats_land_where_gsplat_puts_them(
    degree: int, distance: float, size: tuple[int, int]
) -> None:
    splats, view = random_splats(3000, degree, degree, antialiased=True), camera(*size, distance)
    scene = raster_input(splats, view)
    visible, rows = _native.project_splats(*scene)
    assert visible.mean() > 0.2

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(array, np.float64))

    covariances, _ = torch_impl._quat_scale_to_covar_preci(
        tensor(splats.quats), torch.exp(tensor(splats.log_scales)), True, False
    )
    fx, fy, cx, cy = scene.intrinsics
    intrinsics = tensor([[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]])
    pose = tensor(scene.view)[None]
    _, means2d, depths, conics, compensations = torch_impl._fully_fused_projection(
        tensor(splats.means), covariances, pose, intrinsics, *size, calc_compensations=True
    )
    a, b, c = (rows[visible][:, k].astype(np.float64) for k in (3, 4, 5))
    det = a * c - b * b
    ours = np.stack([c / det, -b / det, a / det], axis=1)
    np.testing.assert_allclose(rows[visible][:, :2], means2d[0].numpy()[visible], atol=1e-4, rtol=1e-6)
    np.testing.assert_allclose(rows[visible][:, 2], depths[0].numpy()[visible], rtol=1e-6)
    np.testing.assert_allclose(ours, conics[0].numpy()[visible], atol=1e-4)
    np.testing.assert_allclose(rows[visible][:, 6], compensations[0].numpy()[visible], atol=1e-4)

    eye = -view.world_to_camera[:3, :3].T @ view.world_to_camera[:3, 3]
    coefficients = tensor(np.concatenate([splats.sh0[:, None], splats.shN], axis=1))
    colors = torch_impl._spherical_harmonics(degree, tensor(splats.means - eye), coefficients) + 0.5
    np.testing.assert_allclose(rows[visible][:, 8:], colors.clamp(min=0).numpy()[visible], atol=1e-4)


def test_nothing_that_gsplat_would_draw_is_missing() -> None:
    splats, view = random_splats(3000, 5), camera(121, 77, 1.0)
    visible, rows = _native.project_splats(*raster_input(splats, view))
    points = splats.means @ view.world_to_camera[:3, :3].T + view.world_to_camera[:3, 3]
    assert not visible[points[:, 2] <= 0.01].any()
    opacity = 1 / (1 + np.exp(-splats.opacity_logits))
    assert not visible[opacity < 1 / 255].any()
    on_image = (rows[:, :2] > 0).all(axis=1) & (rows[:, 0] < 121) & (rows[:, 1] < 77)
    centers = points[:, :2] / points[:, 2:] * [view.fx, view.fy] + [view.cx, view.cy]
    expected = (centers > 1).all(axis=1) & (centers < [120, 76]).all(axis=1)
    expected &= (points[:, 2] > 0.011) & (opacity > 0.1)
    assert visible[expected].all()
    assert on_image[expected].all()
