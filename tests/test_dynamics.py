"""Scenes at one time: deformation fields on every backend against torch, polynomial paths, sequences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from dynamic_scenes import deformation, dynamic, polynomial, splats

from scenepress import dynamics
from scenepress.kernels import deformation as kernels
from scenepress.scene import PLANE_AXES, Deformation, DynamicSplats, Head, Linear, SplatSequence

BACKENDS = list(kernels.BACKENDS)


def by_torch(field: Deformation, means: np.ndarray, time: float) -> dict[str, np.ndarray]:
    """The field as its trainer evaluates it: grid_sample with aligned corners, in float64."""
    torch = pytest.importorskip("torch")

    def tensor(values: np.ndarray) -> object:
        return torch.from_numpy(np.asarray(values, np.float64))

    def linear(layer: Linear, x: object) -> object:
        return torch.nn.functional.linear(x, tensor(layer.weight), tensor(layer.bias))

    low, high = tensor(field.bounds)
    points = (tensor(means) - low) * (2 / (high - low)) - 1
    points = torch.cat([points, torch.full((len(means), 1), time, dtype=torch.float64)], 1)
    features = []
    for level in field.planes:
        product = 1.0
        for plane, axes in zip(level, PLANE_AXES, strict=True):
            found = torch.nn.functional.grid_sample(
                tensor(plane)[None], points[:, list(axes)][None, None], mode="bilinear", padding_mode="border",
                align_corners=True,
            )  # fmt: skip
            product = product * found[0, :, 0].T
        features.append(product)
    hidden = torch.cat(features, 1)
    for number, layer in enumerate(field.trunk):
        hidden = linear(layer, torch.relu(hidden) if number else hidden)
    hidden = torch.relu(hidden)
    heads = field.heads.items()
    return {name: linear(head.out, torch.relu(linear(head.hidden, hidden))).numpy() for name, head in heads}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"depth": 3, "width": 24},
        {"heads": ("position",), "scales": (1, 2, 4), "channels": 3},
        {"heads": (), "sides": (1, 2, 3, 1)},
    ],
)
@pytest.mark.parametrize("time", [0.0, 0.37, 1.0])
def test_fields_are_those_of_the_trainer(backend: str, options: dict[str, object], time: float) -> None:
    field = deformation(3, **options)  # type: ignore[arg-type]
    means = splats(333, 4).means
    means[:3] = [[50, 0, 0], [-1.3, -1.4, -1.2], [1.3, 1.2, 1.1]]  # Outside, and the corners.
    found = dynamics.offsets(field, means, time, backend)
    expected = by_torch(field, means, time)
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_points_that_are_no_numbers_do_no_harm(backend: str) -> None:
    means = splats(70, 1).means
    expected = dynamics.offsets(deformation(), means, 0.5, backend)
    means[[0, 69]] = np.nan
    means[1] = np.inf
    found = dynamics.offsets(deformation(), means, 0.5, backend)
    for name in expected:
        np.testing.assert_array_equal(found[name][2:69], expected[name][2:69])
    assert dynamics.offsets(deformation(), means[:0], 0.5, backend)["rotation"].shape == (0, 4)


@pytest.mark.parametrize("backend", list(kernels.DIFFERENTIATORS))
@pytest.mark.parametrize("options", [{}, {"depth": 3, "heads": ("position", "opacity")}])
def test_gradients_are_those_of_torch(backend: str, options: dict[str, object]) -> None:
    torch = pytest.importorskip("torch")
    field = deformation(3, **options)  # type: ignore[arg-type]
    means = splats(150, 4).means
    means[:3] = [[50, 0, 0], [-1.29, -1.5, -1.25], [0.3, 9, 0.2]]
    layers = tuple(tuple((part.weight, part.bias) for part in (h.hidden, h.out)) for h in field.heads.values())
    trunk = tuple((layer.weight, layer.bias) for layer in field.trunk)
    flat = kernels.flat(kernels.Field(field.bounds, field.planes, trunk, layers))  # type: ignore[arg-type]
    slopes = np.random.default_rng(5).normal(size=(150, int(flat.heads[1::2, 1].sum()))).astype(np.float32)
    slopes[64:128] = 0  # A block that nothing pulls at.
    found = kernels.differentiate(flat, means, 0.37, slopes, backend)

    leaves = [torch.from_numpy(array.astype(np.float64)).requires_grad_() for array in (flat.planes, flat.weights)]
    at = torch.from_numpy(means.astype(np.float64)).requires_grad_()
    low, high = torch.from_numpy(field.bounds)
    points = (at - low) * (2 / (high - low)) - 1
    points = torch.cat([points, torch.full((150, 1), 0.37, dtype=torch.float64)], 1)
    features, begin = [], 0
    for channels, *sides in flat.levels.tolist():
        product = 1.0
        for a, b in PLANE_AXES:
            count = channels * sides[a] * sides[b]
            plane = leaves[0][begin : begin + count].reshape(sides[b], sides[a], channels).permute(2, 0, 1)
            begin += count
            sample = torch.nn.functional.grid_sample(
                plane[None], points[:, [a, b]][None, None], padding_mode="border", align_corners=True
            )
            product = product * sample[0, :, 0].T
        features.append(product)
    begin = 0

    def layer(shape: list[int], x: object) -> object:
        nonlocal begin
        inputs, outputs = shape
        weight = leaves[1][begin : begin + inputs * outputs].reshape(outputs, inputs)
        bias = leaves[1][begin + inputs * outputs : begin + (inputs + 1) * outputs]
        begin += (inputs + 1) * outputs
        return torch.nn.functional.linear(x, weight, bias)

    hidden = torch.cat(features, 1)
    for number, shape in enumerate(flat.trunk.tolist()):
        hidden = layer(shape, torch.relu(hidden) if number else hidden)
    hidden = torch.relu(hidden)
    shapes = flat.heads.tolist()
    pairs = zip(shapes[::2], shapes[1::2], strict=True)
    out = torch.cat([layer(last, torch.relu(layer(first, hidden))) for first, last in pairs], 1)
    out.backward(torch.from_numpy(slopes.astype(np.float64)))
    for got, leaf in zip(found, (*leaves, at), strict=True):
        expected = leaf.grad.numpy()
        np.testing.assert_allclose(got, expected, atol=3e-5 * np.abs(expected).max())


def test_a_wide_field_needs_no_native_kernel() -> None:
    field = deformation(1, width=600, heads=("position",))
    found = dynamics.offsets(field, splats(20).means, 0.2)
    np.testing.assert_allclose(found["position"], by_torch(field, splats(20).means, 0.2)["position"], atol=1e-4)
    for backend in set(BACKENDS) - {"reference"}:
        with pytest.raises(ValueError, match="do not fit"):
            dynamics.offsets(field, splats(20).means, 0.2, backend)


def test_a_deformed_scene() -> None:
    scene = dynamic(heads=("position", "rotation", "sh"))
    offsets = by_torch(scene.deformation, scene.canonical.means, 0.4)
    found = dynamics.at(scene, 0.4)
    np.testing.assert_allclose(found.means, scene.canonical.means + offsets["position"], atol=1e-5)
    np.testing.assert_allclose(found.quats, scene.canonical.quats + offsets["rotation"], atol=1e-5)
    sh = offsets["sh"].reshape(-1, 16, 3)
    np.testing.assert_allclose(found.sh0, scene.canonical.sh0 + sh[:, 0], atol=1e-5)
    np.testing.assert_allclose(found.shN, scene.canonical.shN + sh[:, 1:], atol=1e-5)
    np.testing.assert_array_equal(found.log_scales, scene.canonical.log_scales)
    np.testing.assert_array_equal(found.opacity_logits, scene.canonical.opacity_logits)
    for backend in BACKENDS:
        np.testing.assert_allclose(dynamics.at(scene, 0.4, backend=backend).means, found.means, atol=1e-5)


def test_polynomial_paths() -> None:
    scene = polynomial()
    found = dynamics.at(scene, 0.8)
    since = 0.8 - scene.center.astype(np.float64)
    expected = scene.splats.means + sum(scene.motion[:, k] * since[:, None] ** (k + 1) for k in range(3))
    np.testing.assert_allclose(found.means, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.quats, scene.splats.quats + scene.spin * since[:, None], rtol=1e-4, atol=1e-5)
    sigmoid = 1 / (1 + np.exp(-scene.splats.opacity_logits.astype(np.float64)))
    opacity = sigmoid * np.exp(-((since / np.exp(scene.log_duration)) ** 2))
    np.testing.assert_allclose(1 / (1 + np.exp(-found.opacity_logits.astype(np.float64))), opacity, atol=1e-5)


def test_polynomial_opacities_at_their_ends() -> None:
    scene = polynomial(3)
    whole = dataclasses.replace(scene.splats, opacity_logits=np.array([np.inf, -np.inf, 0], np.float32))
    scene = dataclasses.replace(scene, splats=whole, center=np.full(3, 0.5, np.float32))
    assert dynamics.at(scene, 0.5).opacity_logits.tolist() == [np.inf, -np.inf, 0]
    assert np.isfinite(dynamics.at(scene, 0.6).opacity_logits[[0, 2]]).all()


def test_sequences_give_the_nearest_frame() -> None:
    frames = [splats(5, seed) for seed in range(3)]
    scene = SplatSequence(frames, np.array([0.0, 0.5, 1.0]))
    for t, i in ((0, 0), (0.25, 0), (0.26, 1), (0.8, 2), (1, 2)):
        assert dynamics.at(scene, t) is frames[i]


def test_sampled_scenes() -> None:
    scene = dynamic(10)
    found = dynamics.sampled(scene, 5)
    np.testing.assert_array_equal(dynamics.at(found, 0.5).means, dynamics.at(scene, 0.5).means)
    np.testing.assert_array_equal(found.frames[1:][-1].means, dynamics.at(scene, 1).means)
    with pytest.raises(ValueError, match="at least one"):
        dynamics.sampled(scene, -3)


@pytest.mark.parametrize("time", [-0.01, 1.01, float("nan"), float("inf")])
def test_times_outside_are_refused(time: float) -> None:
    with pytest.raises(ValueError, match="not in 0 to 1"):
        dynamics.at(dynamic(3), time)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot run here"):
        dynamics.at(dynamic(3), 0.5, backend="abacus")  # type: ignore[arg-type]


def test_scenes_that_do_not_fit_together_are_refused() -> None:
    field = deformation()
    with pytest.raises(ValueError, match="disagree"):
        dataclasses.replace(field, planes=((*field.planes[0][:5], field.planes[0][4]),))
    with pytest.raises(ValueError, match="follows one of"):
        dataclasses.replace(field, planes=field.planes[:1])
    with pytest.raises(ValueError, match="5 planes"):
        dataclasses.replace(field, planes=(field.planes[0][:5],))
    with pytest.raises(ValueError, match="outputs"):
        dataclasses.replace(field, position=field.rotation)
    assert field.sh is not None
    with pytest.raises(ValueError, match="SH of degree 1"):
        DynamicSplats(splats(5, coefficients=3), field)
    small = Head(field.sh.hidden, Linear(field.sh.out.weight[:12], field.sh.out.bias[:12]))
    DynamicSplats(splats(5, coefficients=3), dataclasses.replace(field, sh=small))
    for times in ([0.5, 0.5], [0.0, 1.1], [-0.1, 1]):
        with pytest.raises(ValueError, match="increasing"):
            SplatSequence([splats(1)] * 2, np.array(times))
    with pytest.raises(ValueError, match="at least one"):
        SplatSequence([], np.empty(0))
