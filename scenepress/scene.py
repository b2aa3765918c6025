"""What a scene is: frozen dataclasses of arrays, with shapes, units and axes.

Every reader produces these, every writer and codec consumes them, and no array is ever changed in
place: make a new scene with `dataclasses.replace`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenepress.arrays import require

Axes = Literal["RDF", "RUB", "LUF", "RUF", "LUB", "LDF", "LDB", "RDB"]
"""Where +x, +y, +z point: Right/Left, Down/Up, Forward/Back. INRIA .ply is RDF, .spz is RUB, glTF is LUF."""

SH_COUNTS = {0: 0, 1: 3, 2: 8, 3: 15}
"""Spherical-harmonics degree -> coefficients per colour channel beyond the constant one."""


@dataclasses.dataclass(frozen=True)
class Splats:
    """A static set of N anisotropic 3D Gaussians with view-dependent colour (3DGS conventions)."""

    means: NDArray[np.float32]
    """float32 [N, 3]: centres, in scene units, in the axes named by `axes`."""
    quats: NDArray[np.float32]
    """float32 [N, 4]: rotations (w, x, y, z); not necessarily of unit length."""
    log_scales: NDArray[np.float32]
    """float32 [N, 3]: natural logarithm of the standard deviations along the rotated axes."""
    opacity_logits: NDArray[np.float32]
    """float32 [N]: opacity before the sigmoid; may be +-inf where a source format says 1 or 0."""
    sh0: NDArray[np.float32]
    """float32 [N, 3]: constant SH coefficient of r, g, b; colour = 0.5 + 0.28209479177387814 * sh0."""
    shN: NDArray[np.float32]
    """float32 [N, K, 3]: SH coefficients of degree 1..3 (K = 0, 3, 8 or 15), m = -l..l, then r, g, b."""
    antialiased: bool = False
    """True if the scene was trained with the opacity-compensated (Mip-Splatting 2D) filter."""
    axes: Axes = "RDF"
    """Coordinate system of means, quats and SH."""

    def __post_init__(self) -> None:
        n = len(self.means)
        require("means", self.means, "float32", (n, 3))
        require("quats", self.quats, "float32", (n, 4))
        require("log_scales", self.log_scales, "float32", (n, 3))
        require("opacity_logits", self.opacity_logits, "float32", (n,))
        require("sh0", self.sh0, "float32", (n, 3))
        require("shN", self.shN, "float32", (n, None, 3))
        if self.shN.shape[1] not in SH_COUNTS.values():
            raise ValueError(f"shN must have 0, 3, 8 or 15 coefficients, got {self.shN.shape[1]}")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        """0 to 3."""
        return {count: degree for degree, count in SH_COUNTS.items()}[self.shN.shape[1]]

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Splats:
        """The splats at `index` (integers, a boolean mask [N], or a slice, for views), in that order."""
        arrays = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")
        return dataclasses.replace(self, **{name: getattr(self, name)[index] for name in arrays})


    def moved(self, offsets: Mapping[str, NDArray[np.float32]]) -> Splats:
        """With what a deformation field gives added, float32 [N, outputs] by the names of Deformation's heads."""
        still = np.float32(0)
        sh = offsets["sh"].reshape(len(self), -1, 3) if "sh" in offsets else None
        return dataclasses.replace(
            self,
            means=self.means + offsets.get("position", still),
            log_scales=self.log_scales + offsets.get("scale", still),
            quats=self.quats + offsets.get("rotation", still),
            opacity_logits=self.opacity_logits + (offsets["opacity"][:, 0] if "opacity" in offsets else still),
            sh0=self.sh0 if sh is None else self.sh0 + sh[:, 0],
            shN=self.shN if sh is None else self.shN + sh[:, 1:],
        )


@dataclasses.dataclass(frozen=True)
class Linear:
    """One layer of a network: weight @ x + bias."""

    weight: NDArray[np.float32]
    """float32 [out, in]."""
    bias: NDArray[np.float32]
    """float32 [out]."""

    def __post_init__(self) -> None:
        require("weight", self.weight, "float32", (None, None))
        require("bias", self.bias, "float32", (len(self.weight),))


@dataclasses.dataclass(frozen=True)
class Head:
    """How one attribute is moved: out(relu(hidden(relu(features))))."""

    hidden: Linear
    out: Linear


PLANE_AXES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
"""Of the six planes of a HexPlane: xy, xz, xt, yz, yt, zt."""


