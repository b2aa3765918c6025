"""What any scene may need: other axes, a count of broken splats, and a scene without them."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from scenepress.scene import Axes, Camera, Splats

MAX_COORDINATE = 1e9
"""Absurd beyond: float32 then resolves no better than 64 scene units."""
MAX_LOG_SCALE = 25.0
"""Absurd beyond: a standard deviation of 7e10 scene units."""
MAX_COLOUR = 1e4
"""Absurd beyond, for SH coefficients; colours of photographs need less than 10."""
MIN_NORM, MAX_NORM = 1e-12, 1e12
"""Rotations shorter or longer than this have no direction that float32 arithmetic could find."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """Splats that share one fault."""

    attribute: str
    """Field of Splats."""
    cause: str
    """"not finite", "too large" or "no direction"."""
    count: int
    """Splats with at least one such value."""


@dataclasses.dataclass(frozen=True)
class Audit:
    """What is wrong with a scene."""

    splats: int
    """All splats."""
    invalid: int
    """Splats with at least one fault; drop_invalid() removes these."""
    findings: tuple[Finding, ...]
    """One per attribute and cause that occurs; a splat may count in several."""

    def __str__(self) -> str:
        """One line for people."""
        causes = "; ".join(f"{f.attribute} {f.cause}: {f.count}" for f in self.findings)
        return f"{self.invalid} of {self.splats} splats are invalid" + (f" ({causes})" if causes else "")


def _faults(splats: Splats) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """(attribute, cause, mask [N]) for every check; a value that is not finite is not also too large."""
    limits = {
        "means": MAX_COORDINATE,
        "log_scales": MAX_LOG_SCALE,
        "sh0": MAX_COLOUR,
        "shN": MAX_COLOUR,
    }
    faults = []
    for name, limit in limits.items():
        array = getattr(splats, name)
        values = array.reshape(len(array), int(np.prod(array.shape[1:])))
        finite = np.isfinite(values).all(axis=1)
        signed = values if name == "log_scales" else np.abs(values)  # However thin is fine.
        faults.append((name, "not finite", ~finite))
        faults.append((name, "too large", finite & (signed > limit).any(axis=1)))
    finite = np.isfinite(splats.quats).all(axis=1)
    with np.errstate(invalid="ignore"):  # Signalling NaNs.
        norms = np.linalg.norm(splats.quats.astype(np.float64), axis=1)
    faults.append(("quats", "not finite", ~finite))
    faults.append(("quats", "no direction", finite & ~((norms >= MIN_NORM) & (norms <= MAX_NORM))))
    faults.append(("opacity_logits", "not finite", np.isnan(splats.opacity_logits)))
    return faults


def audit(splats: Splats) -> Audit:
    """Count the splats no renderer can draw, per attribute and cause.

    Faults: NaN anywhere; infinite values except opacity logits (+-inf mean opacity 1 and 0);
    coordinates, scales and colours beyond the MAX_ constants of this module; rotations without a
    direction.
    """
    invalid = np.zeros(len(splats), np.bool_)
    findings = []
    for attribute, cause, mask in _faults(splats):
        invalid |= mask
        if count := int(mask.sum()):
            findings.append(Finding(attribute, cause, count))
    return Audit(len(splats), int(invalid.sum()), tuple(findings))


def invalid_mask(splats: Splats) -> NDArray[np.bool_]:
    """Mask [N] of the splats that audit() counts as invalid."""
    invalid = np.zeros(len(splats), np.bool_)
    for _, _, mask in _faults(splats):
        invalid |= mask
    return invalid


def drop_invalid(splats: Splats) -> Splats:
    """The scene without the splats that audit() counts as invalid; the same object if there are none."""
    invalid = invalid_mask(splats)
    return splats.take(~invalid) if invalid.any() else splats


# Real SH basis functions of degree 1..3, m = -l..l, by the parity of their powers of x, y, z, which
# decides their sign when an axis flips: y, z, x; xy, yz, zz.., xz, xx-yy;
# y(3xx-yy), xyz, y(5zz-1), z(5zz-3), x(5zz-1), z(xx-yy), x(xx-3yy).
_ODD = np.array(
    [
        [0, 0, 1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1],  # x
        [1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0],  # y
        [0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0],  # z
    ],
    np.bool_,
)


def convert_axes(splats: Splats, axes: Axes) -> Splats:
    """The same scene, described in other axes: positions, rotations and SH change signs.

    All supported systems name right/left, down/up, forward/back in this order, so that going from one
    to another flips axes and never permutes them. An odd number of flips changes handedness; a
    Gaussian has none, so the result is exact for those too.

    Args:
        splats: the scene, in the axes it names.
        axes: the axes wanted.

    Returns:
        The scene in `axes`, every value with the bits it had but for signs; `splats` itself if nothing
        changes.
    """
    if axes == splats.axes:
        return splats
    flip = np.array([a != b for a, b in zip(axes, splats.axes, strict=True)])
    return dataclasses.replace(_flip(splats, flip), axes=axes)


def _flip(splats: Splats, flip: NDArray[np.bool_]) -> Splats:
    """The scene with the coordinate axes of the mask [3] negated."""
    fx, fy, fz = np.where(flip, np.float32(-1), np.float32(1))
    # F R F is a rotation whatever the determinant of F; it negates pairs of components.
    quat_signs = np.array([1, fy * fz, fx * fz, fx * fy], np.float32)
    odd_flips = (_ODD & flip[:, None]).sum(axis=0) % 2
    sh_signs = np.where(odd_flips, np.float32(-1), np.float32(1))[: splats.shN.shape[1], None]
    with np.errstate(invalid="ignore"):  # Signalling NaNs.
        return dataclasses.replace(
            splats,
            means=splats.means * np.array([fx, fy, fz], np.float32),
            quats=splats.quats * quat_signs,
            shN=splats.shN * sh_signs,
        )


def transform(
    splats: Splats, rotation: NDArray[np.float64], translation: NDArray[np.float64], scale: float = 1.0
) -> Splats:
    """Move a scene: x -> scale * rotation @ x + translation, with its rotations, sizes and SH.

    Args:
        splats: the scene.
        rotation: float64 [3, 3], orthogonal; of determinant -1 for a mirror image.
        translation: float64 [3], scene units.
        scale: positive.

    Raises:
        ValueError: `rotation` is not orthogonal to 1e-4, or `scale` not positive and finite.
    """
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) or not 0 < scale < np.inf:
        raise ValueError(f"not a similarity: rotation {rotation.tolist()}, scale {scale}")
    flip = np.array([np.linalg.det(rotation) < 0, False, False])
    scene = _flip(splats, flip)
    proper = rotation @ np.diag(np.where(flip, -1.0, 1.0))
    with np.errstate(over="ignore", invalid="ignore"):  # Values out of range become audit()'s findings.
        return dataclasses.replace(
            scene,
            means=(scene.means.astype(np.float64) @ (proper.T * scale) + translation).astype(np.float32),
            quats=_quat_product(quat_of_matrix(proper), scene.quats),
            log_scales=(scene.log_scales + np.log(scale)).astype(np.float32),
            shN=_rotate_sh(scene.shN, proper),
        )


def quat_of_matrix(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit quaternions (w, x, y, z), [..., 4], of proper rotation matrices [..., 3, 3]."""
    r = np.moveaxis(rotation, (-2, -1), (0, 1))
    zero = np.zeros(r.shape[2:])
    # The quaternion is the eigenvector of this matrix with the largest eigenvalue (Bar-Itzhack), for any angle.
    k = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], zero, zero, zero],
            [r[2, 1] - r[1, 2], r[0, 0] - r[1, 1] - r[2, 2], zero, zero],
            [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], zero],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    vectors = np.linalg.eigh(np.moveaxis(k, (0, 1), (-2, -1)))[1]  # eigh reads the lower triangle.
    return np.asarray(vectors[..., -1], np.float64)


