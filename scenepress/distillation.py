"""Distillation of a scene into fewer and coarser splats: what learned/distill is told of the codec and the views.

docs/distillation.md tells what it does; compress(distill=...) calls it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress import cameras as made_up
from scenepress import container, scene_ops
from scenepress.allocation import Sensitivities
from scenepress.codecs import encoder, rates, reconstruction
from scenepress.codecs.presets import Settings
from scenepress.errors import TargetError
from scenepress.files import require_regular, whole_file
from scenepress.learned import distill as loop
from scenepress.learned import initial, state
from scenepress.learned.distill import Coded, DistillSettings, Example, Memory
from scenepress.learned.train import View
from scenepress.render import rasterize
from scenepress.scene import Camera, Splats
from scenepress.stages import rotation

PIXELS = 200_000
"""Of a view, at most: larger cameras are made smaller."""
SURROUND, ORBIT, WIDTH = 96, 96, 400
"""Cameras made up: as for measuring, and as a person would look; and how wide they are."""
JITTER, TILT = 0.3, 0.06
"""Given cameras are moved, in distances to the next one, and turned, in radians: standard deviations."""
ROUND_VIEWS = 24
"""Given cameras that a round measures with, at most."""
STRENGTH = 2.0
"""Splats may be missed so many times as much as without distillation, for others learn to stand in."""
PRICE = 1.0
"""Of a bit, next to what quantisation would pay for it."""
LOWEST, HIGHEST = 12.0, 70.0
"""Nominal qualities, in dB, that are looked at for a wanted size."""
SEARCHES, NEAR = 6, 0.004
"""Files made to find the nominal quality of a wanted size, at most; and how near, in ln(bytes)."""
AIM = 0.994
"""Share of the wanted bytes that lattices are chosen for: the last steps change the size a little."""
LOG_SLOPES = (0.04, 0.12, 0.36)
"""ln(bytes) per dB of nominal quality: least, usual, most."""

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

    def __post_init__(self) -> None:
        if self.steps < 1 or self.checkpoint_every < 1 or self.seed < 0:
            raise ValueError("steps and checkpoint_every must be at least 1, and the seed at least 0")
        if self.resume and self.checkpoint is None:
            raise ValueError("only a run with a checkpoint can be resumed")
        if self.photographs is not None and not self.photographs:
            raise ValueError("no photographs to distil from")


@dataclasses.dataclass(frozen=True)
class Distilled:
    """A scene to be coded, and what it was trained to be coded with."""

    scene: Splats
    sensitivities: Sensitivities
    settings: Settings


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
        ValueError: values that are not finite.
        FormatError: a checkpoint that cannot be resumed from.
        TrainingError: the training came upon numbers that are not finite.
        TargetError: no file of the scene is as small as wanted.
    """
    encoder.require_valid(scene)
    factor = scene_ops.viewing_scale(scene)
    large = scene_ops.enlarge(scene, factor)
    given = [scene_ops.enlarge_camera(camera, factor) for camera in cameras] if cameras else None
    progress("measuring", 0.0)
    price, choose = settings.prune if given else settings.prune * encoder.UNSURE, None
    if wanted is not None:
        choose = _chooser(settings, AIM * wanted)
        sens = encoder.measure(large, given)
        start, excess = _nominal(large, sens, dataclasses.replace(settings, prune=price), wanted, settings.psnr)
        if start <= LOWEST and excess > NEAR:
            smallest = wanted * math.exp(excess)
            raise TargetError(f"{wanted:,} bytes are too few for this scene: about {smallest:,.0f} are the fewest")
        settings = dataclasses.replace(settings, psnr=start)
    codec = Codec(dataclasses.replace(settings, prune=price), given, STRENGTH, choose)
    delta = encoder.delta_of(settings, len(scene))
    chosen = DistillSettings(steps=plan.steps, seed=plan.seed, bit_price=PRICE * delta**2 * math.log(2) / 6)
    done = _run(large, plan, codec, given, factor, chosen, progress)
    sens = recalled(done.memory)
    small = dataclasses.replace(
        scene_ops.enlarge(done.splats(), 1 / factor), axes=scene.axes, antialiased=scene.antialiased
    )
    final = dataclasses.replace(settings, prune=0.0, psnr=float(done.memory["psnr"]))
    return Distilled(small, dataclasses.replace(sens, position=sens.position * factor**2), final)


