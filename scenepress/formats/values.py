"""Values as the formats store them: opacity, linear scales, colours, smallest-three rotations, splat order."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from scenepress.formats.files import warn_loss
from scenepress.kernels import position
from scenepress.scene import Splats
from scenepress.scene_ops import audit, invalid_mask

SH_C0 = 0.28209479177387814
"""Constant spherical harmonic: colour = 0.5 + SH_C0 * sh0."""

MIN_SCALE = float(np.finfo(np.float32).tiny)
"""Linear scales are read as at least this: zero would have no logarithm."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def logits(opacity: NDArray[np.floating]) -> Floats:
    """Opacity [N] in 0..1 -> logits; 0 and 1 give -inf and +inf, anything outside NaN."""
    p = opacity.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.log(p) - np.log1p(-p)).astype(np.float32)


def opacities(logits: Floats) -> Doubles:
    """Logits [N] -> opacity in 0..1; +-inf give 1 and 0."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))))


OPACITY_BYTE_LOGITS = logits(np.arange(256) / 255)
"""Logits of the 256 opacities that a byte can hold."""


def log_scales(scales: NDArray[np.floating]) -> Floats:
    """Linear scales -> natural logarithms; negative and NaN give NaN."""
    with np.errstate(invalid="ignore"):
        floored = np.where(scales < MIN_SCALE, np.where(scales >= 0, MIN_SCALE, np.nan), scales)
        return np.log(floored.astype(np.float64)).astype(np.float32)


def to_bytes(values: Doubles) -> NDArray[np.uint8]:
    """Round to the nearest of 0..255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def unit_quats(quats: NDArray[np.floating]) -> Floats:
    """Rotations scaled to unit length, float32; a zero quaternion becomes the identity."""
    q = quats.astype(np.float64)
    norm = np.sqrt(np.einsum("ij,ij->i", q, q))
    q[norm == 0] = [1, 0, 0, 0]
    return (q / np.where(norm == 0, 1, norm)[:, None]).astype(np.float32)


_REST = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
"""Largest component -> the other three, ascending."""


def split_largest(quats: Doubles | Floats) -> tuple[NDArray[np.intp], Doubles]:
    """Index [N] of the largest component of unit quaternions, and the other three [N, 3].

    Signs are those of the equal rotation whose largest component is positive.
    """
    q = quats.astype(np.float64)
    index = np.abs(q).argmax(axis=1)
    sign = np.where(np.take_along_axis(q, index[:, None], axis=1) < 0, -1.0, 1.0)
    return index, np.take_along_axis(q, _REST[index], axis=1) * sign


def join_largest(index: NDArray[np.integer], rest: Floats) -> Floats:
    """Inverse of split_largest: unit quaternions [N, 4] in the component order of `index`."""
    quats = np.empty((len(rest), 4), np.float32)
    squares = np.einsum("ij,ij->i", rest, rest)
    largest = np.sqrt(np.maximum(np.float32(1) - squares, np.float32(0)))
    np.put_along_axis(quats, index[:, None].astype(np.intp), largest[:, None], axis=1)
    np.put_along_axis(quats, _REST[index], rest, axis=1)
    return quats


def morton_order(means: Floats) -> NDArray[np.intp]:
    """Order [N] along a Z-curve of 2^21 cells a side; values that are not finite count as 0."""
    clean = np.where(np.isfinite(means), means, 0).astype(np.float64)
    if not len(clean):
        return np.zeros(0, np.intp)
    low, high = clean.min(axis=0), clean.max(axis=0)
    cells = (clean - low) * ((2**21 - 1) / np.maximum(high - low, 1e-300))
    codes = position.fastest().morton_codes(np.ascontiguousarray(cells.astype(np.uint32)))
    return np.argsort(codes, kind="stable")


def representable(splats: Splats, path: str, max_coordinate: float = np.inf) -> Splats:
    """The scene with every invalid splat made an invisible one, for formats that cannot hold their values.

    Count and order stay. Invalid is what scene_ops.audit() counts, or a coordinate beyond
    `max_coordinate`; a LossWarning tells how many.
    """
    beyond = (np.abs(splats.means) > max_coordinate).any(axis=1)
    mask = invalid_mask(splats) | beyond
    if not mask.any():
        return splats
    warn_loss(
        f"{path}: {int(mask.sum())} splats that the format cannot hold are written as invisible ones: "
        f"{audit(splats)}; {int(beyond.sum())} beyond +-{max_coordinate:g}"
    )
    blank = {"quats": (1, 0, 0, 0), "opacity_logits": -np.inf}
    changed = {}
    for name in ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN"):
        changed[name] = getattr(splats, name).copy()
        changed[name][mask] = blank.get(name, 0)
    return dataclasses.replace(splats, **changed)


def warn_unkept(splats: Splats, path: str, sh: bool = False, antialiased: bool = False) -> None:
    """LossWarning for what a format has no place for and the scene has."""
    lost = []
    if sh and splats.sh_degree:
        lost.append(f"SH of degree {splats.sh_degree} (only the constant colour is kept)")
    if antialiased and splats.antialiased:
        lost.append("the antialiased flag")
    if lost:
        warn_loss(f"{path}: the format has no place for {' and '.join(lost)}")
