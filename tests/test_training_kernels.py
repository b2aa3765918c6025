"""Kernels of training: the loss and its derivative, Adam, and torch's gradients of renders."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_render import camera, random_splats

from scenepress import quality
from scenepress.kernels import reference_training, training
from scenepress.render import differentiable, rasterize

torch = pytest.importorskip("torch")
F32 = NDArray[np.float32]


def images(seed: int, height: int, width: int) -> tuple[F32, F32]:
    """Two alike, with equal pixels, flat parts and colours beyond 1 among them."""
    rng = np.random.default_rng(seed)
    target = rng.random((height, width, 3)).astype(np.float32)
    image = (target + rng.normal(0, 0.1, target.shape) * (rng.random(target.shape) < 0.8)).astype(np.float32)
    image[: height // 3] = target[: height // 3, :1] = 0.25
    image[-1, -1] = 1.7
    return image, target


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(11, 60), st.integers(11, 60), st.floats(0, 1))
def test_backends_agree_on_the_loss(seed: int, height: int, width: int, weight: float) -> None:
    image, target = images(seed, height, width)
    l1, ssim, gradient = training.LOSSES["reference"](image, target, weight)
    for backend in set(training.LOSSES) - {"reference"}:
        found = training.LOSSES[backend](image, target, weight)
        assert found[0] == pytest.approx(l1, abs=1e-6)
        assert found[1] == pytest.approx(ssim, abs=1e-4)
        assert found[2].dtype == np.float32
        np.testing.assert_allclose(found[2], gradient, atol=1e-3 * np.abs(gradient).max())


def test_the_loss_is_made_of_the_metrics() -> None:
    image, target = images(1, 40, 33)
    l1, ssim, _ = training.image_loss(image, target, 0.2)
    assert l1 == pytest.approx(float(np.abs(image - target).mean()), abs=1e-6)
    assert ssim == pytest.approx(quality.ssim(image, target), abs=1e-5)
    assert training.image_loss(target, target, 0.2)[:2] == (0, pytest.approx(1, abs=1e-5))


@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_the_gradient_is_the_slope_of_the_loss(weight: float) -> None:
    image, target = images(2, 24, 31)

    def loss(values: NDArray[np.float64]) -> float:
        l1, ssim, _ = reference_training.image_loss(values, target, weight)  # type: ignore[arg-type]
        return (1 - weight) * l1 + weight * (1 - ssim)

    _, _, gradient = reference_training.image_loss(image, target, weight)
    rng = np.random.default_rng(0)
    for _ in range(5):
        direction = rng.normal(size=image.shape) * (np.abs(image - target) > 1e-4)  # |x| has a corner at 0.
        sides = [loss(image.astype(np.float64) + sign * 1e-6 * direction) for sign in (1, -1)]
        assert float((gradient * direction).sum()) == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-4)


@pytest.mark.parametrize("shape", [(10, 30, 3), (30, 10, 3), (30, 30, 4)])
def test_images_that_hold_no_window_are_refused(shape: tuple[int, ...]) -> None:
    image = np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match="image_loss"):
        training.LOSSES["cpu"](image, image, 0.2)
    with pytest.raises(ValueError, match="image_loss"):
        training.LOSSES["cpu"](np.zeros((20, 20, 3), np.float32), np.zeros((20, 21, 3), np.float32), 0.2)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 50), st.integers(1, 50))
def test_adam_is_torchs_for_what_is_seen(seed: int, count: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(count, width)).astype(np.float32)
    seen = (rng.random(count) < 0.7).astype(np.uint8)
    ours, twin = [start.copy()] + [np.zeros_like(start)] * 0, [start.copy()]
    ours += [np.zeros_like(start), np.zeros_like(start)]
    twin += [np.zeros_like(start), np.zeros_like(start)]
    theirs = torch.tensor(start, requires_grad=True)
    optimiser = torch.optim.Adam([theirs], lr=0.01, betas=(0.8, 0.99), eps=1e-12)
    for step in range(1, 5):
        gradient = (rng.normal(size=start.shape) * 10.0 ** rng.uniform(-6, 3)).astype(np.float32)
        for kernel, (values, first, second) in ((training.adam, ours), (reference_training.adam, twin)):
            kernel(values, gradient, first, second, seen, 0.01, 0.8, 0.99, 1e-12, step)
        theirs.grad = torch.tensor(gradient)
        optimiser.step()
    expected = np.where(seen[:, None] != 0, theirs.detach().numpy(), start)
    np.testing.assert_allclose(ours[0], expected, rtol=1e-4, atol=1e-5)
    for a, b in zip(ours, twin, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(ours[0][seen == 0], start[seen == 0])


GOOD = [np.zeros((4, 3), np.float32)] * 4 + [np.ones(4, np.uint8), 0.1, 0.9, 0.99, 1e-8, 1]


@pytest.mark.parametrize(
    ("at", "value"),
    [(1, np.zeros((4, 2), np.float32)), (2, np.zeros((3, 3), np.float32)), (4, np.ones(3, np.uint8)), (6, 1.0),
     (7, -0.1), (8, 0.0), (9, 0)],
)  # fmt: skip
def test_adam_refuses_what_makes_no_sense(at: int, value: object) -> None:
    arguments = list(GOOD)
    arguments[at] = value
    with pytest.raises(ValueError, match="adam"):
        training.adam(*arguments)  # type: ignore[arg-type]


# --- torch ---


def test_torch_gets_the_gradients_of_frames() -> None:
    from scenepress.learned import autograd

    splats, view = random_splats(300, antialiased=True), camera()
    parameters = autograd.Parameters.of(splats)
    color, alpha = autograd.rasterize(parameters, view, background=(0.1, 0.2, 0.3), antialiased=True)
    expected = differentiable(splats, view, background=(0.1, 0.2, 0.3))
    np.testing.assert_array_equal(color.detach().numpy(), expected.image.color)
    rng = np.random.default_rng(1)
    by_color, by_alpha = (rng.normal(size=x.shape).astype(np.float32) for x in (color, alpha))
    ((color * torch.tensor(by_color)).sum() + (alpha * torch.tensor(by_alpha)).sum()).backward()
    found = expected.backward(by_color, by_alpha)
    for field in dataclasses.fields(parameters):
        gradient = getattr(parameters, field.name).grad.numpy()
        np.testing.assert_array_equal(gradient, getattr(found, field.name))


def test_only_what_asks_gets_a_gradient() -> None:
    from scenepress.learned import autograd

    parameters = autograd.Parameters.of(random_splats(50))
    fixed = dataclasses.replace(parameters, means=parameters.means.detach())
    color, _ = autograd.rasterize(fixed, camera())
    color.sum().backward()
    assert fixed.means.grad is None
    assert parameters.sh0.grad is not None


def test_changes_between_forward_and_backward_are_noticed() -> None:
    from scenepress.learned import autograd

    parameters = autograd.Parameters.of(random_splats(50))
    color, _ = autograd.rasterize(parameters, camera())
    with torch.no_grad():
        parameters.sh0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        color.sum().backward()


def test_a_scene_can_be_fitted_to_its_picture() -> None:
    """A few steps of Adam bring a disturbed scene back towards what it was."""
    from scenepress.learned import autograd

    splats, view = random_splats(150, 4, degree=1), camera(48, 40)
    target = rasterize(splats, view).color
    rng = np.random.default_rng(2)
    moved = dataclasses.replace(
        splats,
        means=splats.means + rng.normal(0, 0.03, splats.means.shape).astype(np.float32),
        sh0=splats.sh0 + rng.normal(0, 0.3, splats.sh0.shape).astype(np.float32),
    )
    parameters = autograd.Parameters.of(moved)
    optimiser = torch.optim.Adam([getattr(parameters, f.name) for f in dataclasses.fields(parameters)], lr=5e-3)
    errors = []
    for _ in range(60):
        optimiser.zero_grad()
        color, _ = autograd.rasterize(parameters, view)
        error = ((color - torch.tensor(target)) ** 2).mean()
        error.backward()
        optimiser.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.2 * errors[0]
