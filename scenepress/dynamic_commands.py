"""What `inspect`, `convert`, `compare` and `render` do with scenes that change with time: docs/dynamic.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scenepress import api, checks, cli, dynamics, printing, quality
from scenepress.cli import UsageError
from scenepress.errors import FormatError
from scenepress.files import readable_size
from scenepress.formats import dynamic_table, table
from scenepress.formats.sequence import MAX_FRAMES, write_sequence
from scenepress.formats.spacetime import write_spacetime
from scenepress.formats.splatv import write_splatv
from scenepress.inspection import file_size
from scenepress.quality import Json
from scenepress.scene import Camera, Dynamic, DynamicSplats, PolynomialSplats, Splats, SplatSequence

COMPARE_TIMES, COMPARE_VIEWS, COMPARE_WIDTH = 8, 8, 400


def is_dynamic(path: Path) -> bool:
    """Whether a file or folder holds a scene that changes with time. What cannot be read is left to others."""
    if api.is_press(path) or not path.exists() or not (path.is_dir() or path.is_file()):
        return False
    try:
        return dynamic_table.identify(path) is not None
    except (FormatError, OSError):
        return False


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What a scene that changes with time is and holds."""

    path: str
    format: str
    bytes: int
    """Of the file, or of all files of the folder."""
    kind: str
    """"deformed", "polynomial" or "sequence"."""
    count: int
    """Splats; of a sequence those of its first frame."""
    sh_degree: int
    frames: int | None
    """Of a sequence."""
    heads: list[str] | None
    """Of a deformation field: what it moves."""
    planes: list[list[int]] | None
    """Of a deformation field, for each level: channels, and texels along x, y, z and the time."""
    weights: int | None
    """Of its networks: how many numbers."""

    def as_json(self) -> dict[str, Json]:
        """The keys that docs/cli.md promises."""
        return dataclasses.asdict(self)


def inspect(command: cli.Inspect) -> None:
    """Say what a file or folder holds."""
    found = describe(command.source)
    if command.as_json:
        printing.print_json(found.as_json())
        return
    rows = [
        ("format", found.format), ("size", readable_size(found.bytes)), ("splats", f"{found.count:,}"),
        ("SH degree", str(found.sh_degree)),
    ]  # fmt: skip
    if found.frames is not None:
        rows.append(("frames", f"{found.frames:,}"))
    if found.heads is not None and found.planes is not None:
        rows.append(("moves", ", ".join(found.heads) or "nothing"))
        levels = [f"{c} x ({x}, {y}, {z}; {t})" for c, x, y, z, t in found.planes]
        rows.append(("planes", ", ".join(levels)))
        rows.append(("networks", f"{found.weights:,} numbers"))
    printing.print_rows(found.path, rows)


def describe(path: Path) -> Inspection:
    """An Inspection of a file or folder.

    Raises:
        FormatError, OSError: it cannot be read.
    """
    form = dynamic_table.identify(path)
    assert form is not None
    scene = form.read(path)
    field = scene.deformation if isinstance(scene, DynamicSplats) else None
    static = dynamics.at(scene, 0.0)
    planes = weights = None
    if field is not None:
        planes = [
            [*level[0].shape[:1], level[0].shape[2], level[0].shape[1], level[1].shape[1], level[2].shape[1]]
            for level in field.planes
        ]
        layers = [*field.trunk, *(layer for head in field.heads.values() for layer in (head.hidden, head.out))]
        weights = sum(layer.weight.size + layer.bias.size for layer in layers)
    kinds = {DynamicSplats: "deformed", PolynomialSplats: "polynomial", SplatSequence: "sequence"}
    return Inspection(
        path=str(path), format=form.name, bytes=file_size(path), kind=kinds[type(scene)], count=len(static),
        sh_degree=static.sh_degree, frames=len(scene) if isinstance(scene, SplatSequence) else None,
        heads=None if field is None else list(field.heads), planes=planes, weights=weights,
    )  # fmt: skip


def at_time(command: cli.Render | cli.Convert, time: float) -> Splats:
    """The scene of a command at one time."""
    if not 0 <= time <= 1:
        raise UsageError(f"--time {time:g}: must be in 0..1")
    return dynamics.at(dynamic_table.read(command.source), time)


def convert(command: cli.Convert) -> None:
    """Write a scene at one time, as frames, or in another format that moves."""
    checks.require_other_file(command.source, command.output)
    if command.time is not None and command.frames is not None:
        raise UsageError("--time and --frames: one or the other")
    if command.time is not None:
        checks.require_writable(command.output)
        table.write(at_time(command, command.time), command.output)
        return
    if command.frames is not None:
        _write_frames(command, command.frames)
        return
    writer = {".ply": write_spacetime, ".splatv": write_splatv}.get(command.output.suffix.lower())
    scene = dynamic_table.read(command.source) if writer else None
    if writer is None or not isinstance(scene, PolynomialSplats):
        raise UsageError(
            f"{command.source} changes with time: --time T writes what it is at one, --frames N a folder of frames"
        )
    checks.require_place(command.output)
    writer(scene, command.output)


def _write_frames(command: cli.Convert, frames: int) -> None:
    if not 2 <= frames <= MAX_FRAMES:
        raise UsageError(f"--frames {frames}: must be in 2..{MAX_FRAMES}")
    output = command.output
    checks.require_new_folder(output)
    scene = dynamic_table.read(command.source)
    with checks.progress() as progress:
        write_sequence(dynamics.sampled(scene, frames), output, progress=lambda done: progress("frames", done))


