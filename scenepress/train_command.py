"""The command `train`: from photographs on disk to a scene on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from scenepress import checks, cli, photographs, printing, quality
from scenepress.cli import UsageError
from scenepress.errors import FormatError
from scenepress.files import require_regular, whole_file
from scenepress.formats import table
from scenepress.inspection import file_size
from scenepress.learned import initial, state
from scenepress.learned.train import TrainSettings, View, identify
from scenepress.learned.train import train as run
from scenepress.render import TrainingBackend
from scenepress.scene import Splats

RANDOM_POINTS = 20_000
MAX_STEPS, MAX_SPLATS = 1_000_000, 20_000_000


def train(command: cli.Train) -> None:
    """Read, train, write, measure; then say what came out.

    Raises:
        UsageError: arguments that make no sense together.
        FormatError, TrainingError, OSError: as the library raises them.
    """
    backend = _require_sense(command)
    background = checks.BACKGROUNDS[command.background] or checks.BLACK
    views = photographs.load_views(
        command.data, images=command.images, width=command.width, background=background
    )
    kept, held = photographs.split(views, command.hold_out)
    scene, origin = _start(command, kept)
    settings = TrainSettings(
        steps=command.steps,
        max_splats=command.max_splats,
        sh_degree=command.sh_degree,
        seed=command.seed,
        background=background,
        sh_every=max(1, min(500, command.steps // 6)),
    )
    begin = time.perf_counter()
    trained = _run(command, kept, scene, settings, origin, backend)
    seconds = time.perf_counter() - begin
    fit = photographs.evaluate(trained, held, background)
    table.write(trained, command.output)
    done = printing.Training(
        data=str(command.data),
        output=str(command.output),
        splats=len(trained),
        sh_degree=trained.sh_degree,
        steps=command.steps,
        views_trained=len(kept),
        width=kept[0].camera.width,
        height=kept[0].camera.height,
        started_from=origin,
        bytes_out=file_size(command.output),
        train_seconds=seconds,
        backend=backend,
        background=command.background,
        views_held_out=len(held),
        psnr=quality.finite(fit.psnr) if fit else None,
        mean_view_psnr=quality.finite(fit.mean_view_psnr) if fit else None,
        ssim=fit.ssim if fit else None,
    )
    if command.as_json:
        printing.print_json(done.as_json())
    else:
        printing.print_training(done)


def _run(
    command: cli.Train, views: Sequence[View], scene: Splats, settings: TrainSettings, origin: str,
    backend: TrainingBackend,
) -> Splats:  # fmt: skip
    """Train, from the checkpoint on if so asked, and write checkpoints."""
    name = f"{identify(views, settings)} {origin} {len(scene)}"
    path = command.checkpoint if command.resume else None
    found = _resumed(path, name, settings.max_splats) if path else None
    with checks.progress() as progress:
        return run(
            views,
            scene,
            settings,
            backend=backend,
            resume=found,
            progress=progress,
            after_step=_saver(command.checkpoint, command.checkpoint_every, name) if command.checkpoint else None,
        )


def _saver(path: Path, every: int, name: str) -> Callable[[state.State], None]:
    def save(now: state.State) -> None:
        if now.step % every == 0:
            with whole_file(path) as stream:
                state.save(now, stream, name)

    return save


def _resumed(path: Path, name: str, most: int) -> state.State:
    require_regular(path)
    with open(path, "rb") as stream:
        return state.load(stream, name, str(path), most)


def _start(command: cli.Train, views: Sequence[View]) -> tuple[Splats, str]:
    """Splats to start with, and what they were made from."""
    path = photographs.find_points(command.data) if command.init != "random" else None
    if path is None and command.init == "points":
        raise FormatError(f"{command.data}: no points came with the cameras: leave out --init points")
    if path is None:
        cameras = [view.camera for view in views]
        places, colors = initial.random_points(cameras, min(RANDOM_POINTS, command.max_splats), command.seed)
        return initial.splats_at(places, colors), "random points"
    checks.require_other_file(path, command.output)
    points = photographs.read_points(path)
    places, colors = points.positions, points.colors
    if len(places) > command.max_splats:
        some = np.random.default_rng([command.seed, 2]).permutation(len(places))[: command.max_splats]
        places, colors = places[np.sort(some)], colors[np.sort(some)]
    return initial.splats_at(places, colors), path.name


def _require_sense(command: cli.Train) -> TrainingBackend:
    """Refuse before the work what cannot be done after it; the backend that --backend means."""
    checks.require_writable(command.output)
    checks.require_other_file(command.data, command.output)
    checks.require_range("--width", command.width, checks.MAX_WIDTH)
    checks.require_range("--steps", command.steps, MAX_STEPS)
    checks.require_range("--max-splats", command.max_splats, MAX_SPLATS)
    checks.require_range("--checkpoint-every", command.checkpoint_every, MAX_STEPS)
    if not 0 <= command.sh_degree <= 3:
        raise UsageError(f"--sh-degree {command.sh_degree}: must be in 0..3")
    if command.hold_out < 0 or command.hold_out == 1:
        raise UsageError(f"--hold-out {command.hold_out}: must be 0 (none) or at least 2")
    checks.require_seed(command.seed)
    if command.resume and command.checkpoint is None:
        raise UsageError("--resume needs --checkpoint FILE to go on from")
    if command.checkpoint is not None:
        checks.require_checkpoint(command.checkpoint, command.resume)
    return checks.require_backend(command.backend)