def _quat_product(a: NDArray[np.float64], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """One quaternion times many [N, 4]."""
    w, x, y, z = a
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return np.asarray(b.astype(np.float64) @ left.T, np.float32)


def _rotate_sh(shN: NDArray[np.float32], rotation: NDArray[np.float64]) -> NDArray[np.float32]:
    """Coefficients whose function at rotation @ d equals that of `shN` at d, degree by degree."""
    out = np.empty_like(shN)
    # Directions on a spiral: enough to determine 7 coefficients well.
    i = np.arange(32) + 0.5
    z, angle = 1 - i / 16, i * np.pi * (1 + 5**0.5)
    d = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], axis=1)
    before, after = sh_basis(d), sh_basis(d @ rotation.T)
    for degree in range(1, 4):
        band = slice(degree**2 - 1, (degree + 1) ** 2 - 1)
        if band.stop <= shN.shape[1]:
            matrix = np.linalg.pinv(after[:, band]) @ before[:, band]
            out[:, band] = np.einsum("kj,njc->nkc", matrix, shN[:, band])
    return out


def sh_basis(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Real SH of degree 1 to 3 as 3DGS uses them, at unit directions [N, 3] -> [N, 15]."""
    x, y, z = directions.T
    xx, yy, zz = x * x, y * y, z * z
    c1, c2, c3 = np.sqrt(3 / (4 * np.pi)), np.sqrt(15 / (4 * np.pi)), np.sqrt(105 / (4 * np.pi))
    d3 = np.sqrt(35 / (32 * np.pi))
    e3 = np.sqrt(21 / (32 * np.pi))
    return np.stack(
        [
            -c1 * y, c1 * z, -c1 * x,
            c2 * x * y, -c2 * y * z, np.sqrt(5 / (16 * np.pi)) * (2 * zz - xx - yy), -c2 * x * z,
            c2 / 2 * (xx - yy),
            -d3 * y * (3 * xx - yy), c3 * x * y * z, -e3 * y * (4 * zz - xx - yy),
            np.sqrt(7 / (16 * np.pi)) * z * (2 * zz - 3 * xx - 3 * yy), -e3 * x * (4 * zz - xx - yy),
            c3 / 2 * z * (xx - yy), -d3 * x * (xx - 3 * yy),
        ],
        axis=1,
    )  # fmt: skip


def viewing_scale(splats: Splats) -> float:
    """The power of two by which to enlarge a scene so that a renderer with fixed near and far planes shows it.

    1 for all but very small and very large scenes: what is 0.1 to 10^6 units in size (the median distance
    of the splats from their middle, or three median extents if that is more) stays as it is.
    """
    step = max(1, len(splats) // 30_000)
    with np.errstate(invalid="ignore"):  # Signalling NaNs.
        means, log_scales = (a[::step].astype(np.float64) for a in (splats.means, splats.log_scales))
    finite = np.isfinite(means).all(axis=1) & np.isfinite(log_scales).all(axis=1)
    if not finite.any():
        return 1.0
    means, longest = means[finite], log_scales[finite].max(axis=1)
    spread = float(np.median(np.linalg.norm(means - np.median(means, axis=0), axis=1)))
    size = max(spread, 3 * float(np.exp(np.clip(np.median(longest), -80, 80))))
    # The scales must stay finite as well: a factor of 2^100 is enough for anything float32 can hold.
    return 1.0 if 0.1 <= size <= 1e6 else 2.0 ** float(np.clip(-np.floor(np.log2(size)), -100, 100))


def enlarge(splats: Splats, factor: float) -> Splats:
    """The scene `factor` times as large, about the origin. 1 gives the same object."""
    if factor == 1:
        return splats
    with np.errstate(invalid="ignore", over="ignore"):  # Of invalid splats, which stay so.
        return dataclasses.replace(
            splats,
            means=splats.means * np.float32(factor),
            log_scales=splats.log_scales + np.float32(np.log(factor)),
        )


def enlarge_camera(camera: Camera, factor: float) -> Camera:
    """The camera that sees of a scene enlarged by `factor` what this one sees of the scene."""
    pose = np.array(camera.world_to_camera, np.float64)
    pose[:3, 3] *= factor
    return dataclasses.replace(camera, world_to_camera=pose)
