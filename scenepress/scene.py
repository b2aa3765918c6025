"""What a scene is: frozen dataclasses of arrays, with shapes, units and axes.

Every reader produces these, every writer and codec consumes them, and no array is ever changed in
place: make a new scene with `dataclasses.replace`.
"""

from __future__ import annotations

import dataclasses
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
