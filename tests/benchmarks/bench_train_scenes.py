"""Training of whole scenes on the CPU: how good the views are that it did not see, and how long it took.

    PYTHONPATH=. python tests/benchmarks/bench_train_scenes.py [--scenes plush lego] [--steps 3000]

The photographs of shared/data; every 8th by name is held out. No targets: `anchor_psnr` is what shared/data's
README says of scenes trained elsewhere from the same photographs (plush: 150,000 splats, 6,000 steps; lego:
110,000 splats).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

import harness
import tyro

from scenepress import photographs
from scenepress.learned import initial
from scenepress.learned.state import State
from scenepress.learned.train import TrainSettings, train

DATA = harness.SHARED / "data/multiview"
WIDTHS = {"plush": 494, "lego": 400}
BACKGROUNDS = {"plush": (0.0, 0.0, 0.0), "lego": (1.0, 1.0, 1.0)}
ANCHORS = {"plush": 28.63, "lego": 36.02}
RANDOM_POINTS = 20_000


def main(
    scenes: tuple[Literal["plush", "lego"], ...] = ("plush", "lego"),
    steps: int = 3000,
    max_splats: int = 75_000,
    results: Path = harness.RESULTS,
) -> None:
    """Train, measure, and append a line for each scene to results/training.jsonl.

    Args:
        scenes: which photographs.
        steps: of training.
        max_splats: as in TrainSettings.
        results: folder of training.jsonl.
    """
    for scene in scenes:
        if (DATA / scene).exists():
            measure(scene, steps, max_splats, results)
        else:
            print(f"skipped: {scene} is not here")


def measure(scene: str, steps: int, max_splats: int, results: Path) -> None:
    """Train one scene and record what came of it."""
    settings = TrainSettings(steps=steps, max_splats=max_splats, background=BACKGROUNDS[scene])
    views = photographs.load_views(DATA / scene, width=WIDTHS[scene], background=settings.background)
    kept, held = photographs.split(views, 8)
    path = photographs.find_points(DATA / scene)
    if path is None:
        points, colors = initial.random_points([view.camera for view in kept], RANDOM_POINTS, settings.seed)
    else:
        found = photographs.read_points(path)
        points, colors = found.positions, found.colors
    begin = time.perf_counter()

    def say(now: State) -> None:
        if now.step % 500 == 0:
            print(f"{now.step} steps, {len(now)} splats, {time.perf_counter() - begin:.0f} s", flush=True)

    trained = train(kept, initial.splats_at(points, colors), settings, backend="cpu", after_step=say)
    seconds = time.perf_counter() - begin
    fit, own = (photographs.evaluate(trained, chosen, settings.background) for chosen in (held, kept))
    assert fit is not None
    assert own is not None
    harness.record("training", {
        "case": "scene", "scene": scene, "steps": steps, "max_splats": max_splats, "splats": len(trained),
        "width": kept[0].camera.width, "height": kept[0].camera.height, "views": len(kept), "held_out": len(held),
        "train_s": seconds, "psnr": fit.psnr, "mean_view_psnr": fit.mean_view_psnr, "ssim": fit.ssim,
        "psnr_of_trained_views": own.psnr, "anchor_psnr": ANCHORS[scene], "load_average": os.getloadavg()[0],
    }, results)  # fmt: skip


if __name__ == "__main__":
    tyro.cli(main)
