"""Training: splats that look like photographs, by gradient descent.

The method and its constants are those of 3D Gaussian splatting (Kerbl et al., 2023), for
shorter runs: docs/training.md.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import TrainingError
from scenepress.kernels import training
from scenepress.learned import densify, initial, update
from scenepress.learned.state import NAMES, State, raise_degree, start
from scenepress.render import TrainingBackend, differentiable, training_backend
from scenepress.scene import Camera, Splats

MIN_SIDE = 11
"""Pixels: the window of SSIM must fit the image."""

Progress = Callable[[str, float], None]
"""Called with what is going on and the share done, 0 to 1."""


@dataclasses.dataclass(frozen=True)
class View:
    """A photograph and where it was taken from."""

    camera: Camera
    """Of the image's size."""
    image: NDArray[np.uint8]
    """uint8 [H, W, 3]: r, g, b, display colours."""
    background: tuple[float, float, float] | None = None
    """r, g, b behind the scene, 0 to 1; None for that of the settings."""
    time: float = 0.0
    """When it was taken, 0 to 1; plays no part for scenes that keep still."""


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Everything that decides what comes of a run, but for the data."""

    steps: int = 3000
    """Updates; each looks at one view."""
    max_splats: int = 100_000
    """No more than so many."""
    sh_degree: int = 3
    """Of the colour's dependence on the direction, 0 to 3."""
    seed: int = 0
    """Of the order of the views, and of where halves of splats go."""
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """r, g, b behind the scene, 0 to 1."""
    ssim_weight: float = 0.2
    """Loss: (1 - weight) L1 + weight (1 - SSIM)."""
    sh_every: int = 500
    """Steps after which the SH degree in use is raised by one."""
    means_rate: float = 1.6e-4
    """Of Adam for centres at the first step, per step, times the extent of the scene."""
    means_rate_end: float = 1.6e-6
    """The same at the last step; exponential in between."""
    quats_rate: float = 1e-3
    log_scales_rate: float = 5e-3
    opacity_logits_rate: float = 5e-2
    sh0_rate: float = 2.5e-3
    shN_rate: float = 1.25e-4
    densify_from: int = 200
    """The step after which splats are multiplied first."""
    densify_until: float = 0.6
    """Share of the steps after which they are not any more."""
    densify_every: int = 100
    """Steps between; faint splats are dropped as often."""
    densify_pull: float = 2e-4
    """Mean length of the gradient of the centre on the image, in units of half an image, from which on a splat is
    multiplied."""
    clone_below: float = 0.01
    """Splats of at most this standard deviation, in extents of the scene, are cloned; larger ones are split."""
    prune_opacity: float = 0.005
    """Fainter splats are dropped."""
    max_opacity: float = 0.993
    """No splat becomes more opaque: where the renderer holds alpha at 0.999 there is no gradient, and splats that
    have grown beyond would stay as they are for good."""
    fade_every: int = 0
    """Steps after which opacities are held to twice prune_opacity, while splats are multiplied; 0: never."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.max_splats < 1 or self.sh_every < 1 or self.densify_every < 1:
            raise ValueError("steps, max_splats, sh_every and densify_every must be at least 1")
        if not 0 <= self.sh_degree <= 3:
            raise ValueError(f"sh_degree must be 0 to 3, is {self.sh_degree}")
        if not (0 <= self.ssim_weight <= 1 and 0 < self.prune_opacity < self.max_opacity < 1 and self.seed >= 0):
            raise ValueError("ssim_weight must be in 0..1, 0 < prune_opacity < max_opacity < 1, seed at least 0")


def identify(views: Sequence[View], settings: TrainSettings) -> str:
    """A name for the run of these settings on these views: what a checkpoint must agree in.

    The backend is not part of it. Backends agree but for rounding and leave nothing in the state, so a run begun
    on one goes on as well on another: only not to the same bits, as between processors.
    """
    digest = hashlib.sha256()
    for view in views:
        camera = view.camera
        numbers = (*camera.world_to_camera.ravel(), camera.fx, camera.fy, camera.cx, camera.cy)
        digest.update(np.array(numbers, np.float64).tobytes())
        when = (view.time,) if view.time else ()
        digest.update(repr((view.image.shape, view.background, *when)).encode() + view.image.tobytes())
    return json.dumps({"views": digest.hexdigest(), **dataclasses.asdict(settings)}, sort_keys=True)


def train(
    views: Sequence[View],
    scene: Splats,
    settings: TrainSettings,
    *,
    backend: TrainingBackend = "auto",
    resume: State | None = None,
    progress: Progress | None = None,
    after_step: Callable[[State], None] | None = None,
) -> Splats:
    """Train a scene. The same input gives the same scene on the same machine and backend, unless that is gsplat.

    Args:
        views: at least two; images at least 11 pixels a side.
        scene: what to start with, in the cameras' axes; its shN is left out. At most settings.max_splats.
        settings: see TrainSettings.
        backend: what renders and gives the gradients.
        resume: a state of a run of the same views, scene and settings to go on from; changed.
        progress: told after each step.
        after_step: given the state after each step, to save it: not to keep or change.

    Raises:
        ValueError: views or a scene that cannot be trained with, or a backend that cannot run here.
        TrainingError: numbers that are not finite came out; no splat is left; or the device failed. The message
            says at which step.
    """
    chosen = training_backend(backend)
    _require(views, scene, settings)
    state = start(scene) if resume is None else resume
    size = initial.extent([view.camera for view in views])
    while state.step < settings.steps:
        _step(state, views[update.turn(state.step, len(views), settings.seed)], settings, size, chosen)
        grow(state, settings, size)
        if not len(state):
            raise TrainingError(f"step {state.step}: no splat is left: all have become transparent")
        if after_step is not None:
            after_step(state)
        if progress is not None:
            progress(f"training, {len(state):,} splats", state.step / settings.steps)
    densify.prune(state, settings.prune_opacity)
    raise_degree(state, settings.sh_degree)
    return state.splats()


def _require(views: Sequence[View], scene: Splats, settings: TrainSettings) -> None:
    if len(views) < 2:
        raise ValueError(f"training needs at least 2 views, got {len(views)}")
    if not 0 < len(scene) <= settings.max_splats:
        raise ValueError(f"training starts with 1 to {settings.max_splats} splats, got {len(scene)}")
    for view in views:
        require_fitting(view)


def require_fitting(view: View) -> None:
    """Refuse a photograph that is not of its camera's size, or too small. Raises ValueError."""
    shape = (view.camera.height, view.camera.width, 3)
    if view.image.dtype != np.uint8 or view.image.shape != shape or min(shape[:2]) < MIN_SIDE:
        found = f"{view.image.dtype} {view.image.shape}"
        raise ValueError(f"view {view.camera.name}: an image {found} for a camera of {shape}")


