"""Makes data/samples/still_life.ply, the scene of `make demo`: trained by scenepress from its own renders.

    .venv/bin/python -m data.make_sample [-o data/samples/still_life.ply]

A model of surfels (data/still_life.py), lit by formulas (data/shading.py), is rendered from cameras all around,
over black and over white. A scene of fewer splats is trained with these pictures, from random points of the
surfaces, and compared with the model from cameras it was not trained with. About four minutes on two cores.
Seeds are fixed; the result depends on the machine in its last bits, and training makes more of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from data import shading, still_life
from scenepress import photographs
from scenepress.cameras import look_at
from scenepress.checks import progress
from scenepress.formats import table
from scenepress.learned import initial
from scenepress.learned.train import TrainSettings, View, train
from scenepress.quality import BLACK_AND_WHITE
from scenepress.render import rasterize
from scenepress.scene import Camera, Splats

TARGET = Path(__file__).resolve().parent / "samples/still_life.ply"
FOV = math.radians(50)
"""Of all cameras, horizontally."""
EVEN = 0.7548776662466927, 0.5698402909980532
"""1/p and 1/p^2, p^3 = p + 1: steps of a sequence that covers a square evenly (Roberts' R2)."""
MIDDLE = np.array([0.0, 0.42, 0.0])
"""Of the still life, in the model's axes."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How large everything is."""

    detail: int = 2
    """Of the model: it has detail**2 x 15,000 surfels."""
    cameras: int = 120
    """To train with; two of five are close."""
    held_out: int = 12
    """Cameras to measure with."""
    width: int = 400
    """Pixels, of all views; 3/4 as high."""
    points: int = 10_000
    """Splats to start with."""
    splats: int = 15_500
    """At most, in the end."""
    steps: int = 4000


RECIPE = Recipe()


def around(count: int, width: int, first: float = 0.0) -> list[Camera]:
    """Cameras all around, from a little below the table to high above it; other ones for each `first`, 0 to 1.

    Three of five see everything; the others are closer, and look at a place on the table or above it.
    """
    cameras = []
    for k in range(count):
        azimuth, level = 2 * math.pi * EVEN[0] * (k + first), EVEN[1] * (k + first) % 1
        elevation = math.radians(-10 + 80 * level**1.25)  # Flat views are the hardest: more of them.
        away = np.array([
            math.cos(elevation) * math.cos(azimuth), math.sin(elevation), math.cos(elevation) * math.sin(azimuth)
        ])  # fmt: skip
        near = k % 5 in (1, 3)
        distance = 2.5 + 0.8 * (k % 7) / 6 if near else 4.4 + 1.0 * (k % 4) / 3
        # From a third of the way out on the camera's own side: what is there shows well.
        target = MIDDLE + 0.6 * away * [1.0, 0.0, 1.0] * (k % 3 - 1) if near else MIDDLE
        cameras.append(
            look_at((target + distance * away) * shading.FLIP, target * shading.FLIP, (0.0, -1.0, 0.0),
                    width=width, height=3 * width // 4, fov=FOV, name=f"{'near' if near else 'far'} {k}")
        )  # fmt: skip
    return cameras


def held_out(recipe: Recipe) -> list[Camera]:
    """Cameras that look from between those of training."""
    return around(recipe.held_out, recipe.width, first=0.5)


def views(scene: Splats, cameras: Sequence[Camera]) -> list[View]:
    """Pictures of the scene, over black and over white: which shows what is not quite opaque."""
    found = []
    for camera in cameras:
        for background in BLACK_AND_WHITE:
            color = rasterize(scene, camera, background=background).color
            levels = np.rint(255 * np.clip(color, 0, 1)).astype(np.uint8)
            found.append(View(camera, levels, background))
    return found


def start(surfaces: Splats, count: int) -> Splats:
    """Splats at some points of the surfaces, not quite in place, as structure from motion might find them."""
    random = np.random.default_rng(23)
    some = random.permutation(len(surfaces))[:count]
    points = surfaces.means[some] + random.normal(0, 0.01, (len(some), 3))
    colors = np.clip(0.5 + initial.SH_C0 * surfaces.sh0[some].astype(np.float64), 0, 1)
    return initial.splats_at(points, colors)


def make(model: Splats, recipe: Recipe, show: Callable[[str, float], None] | None = None) -> Splats:
    """Train the sample: a scene that looks like the model."""
    settings = TrainSettings(
        steps=recipe.steps,
        max_splats=recipe.splats,
        sh_every=max(1, min(300, recipe.steps // 6)),
        shN_rate=5e-4,  # Gloss is most of what there is to learn: four times the usual rate.
    )
    pictures = views(model, around(recipe.cameras, recipe.width))
    return train(pictures, start(model, recipe.points), settings, progress=show)


def measure(scene: Splats, model: Splats, cameras: Sequence[Camera]) -> list[photographs.Fit]:
    """How like the model a scene looks from these cameras: over black, and over white."""
    pictures = views(model, cameras)
    fits = (photographs.evaluate(scene, [v for v in pictures if v.background == b], b) for b in BLACK_AND_WHITE)
    return [fit for fit in fits if fit is not None]


def main() -> None:
    """Make, measure and write the sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    output = parser.parse_args().output
    begin = time.perf_counter()
    model = shading.splats(still_life.model(RECIPE.detail))
    print(f"model: {len(model):,} splats, {time.perf_counter() - begin:.0f} s")
    with progress() as show:
        scene = make(model, RECIPE, show)
    table.write(scene, output)
    size = output.stat().st_size / 1e6
    print(f"{output}: {len(scene):,} splats, {size:.2f} MB, {time.perf_counter() - begin:.0f} s")
    for name, fit in zip(("black", "white"), measure(scene, model, held_out(RECIPE)), strict=True):
        print(f"held out, over {name}: {fit.mean_view_psnr:.2f} dB, SSIM {fit.ssim:.4f} ({fit.views} views)")


if __name__ == "__main__":
    main()