def _run(
    scene: Splats, plan: Distillation, codec: Codec, given: Sequence[Camera] | None, factor: float,
    chosen: DistillSettings, progress: Progress,
) -> state.State:  # fmt: skip
    """The state after the last step, with checkpoints. The scene is `factor` times as large as its photographs."""
    if plan.photographs is None:
        views = sight(scene, given)
        examples = renders(scene, views, plan.seed, jitter=given is not None)
    else:
        views = [scene_ops.enlarge_camera(view.camera, factor) for view in plan.photographs]
        examples = photographs(plan.photographs, views, plan.background, plan.seed)
    size = initial.extent(views) if given else made_up.survey(scene).distance
    name = identify(scene, views, plan, codec, chosen)
    resume = None
    if plan.resume and plan.checkpoint is not None:
        require_regular(plan.checkpoint)
        with open(plan.checkpoint, "rb") as stream:
            resume = state.load(stream, name, str(plan.checkpoint))
    every = max(1, round(plan.checkpoint_every / chosen.refresh)) * chosen.refresh

    def save(now: state.State) -> None:
        if plan.checkpoint is not None and now.step % every == 0:
            with whole_file(plan.checkpoint) as stream:
                state.save(now, stream, name)

    return loop.distill(scene, examples, codec, size, chosen, resume=resume, progress=progress, after_step=save)


def identify(
    scene: Splats, views: Sequence[Camera], plan: Distillation, codec: Codec, chosen: DistillSettings
) -> str:
    """A name for the run: what a checkpoint must agree in."""
    digest = hashlib.sha256()
    for name in state.NAMES:
        digest.update(np.ascontiguousarray(getattr(scene, name)).tobytes())
    for camera in views:
        numbers = (*camera.world_to_camera.ravel(), camera.fx, camera.fy, camera.cx, camera.cy, camera.width)
        digest.update(np.array(numbers, np.float64).tobytes())
    for view in plan.photographs or ():
        digest.update(view.image.tobytes())
    both = dataclasses.asdict(chosen) | dataclasses.asdict(codec.settings)
    return json.dumps({"distillation": digest.hexdigest(), "over": plan.background, **both}, sort_keys=True)


