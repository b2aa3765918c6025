"""The still life of the sample, as a model: a vase with flowers, a ball, a ring, a pearl and a soap bubble on a
chequered turntable. Its surfaces are covered with surfels: small discs. No light yet: that is data/shading.py.

Axes: x right, y up, z towards the front. One unit is about a hand.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DISC = 1.6
"""Radius of the turntable, whose top is the plane y = 0."""
CELL = 0.2
BALL, BALL_RADIUS = np.array([0.62, 0.36, 0.30]), 0.36
PEARL, PEARL_RADIUS = np.array([-0.02, 0.16, 0.86]), 0.16
RING, RING_RADIUS, RING_TUBE = np.array([-0.66, 0.13, 0.42]), 0.33, 0.13
VASE = np.array([-0.12, 0.0, -0.42])
VASE_HEIGHT = 0.95
BUBBLE, BUBBLE_RADIUS = np.array([0.72, 0.62, -0.55]), 0.30


@dataclasses.dataclass(frozen=True)
class Surfels:
    """Points on surfaces, without light. All arrays have N rows; directions have unit length."""

    points: Array
    """[N, 3]"""
    normals: Array
    """[N, 3], outwards."""
    tangents: Array
    """[N, 3], across the normal: where the surfel is `sizes[:, 0]` wide."""
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


def table(steps: int, rows: int) -> Surfels:
    """The turntable: `steps` x `steps` surfels in each square of the pattern, and a rim of so many rows."""
    pitch = CELL / steps
    cells = int(np.ceil(DISC / pitch))
    x, z = np.meshgrid(*(2 * [pitch * (np.arange(-cells, cells) + 0.5)]))
    inside = np.hypot(x, z) < DISC - 0.02
    x, z = x[inside], z[inside]
    light = (np.floor(x / CELL) + np.floor(z / CELL)) % 2 == 0
    grain = 1 + 0.10 * np.sin(40 * x + 3 * np.sin(5 * z))
    albedo = np.where(light[:, None], [0.72, 0.64, 0.50], [0.055, 0.026, 0.016]) * grain[:, None]
    up = np.tile([0.0, 1.0, 0.0], (len(x), 1))
    top = surfels(np.stack([x, np.zeros_like(x), z], axis=1), up, pitch, albedo, gloss=0.06,
                  tangents=np.tile([1.0, 0.0, 0.0], (len(x), 1)))  # fmt: skip
    pitch = 0.1 / rows
    around = round(2 * np.pi * DISC / pitch)
    turn = np.tile(2 * np.pi * np.arange(around) / around, rows)
    level = -pitch * (np.repeat(np.arange(rows), around) + 0.5)
    side = np.stack([np.cos(turn), np.zeros_like(turn), np.sin(turn)], axis=1)
    points = DISC * side + level[:, None] * [0.0, 1.0, 0.0]
    rim = surfels(points, side, pitch, np.array([0.24, 0.12, 0.06]), gloss=0.08)
    return join([top, rim])


def flowers(rng: np.random.Generator, stems: int) -> Surfels:
    """Stems of long thin surfels, and heads of petals around a button."""
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
    """Two whorls of petals, each a row of surfels, and a ball in the middle."""
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


def join(parts: list[Surfels]) -> Surfels:
    """All parts after one another."""
    fields = dataclasses.fields(Surfels)
    return Surfels(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields))


def model(detail: int = 2) -> Surfels:
    """The whole scene, with detail**2 x 15,000 surfels."""
    fine = detail**2
    return join([
        table(5 * detail, 2 * detail),
        ball(BALL, BALL_RADIUS, 2300 * fine, np.array([0.55, 0.012, 0.02]), 0.07),
        ring(2200 * fine),
        vase(2500 * fine),
        ball(PEARL, PEARL_RADIUS, 700 * fine, np.array([0.68, 0.63, 0.60]), 0.10),
        flowers(np.random.default_rng(20), 9),
        ball(BUBBLE, BUBBLE_RADIUS, 900 * fine, np.array([0.02, 0.02, 0.02]), 0.06, opacity=0.16, film=1.0),
    ])  # fmt: skip


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
