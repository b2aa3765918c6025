"""The deformation field of 4DGaussians for training: its parameters as arrays, and what torch makes of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenepress.kernels import training
from scenepress.learned.update import BETA1, BETA2, EPSILON
from scenepress.scene import PLANE_AXES, Deformation, Head, Linear

F32 = NDArray[np.float32]

OUTPUTS = {"position": 3, "scale": 3, "rotation": 4, "opacity": 1}
"""Of heads that can be trained here."""
TIME_AXIS = 3


@dataclasses.dataclass(frozen=True)
class FieldSettings:
    """The shape of a field. The numbers are those of 4DGaussians for D-NeRF, but for fewer channels."""

    channels: int = 16
    """Of every plane."""
    resolution: tuple[int, int, int] = (64, 64, 64)
    """Texels along x, y, z of the coarsest level."""
    times: int = 25
    """Texels along the time, of every level."""
    scales: tuple[int, ...] = (1, 2)
    """Levels: how many times the resolution."""
    width: int = 64
    """Of the networks."""
    depth: int = 1
    """Layers of the trunk."""
    heads: tuple[str, ...] = ("position", "scale", "rotation")
    """What moves: of position, scale, rotation and opacity."""

    def __post_init__(self) -> None:
        sizes = (self.channels, *self.resolution, self.times, *self.scales, self.width, self.depth)
        if min(sizes) < 1 or not self.scales:
            raise ValueError("channels, resolution, times, scales, width and depth must be at least 1")
        if not self.heads or not set(self.heads) <= set(OUTPUTS):
            raise ValueError(f"heads are some of {', '.join(OUTPUTS)}")


@dataclasses.dataclass
class FieldState:
    """A field in training. Its arrays change in place."""

    bounds: F32
    """As Deformation.bounds."""
    values: dict[str, F32]
    """planes.LEVEL.PLANE, trunk.LAYER.weight and .bias, HEAD.hidden.weight and so on."""
    first: dict[str, F32]
    """Adam's first moments."""
    second: dict[str, F32]
    """Adam's second moments."""

    def deformation(self) -> Deformation:
        """The field as a scene has it: copies."""
        return deformation_of(self.bounds, {name: array.copy() for name, array in self.values.items()})


def begin(means: F32, settings: FieldSettings, seed: int) -> FieldState:
    """A field over the box of these means [N, 3] that moves nothing yet.

    The planes begin as those of 4DGaussians: spatial ones random in 0.1 to 0.5, those of time at one. The last
    layers begin at zero.
    """
    random = np.random.default_rng([seed, 4])
    values: dict[str, F32] = {}
    for number, scale in enumerate(settings.scales):
        sides = (*(scale * side for side in settings.resolution), settings.times)
        for k, (a, b) in enumerate(PLANE_AXES):
            shape = (settings.channels, sides[b], sides[a])
            is_time = b == TIME_AXIS
            start = np.ones(shape) if is_time else random.uniform(0.1, 0.5, shape)
            values[f"planes.{number}.{k}"] = start.astype(np.float32)
    width = settings.width
    inputs = settings.channels * len(settings.scales)
    for layer in range(settings.depth):
        values |= _linear(random, f"trunk.{layer}", width, inputs if layer == 0 else width)
    for head in settings.heads:
        values |= _linear(random, f"{head}.hidden", width, width)
        values[f"{head}.out.weight"] = np.zeros((OUTPUTS[head], width), np.float32)
        values[f"{head}.out.bias"] = np.zeros(OUTPUTS[head], np.float32)
    first, second = ({name: np.zeros_like(array) for name, array in values.items()} for _ in range(2))
    return FieldState(_bounds(means), values, first, second)


def _bounds(means: F32) -> F32:
    """The box of all but the outermost hundredth, and a tenth more; the largest corner first, as trainers do."""
    low, high = np.quantile(means.astype(np.float64), [0.005, 0.995], axis=0)
    margin = 0.1 * (high - low) + 1e-6
    return np.array([high + margin, low - margin]).astype(np.float32)


def _linear(random: np.random.Generator, name: str, outputs: int, inputs: int) -> dict[str, F32]:
    limit = np.sqrt(6 / (outputs + inputs))
    weight = random.uniform(-limit, limit, (outputs, inputs)).astype(np.float32)
    # Features are small at first: with biases of zero a few steps could silence a whole layer for good.
    bias = random.uniform(-1, 1, outputs) / np.sqrt(inputs)
    return {f"{name}.weight": weight, f"{name}.bias": bias.astype(np.float32)}


