"""Training of scenes that change with time: splats and the field that moves them, by gradient descent.

The representation and the method are those of 4DGaussians (Wu et al., CVPR 2024): first splats that keep still,
then splats and field together. For shorter runs: docs/dynamic.md, "Training".
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from scenepress.errors import TrainingError
from scenepress.kernels import deformation, training
from scenepress.learned import coded, densify, field, initial, update
from scenepress.learned.coded import Coded, Coding
from scenepress.learned.field import F32, FieldSettings, FieldState, Roughness
from scenepress.learned.state import State, begin, raise_degree
from scenepress.learned.train import Progress, TrainSettings, View, grow, rates, require_fitting, train
from scenepress.render import SplatGradients, TrainingBackend, differentiable, training_backend
from scenepress.scene import DynamicSplats, Splats

REGULAR_EVERY = 4
"""Steps after which the smoothness of planes counts, so many times over: it costs as much as the splats do."""


@dataclasses.dataclass(frozen=True)
class Train4dSettings:
    """Everything that decides what comes of a run, but for the data."""

    coarse: TrainSettings
    """Of the splats that keep still."""
    fine: TrainSettings
    """Of the splats while they are moved."""
    field: FieldSettings = dataclasses.field(default_factory=FieldSettings)
    planes_rate: float = 8e-3
    """Of Adam for the planes at the first step; a tenth of it at the last, exponential in between."""
    networks_rate: float = 8e-4
    """The same for the networks."""
    roughness: Roughness = dataclasses.field(default_factory=Roughness)


@dataclasses.dataclass
class State4d:
    """A run in its second stage."""

    splats: State
    field: FieldState
    coded: Coded | None = None
    """Of a field that is trained for its coding."""


def train_4d(
    views: Sequence[View],
    scene: Splats,
    settings: Train4dSettings,
    *,
    backend: TrainingBackend = "auto",
    resume: State4d | None = None,
    progress: Progress | None = None,
    after_step: Callable[[State4d], None] | None = None,
) -> DynamicSplats:
    """Train a scene from views of different times.

    Args:
        views: at least two, each with its time; images at least 11 pixels a side.
        scene: what to start with, in the cameras' axes; its shN is left out.
        settings: see Train4dSettings.
        backend: what renders and gives the gradients; the field is evaluated on the CPU.
        resume: a state of the second stage to go on from; changed.
        progress: told after each step.
        after_step: given the state after each step of the second stage, to save it: not to keep or change.

    Raises:
        ValueError: views or a scene that cannot be trained with, or a backend that cannot run here.
        TrainingError: numbers that are not finite came out; no splat is left; or the device failed.
    """
    chosen = training_backend(backend)
    _require(views)
    steps = settings.coarse.steps + settings.fine.steps
    if resume is None:
        told = None if progress is None else _scaled(progress, 0, settings.coarse.steps / steps)
        still = train(views, scene, settings.coarse, backend=chosen, progress=told)
        resume = State4d(begin(still), field.begin(still.means, settings.field, settings.fine.seed))
    told = None if progress is None else _scaled(progress, settings.coarse.steps / steps, 1)
    return _second_stage(views, resume, settings, chosen, told, after_step)


def tune(
    views: Sequence[View],
    scene: DynamicSplats,
    settings: Train4dSettings,
    *,
    coding: Coding | None = None,
    backend: TrainingBackend = "auto",
    progress: Progress | None = None,
    after: Callable[[State4d], None] | None = None,
) -> DynamicSplats:
    """Train a scene on, splats and field together, as settings.fine says; .coarse and .field play no part.

    Args:
        views: at least two, each with its time: photographs, or renders of what the scene was before.
        scene: not changed. Its field may have heads of all kinds.
        settings: see Train4dSettings.
        coding: put the field on a grid, and let the bits that its numbers cost count; None: neither.
        backend: as train_4d().
        progress: told after each step.
        after: given the state at the end: where the field is on its grid.

    Raises:
        ValueError, TrainingError: as train_4d().
    """
    chosen = training_backend(backend)
    _require(views)
    if not scene.deformation.heads:
        raise ValueError("a field without heads moves nothing: there is nothing to train together")
    state = State4d(begin(scene.canonical), field.go_on(scene.deformation))
    if coding is not None:
        state.coded = coded.begin(state.field, coding)
    trained = _second_stage(views, state, settings, chosen, progress, None)
    if after is not None:
        after(state)
    return trained


def _require(views: Sequence[View]) -> None:
    for view in views:
        require_fitting(view)
        if not 0 <= view.time <= 1:
            raise ValueError(f"view {view.camera.name}: time {view.time} is not in 0 to 1")


def _second_stage(
    views: Sequence[View], state: State4d, settings: Train4dSettings, backend: TrainingBackend,
    progress: Progress | None, after_step: Callable[[State4d], None] | None,
) -> DynamicSplats:  # fmt: skip
    size = initial.extent([view.camera for view in views])
    while state.splats.step < settings.fine.steps:
        number = update.turn(state.splats.step, len(views), settings.fine.seed)
        _step(state, views[number], settings, size, backend)
        grow(state.splats, settings.fine, size)
        if not len(state.splats):
            raise TrainingError(f"step {state.splats.step}: no splat is left: all have become transparent")
        if after_step is not None:
            after_step(state)
        if progress is not None:
            what = f"training with motion, {len(state.splats):,} splats"
            progress(what, state.splats.step / settings.fine.steps)
    densify.prune(state.splats, settings.fine.prune_opacity)
    raise_degree(state.splats, settings.fine.sh_degree)
    return DynamicSplats(state.splats.splats(), field.deformation_of(state.field))


def _scaled(progress: Progress, low: float, high: float) -> Progress:
    return lambda what, done: progress(what, low + (high - low) * done)


def _step(state: State4d, view: View, settings: Train4dSettings, size: float, backend: TrainingBackend) -> None:
    """One update of splats and field. size: extent of the scene, in its units."""
    fine, splats = settings.fine, state.splats
    raise_degree(splats, min(fine.sh_degree, splats.step // fine.sh_every))
    means = splats.values["means"]
    moved = field.split(state.field, deformation.deform_flat(state.field.flat, means, view.time))
    background = fine.background if view.background is None else view.background
    target = np.divide(view.image, np.float32(255), dtype=np.float32)
    with update.device_at_work(backend, splats.step + 1):
        frame = differentiable(splats.splats().moved(moved), view.camera, background=background, backend=backend)
        l1, ssim, by_color = training.image_loss(frame.image.color, target, fine.ssim_weight)
        gradients = frame.backward(by_color)
    splats.step += 1
    update.require_finite(splats.step, view.camera.name, gradients, l1, ssim)
    by_planes, by_weights, by_means = _differentiate(state, view, gradients, settings)
    half = np.array([0.5 * view.camera.width, 0.5 * view.camera.height], np.float32)
    splats.pull += np.hypot(*(gradients.centers * half).T)
    splats.shown += update.shown(gradients)
    done = splats.step / fine.steps
    update.descend(splats, gradients, {"means": by_means}, rates(fine, splats.step, size))
    planes_rate, networks_rate = (x * 0.1**done for x in (settings.planes_rate, settings.networks_rate))
    if state.coded is None:
        field.descend(state.field, by_planes, by_weights, splats.step, planes_rate, networks_rate)
    else:
        coded.add_rate(state.coded, by_planes)
        coded.descend(state.field, state.coded, by_planes, by_weights, splats.step, planes_rate, networks_rate)
    logits = splats.values["opacity_logits"]
    np.minimum(logits, np.float32(densify.logit(fine.max_opacity)), out=logits)


def _differentiate(
    state: State4d, view: View, gradients: SplatGradients, settings: Train4dSettings
) -> tuple[F32, F32, F32]:
    """Gradients of the field's planes and weights, and of the means by way of the field."""
    sh = np.concatenate([gradients.sh0[:, None], gradients.shN], axis=1).reshape(len(gradients.sh0), -1)
    by = {
        "position": gradients.means, "scale": gradients.log_scales, "rotation": gradients.quats,
        "opacity": gradients.opacity_logits[:, None], "sh": sh,
    }  # fmt: skip
    slopes = np.concatenate([by[name] for name in state.field.heads], axis=1)
    step = state.splats.step
    found = deformation.differentiate(state.field.flat, state.splats.values["means"], view.time, slopes)
    by_planes, by_weights, by_means = found
    if not all(math.isfinite(float(np.vdot(array, array))) for array in found):
        raise TrainingError(f"step {step}: the gradient of the field is not finite (view {view.camera.name})")
    if step % REGULAR_EVERY == 0:
        field.add_roughness(state.field, settings.roughness, REGULAR_EVERY, by_planes)
    return by_planes, by_weights, by_means
