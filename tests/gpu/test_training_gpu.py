"""Training and distillation on a device: as good as on the CPU. Skipped where a backend cannot run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from scenepress import distillation, photographs, pruning
from scenepress.distillation import Distillation
from scenepress.learned import initial, state
from scenepress.learned.train import View, train
from scenepress.quality import to_8bit
from scenepress.render import TrainingBackend, missing_for, rasterize, training_backend
from scenepress.scene import Splats
from tests.test_render import random_splats
from tests.test_train import GREY, SHORT, around, original

BACKENDS: tuple[TrainingBackend, ...] = ("cuda", "gsplat")
SETTINGS = dataclasses.replace(SHORT, steps=120)


def require(backend: TrainingBackend) -> None:
    assert backend != "auto"
    if missing := missing_for(backend):
        pytest.skip(f"{backend} needs {missing}")


def views() -> list[View]:
    return [
        View(camera, to_8bit(rasterize(original(), camera, background=GREY, backend="cpu").color))
        for camera in around()
    ]


def start() -> Splats:
    """Faint grey splats near those of the scene."""
    moved = original().means + np.random.default_rng(1).normal(scale=0.05, size=(len(original()), 3))
    return initial.splats_at(moved, np.full(moved.shape, 0.5))


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_is_as_good_as_on_the_cpu(backend: TrainingBackend) -> None:
    require(backend)
    kept, held = photographs.split(views(), 5)

    def quality(scene: Splats) -> float:
        fit = photographs.evaluate(scene, held, GREY)
        assert fit is not None
        return fit.mean_view_psnr

    found, expected = (quality(train(kept, start(), SETTINGS, backend=name)) for name in (backend, "cpu"))
    assert expected > quality(start()) + 3
    assert abs(found - expected) < 1  # Which splats are multiplied may hang on rounding.


@pytest.mark.parametrize("backend", BACKENDS)
def test_distillation_is_as_good_as_on_the_cpu(backend: TrainingBackend) -> None:
    require(backend)
    scene = random_splats(600, 3)
    pruned = pruning.to_share(scene, 0.5)

    def quality(name: TrainingBackend) -> float:
        left = distillation.restore(pruned.scene, scene, Distillation(60, backend=name), None, lambda *_: None)
        return pruning.judge(scene, left).psnr

    assert quality("cpu") > pruned.psnr + 0.5
    assert abs(quality(backend) - quality("cpu")) < 0.5


def test_cuda_gives_the_same_scene_every_time() -> None:
    require("cuda")
    first, second = (train(views(), start(), SETTINGS, backend="cuda") for _ in range(2))
    for name in state.NAMES:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_auto_takes_a_device() -> None:
    if all(missing_for(backend) for backend in ("cuda", "gsplat")):  # type: ignore[arg-type]
        pytest.skip("no device, or neither the CUDA module nor gsplat")
    assert training_backend() in BACKENDS