@dataclasses.dataclass(frozen=True)
class Deformation:
    """The deformation field of 4DGaussians: a multi-resolution HexPlane and small networks (docs/dynamic.md)."""

    bounds: NDArray[np.float32]
    """float32 [2, 3]: the points whose grid coordinates are -1 and +1 on every axis, in scene units."""
    planes: tuple[tuple[NDArray[np.float32], ...], ...]
    """Levels of six planes, as PLANE_AXES: float32 [C, R of the second axis, R of the first axis]."""
    trunk: tuple[Linear, ...]
    """Of the features of all levels, one after another; a ReLU between layers, none after the last."""
    position: Head | None = None
    """3 outputs, added to means; None: the attribute keeps still."""
    scale: Head | None = None
    """3 outputs, added to log_scales."""
    rotation: Head | None = None
    """4 outputs, added to quats."""
    opacity: Head | None = None
    """1 output, added to opacity_logits."""
    sh: Head | None = None
    """3 (1 + K) outputs, K that of shN: added to sh0 and shN, coefficient by coefficient as r, g, b."""

    def __post_init__(self) -> None:
        require("bounds", self.bounds, "float32", (2, 3))
        width = 0
        for level in self.planes:
            if len(level) != len(PLANE_AXES):
                raise ValueError(f"a level has {len(level)} planes, not {len(PLANE_AXES)}")
            channels = level[0].shape[0]
            sides: dict[int, int] = {}
            for plane, (first, second) in zip(level, PLANE_AXES, strict=True):
                require("plane", plane, "float32", (channels, None, None))
                if 0 in plane.shape or any(
                    sides.setdefault(axis, n) != n
                    for axis, n in ((second, plane.shape[1]), (first, plane.shape[2]))
                ):
                    raise ValueError("planes of one level are empty, or disagree about the length of an axis")
            width += channels
        if not self.trunk or not self.planes:
            raise ValueError("a deformation has at least one level of planes and one layer")
        for layer in self.trunk:
            width = _follow(layer, width, "trunk")
        for name, outputs in (("position", 3), ("scale", 3), ("rotation", 4), ("opacity", 1), ("sh", None)):
            head: Head | None = getattr(self, name)
            if head is None:
                continue
            found = _follow(head.out, _follow(head.hidden, width, name), name)
            allowed = (outputs,) if outputs else tuple(3 * (1 + k) for k in SH_COUNTS.values())
            if found not in allowed:
                raise ValueError(f"the head of {name} has {found} outputs")

    @property
    def heads(self) -> dict[str, Head]:
        """Those there are, by the name of their field."""
        names = ("position", "scale", "rotation", "opacity", "sh")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def _follow(layer: Linear, width: int, name: str) -> int:
    if layer.weight.shape[1] != width or not len(layer.weight):
        raise ValueError(f"{name}: a layer of {list(layer.weight.shape)} follows one of {width} outputs")
    return len(layer.weight)


@dataclasses.dataclass(frozen=True)
class DynamicSplats:
    """Splats that a deformation field moves through time, 0 to 1 (4DGaussians)."""

    canonical: Splats
    """Before any deformation."""
    deformation: Deformation

    def __post_init__(self) -> None:
        head = self.deformation.sh
        if head is not None and len(head.out.weight) != 3 * (1 + self.canonical.shN.shape[1]):
            raise ValueError(f"the head of sh has {len(head.out.weight)} outputs for SH of degree "
                             f"{self.canonical.sh_degree}")  # fmt: skip

    def __len__(self) -> int:
        return len(self.canonical)


@dataclasses.dataclass(frozen=True)
class PolynomialSplats:
    """Splats on polynomial paths that fade in and out (SpacetimeGaussians). d is the time since `center`."""

    splats: Splats
    """At their own centres of time, and of their full opacity."""
    motion: NDArray[np.float32]
    """float32 [N, D, 3]: means move by the sum of motion[:, k] * d ** (k + 1)."""
    spin: NDArray[np.float32]
    """float32 [N, 4]: quats change by spin * d."""
    center: NDArray[np.float32]
    """float32 [N]: the time of full opacity."""
    log_duration: NDArray[np.float32]
    """float32 [N]: opacity is multiplied by exp(-(d / exp(log_duration)) ** 2)."""

    def __post_init__(self) -> None:
        n = len(self.splats)
        require("motion", self.motion, "float32", (n, None, 3))
        require("spin", self.spin, "float32", (n, 4))
        require("center", self.center, "float32", (n,))
        require("log_duration", self.log_duration, "float32", (n,))

    def __len__(self) -> int:
        return len(self.splats)


@dataclasses.dataclass(frozen=True)
class SplatSequence:
    """A scene for every frame; nothing need connect them."""

    frames: Sequence[Splats]
    """At least one; may be read from disk when asked for."""
    times: NDArray[np.float64]
    """float64 [frames]: increasing, in 0 to 1."""

    def __post_init__(self) -> None:
        require("times", self.times, "float64", (len(self.frames),))
        if not len(self.times):
            raise ValueError("a sequence has at least one frame")
        if not (self.times[0] >= 0 and self.times[-1] <= 1 and (np.diff(self.times) > 0).all()):
            raise ValueError("times are not increasing within 0 to 1")

    def __len__(self) -> int:
        return len(self.frames)


Dynamic = DynamicSplats | PolynomialSplats | SplatSequence
"""A scene that changes with time; dynamics.at() gives what it is at one."""


@dataclasses.dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion. Camera axes: x right, y down, z forward."""

    world_to_camera: NDArray[np.float64]
    """float64 [4, 4]: rigid transform from scene to camera coordinates."""
    fx: float
    """Focal length in pixels."""
    fy: float
    """Focal length in pixels."""
    cx: float
    """Principal point in pixels; the centre of the top left pixel is (0.5, 0.5)."""
    cy: float
    """Principal point in pixels."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    name: str = ""
    """For reports."""
