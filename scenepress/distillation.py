"""Distillation of a scene into fewer and coarser splats: learned/distill with a codec and views.

docs/distillation.md tells what it does; compress(distill=...) and `scenepress prune --distill` call it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from scenepress import __version__, scene_ops
from scenepress import cameras as made_up
from scenepress.allocation import Sensitivities
from scenepress.codecs import encoder, sensitivity, thinning
from scenepress.codecs.presets import Settings
from scenepress.distill_codec import LOWEST, NEAR, Lossy, Measured, Whole, fixed, nominal, recalled
from scenepress.distill_views import photographs, renders, sight
from scenepress.errors import FormatError, TargetError
from scenepress.files import require_regular, whole_file
from scenepress.learned import distill as loop
from scenepress.learned import initial, state
from scenepress.learned.distill import DistillSettings
from scenepress.learned.train import View, require_fitting
from scenepress.render import TrainingBackend, training_backend
from scenepress.scene import Camera, Splats
from scenepress.stages.parameters import Parameters

STRENGTH = 3.0
"""Splats may be missed so many times as much as without distillation, for others learn to stand in."""
START = 0.3
"""As readily as this, next to the encoder alone, splats go before the training: no time is lost on them, and where
most have to go, those that stay are chosen better. Source: lego at 1/80 and 1/150, plush at 1/150, the sample.
"""
AIM = 0.994
"""Share of the wanted bytes that lattices are chosen for: the last steps change the size a little."""

Progress = Callable[[str, float], None]
"""Told what is being done and the fraction done, in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class Distillation:
    """How a scene is to be distilled before it is coded."""

    steps: int
    """Updates; each looks at one view. 500 help much, 3000 more."""
    seed: int = 0
    """Of views, backgrounds and noise: the same seed gives the same file on the same machine."""
    photographs: Sequence[View] | None = None
    """What the scene should look like; None: renders of the scene itself."""
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """r, g, b behind the photographs, 0 to 1. Renders are made over many."""
    checkpoint: Path | None = None
    """A file to write the state of the work to, every `checkpoint_every` steps."""
    checkpoint_every: int = 200
    """Steps; a multiple of 20 is chosen near it."""
    resume: bool = False
    """Go on from the checkpoint."""
    backend: TrainingBackend = "auto"
    """What renders and gives the gradients. One that cannot run here is a ValueError once the work begins."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.checkpoint_every < 1 or self.seed < 0:
            raise ValueError("steps and checkpoint_every must be at least 1, and the seed at least 0")
        if self.resume and self.checkpoint is None:
            raise ValueError("only a run with a checkpoint can be resumed")
        if self.photographs is not None and not self.photographs:
            raise ValueError("no photographs to distil from")
        for view in self.photographs or ():
            require_fitting(view)


@dataclasses.dataclass(frozen=True)
class Distilled:
    """A scene to be coded, and what it was trained to be coded with."""

    scene: Splats
    sensitivities: Sensitivities
    settings: Settings
    lattices: Parameters | None
    """encoder.lattices_of() what it was trained to be; None: they are in another unit."""


def distill(
    scene: Splats,
    plan: Distillation,
    settings: Settings,
    cameras: Sequence[Camera] | None,
    wanted: int | None,
    progress: Progress,
) -> Distilled:
    """Leave out splats and train the rest, for a file of `settings` or of about `wanted` bytes.

    Args:
        scene: finite values, at least one splat; not changed.
        plan: see Distillation.
        settings: for the encoder. Where a size is wanted, its psnr plays no role.
        cameras: where the scene is seen from, in its own axes; None: made up.
        wanted: bytes of the file that is to come, or None.
        progress: told how far the work is.

    Raises:
        ValueError: values that are not finite, or a backend that cannot run here.
        FormatError: a checkpoint that cannot be resumed from.
        TrainingError: the training came upon numbers that are not finite, or the device failed.
        TargetError: no file of the scene is as small as wanted.
    """
    encoder.require_valid(scene)
    plan = dataclasses.replace(plan, backend=training_backend(plan.backend))  # Before the measuring.
    factor = scene_ops.viewing_scale(scene)
    large = scene_ops.enlarge(scene, factor)
    given = [scene_ops.enlarge_camera(camera, factor) for camera in cameras] if cameras else None
    progress("measuring", 0.0)
    first, settings = _start(large, settings, given, wanted)
    aim = None if wanted is None else AIM * wanted
    codec = Lossy(_priced(settings, given), given, STRENGTH, aim)
    chosen = DistillSettings(steps=plan.steps, seed=plan.seed)
    done = _run(first, large, plan, codec, given, factor, chosen, progress)
    sens = recalled(done.memory)
    small = dataclasses.replace(
        scene_ops.enlarge(done.splats(), 1 / factor), axes=scene.axes, antialiased=scene.antialiased
    )
    final = dataclasses.replace(settings, prune=0.0, psnr=float(done.memory["psnr"]))
    lattices = fixed(done.memory) if factor == 1 else None
    return Distilled(small, dataclasses.replace(sens, position=sens.position * factor**2), final, lattices)


def _start(
    scene: Splats, settings: Settings, given: Sequence[Camera] | None, wanted: int | None
) -> tuple[Splats, Settings]:
    """What is trained at first, and settings with the nominal quality of a file of the wanted size then."""
    rounds = thinning.Rounds(scene, sensitivity.measure(scene, given), given)

    def left(chosen: Settings) -> Measured:
        return rounds.left(dataclasses.replace(chosen, prune=START * settings.prune))

    if wanted is not None:
        quick = dataclasses.replace(_priced(settings, given), learned=False)
        psnr, excess = nominal(left, quick, wanted, settings.psnr)
        if psnr <= LOWEST and excess > NEAR:
            smallest = wanted * math.exp(excess)
            raise TargetError(f"{wanted:,} bytes are too few for this scene: about {smallest:,.0f} are the fewest")
        settings = dataclasses.replace(settings, psnr=psnr)
    return left(settings)[0], settings


def _priced(settings: Settings, given: Sequence[Camera] | None) -> Settings:
    """The same, with less pruning where nobody knows where the scene is seen from."""
    return settings if given else dataclasses.replace(settings, prune=settings.prune * encoder.UNSURE)


def restore(
    kept: Splats, source: Splats, plan: Distillation, cameras: Sequence[Camera] | None, progress: Progress
) -> Splats:
    """Train what is left of a scene to look like the whole: all of `kept` stays, and nothing is quantised.

    Args:
        kept: at least one splat; finite; not changed.
        source: what it should look like, unless the plan has photographs.
        plan: see Distillation.
        cameras: where the scene is seen from, in its own axes; None: made up.
        progress: told how far the work is.

    Raises:
        ValueError, FormatError, TrainingError: as distill().
    """
    encoder.require_valid(kept)
    plan = dataclasses.replace(plan, backend=training_backend(plan.backend))
    factor = scene_ops.viewing_scale(source)
    large, teacher = scene_ops.enlarge(kept, factor), scene_ops.enlarge(source, factor)
    given = [scene_ops.enlarge_camera(camera, factor) for camera in cameras] if cameras else None
    chosen = DistillSettings(steps=plan.steps, seed=plan.seed, prune_until=0.0, refresh=100, fixes=())
    done = _run(large, teacher, plan, Whole(), given, factor, chosen, progress)
    small = scene_ops.enlarge(done.splats(), 1 / factor)
    return dataclasses.replace(small, axes=kept.axes, antialiased=kept.antialiased)


def _run(
    scene: Splats, teacher: Splats, plan: Distillation, codec: Lossy | Whole, given: Sequence[Camera] | None,
    factor: float, chosen: DistillSettings, progress: Progress,
) -> state.State:  # fmt: skip
    """The state after the last step, with checkpoints. The scene is `factor` times as large as its photographs."""
    if plan.photographs is None:
        views = sight(teacher, given)
        examples = renders(teacher, views, plan.seed, jitter=given is not None, backend=plan.backend)
    else:
        views = [scene_ops.enlarge_camera(view.camera, factor) for view in plan.photographs]
        examples = photographs(plan.photographs, views, plan.background, plan.seed)
    size = initial.extent(views) if given else made_up.survey(teacher).distance
    name = identify((scene, teacher), views, plan, codec.settings, chosen, given is None)
    resume = None
    if plan.resume and plan.checkpoint is not None:
        require_regular(plan.checkpoint)
        with open(plan.checkpoint, "rb") as stream:
            resume = state.load(stream, name, str(plan.checkpoint), len(scene))
        if not 0 <= resume.step <= chosen.steps or not codec.remembers(resume.memory, resume.splats()):
            raise FormatError(f"{plan.checkpoint}: its steps or what it remembers make no sense: damaged")
    every = max(1, round(plan.checkpoint_every / chosen.refresh)) * chosen.refresh

    def save(now: state.State) -> None:
        if plan.checkpoint is not None and (now.step % every == 0 or now.step == chosen.steps):
            with whole_file(plan.checkpoint) as stream:
                state.save(now, stream, name)

    return loop.distill(
        scene, examples, codec, size, chosen,
        backend=plan.backend, resume=resume, progress=progress, after_step=save,
    )  # fmt: skip


def identify(
    scenes: Sequence[Splats], views: Sequence[Camera], plan: Distillation, settings: Settings,
    chosen: DistillSettings, made_up_views: bool,
) -> str:  # fmt: skip
    """A name for the run: what a checkpoint must agree in. Of the backend see learned.train.identify()."""
    digest = hashlib.sha256()
    for scene, name in itertools.product(scenes, state.NAMES):
        digest.update(np.ascontiguousarray(getattr(scene, name)).tobytes())
        digest.update(repr((getattr(scene, name).shape, scene.antialiased, scene.axes)).encode())
    for camera in views:
        inside = (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
        numbers = (*camera.world_to_camera.ravel(), *inside)
        digest.update(np.array(numbers, np.float64).tobytes())
    for view in plan.photographs or ():
        digest.update(view.image.tobytes())
    both = dataclasses.asdict(chosen) | dataclasses.asdict(settings)
    fixed = {"version": __version__, "strength": STRENGTH, "start": START, "aim": AIM, "made up": made_up_views}
    return json.dumps({"data": digest.hexdigest(), "over": plan.background, **fixed, **both}, sort_keys=True)
