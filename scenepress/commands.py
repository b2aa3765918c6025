"""What the command line's commands do: library calls, and what to print about them."""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scenepress import (
    __version__,
    api,
    checks,
    cli,
    container,
    distill_options,
    dynamic_commands,
    encoding,
    metadata,
    printing,
    quality,
    report,
)
from scenepress.cli import UsageError
from scenepress.errors import DistillationWarning, FormatError, TargetError
from scenepress.files import write_whole
from scenepress.inspection import file_size
from scenepress.report.build import Encoding, build
from scenepress.scene import Camera, Splats

if TYPE_CHECKING:
    from scenepress.distillation import Distillation
    from scenepress.pruning import Pruned

COMPARE_VIEWS, COMPARE_WIDTH, RENDER_WIDTH = 8, 400, 800
MAX_TARGET = 1_000_000
MAX_LOSS = 100.0
POOR_DB = 8.0  # below what a preset aims at: real scenes stay within 6.
IMAGE_FORMATS = {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG", ".jpeg": "JPEG"}


def run(command: cli.Command) -> None:
    """Do what was asked.

    Raises:
        UsageError: the arguments contradict each other or name what does not exist.
        BitstreamError, FormatError, TrainingError, OSError: as the library raises them.
    """
    match command:
        case cli.Compress():
            compress(command)
        case cli.Prune():
            prune(command)
        case cli.Decompress():
            decompress(command)
        case cli.Convert():
            convert(command)
        case cli.Inspect():
            inspect(command)
        case cli.Compare():
            compare(command)
        case cli.Render():
            render(command)
        case cli.Train():
            from scenepress import train_command

            train_command.train(command)
        case cli.Train4d():
            from scenepress import train4d_command

            train4d_command.train(command)
        case cli.View() | cli.ExportViewer():
            from scenepress import view_command

            view_command.run(command)


def compress(command: cli.Compress) -> None:
    """Compress, measure, write; then say what came out."""
    _require_distinct_outputs(command)
    _require_targets(command)
    distill_options.require_sense(command)
    scene = checks.load(command.source, command.drop_invalid, refuse=command.preset != "lossless")
    if command.report and not len(scene):
        raise FormatError(f"{command.source}: an empty scene has nothing to show in a report")
    cameras = checks.read_cameras_of(command.cameras, scene) if command.cameras else None
    checks.require_measurable(cameras or [])
    plan = distill_options.plan_of(command, scene)
    with checks.noticed(DistillationWarning) as unpaid:
        encoding = _encode(command, scene, cameras, plan)
    record = None
    if len(scene):
        with checks.progress() as progress:
            record = api.measure_quality(scene, encoding.decoded, cameras, progress)
        data = api.with_quality(encoding.data, record)
        encoding = dataclasses.replace(encoding, data=data)
        _warn_of_poor_quality(command, record)
    if command.report:  # First, for it takes the longest: an interrupt of the work leaves no output at all.
        report.write(_report(command, scene, encoding, cameras), command.report)
    write_whole(command.output, encoding.data)
    outcome = printing.Outcome(
        source=str(command.source),
        output=str(command.output),
        preset=_aim(command),
        splats=len(scene),
        splats_kept=len(encoding.decoded),
        bytes_in=file_size(command.source),
        bytes_out=len(encoding.data),
        encode_seconds=encoding.encode_seconds or 0.0,
        decode_seconds=encoding.decode_seconds or 0.0,
        quality=record,
        report=str(command.report) if command.report else None,
        distilled=plan is not None and not unpaid,
        distill_steps=command.distill,
        distill_backend=plan.backend if plan else None,
    )
    if command.as_json:
        printing.print_json(outcome.as_json())
    else:
        printing.print_outcome(outcome)


def _aim(command: cli.Compress) -> str:
    """The preset's name, or the target."""
    if command.target_mb is not None:
        return f"{command.target_mb:g} MB"
    return command.preset if command.target_psnr is None else f"{command.target_psnr:g} dB"


def _require_targets(command: cli.Compress) -> None:
    targets = {"--target-mb": command.target_mb, "--target-psnr": command.target_psnr}
    limits = {"--target-mb": MAX_TARGET, "--target-psnr": encoding.MAX_PSNR}
    given = {name: value for name, value in targets.items() if value is not None}
    if len(given) > 1:
        raise UsageError("--target-mb and --target-psnr: only one of them can be met")
    for name, value in given.items():
        if command.preset != cli.Compress.preset:
            raise UsageError(f"{name} takes the place of --preset {command.preset}: give one of them")
        if not 0 < value < limits[name]:
            raise UsageError(f"{name} {value:g}: must be above 0, and below {limits[name]:,.0f}")


def prune(command: cli.Prune) -> None:
    """Measure, leave out, write; then say what that costs."""
    from scenepress import pruning
    from scenepress.formats import table

    moves = dynamic_commands.is_dynamic(command.source)
    checks.require_other_file(command.source, command.output)
    if not moves:
        checks.require_writable(command.output)
        distill_options.require_sense(command)
    if (command.keep is None) == (command.max_loss_db is None):
        raise UsageError("prune: give one of --keep SHARE and --max-loss-db DB")
    if command.keep is not None and not 0 < command.keep <= 1:
        raise UsageError(f"--keep {command.keep:g}: must be above 0, and at most 1")
    if command.max_loss_db is not None and not 0 < command.max_loss_db <= MAX_LOSS:
        raise UsageError(f"--max-loss-db {command.max_loss_db:g}: must be above 0, and at most {MAX_LOSS:g}")
    model = pruning.MODEL_PSNR if command.model_psnr is None else command.model_psnr
    if not 0 < model < MAX_LOSS:
        raise UsageError(f"--model-psnr {model:g}: must be between 0 and {MAX_LOSS:g}")
    if moves:
        dynamic_commands.prune(command, model)
        return
    scene = checks.load(command.source, command.drop_invalid, refuse=True)
    if not len(scene):
        raise FormatError(f"{command.source}: an empty scene has nothing to leave out")
    cameras = checks.read_cameras_of(command.cameras, scene) if command.cameras else None
    checks.require_measurable(cameras or [])
    plan = distill_options.plan_of(command, scene)
    with checks.noticed(DistillationWarning) as unpaid:
        found = _pruned(command, scene, cameras, model, plan)
    table.write(found.scene, command.output)
    outcome = printing.PruneOutcome(
        source=str(command.source),
        output=str(command.output),
        splats=len(scene),
        splats_kept=len(found.scene),
        splats_merged=found.merged,
        psnr=found.psnr,
        loss_db=found.loss,
        model_psnr=model,
        views=found.views,
        cameras="given" if cameras else "synthesised",
        distilled=plan is not None and not unpaid,
        distill_steps=command.distill,
        distill_backend=plan.backend if plan else None,
    )
    if command.as_json:
        printing.print_json(outcome.as_json())
    else:
        printing.print_pruning(outcome)


def _pruned(
    command: cli.Prune, scene: Splats, cameras: Sequence[Camera] | None, model: float, plan: Distillation | None
) -> Pruned:
    """What is left, trained if that is asked for."""
    from scenepress import distillation, pruning

    with checks.progress() as progress:
        if command.keep is not None:
            found = pruning.to_share(scene, command.keep, cameras, model_psnr=model, progress=progress)
        else:
            loss = command.max_loss_db or 0.0
            found = pruning.to_loss(scene, loss, cameras, model_psnr=model, progress=progress)
    if plan is not None:
        with checks.progress() as progress:
            restored = distillation.restore(found.scene, scene, plan, cameras, progress)
        judged = pruning.judge(scene, restored, cameras, model_psnr=model)
        if plan.photographs is None and judged.loss > found.loss:
            message = f"training for {plan.steps} steps did not pay: what is written is untrained"
            warnings.warn(message, DistillationWarning, stacklevel=2)
            return found
        found = dataclasses.replace(judged, merged=found.merged)
    return found


def _warn_of_poor_quality(command: cli.Compress, record: metadata.Quality) -> None:
    from scenepress.codecs import presets

    if command.target_mb is not None or command.target_psnr is not None:
        return  # Nobody promised more.
    aim = presets.PRESETS[command.preset].psnr if command.preset != "lossless" else 0.0
    if record.psnr < aim - POOR_DB:
        cli.warn(
            f"{command.output}: {record.psnr:.1f} dB, far from the {aim:.0f} that --preset {command.preset} aims"
            " at: look at it, or choose another preset"
        )


def decompress(command: cli.Decompress) -> None:
    """Decode and write."""
    from scenepress.formats import table

    checks.require_other_file(command.source, command.output)
    checks.require_writable(command.output)
    if command.levels is not None and command.levels < 1:
        raise UsageError(f"--levels {command.levels}: at least 1")
    data = api.read_press(command.source)
    scene = api.decompress(data, levels=command.levels, allow_truncated=command.allow_truncated)
    file = container.read(data, allow_truncated=command.allow_truncated)
    if file.truncated:
        cli.warn(
            f"{command.source} was cut short: {file.complete_levels} of {file.levels} levels are complete, "
            f"{len(scene)} of {metadata.of(file).count} splats"
        )
    if command.levels is not None and command.levels > file.levels:
        cli.warn(f"{command.source}: --levels {command.levels}: has only {file.levels}, which are all decoded")
    table.write(scene, command.output)


def convert(command: cli.Convert) -> None:
    """Read and write."""
    from scenepress.formats import table

    if _changes(command.source, "--time" if command.time is not None else "--frames" if command.frames else None):
        dynamic_commands.convert(command)
        return
    checks.require_other_file(command.source, command.output)
    checks.require_writable(command.output)
    table.write(checks.load(command.source, command.drop_invalid), command.output)


def inspect(command: cli.Inspect) -> None:
    """Say what a file holds."""
    if dynamic_commands.is_dynamic(command.source):
        dynamic_commands.inspect(command)
        return
    found = api.inspect(command.source)
    if command.as_json:
        printing.print_json(found.as_json())
    else:
        printing.print_inspection(found)


def compare(command: cli.Compare) -> None:
    """Render both scenes and print how far apart they are."""
    checks.require_range("--views", command.views, checks.MAX_VIEWS)
    checks.require_range("--size", command.size, checks.MAX_WIDTH)
    if any(map(dynamic_commands.is_dynamic, (command.a, command.b))):
        dynamic_commands.compare(command)
        return
    if command.times is not None:
        raise UsageError("--times: neither scene changes with time")
    a, b = checks.load(command.a), checks.load(command.b)
    if not len(a):
        raise FormatError(f"{command.a}: an empty scene is no reference to compare with")
    if command.cameras:
        cameras = checks.read_cameras_of(command.cameras, a, command.size)
        cameras = api.choose(cameras, command.views or len(cameras))
    else:
        from scenepress.cameras import synthesize

        cameras = list(synthesize(a, command.views or COMPARE_VIEWS, command.size or COMPARE_WIDTH))
    checks.require_measurable(cameras)
    with checks.progress() as progress:
        rear = checks.BACKGROUNDS[command.background]
        result = quality.compare(a, b, cameras, background=rear, progress=progress)
    pair = printing.Pair(
        a=str(command.a),
        b=str(command.b),
        bytes_a=file_size(command.a),
        bytes_b=file_size(command.b),
        splats_a=len(a),
        splats_b=len(b),
        cameras=f"from {command.cameras}" if command.cameras else "made up from A",
        background=_background_name(command.background),
        result=result,
    )
    if command.as_json:
        printing.print_json(pair.as_json())
    else:
        printing.print_pair(pair)


def render(command: cli.Render) -> None:
    """Render one view to an image file."""
    import io

    import PIL.Image

    from scenepress import scene_ops
    from scenepress.render import rasterize

    kind = IMAGE_FORMATS.get(command.output.suffix.lower())
    if kind is None:
        raise UsageError(f"{command.output}: images are written as {', '.join(IMAGE_FORMATS)}")
    checks.require_other_file(command.source, command.output)
    if command.camera is not None:
        for file in (command.camera, command.camera.rsplit(":", 1)[0]):
            checks.require_other_file(Path(file), command.output)
    checks.require_place(command.output)
    checks.require_range("--size", command.size, checks.MAX_WIDTH)
    if _changes(command.source, None if command.time is None else "--time"):
        scene = dynamic_commands.at_time(command, command.time or 0.0)
    else:
        scene = checks.load(command.source)
    factor = scene_ops.viewing_scale(scene)
    camera = scene_ops.enlarge_camera(_camera(command, scene), factor)
    background = checks.BACKGROUNDS[command.background] or checks.BLACK
    image = rasterize(scene_ops.enlarge(scene, factor), camera, background=background)
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    PIL.Image.fromarray(quality.to_8bit(image.color)).save(buffer, kind, **options)
    write_whole(command.output, buffer.getvalue())


def _changes(source: Path, option: str | None) -> bool:
    """Whether a scene changes with time. Refuses an option that only such scenes have."""
    found = dynamic_commands.is_dynamic(source)
    if option and not found:
        raise UsageError(f"{option}: {source} does not change with time")
    return found


def _encode(
    command: cli.Compress, scene: Splats, cameras: Sequence[Camera] | None, distill: Distillation | None
) -> Encoding:
    """Compress, and decode again to see what came of it; timed."""
    with checks.progress() as progress:
        start = time.perf_counter()
        try:
            data = api.compress(
                scene,
                command.preset,
                target_bytes=None if command.target_mb is None else max(1, round(command.target_mb * 1e6)),
                target_psnr=command.target_psnr,
                cameras=cameras,
                keep_order=command.keep_order,
                distill=distill,
                learned={"auto": None, "tables": False, "learned": True}[command.context_model],
                source=command.source,
                measure=False,
                progress=progress,
            )
        except TargetError as error:
            raise FormatError(f"{command.source}: {error}") from None
        encoded = time.perf_counter()
    decoded = api.decompress(data)
    return Encoding(_aim(command), data, decoded, encoded - start, time.perf_counter() - encoded)


def _camera(command: cli.Render, scene: Splats) -> Camera:
    """The camera that `render` was told, or the first one made up from the scene."""
    from scenepress.cameras import synthesize

    if command.camera is None:
        if not len(scene):
            raise FormatError(f"{command.source}: an empty scene shows nothing without --camera")
        return next(iter(synthesize(scene, 1, command.size or RENDER_WIDTH)))
    file, view = command.camera, ""
    if not os.path.exists(file) and ":" in file:
        file, view = file.rsplit(":", 1)
    cameras = checks.read_cameras_of(Path(file), scene, command.size)
    names = [camera.name for camera in cameras]
    if view in names:
        return cameras[names.index(view)]
    if view and not (view.isdecimal() and int(view) < len(cameras)):
        raise UsageError(f"--camera: {file} has no view {view!r}; it has {len(cameras)}, from 0 on")
    return cameras[int(view or 0)]


def _background_name(chosen: cli.Backgrounds) -> str:
    return "black and white" if chosen == "both" else chosen


def _report(
    command: cli.Compress, scene: Splats, encoding: Encoding, cameras: Sequence[Camera] | None
) -> report.Report:
    """The report's content, from renders of its own."""
    from scenepress.cameras import synthesize

    chosen = list(cameras or synthesize(scene, COMPARE_VIEWS, COMPARE_WIDTH))
    chosen = api.choose(chosen, COMPARE_VIEWS)
    origin = f"from {command.cameras.name}" if command.cameras else "made up from the scene"
    rear = _background_name(command.background)
    with checks.progress() as progress:
        return build(
            command.source.name,
            scene,
            file_size(command.source),
            [encoding],
            chosen,
            cameras_note=f"{len(chosen)} views {origin}, {chosen[0].width} pixels wide, over {rear}.",
            background=checks.BACKGROUNDS[command.background],
            producer=f"scenepress {__version__}",
            progress=progress,
        )


def _require_distinct_outputs(command: cli.Compress) -> None:
    """No output of `compress` may replace an input or another output, or look like a file that it is not."""
    from scenepress.formats import table

    found = table.by_suffix(command.output)
    if found is not None:
        raise UsageError(f"{command.output}: `scenepress convert` writes {found.suffixes[0]} files, not compress")
    outputs = [command.output]
    if command.report:
        if command.report.suffix.lower() == ".json":
            raise UsageError("--report FILE must not end in .json: that is where its twin goes")
        outputs += [command.report, command.report.with_suffix(".json")]
    if command.checkpoint:
        outputs.append(command.checkpoint)
    for k, output in enumerate(outputs):
        for source in (command.source, command.cameras):
            if source is not None:
                checks.require_other_file(source, output)
        if os.path.realpath(output) in map(os.path.realpath, outputs[:k]):
            raise UsageError(f"{output} is another output: name another one")
        checks.require_place(output)
