"""The command `train-4d`: from photographs of a scene that moves to a 4DGaussians model on disk."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from scenepress import checks, cli, moving_photographs, photographs, printing, quality
from scenepress.cli import UsageError
from scenepress.files import require_regular, whole_file
from scenepress.formats.gaussians4d import write_4dgaussians
from scenepress.learned import initial, state4d
from scenepress.learned.field import FieldSettings
from scenepress.learned.train import TrainSettings, View, identify
from scenepress.learned.train4d import State4d, Train4dSettings, train_4d
from scenepress.render import TrainingBackend
from scenepress.scene import DynamicSplats

RANDOM_POINTS = 20_000
MAX_STEPS, MAX_SPLATS, MAX_RESOLUTION = 1_000_000, 20_000_000, 1024


def train(command: cli.Train4d) -> None:
    """Read, train, write, measure; then say what came out.

    Raises:
        UsageError: arguments that make no sense together.
        FormatError, TrainingError, OSError: as the library raises them.
    """
    backend = _require_sense(command)
    background = checks.BACKGROUNDS[command.background] or checks.BLACK
    shots = moving_photographs.find(command.data, "train")
    held = moving_photographs.load(moving_photographs.find(command.data, "test"), command.width, background)
    views = moving_photographs.load(shots, command.width, background)
    settings = _settings(command, background)
    begin = time.perf_counter()
    trained = _run(command, views, settings, backend)
    seconds = time.perf_counter() - begin
    fit = photographs.evaluate(trained, held, background)
    write_4dgaussians(trained, command.output, command.steps)
    done = printing.Training(
        data=str(command.data),
        output=str(command.output),
        splats=len(trained),
        sh_degree=trained.canonical.sh_degree,
        steps=command.coarse_steps + command.steps,
        views_trained=len(views),
        width=views[0].camera.width,
        height=views[0].camera.height,
        started_from="random points",
        bytes_out=sum(path.stat().st_size for path in command.output.rglob("*") if path.is_file()),
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


def _settings(command: cli.Train4d, background: tuple[float, float, float]) -> Train4dSettings:
    coarse = TrainSettings(
        steps=command.coarse_steps, max_splats=max(1, command.max_splats // 2),
        sh_degree=min(1, command.sh_degree), seed=command.seed, background=background,
        sh_every=max(1, command.coarse_steps // 2),
    )  # fmt: skip
    fine = TrainSettings(
        steps=command.steps, max_splats=command.max_splats, sh_degree=command.sh_degree, seed=command.seed,
        background=background, sh_every=max(1, command.steps // 6),
    )  # fmt: skip
    side = command.resolution
    heads = ("position", "scale", "rotation", *(("opacity",) if command.moving_opacity else ()))
    field = FieldSettings(command.channels, (side, side, side), command.times, heads=heads)
    return Train4dSettings(coarse, fine, field)


def _run(
    command: cli.Train4d, views: Sequence[View], settings: Train4dSettings, backend: TrainingBackend
) -> DynamicSplats:
    cameras = [view.camera for view in views]
    places, colors = initial.random_points(cameras, min(RANDOM_POINTS, settings.coarse.max_splats), command.seed)
    name = f"{identify(views, settings.fine)} {dataclasses.asdict(settings)} {len(places)}"
    found = None
    if command.resume and command.checkpoint is not None:
        require_regular(command.checkpoint)
        with open(command.checkpoint, "rb") as stream:
            found = state4d.load(stream, name, str(command.checkpoint), settings.fine.max_splats, settings.field)
    with checks.progress() as progress:
        return train_4d(
            views,
            initial.splats_at(places, colors),
            settings,
            backend=backend,
            resume=found,
            progress=progress,
            after_step=_saver(command.checkpoint, command.checkpoint_every, name) if command.checkpoint else None,
        )


def _saver(path: Path, every: int, name: str) -> Callable[[State4d], None]:
    def save(now: State4d) -> None:
        if now.splats.step % every == 0:
            with whole_file(path) as stream:
                state4d.save(now, stream, name)

    return save


def _require_sense(command: cli.Train4d) -> TrainingBackend:
    """Refuse before the work what cannot be done after it; the backend that --backend means."""
    checks.require_new_folder(command.output)
    checks.require_place(command.output / "x" if command.output.is_dir() else command.output)
    checks.require_range("--width", command.width, checks.MAX_WIDTH)
    checks.require_range("--steps", command.steps, MAX_STEPS)
    checks.require_range("--coarse-steps", command.coarse_steps, MAX_STEPS)
    checks.require_range("--max-splats", command.max_splats, MAX_SPLATS)
    checks.require_range("--resolution", command.resolution, MAX_RESOLUTION)
    checks.require_range("--times", command.times, MAX_RESOLUTION)
    checks.require_range("--channels", command.channels, 128)
    checks.require_range("--checkpoint-every", command.checkpoint_every, MAX_STEPS)
    if not 0 <= command.sh_degree <= 3:
        raise UsageError(f"--sh-degree {command.sh_degree}: must be in 0..3")
    checks.require_seed(command.seed)
    if command.resume and command.checkpoint is None:
        raise UsageError("--resume needs --checkpoint FILE to go on from")
    if command.checkpoint is not None:
        checks.require_checkpoint(command.checkpoint, resume=True)
    return checks.require_backend(command.backend)
