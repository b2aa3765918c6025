"""Distillation: fewer and coarser splats that look like the scene they come from.

The scene is rendered as coding makes it, and what is left of it is trained against renders of the source (or
photographs) with the bits it takes in the loss: first while splats are left out round by round, with noise of the
size that rounding will have, then with the rounding itself, straight through. docs/distillation.md tells more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenepress.learned import update
from scenepress.learned.densify import keep
from scenepress.learned.state import F32, NAMES, State, as_splats, begin
from scenepress.render import TrainingBackend, differentiable, training_backend
from scenepress.scene import Camera, Splats

LIMIT = 9.0
"""Opacity logits are held to this, either way: beyond, renderers see no difference."""

Progress = Callable[[str, float], None]
"""Told what is going on and the share done, 0 to 1."""


@dataclasses.dataclass(frozen=True)
class Example:
    """One view, and what the scene should look like there."""

    camera: Camera
    background: tuple[float, float, float]
    """r, g, b behind the splats."""
    image: F32
    """float32 [H, W, 3], display colours."""


@dataclasses.dataclass(frozen=True)
class Coded:
    """What coding makes of a scene. All arrays have the scene's rows."""

    named: Splats
    """The scene itself, perhaps with the axes of its splats renamed as the file will have them."""
    decoded: Splats
    """What will be decoded."""
    slopes: Mapping[str, F32]
    """Derivatives of what the estimated bits cost, as mean squared error of the images, with respect to arrays of
    `named`, by name; none where 0."""


Memory = dict[str, NDArray[np.float64]]
"""What a codec remembers from one call to the next, by name; arrays of finite numbers."""


@dataclasses.dataclass(frozen=True)
class Fewer:
    """What a round leaves of a scene."""

    stays: NDArray[np.bool_]
    """[N]: which splats stay."""
    scene: Splats
    """[M]: those that stay, in their order, some of them changed."""
    changed: NDArray[np.bool_]
    """[M]: which; the others have the values that they had."""
    memory: Memory


class Coder(Protocol):
    """What distillation must know of the codec. Answers depend on the arguments alone: a run can be resumed."""

    def fewer(self, scene: Splats, done: float, memory: Memory) -> Fewer:
        """What stays in the round that ends the share `done` of all, and what to remember.

        memory: from the round before; empty in the first.
        """

    def fix(self, scene: Splats, memory: Memory) -> Memory:
        """Choose what holds from now on, such as the steps of the lattices; or see whether it still should."""

    def code(self, scene: Splats, memory: Memory) -> Coded:
        """Quantise; every splat stays."""


@dataclasses.dataclass(frozen=True)
class DistillSettings:
    """Everything that decides what comes of a run, but for the scene, the views and the codec."""

    steps: int = 1000
    """Updates; each looks at one view."""
    seed: int = 0
    """Of views, backgrounds and noise."""
    rounds: int = 8
    """Stretches of training between which splats are left out; also before the first and after the last."""
    prune_until: float = 0.45
    """Share of the steps after which none is left out any more, and the lattices are fixed."""
    refresh: int = 20
    """Steps after which is quantised anew."""
    fixes: tuple[float, ...] = (0.55, 0.65, 0.75, 0.84, 0.92)
    """Shares of the steps after which the codec looks again: the size changes with training."""
    rate_end: float = 0.05
    """Rates at the last step, as shares of those at the first; exponential in between."""
    means_rate: float = 4e-5
    """Of Adam for centres, per step, times the extent of the cameras; the others are per step."""
    quats_rate: float = 2.5e-3
    log_scales_rate: float = 1.2e-2
    opacity_logits_rate: float = 5e-2
    sh0_rate: float = 6e-3
    shN_rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rounds < 1 or self.refresh < 1 or self.seed < 0:
            raise ValueError("steps, rounds and refresh must be at least 1, and the seed at least 0")
        if not (0 <= self.prune_until <= 1 and 0 < self.rate_end <= 1):
            raise ValueError("prune_until must be in 0..1, rate_end above 0 and at most 1")