@dataclasses.dataclass(frozen=True)
class Codec:
    """What learned/distill asks of the codec."""

    settings: Settings
    """Of the first round."""
    views: Sequence[Camera] | None
    """Given cameras; None: made up for every measurement."""
    strength: float
    """Pruning's limit grows by this factor over the rounds."""
    choose: Callable[[Splats, Sensitivities, float], float] | None
    """The nominal quality to go on with when the splats are chosen, from that of the start; None: the same."""

    def fewer(self, scene: Splats, done: float, memory: Memory) -> tuple[NDArray[np.bool_], Memory]:
        """Those that are missed more than their bits are worth; the standard rises from round to round."""
        sens = encoder.measure(scene, self.views[:: -(-len(self.views) // ROUND_VIEWS)] if self.views else None)
        limit = self.settings.prune * self.strength**done * encoder.delta_of(self.settings, len(scene)) ** 2
        kept = sens.removal > limit
        if self.settings.keep_order or not kept.any():
            kept[:] = True
        return kept, {**_remembered(sens.take(np.flatnonzero(kept))), "psnr": np.array(self.settings.psnr)}

    def fix(self, scene: Splats, memory: Memory) -> Memory:
        """Choose the steps for what is left."""
        if self.choose is None:
            return memory
        return {**memory, "psnr": np.array(self.choose(scene, recalled(memory), float(memory["psnr"])))}

    def code(self, scene: Splats, memory: Memory) -> Coded:
        """Quantise for the quality that is remembered."""
        chosen = dataclasses.replace(self.settings, prune=0.0, psnr=float(memory["psnr"]))
        prepared = encoder.prepare(scene, recalled(memory), chosen, sure=True)
        rows, decoded = reconstruction.reconstruct(prepared)
        back = np.empty(len(rows), np.intp)
        back[rows] = np.arange(len(rows))
        quats, renamed = rotation.canonical(scene.quats)
        logs = np.take_along_axis(scene.log_scales, renamed, 1)
        named = dataclasses.replace(scene, quats=quats.astype(np.float32), log_scales=logs)
        return Coded(named, decoded.take(back), _slopes(prepared, named))


def _slopes(prepared: encoder.Prepared, named: Splats) -> dict[str, NDArray[np.float32]]:
    """rates.slopes(), for splats in an order of their own."""
    found = rates.slopes(prepared, named.take(prepared.source))
    back = np.empty(len(named), np.intp)
    back[prepared.source] = np.arange(len(named))
    return {name: array[back] for name, array in found.items()}


def _remembered(sens: Sensitivities) -> Memory:
    return {field.name: getattr(sens, field.name) for field in dataclasses.fields(sens)}


def recalled(memory: Memory) -> Sensitivities:
    """The sensitivities that a codec remembers."""
    return Sensitivities(**{field.name: memory[field.name] for field in dataclasses.fields(Sensitivities)})


def _chooser(settings: Settings, wanted: float) -> Callable[[Splats, Sensitivities, float], float]:
    whole = dataclasses.replace(settings, prune=0.0)

    def choose(scene: Splats, sens: Sensitivities, start: float) -> float:
        return _nominal(scene, sens, whole, wanted, start)[0]

    return choose


def _nominal(
    scene: Splats, sens: Sensitivities, settings: Settings, wanted: float, start: float
) -> tuple[float, float]:
    """The nominal quality, in dB, of a file of about `wanted` bytes, and ln(its bytes / wanted)."""

    def excess(psnr: float) -> float:
        prepared = encoder.prepare(scene, sens, dataclasses.replace(settings, psnr=psnr), sure=True)
        return math.log(len(container.write(encoder.code(prepared, _silent))) / wanted)

    at, slope = start, LOG_SLOPES[1]
    found = excess(at)
    for _ in range(SEARCHES - 1):
        to = float(np.clip(at - found / slope, LOWEST, HIGHEST))
        if abs(found) < NEAR or to == at:
            break
        reached = excess(to)
        slope = float(np.clip((reached - found) / (to - at), LOG_SLOPES[0], LOG_SLOPES[2]))
        at, found = to, reached
    return at, found


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
        index = _turn(step, len(taken), seed)
        return Example(views[index], background, taken[index].image.astype(np.float32) / np.float32(255))

    return example


def _turn(step: int, count: int, seed: int) -> int:
    return int(np.random.default_rng([seed, 0, step // count]).permutation(count)[step % count])


def renders(scene: Splats, views: Sequence[Camera], seed: int, jitter: bool) -> Callable[[int], Example]:
    """Examples that show the scene itself, from near the views, before black, white, or some colour."""
    at = initial.centers(views)
    apart = np.linalg.norm(at[:, None] - at[None], axis=2) + np.where(np.eye(len(at), dtype=bool), np.inf, 0)
    near = apart.min(axis=1)
    near[~np.isfinite(near)] = 0

    def example(step: int) -> Example:
        index = _turn(step, len(views), seed)
        random = np.random.default_rng([seed, 1, step])
        camera = _moved(views[index], float(near[index]), random) if jitter else views[index]
        kind = random.integers(3)
        rear = (0.0,) * 3 if kind == 0 else (1.0,) * 3 if kind == 1 else tuple(random.uniform(0, 1, 3).tolist())
        return Example(camera, rear, rasterize(scene, camera, background=rear).color)

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


def _silent(_what: str, _done: float) -> None:
    pass