def prune(command: cli.Prune, model_psnr: float) -> None:
    """Leave out splats of a 4DGaussians model, train the rest if asked for, write; then say what that costs."""
    from scenepress import dynamic_pruning
    from scenepress.formats.gaussians4d import write_4dgaussians

    if command.images is not None or command.checkpoint is not None or command.resume:
        raise UsageError("--images, --checkpoint and --resume: not for scenes that change with time")
    if command.distill is not None and command.distill < 1:
        raise UsageError(f"--distill {command.distill}: at least 1")
    checks.require_seed(command.seed)
    checks.require_new_folder(command.output)
    backend = checks.require_backend(command.backend)
    scene = dynamic_table.read(command.source)
    if not isinstance(scene, DynamicSplats):
        raise UsageError(f"{command.source}: of scenes that change with time only 4DGaussians models are pruned")
    if not len(scene):
        raise FormatError(f"{command.source}: an empty scene has nothing to leave out")
    moments = None if command.cameras is None else moments_of(command.cameras, dynamics.at(scene, 0.5))
    with checks.progress() as progress:
        if command.keep is not None:
            found = dynamic_pruning.to_share(
                scene, command.keep, moments, model_psnr=model_psnr, progress=progress
            )
        else:
            loss = command.max_loss_db or 0.0
            found = dynamic_pruning.to_loss(scene, loss, moments, model_psnr=model_psnr, progress=progress)
    left, is_trained = found.scene, False
    if command.distill is not None:
        from scenepress import dynamic_distillation

        with checks.progress() as progress:
            left = dynamic_distillation.restore(
                found.scene, scene, command.distill, moments, backend=backend, seed=command.seed, progress=progress
            )
        is_trained = left is not found.scene
        found = dynamic_pruning.judge(scene, left, found.kept, moments, model_psnr=model_psnr)
    write_4dgaussians(left, command.output)
    outcome = printing.PruneOutcome(
        source=str(command.source), output=str(command.output), splats=len(scene), splats_kept=len(left),
        splats_merged=0, psnr=found.psnr, loss_db=found.loss, model_psnr=model_psnr, views=found.moments,
        cameras="given" if moments else "synthesised", distilled=is_trained, distill_steps=command.distill,
        distill_backend=backend if command.distill else None,
    )  # fmt: skip
    if command.as_json:
        printing.print_json(outcome.as_json())
    else:
        printing.print_pruning(outcome)


def moments_of(path: Path, scene: Splats) -> list[dynamics.Moment]:
    """Cameras with their times, of a data set of a scene that moves; or those of a file, spread over the time.

    Raises:
        FormatError: damaged, without cameras, or of cameras that see nothing of the scene.
        OSError: it cannot be read.
    """
    from scenepress import dynamic_pruning, moving_photographs

    if path.is_dir():
        try:
            return [dynamics.Moment(shot.camera, shot.time) for shot in moving_photographs.find(path, "train")]
        except FormatError:
            pass  # A folder of cameras without times, perhaps.
    cameras = checks.read_cameras_of(path, scene)
    checks.require_measurable(cameras)
    return dynamic_pruning.spread(cameras)


def compare(command: cli.Compare) -> None:
    """Render both scenes at some times and print how far apart they are."""
    checks.require_range("--views", command.views, checks.MAX_VIEWS)
    checks.require_range("--size", command.size, checks.MAX_WIDTH)
    checks.require_range("--times", command.times, checks.MAX_VIEWS)
    a, b = (_read(path) for path in (command.a, command.b))
    middle = a if isinstance(a, Splats) else dynamics.at(a, 0.5)
    if not len(middle):
        raise FormatError(f"{command.a}: an empty scene is no reference to compare with")
    cameras = _cameras(command, middle)
    times = np.linspace(0, 1, command.times or COMPARE_TIMES)
    views = []
    count = max(len(times), len(cameras))
    with checks.progress() as progress:
        for k in range(count):
            # Every time and every camera once, at least; not all with all, which takes too long.
            time, camera = float(times[k % len(times)]), cameras[k % len(cameras)]
            pair = [scene if isinstance(scene, Splats) else dynamics.at(scene, time) for scene in (a, b)]
            rear = checks.BACKGROUNDS[command.background]
            (view,) = quality.compare(pair[0], pair[1], [camera], background=rear).views
            views.append(dataclasses.replace(view, name=f"{camera.name or f'view {k}'}, time {time:.3f}"))
            progress("rendering", (k + 1) / count)
    origin = f"from {command.cameras}" if command.cameras else "made up from A"
    printed = printing.Pair(
        a=str(command.a), b=str(command.b), bytes_a=file_size(command.a), bytes_b=file_size(command.b),
        splats_a=_count(a), splats_b=_count(b), cameras=f"{origin}, at {len(times)} times",
        background="black and white" if command.background == "both" else command.background,
        result=quality.Comparison(tuple(views)),
    )  # fmt: skip
    if command.as_json:
        printing.print_json(printed.as_json())
    else:
        printing.print_pair(printed)


def _read(path: Path) -> Dynamic | Splats:
    return dynamic_table.read(path) if is_dynamic(path) else checks.load(path)


def _count(scene: Dynamic | Splats) -> int:
    return len(scene.frames[0]) if isinstance(scene, SplatSequence) else len(scene)


def _cameras(command: cli.Compare, scene: Splats) -> Sequence[Camera]:
    if command.cameras:
        cameras = checks.read_cameras_of(command.cameras, scene, command.size)
        cameras = api.choose(cameras, command.views or len(cameras))
    else:
        from scenepress.cameras import synthesize

        cameras = list(synthesize(scene, command.views or COMPARE_VIEWS, command.size or COMPARE_WIDTH))
    checks.require_measurable(cameras)
    return cameras