def deformation_of(bounds: F32, values: Mapping[str, F32]) -> Deformation:
    """The field of these arrays, by the names of FieldState; shares their memory."""

    def layer(name: str) -> Linear:
        return Linear(values[f"{name}.weight"], values[f"{name}.bias"])

    levels = 1 + max(int(name.split(".")[1]) for name in values if name.startswith("planes."))
    depth = sum(name.startswith("trunk.") and name.endswith("weight") for name in values)
    planes = tuple(tuple(values[f"planes.{i}.{k}"] for k in range(len(PLANE_AXES))) for i in range(levels))
    names = [name for name in OUTPUTS if f"{name}.out.bias" in values]
    heads = {name: Head(layer(f"{name}.hidden"), layer(f"{name}.out")) for name in names}
    return Deformation(bounds, planes, tuple(layer(f"trunk.{i}") for i in range(depth)), **heads)


def tensors(state: FieldState) -> dict[str, Tensor]:
    """Leaves that share the memory of the state's values and require gradients."""
    return {name: torch.from_numpy(array).requires_grad_() for name, array in state.values.items()}


def offsets(leaves: Mapping[str, Tensor], bounds: F32, means: Tensor, time: float) -> dict[str, Tensor]:
    """What is added to the attributes of splats at `means` [N, 3]: by head, [N, outputs]."""
    low, high = torch.from_numpy(bounds)
    points = (means - low) * (2 / (high - low)) - 1
    points = torch.cat([points, torch.full_like(points[:, :1], time)], 1)
    features = []
    number = 0
    while f"planes.{number}.0" in leaves:
        product: Tensor | None = None
        for k, axes in enumerate(PLANE_AXES):
            found = torch.nn.functional.grid_sample(
                leaves[f"planes.{number}.{k}"][None], points[:, list(axes)][None, None], mode="bilinear",
                padding_mode="border", align_corners=True,
            )[0, :, 0]  # fmt: skip
            product = found if product is None else product * found
        assert product is not None
        features.append(product)
        number += 1
    hidden = torch.cat(features).T
    layer = 0
    while f"trunk.{layer}.weight" in leaves:
        hidden = _apply(leaves, f"trunk.{layer}", torch.relu(hidden) if layer else hidden)
        layer += 1
    hidden = torch.relu(hidden)
    heads = [name for name in OUTPUTS if f"{name}.out.bias" in leaves]
    inner = {name: torch.relu(_apply(leaves, f"{name}.hidden", hidden)) for name in heads}
    return {name: _apply(leaves, f"{name}.out", x) for name, x in inner.items()}


def _apply(leaves: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    return torch.nn.functional.linear(x, leaves[f"{name}.weight"], leaves[f"{name}.bias"])


def roughness(leaves: Mapping[str, Tensor], space: float, time: float, still: float) -> Tensor:
    """What is added to the loss: second differences of planes (spatial ones along their second axis, those of time
    along it), and how far those of time are from one; each mean times its weight, as in 4DGaussians."""
    total = torch.zeros(())
    for name, plane in leaves.items():
        if not name.startswith("planes."):
            continue
        is_time = PLANE_AXES[int(name.rpartition(".")[2])][1] == TIME_AXIS
        weight = time if is_time else space
        if weight and plane.shape[1] > 2:
            total = total + weight * (plane[:, 2:] - 2 * plane[:, 1:-1] + plane[:, :-2]).square().mean()
        if is_time and still:
            total = total + still * (1 - plane).abs().mean()
    return total


def descend(state: FieldState, leaves: Mapping[str, Tensor], step: int, planes: float, networks: float) -> None:
    """Adam's update of all values, from the gradients of the leaves. planes, networks: rates. step: from 1 on."""
    for name, leaf in leaves.items():
        if leaf.grad is None:
            continue
        rate = planes if name.startswith("planes.") else networks
        arrays = (state.values[name], leaf.grad.numpy(), state.first[name], state.second[name])
        values, slopes, first, second = (array.reshape(len(array), -1) for array in arrays)
        seen = np.ones(len(values), np.uint8)
        slopes = np.ascontiguousarray(slopes)
        training.adam(values, slopes, first, second, seen, rate, BETA1, BETA2, EPSILON, step)