def distill(
    scene: Splats,
    examples: Callable[[int], Example],
    coder: Coder,
    size: float,
    settings: DistillSettings,
    *,
    backend: TrainingBackend = "auto",
    resume: State | None = None,
    progress: Progress | None = None,
    after_step: Callable[[State], None] | None = None,
) -> State:
    """Train `scene` for its coding. The same input gives the same result on the same machine and backend, unless
    that is gsplat.

    Args:
        scene: where to start; finite. No splats: nothing happens.
        examples: what step k, from 0 on, looks at.
        coder: see Coder.
        size: extent of the cameras, in scene units.
        settings: see DistillSettings.
        backend: what renders the coded scene and gives the gradients.
        resume: a state of the same run to go on from; changed.
        progress: told after each step.
        after_step: given the state after every `settings.refresh` steps and the last, to save it: not to keep or
            change. In between a state does not tell all.

    Raises:
        ValueError: a backend that cannot run here.
        TrainingError: numbers that are not finite came out, or the device failed; the message says at which step.
    """
    chosen = training_backend(backend)
    state = begin(scene) if resume is None else resume
    logits = state.values["opacity_logits"]
    np.clip(logits, -LIMIT, LIMIT, out=logits)

    def now() -> Splats:
        return dataclasses.replace(state.splats(), antialiased=scene.antialiased, axes=scene.axes)

    pruned = int(settings.prune_until * settings.steps)
    rounds = {pruned * k // settings.rounds: (k + 1) / (settings.rounds + 1) for k in range(settings.rounds + 1)}
    fixes = {pruned, *(int(share * settings.steps) for share in settings.fixes if share > settings.prune_until)}
    offsets: dict[str, F32] = {}
    slopes: Mapping[str, F32] = {}
    while len(state) and state.step < settings.steps:
        step = state.step
        if step in rounds:
            _leave(state, coder.fewer(now(), rounds[step], state.memory))
        if step in fixes:
            state.memory = coder.fix(now(), state.memory)
        if not offsets or step in rounds or step in fixes or step % settings.refresh == 0:
            offsets, slopes = _recode(state, coder.code(now(), state.memory))
        noisy = _noise(offsets, settings.seed, step) if step < pruned else offsets
        with update.device_at_work(chosen, step + 1):
            example = examples(step)
        _step(state, example, noisy, slopes, settings, size, scene.antialiased, chosen)
        if after_step is not None and (state.step % settings.refresh == 0 or state.step == settings.steps):
            after_step(state)
        if progress is not None:
            progress(f"distilling, {len(state):,} splats", state.step / settings.steps)
    return state


def _leave(state: State, found: Fewer) -> None:
    """Splats that are changed begin with moments of 0."""
    keep(state, found.stays)
    for name in NAMES:
        state.values[name][found.changed] = getattr(found.scene, name)[found.changed]
        for moments in (state.first, state.second):
            moments[name][found.changed] = 0
    state.memory = found.memory


def _recode(state: State, coded: Coded) -> tuple[dict[str, F32], Mapping[str, F32]]:
    """What coding adds to each value, and the slopes of the rate. Renames axes in the state."""
    turned = (coded.named.log_scales != state.values["log_scales"]).any(axis=1)
    for name in ("quats", "log_scales"):
        state.values[name] = np.array(getattr(coded.named, name), np.float32, order="C")
        for moments in (state.first, state.second):
            moments[name][turned] = 0
    offsets = {name: getattr(coded.decoded, name) - state.values[name] for name in NAMES}
    return offsets, coded.slopes


def _noise(offsets: Mapping[str, F32], seed: int, step: int) -> dict[str, F32]:
    """Errors of rounding with signs drawn anew: as large as they will be, and of no value that stays."""
    random = np.random.default_rng([seed, 4, step])

    def flipped(offset: F32) -> F32:
        signs = random.integers(0, 2, offset.shape, np.int8)
        signs *= 2
        signs -= 1
        turned: F32 = offset * signs
        return turned

    return {name: flipped(offset) for name, offset in offsets.items()}


def _step(
    state: State, example: Example, offsets: Mapping[str, F32], slopes: Mapping[str, F32],
    settings: DistillSettings, size: float, antialiased: bool, backend: TrainingBackend,
) -> None:  # fmt: skip
    coded = as_splats({name: state.values[name] + offsets[name] for name in NAMES})
    coded = dataclasses.replace(coded, antialiased=antialiased)
    with update.device_at_work(backend, state.step + 1):
        frame = differentiable(coded, example.camera, background=example.background, backend=backend)
        error = _difference(frame.image.color, example.image)
        gradients = frame.backward(error * np.float32(2 / error.size))
    state.step += 1
    update.require_finite(state.step, example.camera.name, gradients, float(np.vdot(error, error)))
    left = settings.rate_end ** (state.step / settings.steps)
    rates = {name: left * float(getattr(settings, f"{name}_rate")) for name in NAMES}
    rates["means"] *= size
    update.descend(state, gradients, slopes, rates)
    np.clip(state.values["opacity_logits"], -LIMIT, LIMIT, out=state.values["opacity_logits"])


def _difference(shown: F32, wanted: F32) -> F32:
    """[H, W, 3]; none where both are beyond white, which no screen shows."""
    bounded = np.clip(wanted, 0, 1)
    error: F32 = shown - bounded
    error[((bounded >= 1) & (shown > 1)) | ((bounded <= 0) & (shown < 0))] = 0
    return error