def _step(state: State, view: View, settings: TrainSettings, size: float, backend: TrainingBackend) -> None:
    """One update. size: extent of the scene, in its units."""
    raise_degree(state, min(settings.sh_degree, state.step // settings.sh_every))
    background = settings.background if view.background is None else view.background
    target = np.divide(view.image, np.float32(255), dtype=np.float32)
    with update.device_at_work(backend, state.step + 1):
        frame = differentiable(state.splats(), view.camera, background=background, backend=backend)
        l1, ssim, by_color = training.image_loss(frame.image.color, target, settings.ssim_weight)
        gradients = frame.backward(by_color)
    state.step += 1
    update.require_finite(state.step, view.camera.name, gradients, l1, ssim)
    half = np.array([0.5 * view.camera.width, 0.5 * view.camera.height], np.float32)
    state.pull += np.hypot(*(gradients.centers * half).T)
    state.shown += update.shown(gradients)
    update.descend(state, gradients, {}, rates(settings, state.step, size))
    logits = state.values["opacity_logits"]
    np.minimum(logits, np.float32(densify.logit(settings.max_opacity)), out=logits)


def rates(settings: TrainSettings, step: int, size: float) -> dict[str, float]:
    """Of Adam at a step, by NAMES. size: extent of the scene, in its units."""
    done = min(1.0, step / settings.steps)
    means = settings.means_rate ** (1 - done) * settings.means_rate_end**done
    others = {name: float(getattr(settings, f"{name}_rate")) for name in NAMES}
    return {**others, "means": means * size}


def grow(state: State, settings: TrainSettings, size: float) -> None:
    """Multiply and drop splats if it is time to. Room for new ones is given evenly over the rounds there are."""
    last = int(settings.densify_until * settings.steps)
    if not settings.densify_from <= state.step <= last:
        return
    if state.step % settings.densify_every == 0:
        room = settings.max_splats - state.started_with
        limit = state.started_with + room * state.step // last
        densify.multiply(
            state,
            threshold=settings.densify_pull,
            small=settings.clone_below * size,
            opacity=settings.prune_opacity,
            limit=limit,
            seed=[settings.seed, 1, state.step],
        )
    if settings.fade_every and state.step % settings.fade_every == 0 and state.step < last:
        densify.fade(state, 2 * settings.prune_opacity)
