"""The light on the still life: sun with shadows, sky, gloss; and the lit model as splats.

An analytic shading is evaluated for many viewing directions and fitted with spherical harmonics of degree 3.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data.still_life import Array, Surfels, ball, distance, unit
from scenepress.scene import Splats

SUN = np.array([0.45, 0.80, 0.40]) / np.linalg.norm([0.45, 0.80, 0.40])
SUN_COLOUR = np.array([1.0, 0.93, 0.82]) * 2.1
FLIP = np.array([1.0, -1.0, -1.0])
"""From the model's axes to a scene's: right, down, forward. Its own inverse."""


def sunlight(points: Array, normals: Array) -> Array:
    """How much of the sun [N] reaches points [N, 3]: 0 to 1, with soft edges."""
    travelled = np.full(len(points), 0.02)
    visible = np.ones(len(points))
    for _ in range(60):
        gap = distance(points + 0.01 * normals + travelled[:, None] * SUN)
        visible = np.minimum(visible, 9.0 * gap / travelled)
        travelled += np.clip(gap, 0.01, 0.15)
    return np.clip(visible, 0, 1)


def openness(points: Array, normals: Array) -> Array:
    """How much of the sky [N] reaches points [N, 3]: 1 in the open, less in corners."""
    hidden = np.zeros(len(points))
    for step in (0.03, 0.08, 0.16, 0.30):
        hidden += np.clip(step - distance(points + step * normals), 0, step) * 0.04 / step**1.1
    return np.asarray(np.clip(1 - 5.0 * hidden, 0.15, 1))


def surroundings(directions: Array) -> Array:
    """Light [..., 3] that comes from directions [..., 3]: sky, the table below, a bright window, the sun."""
    up = directions[..., 1:2]
    sky = np.array([0.16, 0.25, 0.42]) + np.array([0.45, 0.40, 0.30]) * np.exp(-4 * np.abs(up))
    below = np.array([0.20, 0.15, 0.11]) * (1 + 0.5 * up)
    window = np.clip((directions @ unit(np.array([-0.7, 0.45, 0.55])) - 0.80) / 0.12, 0, 1)[..., None]
    glint = np.clip(directions @ SUN, 0, 1)[..., None] ** 24
    upper = 1 / (1 + np.exp(-20 * up))
    total = below + upper * (sky - below) + upper * 5.0 * window + 9.0 * glint * SUN_COLOUR / 2.1
    return np.asarray(total, np.float64)


def shade(scene: Surfels, towards_eye: Array) -> Array:
    """Display colours [N, D, 3] of the surfels seen from directions [D, 3]."""
    sun = sunlight(scene.points, scene.normals)
    sky = openness(scene.points, scene.normals)
    facing = np.clip(scene.normals @ SUN, 0, 1)
    bounce = np.array([0.16, 0.12, 0.08]) * np.clip(0.6 - 0.5 * scene.normals[:, 1:2], 0, 1)
    ambient = sky[:, None] * (np.array([0.28, 0.33, 0.41]) * (0.55 + 0.45 * scene.normals[:, 1:2]) + bounce)
    light = (sun * facing)[:, None] * SUN_COLOUR + ambient
    scattered = (scene.albedo * light * (1 - scene.metal)[:, None])[:, None]

    cosine = scene.normals @ towards_eye.T
    mirrored = 2 * cosine[..., None] * scene.normals[:, None] - towards_eye[None]
    fresnel = scene.gloss[:, None] + (1 - scene.gloss[:, None]) * 0.6 * np.clip(1 - np.abs(cosine), 0, 1) ** 5
    fresnel *= np.clip(3 * scene.gloss[:, None] + 0.4, 0, 1)
    tint = np.where(scene.metal[:, None] > 0, scene.albedo, 1.0)[:, None]
    dimmed = (0.35 + 0.65 * np.minimum(sky, 0.4 + 0.6 * sun))[:, None, None]
    reflected = fresnel[..., None] * tint * dimmed * surroundings(mirrored)
    phase = 9.0 * (1 - np.abs(cosine))[..., None] + np.array([0.0, 2.1, 4.2])
    rainbow = scene.film[:, None, None] * (1 + np.cos(phase)) * (0.3 + 0.6 * (1 - np.abs(cosine))[..., None])
    exposed = 1 - np.exp(-1.05 * (scattered + reflected + rainbow))
    return np.asarray(exposed ** (1 / 2.2), np.float64)


def harmonics(d: Array) -> Array:
    """The 16 basis functions [D, 16] of degree 0 to 3 at directions [D, 3], in the order and signs of 3DGS."""
    x, y, z = d.T
    xx, yy, zz = x * x, y * y, z * z
    return np.stack([
        np.full_like(x, 0.28209479177387814),
        -0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x,
        1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.31539156525252005 * (2 * zz - xx - yy),
        -1.0925484305920792 * x * z, 0.5462742152960396 * (xx - yy),
        -0.5900435899266435 * y * (3 * xx - yy), 2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (4 * zz - xx - yy), 0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
        -0.4570457994644658 * x * (4 * zz - xx - yy), 1.445305721320277 * z * (xx - yy),
        -0.5900435899266435 * x * (xx - 3 * yy),
    ], axis=1)  # fmt: skip


def fit(scene: Surfels, count: int = 160, chunk: int = 1000) -> Array:
    """Coefficients [N, 16, 3] whose sum over the basis, plus 0.5, is the shading as seen.

    Only directions that see the front count in full; the others pull the fit towards its mean, which keeps the
    coefficients small.

    Args:
        scene: N surfels.
        count: directions looked from.
        chunk: surfels at a time.
    """
    eyes = ball(np.zeros(3), 1.0, count, np.ones(3), 0.0).normals
    basis = harmonics(-eyes * FLIP)  # 3DGS evaluates at the direction from the camera to the splat.
    products = (basis[:, :, None] * basis[:, None, :]).reshape(count, -1)
    arrays = [getattr(scene, field.name) for field in dataclasses.fields(Surfels)]
    found = []
    for start in range(0, len(scene.points), chunk):
        part = Surfels(*(values[start : start + chunk] for values in arrays))
        colours = shade(part, eyes) - 0.5
        seen = np.clip(4 * (part.normals @ eyes.T) + 0.6, 0.03, 1)
        seen = np.where(part.film[:, None] > 0, 1.0, seen)
        front = (seen[..., None] * colours).sum(1) / seen.sum(1)[:, None]
        colours = np.where((part.normals @ eyes.T > -0.1)[..., None], colours, front[:, None])
        system = (seen @ products).reshape(-1, 16, 16) + 0.15 * np.diag([0.0, *(15 * [1.0])])
        found.append(np.linalg.solve(system, np.einsum("nd,dk,ndc->nkc", seen, basis, colours)))
    return np.concatenate(found)


def splats(scene: Surfels) -> Splats:
    """The surfels as splats of SH degree 3, lit, in the axes of a file."""
    from scipy.spatial.transform import Rotation

    across = unit(np.cross(scene.normals, scene.tangents))
    along = np.cross(across, scene.normals)
    frames = np.stack([along * FLIP, across * FLIP, scene.normals * FLIP], axis=2)
    turns = np.roll(Rotation.from_matrix(frames).as_quat(), 1, axis=1)  # SciPy has w last.
    coefficients = fit(scene).astype(np.float32)
    return Splats(
        means=(scene.points * FLIP).astype(np.float32),
        quats=turns.astype(np.float32),
        log_scales=np.log(scene.sizes).astype(np.float32),
        opacity_logits=np.log(scene.opacity / (1 - scene.opacity)).astype(np.float32),
        sh0=coefficients[:, 0].copy(),
        shN=coefficients[:, 1:].copy(),
    )
