"""What a scene that changes with time is at one time: docs/dynamic.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import deformation
from scenepress.scene import (
    Camera,
    Deformation,
    Dynamic,
    DynamicSplats,
    Linear,
    PolynomialSplats,
    Splats,
    SplatSequence,
)

Floats = NDArray[np.float32]

Backend = Literal["auto", "cpu", "portable", "reference", "cuda"]
"""cpu: the fastest loops of this machine. portable: the same without special instructions. reference: NumPy.
cuda: needs a device. auto: the fastest that runs here."""


@dataclasses.dataclass(frozen=True)
class Moment:
    """Where a scene is seen from, and when."""

    camera: Camera
    time: float
    """0 to 1."""


def at(scene: Dynamic, time: float, *, backend: Backend = "auto") -> Splats:
    """The scene at one time.

    Args:
        scene: of any kind.
        time: 0 to 1; of a sequence the nearest frame is taken, of two the earlier one.
        backend: who evaluates deformation fields; all but rounding gives the same.

    Raises:
        ValueError: a time outside 0 to 1, or a backend that cannot run here.
        FormatError, OSError: a frame of a sequence cannot be read.
    """
    if not 0 <= time <= 1:
        raise ValueError(f"time {time} is not in 0 to 1")
    if isinstance(scene, DynamicSplats):
        return scene.canonical.moved(offsets(scene.deformation, scene.canonical.means, time, backend))
    if isinstance(scene, PolynomialSplats):
        return _moved(scene, time)
    return scene.frames[int(np.abs(scene.times - time).argmin())]


def offsets(field: Deformation, means: Floats, time: float, backend: Backend = "auto") -> dict[str, Floats]:
    """What a deformation field adds to the attributes of splats at `means` [N, 3], by head: [N, its outputs].

    Raises:
        ValueError: a backend that cannot run here, or a field too large for it.
    """
    heads = field.heads
    layers = tuple((_layer(head.hidden), _layer(head.out)) for head in heads.values())
    arrays = deformation.Field(field.bounds, field.planes, tuple(map(_layer, field.trunk)), layers)
    found = deformation.deform(arrays, means, float(time), backend)
    ends = np.cumsum([len(head.out.bias) for head in heads.values()])
    return dict(zip(heads, np.split(found, ends[:-1], axis=1), strict=True)) if heads else {}


def _layer(layer: Linear) -> tuple[Floats, Floats]:
    return layer.weight, layer.bias


def _moved(scene: PolynomialSplats, time: float) -> Splats:
    since = np.float32(time) - scene.center
    means = scene.splats.means.copy()
    power = np.ones_like(since)
    for k in range(scene.motion.shape[1]):
        power = power * since
        means += scene.motion[:, k] * power[:, None]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        # logit(p f) = log(p f) - log(1 - p f), p the opacity and f what is left of it now.
        left = (since.astype(np.float64) / np.exp(scene.log_duration.astype(np.float64))) ** 2
        log_opacity = -np.logaddexp(0, -scene.splats.opacity_logits.astype(np.float64)) - left
        logits = log_opacity - np.log(-np.expm1(np.minimum(log_opacity, 0)))
    return dataclasses.replace(
        scene.splats,
        means=means,
        quats=scene.splats.quats + scene.spin * since[:, None],
        opacity_logits=logits.astype(np.float32),
    )


class Sampled(Sequence[Splats]):
    """A scene at given times, evaluated when asked for."""

    def __init__(self, scene: Dynamic, times: NDArray[np.float64]) -> None:
        """times: float64 [frames], in 0 to 1."""
        self.scene, self.times = scene, times

    def __len__(self) -> int:
        return len(self.times)

    @overload
    def __getitem__(self, index: int) -> Splats: ...
    @overload
    def __getitem__(self, index: slice) -> Sampled: ...
    def __getitem__(self, index: int | slice) -> Splats | Sampled:
        if isinstance(index, slice):
            return Sampled(self.scene, self.times[index])
        return at(self.scene, float(self.times[index]))


def sampled(scene: Dynamic, frames: int) -> SplatSequence:
    """A scene at evenly spread times from 0 to 1, as a sequence whose frames are made when asked for.

    Raises:
        ValueError: fewer than one frame.
    """
    times = np.linspace(0, 1, max(frames, 0))
    return SplatSequence(Sampled(scene, times), times)
