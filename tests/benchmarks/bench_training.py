"""A step of training on the CPU: render, loss, gradient, update.

    PYTHONPATH=. python tests/benchmarks/bench_training.py [--repeats 40]

75,000 splats of shared/data's plush at 494x371, seen from the cameras of its photographs in turn: L1 and SSIM
against the photograph, and Adam on the splats that the view shows. The gradient of the loss is checked first,
against torch's autograd, and the loss must fall. Target: 50 ms a step on two cores.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import harness
import numpy as np
import tyro
from numpy.typing import NDArray

from scenepress.cameras import read_cameras
from scenepress.formats import table
from scenepress.kernels import training
from scenepress.render import SplatGradients, differentiable
from scenepress.scene import Camera, Splats

DATA = harness.SHARED / "data"
COUNT, WIDTH = 75_000, 494
WEIGHT = 0.2
"""Of SSIM in the loss."""
TARGET_MS = 50.0
RATES = {"means": 1.6e-4, "quats": 1e-3, "log_scales": 5e-3, "opacity_logits": 5e-2, "sh0": 2.5e-3, "shN": 1.25e-4}
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15

F32 = NDArray[np.float32]


@dataclasses.dataclass
class Moments:
    """Of one array of parameters, as rows."""

    first: F32
    second: F32


def photographs(cameras: list[Camera]) -> list[F32]:
    """The pictures of these cameras, float32 [H, W, 3], at their sizes."""
    from PIL import Image

    folder = DATA / "multiview/plush"
    found = []
    for camera in cameras:
        stem = Path(camera.name).stem
        path = next(path for path in folder.rglob("*") if path.stem == stem and path.suffix != ".json")
        picture = Image.open(path).convert("RGB").resize((camera.width, camera.height), Image.Resampling.BOX)
        found.append(np.asarray(picture, np.float32) / 255)
    return found


class Trainer:
    """Parameters, their moments, and the clock of each part of a step."""

    def __init__(self, splats: Splats) -> None:
        self.splats = dataclasses.replace(splats, **{name: getattr(splats, name).copy() for name in RATES})
        self.moments = {
            name: Moments(*(np.zeros_like(self._rows(getattr(splats, name))) for _ in range(2))) for name in RATES
        }
        self.seconds: dict[str, list[float]] = {"render": [], "loss": [], "gradient": [], "update": []}
        self.steps = 0

    @staticmethod
    def _rows(array: F32) -> F32:
        return array.reshape(len(array), -1)

    def _timed(self, part: str, call: Callable[[], object]) -> object:
        start = time.perf_counter()
        result = call()
        self.seconds[part].append(time.perf_counter() - start)
        return result

    def step(self, camera: Camera, picture: F32) -> float:
        """One update; returns the loss before it."""
        frame = self._timed("render", lambda: differentiable(self.splats, camera))
        l1, ssim, by_color = self._timed("loss", lambda: training.image_loss(frame.image.color, picture, WEIGHT))
        gradients = self._timed("gradient", lambda: frame.backward(by_color))
        self.steps += 1
        self._timed("update", lambda: self._update(gradients))
        return (1 - WEIGHT) * l1 + WEIGHT * (1 - ssim)

    def _update(self, gradients: SplatGradients) -> None:
        seen = gradients.opacity_logits.view(np.uint32) != 0
        for name, rate in RATES.items():
            training.adam(
                self._rows(getattr(self.splats, name)), self._rows(getattr(gradients, name)),
                self.moments[name].first, self.moments[name].second, seen.astype(np.uint8), rate, BETA1, BETA2,
                EPSILON, self.steps,
            )  # fmt: skip


def check(splats: Splats, camera: Camera, picture: F32) -> float:
    """The largest difference from torch's gradient of the same loss, relative to the largest value."""
    import torch

    frame = differentiable(splats, camera)
    _, _, by_color = training.image_loss(frame.image.color, picture, WEIGHT)
    taps = torch.exp(-0.5 * ((torch.arange(11, dtype=torch.float64) - 5) / 1.5) ** 2)
    window = torch.outer(taps, taps)[None, None] / taps.sum() ** 2

    def means(values: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(values.permute(2, 0, 1)[:, None], window)

    x = torch.tensor(frame.image.color.astype(np.float64), requires_grad=True)
    y = torch.tensor(picture.astype(np.float64))
    mx, my, square, cross = means(x), means(y), means(x * x + y * y), means(x * y)
    power = mx**2 + my**2
    ssim = (2 * mx * my + 1e-4) * (2 * (cross - mx * my) + 9e-4) / ((power + 1e-4) * (square - power + 9e-4))
    ((1 - WEIGHT) * (x - y).abs().mean() + WEIGHT * (1 - ssim.mean())).backward()
    expected = x.grad.numpy()
    return float(np.abs(by_color - expected).max() / np.abs(expected).max())


def main(repeats: int = 40, results: Path = harness.RESULTS) -> None:
    """Check, warm up, time, and append one line to results/training.jsonl.

    Args:
        repeats: steps timed.
        results: folder of training.jsonl.
    """
    path = DATA / "splats/trained/plush_150k_sh3.ply"
    if not path.exists():
        raise SystemExit(f"skipped: {path.name} is not here")
    source = table.read(path)
    splats = source.take(np.arange(0, len(source), len(source) // COUNT)[:COUNT])
    cameras = list(read_cameras(DATA / "multiview/plush/transforms.json", WIDTH))[:16]
    pictures = photographs(cameras)
    wrong = check(splats, cameras[0], pictures[0])
    if wrong > 1e-3:
        raise SystemExit(f"the gradient of the loss is off by {wrong:.1e}: no use timing it")
    trainer = Trainer(splats)
    losses = []
    for k in range(4 + repeats):
        if k == 4:
            trainer.seconds = {part: [] for part in trainer.seconds}
        losses.append(trainer.step(cameras[k % 16], pictures[k % 16]))
    if not np.mean(losses[-8:]) < np.mean(losses[:8]):
        raise SystemExit("the loss does not fall: no use timing it")
    parts = {part: 1e3 * float(np.median(times)) for part, times in trainer.seconds.items()}
    total = 1e3 * float(np.median(np.sum(list(trainer.seconds.values()), axis=0)))
    harness.record("training", {
        "case": "step", "splats": len(splats), "width": cameras[0].width, "height": cameras[0].height,
        "ms": total, **{f"{part}_ms": ms for part, ms in parts.items()}, "repeats": repeats,
        "gradient_error": wrong,
        "loss_first": float(np.mean(losses[:8])), "loss_last": float(np.mean(losses[-8:])),
        "target_ms": TARGET_MS, "met": total <= TARGET_MS, "load_average": os.getloadavg()[0],
    }, results)  # fmt: skip


if __name__ == "__main__":
    tyro.cli(main)
