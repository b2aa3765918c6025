"""What distillation looks at: renders of a scene from near its cameras, or photographs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from scenepress import cameras as made_up
from scenepress.learned import initial, update
from scenepress.learned.distill import Example
from scenepress.learned.train import View
from scenepress.render import TrainingBackend, rasterize
from scenepress.scene import Camera, Splats

PIXELS = 200_000
"""Of a view, at most: larger cameras are made smaller."""
SURROUND, ORBIT, WIDTH = 96, 96, 400
"""Cameras made up: as for measuring, and as a person would look; and how wide they are."""
JITTER, TILT = 0.3, 0.06
"""Given cameras are moved, in distances to the next one, and turned, in radians: standard deviations."""


def sight(scene: Splats, given: Sequence[Camera] | None) -> list[Camera]:
    """Cameras to train with, none of more than PIXELS pixels."""
    if not given:
        return made_up.surround(scene, SURROUND, WIDTH) + made_up.synthesize(scene, ORBIT, WIDTH)
    shrink = [min(1.0, math.sqrt(PIXELS / (c.width * c.height))) for c in given]
    return [made_up.resize(c, max(1, round(c.width * s))) for c, s in zip(given, shrink, strict=True)]


def photographs(
    taken: Sequence[View], views: Sequence[Camera], background: tuple[float, float, float], seed: int
) -> Callable[[int], Example]:
    """Examples that are photographs, all in turn in an order drawn anew each time; `views` are their cameras."""

    def example(step: int) -> Example:
        index = update.turn(step, len(taken), seed)
        return Example(views[index], background, taken[index].image.astype(np.float32) / np.float32(255))

    return example


def renders(
    scene: Splats, views: Sequence[Camera], seed: int, jitter: bool, backend: TrainingBackend = "auto"
) -> Callable[[int], Example]:
    """Examples that show the scene itself, from near the views, before black, white, or some colour."""
    at = initial.centers(views)
    apart = np.linalg.norm(at[:, None] - at[None], axis=2) + np.where(np.eye(len(at), dtype=bool), np.inf, 0)
    near = apart.min(axis=1)
    near[~np.isfinite(near)] = 0

    def example(step: int) -> Example:
        index = update.turn(step, len(views), seed)
        random = np.random.default_rng([seed, 1, step])
        camera = _moved(views[index], float(near[index]), random) if jitter else views[index]
        kind = random.integers(3)
        rear = (0.0,) * 3 if kind == 0 else (1.0,) * 3 if kind == 1 else tuple(random.uniform(0, 1, 3).tolist())
        return Example(camera, rear, rasterize(scene, camera, background=rear, backend=backend).color)

    return example


def _moved(camera: Camera, near: float, random: np.random.Generator) -> Camera:
    """The camera turned and moved a little; `near` is how far the next one is."""
    turn = np.eye(4)
    axis = random.normal(0, TILT, 3)
    angle = float(np.linalg.norm(axis))
    k = axis / max(angle, 1e-12)
    cross = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
    turn[:3, :3] = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    turn[:3, 3] = random.normal(0, JITTER * near, 3)
    return dataclasses.replace(camera, world_to_camera=turn @ camera.world_to_camera)
