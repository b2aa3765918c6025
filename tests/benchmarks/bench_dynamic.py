"""Scenes that move, made here: data sets of animated models, 4DGaussians models trained on them, and pruned.

    npm ci --prefix pipelines/gltf_renderer
    .venv/bin/python tests/benchmarks/bench_dynamic.py [--parts train prune] [--scenes robot lumberjack]

Needs shared/data, Node, Chromium and torch. Data sets and models stay in build/dynamic, and are used again. PSNR
is that of the mean squared error of held-out pictures, of times and places that training did not see.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import time
from pathlib import Path

import harness
import numpy as np

from scenepress import cli, dynamic_distillation, dynamic_pruning, moving_photographs, photographs, train4d_command
from scenepress.codecs import field as field_codec
from scenepress.codecs.field import GridSettings
from scenepress.dynamics import Moment
from scenepress.formats.gaussians4d import read_4dgaussians, write_4dgaussians
from scenepress.learned import coded, field
from scenepress.learned.coded import Coding
from scenepress.learned.field import Roughness
from scenepress.learned.train import View
from scenepress.learned.train4d import State4d, tune
from scenepress.pipelines import animated_gltf
from scenepress.scene import DynamicSplats
from scenepress.stages import hexplane

MODELS = {"robot": "walking-robot.glb", "lumberjack": "lumberjack.glb"}
FOLDER = harness.ROOT / "build/dynamic"
WHITE = (1.0, 1.0, 1.0)
KEEP, STEPS = 0.36, 1500
RATES = (1e-8, 3e-8, 1e-7)
"""What a bit adds to the loss."""
TRAINING = {"steps": 5000, "coarse_steps": 1000, "max_splats": 20_000, "channels": 32}
TARGET_PRUNED, TARGET_LOSS = 0.64, 0.1


def data_of(name: str) -> Path:
    """The data set of a model, rendered if it is not there."""
    folder = FOLDER / name / "data"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        model = harness.SHARED / "data/dynamic" / MODELS[name]
        animated_gltf.render(model, folder, animated_gltf.Settings(train=150))
    return folder


def train(name: str) -> None:
    """Train a model and say how good it is."""
    data, out = data_of(name), FOLDER / name / "model"
    shutil.rmtree(out, ignore_errors=True)
    command = cli.Train4d(data, out, background="white", backend="cpu", **TRAINING)  # type: ignore[arg-type]
    begin = time.perf_counter()
    train4d_command.train(command)
    seconds = time.perf_counter() - begin
    scene = read_4dgaussians(out)
    fit = photographs.evaluate(scene, held_out(data), WHITE)
    assert fit is not None
    harness.record("dynamic", {
        "part": "train", "scene": name, **TRAINING, "splats": len(scene), "train_s": seconds, "psnr": fit.psnr,
        "ssim": fit.ssim, "bytes": size_of(out), "load_average": os.getloadavg()[0],
    })  # fmt: skip


def prune(name: str) -> None:
    """By what is measured and by the published score; then trained to look like the whole."""
    data, scene = data_of(name), read_4dgaussians(FOLDER / name / "model")
    shots = moving_photographs.find(data, "train")
    moments = [Moment(shot.camera, shot.time) for shot in shots]
    held = held_out(data)
    whole = psnr(scene, held)
    for score in ("published", "measured"):
        begin = time.perf_counter()
        found = dynamic_pruning.to_share(scene, KEEP, moments, score=score)
        seconds = time.perf_counter() - begin
        record_pruned(name, scene, found.scene, score, 0, seconds, whole, held)
        begin = time.perf_counter()
        restored = dynamic_distillation.restore(found.scene, scene, STEPS, moments, backend="cpu")
        seconds = time.perf_counter() - begin
        record_pruned(name, scene, restored, score, STEPS, seconds, whole, held)
    out = FOLDER / name / "pruned"
    shutil.rmtree(out, ignore_errors=True)
    write_4dgaussians(restored, out)


def record_pruned(
    name: str, scene: DynamicSplats, left: DynamicSplats, score: str, steps: int, seconds: float, whole: float,
    held: list[View],
) -> None:  # fmt: skip
    """A line of what is left."""
    found = psnr(left, held)
    harness.record("dynamic", {
        "part": "prune", "scene": name, "score": score, "distill_steps": steps, "seconds": seconds,
        "splats": len(scene), "pruned": 1 - len(left) / len(scene), "target_pruned": TARGET_PRUNED,
        "psnr_whole": whole, "psnr": found, "loss_db": whole - found, "target_loss_db": TARGET_LOSS,
    })  # fmt: skip


def held_out(data: Path) -> list[View]:
    """Pictures of other times and places."""
    return moving_photographs.load(moving_photographs.find(data, "test"), None, WHITE)


def psnr(scene: DynamicSplats, held: list[View]) -> float:
    """dB of the mean squared error."""
    fit = photographs.evaluate(scene, held, WHITE)
    assert fit is not None
    return fit.psnr


def size_of(folder: Path) -> int:
    """All files that are needed to render."""
    needed = ("cfg_args", "point_cloud.ply", "deformation.pth")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.name in needed)


def code(name: str) -> None:
    """The pruned model's field on its grid, at several prices of a bit."""
    data, scene = data_of(name), read_4dgaussians(FOLDER / name / "pruned")
    whole = psnr(read_4dgaussians(FOLDER / name / "model"), held_out(data))
    views = moving_photographs.load(moving_photographs.find(data, "train"), None, WHITE)
    how = dynamic_distillation.settings(STEPS, scene.canonical.sh_degree, len(scene), 0)
    fine = dataclasses.replace(how.fine, background=WHITE)
    how = dataclasses.replace(how, fine=fine, planes_rate=4e-3, networks_rate=4e-4, roughness=Roughness(0, 0, 0))
    state = field.go_on(scene.deformation)
    grid = field_codec.grid_of(state.flat, GridSettings())
    for rate in RATES:
        states: list[State4d] = []
        begin = time.perf_counter()
        coding = Coding(*field_codec.spread(grid, state.flat), rate)
        coded_scene = tune(views, scene, how, coding=coding, after=states.append)
        seconds = time.perf_counter() - begin
        (last,) = states
        assert last.coded is not None
        planes, weights = coded.numbers(last.coded)
        flat = last.field.flat
        payload = hexplane.encode(field_codec.numbers_of(grid, flat, last.field.heads, planes, weights))
        decoded = field_codec.deformation_of(hexplane.decode(payload, scene.canonical.shN.shape[1]))
        found = psnr(DynamicSplats(coded_scene.canonical, decoded), held_out(data))
        harness.record("dynamic", {
            "part": "code", "scene": name, "rate": rate, "steps": STEPS, "seconds": seconds, "bytes": len(payload),
            "order_0_bytes": coded.bits(flat, planes, weights) / 8,
            "networks_bytes": coded.bits(flat, np.zeros_like(planes), weights) / 8,
            "nonzero": float((planes != 0).mean()), "source_bytes": 4 * (flat.planes.size + flat.weights.size),
            "psnr_whole": whole, "psnr": found, "loss_db": whole - found,
        })  # fmt: skip


PARTS = {"train": train, "prune": prune, "code": code}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--scenes", nargs="+", choices=MODELS, default=list(MODELS))
    arguments = parser.parse_args()
    if not (harness.SHARED / "data/dynamic").is_dir():
        print("skipped: no shared/data")
        return
    for name in arguments.scenes:
        for part in arguments.parts:
            PARTS[part](name)


if __name__ == "__main__":
    main()
