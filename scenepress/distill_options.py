"""The options of `compress` and `prune` that ask for distillation: what they must be, and what they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenepress import checks, cli
from scenepress.cli import UsageError
from scenepress.scene import Splats

if TYPE_CHECKING:
    from scenepress.distillation import Distillation
    from scenepress.learned.train import View

MAX_STEPS = 1_000_000


def require_sense(command: cli.Compress | cli.Prune) -> None:
    """Refuse options that make no sense without or with the others.

    Raises:
        UsageError: says which.
    """
    if command.distill is None:
        given = {
            "--images": command.images is not None,
            "--checkpoint": command.checkpoint is not None,
            "--resume": command.resume,
            "--seed": command.seed != cli.Compress.seed,
            "--backend": command.backend != cli.Compress.backend,
        }
        for name, is_given in given.items():
            if is_given:
                raise UsageError(f"{name} is for distillation: give --distill N as well")
        return
    checks.require_range("--distill", command.distill, MAX_STEPS)
    if isinstance(command, cli.Compress) and command.preset == "lossless":
        raise UsageError("--distill changes the scene, --preset lossless must not: give one of them")
    if command.images is not None and command.cameras is None:
        raise UsageError("--images needs --cameras FILE: where each of them was taken from")
    if command.resume and command.checkpoint is None:
        raise UsageError("--resume needs --checkpoint FILE to go on from")
    checks.require_seed(command.seed)
    checks.require_backend(command.backend)
    if command.checkpoint is not None:
        for file in (command.source, command.output):
            checks.require_other_file(file, command.checkpoint)
        checks.require_checkpoint(command.checkpoint, command.resume)


def plan_of(command: cli.Compress | cli.Prune, scene: Splats) -> Distillation | None:
    """The distillation that is asked for, with its photographs; None if none is.

    Raises:
        FormatError: photographs that are missing, damaged or not of their cameras' shape.
        OSError: a file cannot be read.
    """
    if command.distill is None:
        return None
    from scenepress.distillation import Distillation

    background = checks.BACKGROUNDS[command.background] or checks.BLACK
    return Distillation(
        steps=command.distill,
        seed=command.seed,
        photographs=_photographs(command, scene, background) if command.images is not None else None,
        background=background,
        checkpoint=command.checkpoint,
        resume=command.resume,
        backend=checks.require_backend(command.backend),
    )


def _photographs(
    command: cli.Compress | cli.Prune, scene: Splats, background: tuple[float, float, float]
) -> list[View]:
    """The photographs of --cameras in --images, small enough to train with, in the axes of the scene."""
    import dataclasses

    from scenepress import api, photographs
    from scenepress.distill_views import PIXELS

    assert command.cameras is not None
    views = photographs.load_views(
        command.cameras, images=command.images, background=background, most_pixels=PIXELS, least_views=1
    )
    return [
        dataclasses.replace(view, camera=api.camera_in_axes(view.camera, scene.axes)) for view in views
    ]
