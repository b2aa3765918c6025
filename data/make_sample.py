"""Makes data/samples/still_life.ply, the scene of `make demo`: a vase with flowers, a ball, a ring, a pearl and
a soap bubble on a chequered turntable.

    .venv/bin/python -m data.make_sample [-o data/samples/still_life.ply]

Nothing is trained and nothing is random but a fixed seed: points are laid on surfaces and become flat splats;
an analytic shading (sun with shadows, sky, gloss) is evaluated for many viewing directions and fitted with
spherical harmonics of degree 3. Like trained scenes it holds long thin splats, hair-thin discs, translucent
ones, floaters that hardly show, quaternions of any length, and noise in the last bits of everything.
The result is the same everywhere up to the rounding of the mathematics library.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TARGET = Path(__file__).resolve().parent / "samples/still_life.ply"
SUN = np.array([0.45, 0.80, 0.40]) / np.linalg.norm([0.45, 0.80, 0.40])
SUN_COLOUR = np.array([1.0, 0.93, 0.82]) * 2.1
DISC = 1.6
"""Radius of the turntable, whose top is the plane y = 0; y points up, one unit is about a hand."""
CELL = 0.2
BALL, BALL_RADIUS = np.array([0.62, 0.36, 0.30]), 0.36
PEARL, PEARL_RADIUS = np.array([-0.02, 0.16, 0.86]), 0.16
RING, RING_RADIUS, RING_TUBE = np.array([-0.66, 0.13, 0.42]), 0.33, 0.13
VASE = np.array([-0.12, 0.0, -0.42])
VASE_HEIGHT = 0.95
BUBBLE, BUBBLE_RADIUS = np.array([0.72, 0.62, -0.55]), 0.30


@dataclasses.dataclass(frozen=True)
class Surfels:
    """Points on surfaces, before shading. All arrays have N rows; directions have unit length."""

    points: Array
    """[N, 3]"""
    normals: Array
    """[N, 3], outwards."""
    tangents: Array
    """[N, 3], across the normal: where the splat is `sizes[:, 0]` wide."""
    sizes: Array
    """[N, 3]: standard deviations along the tangent, across it, and along the normal."""
    albedo: Array
    """[N, 3], linear light."""
    gloss: Array
    """[N]: 0 matt to 1 mirror; how much of the surroundings the surface reflects head-on."""
    metal: Array
    """[N]: 1 where reflections take the colour of the surface, and nothing is scattered."""
    opacity: Array
    """[N], 0 to 1."""
    film: Array
    """[N]: 1 where colours of thin films show."""


def unit(vectors: Array) -> Array:
    """Vectors [..., 3] at length one."""
    lengths: Array = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def surfels(
    points: Array,
    normals: Array,
    spacing: Array | float,
    albedo: Array,
    *,
    gloss: float = 0.04,
    metal: float = 0.0,
    opacity: Array | float = 0.97,
    stretch: Array | float = 1.0,
    tangents: Array | None = None,
    film: float = 0.0,
) -> Surfels:
    """Discs that cover a surface whose points are `spacing` apart."""
    n = len(points)
    if tangents is None:
        tangents = np.cross(normals, np.where(np.abs(normals[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]))
    width = 0.62 * np.broadcast_to(spacing, n)
    sizes = np.stack([width * stretch, width / np.sqrt(stretch), 0.12 * width], axis=1)
    full = [np.broadcast_to(np.asarray(value, np.float64), n) for value in (gloss, metal, opacity, film)]
    return Surfels(points, unit(normals), unit(tangents), sizes, np.broadcast_to(albedo, (n, 3)), full[0], full[1],
                   full[2], full[3])  # fmt: skip


def lattice(count: int) -> tuple[Array, Array]:
    """Golden-ratio points of the unit square, evenly spread: [N] and [N]."""
    index: Array = np.arange(count, dtype=np.float64) + 0.5
    return index / count, index * 0.6180339887498949 % 1.0


def ball(
    centre: Array,
    radius: float,
    count: int,
    albedo: Array,
    gloss: float,
    *,
    opacity: float = 0.97,
    film: float = 0.0,
) -> Surfels:
    """A sphere."""
    u, v = lattice(count)
    height = 1 - 2 * u
    ring = np.sqrt(1 - height**2)
    normals = np.stack([ring * np.cos(2 * np.pi * v), height, ring * np.sin(2 * np.pi * v)], axis=1)
    spacing = np.sqrt(4 * np.pi / count) * radius
    return surfels(centre + radius * normals, normals, spacing, albedo, gloss=gloss, opacity=opacity, film=film)


def ring(count: int) -> Surfels:
    """A golden torus that leans on nothing: it lies on the table."""
    u, v = lattice(count)
    # Equal areas: the outer side of the tube is longer than the inner one.
    ratio = RING_TUBE / RING_RADIUS
    angle = 2 * np.pi * u
    for _ in range(20):
        angle -= (angle + ratio * np.sin(angle) - 2 * np.pi * u) / (1 + ratio * np.cos(angle))
    turn = 2 * np.pi * v
    outwards = np.stack([np.cos(turn), np.zeros(count), np.sin(turn)], axis=1)
    normals = np.cos(angle)[:, None] * outwards + np.sin(angle)[:, None] * [0.0, 1.0, 0.0]
    points = RING + RING_RADIUS * outwards + RING_TUBE * normals
    spacing = 2 * np.pi * np.sqrt(RING_RADIUS * RING_TUBE / count)
    return surfels(points, normals, spacing, np.array([1.0, 0.56, 0.12]), gloss=0.75, metal=1.0)


def vase_radius(height: Array) -> Array:
    """Radius [N] of the vase at heights [N]; its profile."""
    t = np.clip(height / VASE_HEIGHT, 0, 1)
    return 0.13 + 0.19 * np.sin(np.pi * np.clip(t * 1.25, 0, 1)) ** 1.5 + 0.10 * np.clip(t - 0.72, 0, 1) ** 1.2


def vase(count: int) -> Surfels:
    """A glazed vase with two white bands; open at the top."""
    fine = np.linspace(0, VASE_HEIGHT, 4001)
    slope = np.gradient(vase_radius(fine), fine)
    area = np.cumsum(vase_radius(fine) * np.hypot(1, slope))
    u, v = lattice(count)
    height = np.interp(u * area[-1], area, fine)
    steep = np.interp(height, fine, slope)
    around = np.stack([np.cos(2 * np.pi * v), np.zeros(count), np.sin(2 * np.pi * v)], axis=1)
    normals = unit(around - steep[:, None] * [0.0, 1.0, 0.0])
    points = VASE + vase_radius(height)[:, None] * around + height[:, None] * [0.0, 1.0, 0.0]
    spacing = np.sqrt(2 * np.pi * area[-1] * (fine[1] - fine[0]) / count)
    band = (np.abs(height - 0.60) < 0.035) | (np.abs(height - 0.20) < 0.02)
    albedo = np.where(band[:, None], [0.85, 0.83, 0.76], [0.008, 0.19, 0.24])
    return surfels(points, normals, spacing, albedo, gloss=0.10)


def table(rng: np.random.Generator, steps: int) -> Surfels:
    """The turntable: `steps` x `steps` splats in each square of the pattern, and a rim."""
    pitch = CELL / steps
    cells = int(np.ceil(DISC / pitch))
    x, z = np.meshgrid(*(2 * [pitch * (np.arange(-cells, cells) + 0.5)]))
    inside = np.hypot(x, z) < DISC - 0.02
    x, z = x[inside], z[inside]
    light = (np.floor(x / CELL) + np.floor(z / CELL)) % 2 == 0
    grain = 1 + 0.10 * np.sin(40 * x + 3 * np.sin(5 * z)) + rng.normal(0, 0.03, len(x))
    albedo = np.where(light[:, None], [0.72, 0.64, 0.50], [0.055, 0.026, 0.016]) * grain[:, None]
    up = np.tile([0.0, 1.0, 0.0], (len(x), 1))
    top = surfels(np.stack([x, np.zeros_like(x), z], axis=1), up, pitch, albedo, gloss=0.06,
                  tangents=np.tile([1.0, 0.0, 0.0], (len(x), 1)))  # fmt: skip
    count = 480
    turn = 2 * np.pi * np.arange(count) / (count // 2)
    level = np.where(np.arange(count) < count // 2, -0.02, -0.075)
    side = np.stack([np.cos(turn), np.zeros(count), np.sin(turn)], axis=1)
    rim = surfels(
        DISC * side + level[:, None] * [0.0, 1.0, 0.0], side, 0.048, np.array([0.24, 0.12, 0.06]), gloss=0.08
    )
    return join([top, rim])


def flowers(rng: np.random.Generator, stems: int) -> Surfels:
    """Stems of long thin splats, leaves, and heads of petals around a button."""
    parts = []
    mouth = VASE + np.array([0.0, VASE_HEIGHT - 0.1, 0.0])
    colours = np.array([[0.90, 0.30, 0.05], [0.92, 0.62, 0.06], [0.80, 0.10, 0.26], [0.85, 0.80, 0.74]])
    for index in range(stems):
        turn = 2 * np.pi * (index * 0.618 % 1)
        reach = 0.10 + 0.30 * np.sqrt((index + 0.5) / stems)
        away = np.array([np.cos(turn), 0.0, np.sin(turn)])
        head = mouth + reach * away + [0.0, 0.42 + 0.22 * rng.random() - 0.35 * reach, 0.0]
        t = np.linspace(0, 1, 26)[:, None]
        path = mouth + 0.05 * away * (1 - t) + (head - mouth) * t + 0.35 * reach * away * t * (t - 1)
        along = np.gradient(path, axis=0)
        step = np.linalg.norm(along, axis=1)
        facing = np.cross(along, np.cross(away + 0.01, along))
        green = np.array([0.08, 0.22, 0.05])
        parts.append(surfels(path, facing, 0.012, green, stretch=step / 0.010, tangents=along))
        parts.append(head_of(rng, head, unit(along[-1] + 0.4 * away), colours[index % len(colours)]))
    return join(parts)


def head_of(rng: np.random.Generator, centre: Array, axis: Array, colour: Array) -> Surfels:
    """Two whorls of petals, each a row of splats that widens, and a ball in the middle."""
    first = unit(np.cross(axis, [0.3, 0.1, 0.9]))
    second = np.cross(axis, first)
    parts = [ball(centre + 0.012 * axis, 0.026, 24, np.array([0.35, 0.16, 0.02]), 0.03)]
    for petal in range(16):
        turn = 2 * np.pi * (petal + 0.5 * (petal % 2)) / 16
        out = np.cos(turn) * first + np.sin(turn) * second
        lift = 0.25 if petal % 2 else 0.7
        t = np.linspace(0.2, 1, 5)[:, None]
        length = 0.115 if petal % 2 else 0.09
        points = centre + length * (t * out + lift * t**2 * 0.8 * axis)
        along = np.gradient(points, axis=0)
        shade = colour * (0.65 + 0.45 * t) * (1 + rng.normal(0, 0.05))
        parts.append(surfels(points, np.cross(along, np.cross(axis, along)), 0.024, shade, opacity=0.9,
                             stretch=1.15, tangents=along))  # fmt: skip
    return join(parts)


def floaters(rng: np.random.Generator, count: int) -> Surfels:
    """What training leaves behind: faint blobs in the air, most of them not worth keeping."""
    points = rng.normal(0, 1, (count, 3)) * [0.9, 0.35, 0.9] + [0.0, 0.7, 0.0]
    normals = unit(rng.normal(0, 1, (count, 3)))
    blobs = surfels(
        points,
        normals,
        0.03 * np.exp(rng.normal(0, 0.8, count)),
        rng.uniform(0.1, 0.6, (count, 3)),
        opacity=0.003 + 0.04 * rng.random(count) ** 4,
        stretch=np.exp(rng.normal(0, 0.5, count)),
    )
    return dataclasses.replace(blobs, sizes=blobs.sizes * [1.0, 1.0, 4.0])


def join(parts: list[Surfels]) -> Surfels:
    """All parts after one another."""
    fields = dataclasses.fields(Surfels)
    return Surfels(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields))


def distance(points: Array) -> Array:
    """A lower bound [N] of the distance from points [N, 3] to the solid things; negative inside."""
    across = np.hypot(points[:, 0] - RING[0], points[:, 2] - RING[2]) - RING_RADIUS
    from_axis = np.hypot(points[:, 0] - VASE[0], points[:, 2] - VASE[2])
    above = points[:, 1] - VASE_HEIGHT
    solids = [
        np.linalg.norm(points - BALL, axis=1) - BALL_RADIUS,
        np.linalg.norm(points - PEARL, axis=1) - PEARL_RADIUS,
        np.hypot(across, points[:, 1] - RING[1]) - RING_TUBE,
        np.maximum(0.75 * (from_axis - vase_radius(points[:, 1])), above),
        np.maximum(points[:, 1], np.hypot(points[:, 0], points[:, 2]) - DISC),
    ]
    return np.asarray(np.minimum.reduce(solids), np.float64)


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


def fit(scene: Surfels, flip: Array, count: int = 320, chunk: int = 1000) -> Array:
    """Coefficients [N, 16, 3] whose sum over the basis, plus 0.5, is the shading as seen.

    Only directions that see the front count in full; the others pull the fit towards its mean, which keeps the
    coefficients small. `flip` [3] turns directions of the model into those of the file.
    """
    eyes = ball(np.zeros(3), 1.0, count, np.ones(3), 0.0).normals
    basis = harmonics(-eyes * flip)  # 3DGS evaluates at the direction from the camera to the splat.
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


def quaternions(frames: Array) -> Array:
    """Rotation matrices [N, 3, 3] (columns are the axes) to quaternions w, x, y, z [N, 4]."""
    m = frames
    w = np.sqrt(np.maximum(1 + m[:, 0, 0] + m[:, 1, 1] + m[:, 2, 2], 0)) / 2
    x = np.sqrt(np.maximum(1 + m[:, 0, 0] - m[:, 1, 1] - m[:, 2, 2], 0)) / 2
    y = np.sqrt(np.maximum(1 - m[:, 0, 0] + m[:, 1, 1] - m[:, 2, 2], 0)) / 2
    z = np.sqrt(np.maximum(1 - m[:, 0, 0] - m[:, 1, 1] + m[:, 2, 2], 0)) / 2
    candidates = np.stack([
        np.stack([w, (m[:, 2, 1] - m[:, 1, 2]) / (4 * w + 1e-30), (m[:, 0, 2] - m[:, 2, 0]) / (4 * w + 1e-30),
                  (m[:, 1, 0] - m[:, 0, 1]) / (4 * w + 1e-30)], 1),
        np.stack([(m[:, 2, 1] - m[:, 1, 2]) / (4 * x + 1e-30), x, (m[:, 0, 1] + m[:, 1, 0]) / (4 * x + 1e-30),
                  (m[:, 0, 2] + m[:, 2, 0]) / (4 * x + 1e-30)], 1),
        np.stack([(m[:, 0, 2] - m[:, 2, 0]) / (4 * y + 1e-30), (m[:, 0, 1] + m[:, 1, 0]) / (4 * y + 1e-30), y,
                  (m[:, 1, 2] + m[:, 2, 1]) / (4 * y + 1e-30)], 1),
        np.stack([(m[:, 1, 0] - m[:, 0, 1]) / (4 * z + 1e-30), (m[:, 0, 2] + m[:, 2, 0]) / (4 * z + 1e-30),
                  (m[:, 1, 2] + m[:, 2, 1]) / (4 * z + 1e-30), z], 1),
    ], axis=1)  # fmt: skip
    largest = np.argmax(np.stack([w, x, y, z], axis=1), axis=1)
    return np.asarray(candidates[np.arange(len(m)), largest], np.float64)


def model() -> Surfels:
    """The whole scene."""
    rng = np.random.default_rng(20)
    return join([
        table(rng, 5),
        ball(BALL, BALL_RADIUS, 2300, np.array([0.55, 0.012, 0.02]), 0.07),
        ring(2200),
        vase(2500),
        ball(PEARL, PEARL_RADIUS, 700, np.array([0.68, 0.63, 0.60]), 0.10),
        flowers(rng, 9),
        ball(BUBBLE, BUBBLE_RADIUS, 900, np.array([0.02, 0.02, 0.02]), 0.06, opacity=0.16, film=1.0),
        floaters(rng, 500),
    ])  # fmt: skip


def properties(scene: Surfels) -> dict[str, Array]:
    """The .ply's columns, name -> [N], in the usual order. The file's axes are right, down, forward."""
    rng = np.random.default_rng(21)
    n = len(scene.points)
    flip = np.array([1.0, -1.0, -1.0])
    coefficients = fit(scene, flip)
    coefficients[:, 1:] += rng.normal(0, 0.004, (n, 15, 3))
    across = unit(np.cross(scene.normals, scene.tangents))
    along = np.cross(across, scene.normals)
    frames = np.stack([along * flip, across * flip, scene.normals * flip], axis=2)
    turns = quaternions(frames) + rng.normal(0, 0.01, (n, 4))
    turns *= np.exp(rng.normal(0, 0.3, n))[:, None] * rng.choice([-1.0, 1.0], n)[:, None]
    opacity = np.clip(scene.opacity * np.exp(rng.normal(0, 0.02, n)), 0.002, 0.995)
    centres = (
        scene.points + rng.normal(0, 0.05, (n, 3)) * scene.sizes[:, :1] * (1 - np.abs(scene.normals))
    ) * flip
    scales = np.log(scene.sizes) + rng.normal(0, 0.08, (n, 3)) * [1, 1, 4]
    columns = dict(zip("xyz", centres.T, strict=True))
    columns |= {f"f_dc_{i}": coefficients[:, 0, i] for i in range(3)}
    columns |= {f"f_rest_{i}": coefficients[:, 1 + i % 15, i // 15] for i in range(45)}
    columns["opacity"] = np.log(opacity / (1 - opacity))
    columns |= {f"scale_{i}": scales[:, i] for i in range(3)}
    return columns | {f"rot_{i}": turns[:, i] for i in range(4)}


def write(path: Path, columns: dict[str, Array]) -> None:
    """A binary .ply of float32 columns, in an order that tells a codec nothing."""
    table = np.stack(list(columns.values()), axis=1).astype("<f4")
    table = table[np.random.default_rng(22).permutation(len(table))]
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        "comment made by data/make_sample.py of scenepress (Apache-2.0)",
        f"element vertex {len(table)}",
        *(f"property float {name}" for name in columns),
        "end_header",
        "",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(lines).encode() + table.tobytes())


def main() -> None:
    """Write the sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    output = parser.parse_args().output
    columns = properties(model())
    write(output, columns)
    print(f"{output}: {len(columns['x'])} splats, {output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
