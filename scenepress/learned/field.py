"""The deformation field of 4DGaussians for training: its parameters, their gradients and updates."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import deformation, training
from scenepress.kernels.deformation import FlatField
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

    @property
    def ordered(self) -> tuple[str, ...]:
        """The heads in the order of Deformation's fields."""
        return tuple(name for name in OUTPUTS if name in self.heads)


@dataclasses.dataclass
class FieldState:
    """A field in training. Its arrays change in place."""

    flat: FlatField
    """As kernels take it; planes and weights are what is trained."""
    heads: tuple[str, ...]
    """Names of the heads, in the order of Deformation's fields."""
    moments: dict[str, F32]
    """Adam's: planes_1, planes_2, weights_1, weights_2, of the shapes of planes and weights."""


def _state(flat: FlatField, heads: tuple[str, ...]) -> FieldState:
    parts = {"planes": flat.planes, "weights": flat.weights}
    return FieldState(flat, heads, {f"{name}_{k}": np.zeros_like(a) for name, a in parts.items() for k in (1, 2)})


def blank(settings: FieldSettings) -> FieldState:
    """A field of zeros."""
    levels = [
        (settings.channels, *(scale * side for side in settings.resolution), settings.times)
        for scale in settings.scales
    ]
    count = sum(c * sides[a] * sides[b] for c, *sides in levels for a, b in PLANE_AXES)
    width, inputs = settings.width, settings.channels * len(settings.scales)
    trunk = [(inputs if k == 0 else width, width) for k in range(settings.depth)]
    heads = [pair for name in settings.ordered for pair in ((width, width), (width, OUTPUTS[name]))]
    weights = sum((inputs + 1) * outputs for inputs, outputs in (*trunk, *heads))
    flat = FlatField(
        np.zeros(count, np.float32), np.array(levels, np.int64), np.zeros((2, 3), np.float32),
        np.zeros(weights, np.float32), np.array(trunk, np.int64), np.array(heads, np.int64),
    )  # fmt: skip
    return _state(flat, settings.ordered)


def begin(means: F32, settings: FieldSettings, seed: int) -> FieldState:
    """A field over the box of these means [N, 3] that moves nothing yet.

    The planes begin as those of 4DGaussians: spatial ones random in 0.1 to 0.5, those of time at one. The last
    layers begin at zero.
    """
    random = np.random.default_rng([seed, 4])
    state = blank(settings)
    state.flat.bounds[:] = _bounds(means)
    views = deformation.unflat(state.flat)
    for level in views.planes:
        for plane, (_, second) in zip(level, PLANE_AXES, strict=True):
            plane[:] = 1 if second == TIME_AXIS else random.uniform(0.1, 0.5, plane.shape)
    for weight, bias in (*views.trunk, *(head[0] for head in views.heads)):
        outputs, inputs = weight.shape
        limit = np.sqrt(6 / (outputs + inputs))
        weight[:] = random.uniform(-limit, limit, weight.shape)
        # Features are small at first: with biases of zero a few steps could silence a whole layer for good.
        bias[:] = random.uniform(-1, 1, outputs) / np.sqrt(inputs)
    return state


def go_on(field: Deformation) -> FieldState:
    """A field to train on: a copy."""
    heads = tuple(tuple((layer.weight, layer.bias) for layer in (h.hidden, h.out)) for h in field.heads.values())
    trunk = tuple((layer.weight, layer.bias) for layer in field.trunk)
    pairs = tuple((first, last) for first, last in heads)
    flat = deformation.flat(deformation.Field(field.bounds.copy(), field.planes, trunk, pairs))
    return _state(flat, tuple(field.heads))


def _bounds(means: F32) -> F32:
    """The box of all but the outermost hundredth, and a tenth more; the largest corner first, as trainers do."""
    low, high = np.quantile(means.astype(np.float64), [0.005, 0.995], axis=0)
    margin = 0.1 * (high - low) + 1e-6
    return np.array([high + margin, low - margin]).astype(np.float32)


def deformation_of(state: FieldState) -> Deformation:
    """The field as a scene has it: copies."""
    views = deformation.unflat(state.flat)
    planes = tuple(tuple(np.ascontiguousarray(plane) for plane in level) for level in views.planes)
    heads = {name: Head(*map(_linear, pair)) for name, pair in zip(state.heads, views.heads, strict=True)}
    return Deformation(state.flat.bounds.copy(), planes, tuple(map(_linear, views.trunk)), **heads)


def _linear(layer: tuple[F32, F32]) -> Linear:
    return Linear(layer[0].copy(), layer[1].copy())


def split(state: FieldState, offsets: F32) -> dict[str, F32]:
    """Columns of what the field gives [N, outputs], by head."""
    ends = np.cumsum(state.flat.heads[1::2, 1])
    return dict(zip(state.heads, np.split(offsets, ends[:-1], axis=1), strict=True)) if state.heads else {}


@dataclasses.dataclass(frozen=True)
class Roughness:
    """Weights of what is added to the loss, means of planes' values, as in 4DGaussians."""

    space: float = 1e-4
    """Of the squared second differences of spatial planes along their second axis."""
    time: float = 1e-2
    """Of those of planes of time, along it."""
    still: float = 1e-4
    """Of the distance of planes of time from one."""


def add_roughness(state: FieldState, weights: Roughness, times: float, by: F32) -> None:
    """Adds the derivatives of what is added to the loss, `times` over, to `by`, of the planes' shape."""
    space, time, still = (times * weight for weight in (weights.space, weights.time, weights.still))
    planes = deformation.unflat(state.flat).planes
    slopes = deformation.unflat(state.flat._replace(planes=by)).planes
    for level, slope_level in zip(planes, slopes, strict=True):
        for plane, slope, (_, second) in zip(level, slope_level, PLANE_AXES, strict=True):
            is_time = second == TIME_AXIS
            weight = time if is_time else space
            if weight and plane.shape[1] > 2:
                bend = plane[:, 2:] - 2 * plane[:, 1:-1] + plane[:, :-2]
                bend *= 2 * weight / bend.size
                slope[:, 2:] += bend
                slope[:, 1:-1] -= 2 * bend
                slope[:, :-2] += bend
            if is_time and still:
                slope += (still / plane.size) * np.sign(plane - 1)


def descend(
    state: FieldState, by_planes: F32, by_weights: F32, step: int, planes_rate: float, weights_rate: float
) -> None:
    """Adam's update of all values. step: from 1 on."""
    for name, by, rate in (("planes", by_planes, planes_rate), ("weights", by_weights, weights_rate)):
        values = getattr(state.flat, name)
        width = next(w for w in (64, 16, 4, 1) if values.size % w == 0)
        arrays = (values, by, state.moments[f"{name}_1"], state.moments[f"{name}_2"])
        rows = [array.reshape(-1, width) for array in arrays]
        seen = np.ones(len(rows[0]), np.uint8)
        training.adam(rows[0], rows[1], rows[2], rows[3], seen, rate, BETA1, BETA2, EPSILON, step)
