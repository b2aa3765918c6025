"""The plumbing of backend "gsplat", with a stand-in for gsplat and its device; tests/gpu has the real ones."""

from __future__ import annotations

import dataclasses
import sys
import types

import numpy as np
import pytest

from scenepress.render import Image, SplatGradients, differentiable, rasterize
from scenepress.scene import Camera, Splats
from tests.test_gradients import ARRAYS, REAR, asked_for
from tests.test_render import camera, random_splats

torch = pytest.importorskip("torch")


def stand_in(**a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """gsplat.rasterization as far as it is used, on the project's own renderer."""
    from scenepress.learned import autograd

    k = a["Ks"][0]
    pose = a["viewmats"][0].double().numpy()
    view = Camera(pose, float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]), a["width"], a["height"])
    parameters = autograd.Parameters(
        a["means"], a["quats"], a["scales"].log(), a["opacities"].logit(), a["colors"][:, 0], a["colors"][:, 1:]
    )
    assert a["sh_degree"] == {0: 0, 3: 1, 8: 2, 15: 3}[parameters.shN.shape[1]]
    color, alpha = autograd.rasterize(
        parameters, view, background=a["backgrounds"][0].tolist(),
        antialiased=a["rasterize_mode"] == "antialiased",
    )  # fmt: skip
    centers = (a["means"][None, :, :2] * 0).requires_grad_(a["means"].requires_grad)
    return color[None], alpha[None, ..., None], {"means2d": centers}


@pytest.fixture
def gsplat(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("gsplat")
    module.rasterization = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gsplat", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)


def gradients(splats: Splats, backend: str) -> tuple[Image, SplatGradients]:
    frame = differentiable(splats, camera(), background=REAR.tolist(), backend=backend)  # type: ignore[arg-type]
    frame.backward(*asked_for(splats, camera(), 1))
    return frame.image, frame.backward(*asked_for(splats, camera(), 0))  # The first must leave nothing behind.


@pytest.mark.usefixtures("gsplat")
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("degree", range(4))
def test_gradients_arrive_where_they_belong(degree: int, antialiased: bool) -> None:
    splats = random_splats(200, degree, antialiased=antialiased)
    means = splats.means.copy()
    means[::7] = np.nan
    splats = dataclasses.replace(splats, means=means)
    (image, found), (other, expected) = gradients(splats, "gsplat"), gradients(splats, "cpu")
    np.testing.assert_allclose(image.color, other.color, atol=1e-4)
    np.testing.assert_allclose(image.alpha, other.alpha, atol=1e-4)
    for name in ARRAYS:
        one, two = getattr(found, name), getattr(expected, name)
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, atol=1e-3 * np.abs(two).max(initial=1e-9), err_msg=name)
    assert found.centers.shape == (200, 2)
    shown = rasterize(splats, camera(), background=REAR.tolist(), backend="gsplat")
    np.testing.assert_array_equal(shown.color, image.color)


@pytest.mark.usefixtures("gsplat")
def test_nothing_to_see() -> None:
    _, found = gradients(random_splats(0, 1), "gsplat")
    assert found.means.shape == (0, 3)
    assert found.shN.shape[::2] == (0, 3)


def test_without_gsplat_or_a_device_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"gsplat.* needs"):
        differentiable(random_splats(3), camera(), backend="gsplat")
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(ValueError, match="extra"):
        rasterize(random_splats(3), camera(), backend="gsplat")
