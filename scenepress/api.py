"""Scenes in and out of files: what `import scenepress` offers, and what the command line calls."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from scenepress import container, metadata
from scenepress.errors import BitstreamError
from scenepress.files import PathLike, named, require_regular, write_whole
from scenepress.inspection import Inspection, describe, describe_press
from scenepress.scene import Axes, Camera, Splats

if TYPE_CHECKING:
    from scenepress.distillation import Distillation

Preset = Literal["lossless", "high", "balanced", "small", "tiny"]
"""How small, or how good. "lossless" keeps every bit and the order of the splats."""
Progress = Callable[[str, float], None]
"""Told what is being done and the fraction done, in [0, 1], now and then."""

MEASURED_VIEWS, MEASURED_WIDTH = 4, 400
COMPARED_VIEWS = 16
"""To tell which of two files is better: a few views are a matter of luck."""
"""How many views `compress` renders for the quality record, and how wide synthesised ones are."""


def load(path: PathLike) -> Splats:
    """Read a scene from any supported file, told apart by suffix and content; see docs/formats.md.

    Raises:
        BitstreamError: a damaged .press file; the message says what is wrong.
        FormatError: any other file that is damaged, or of a kind that is not read.
        OSError: the file cannot be read.
    """
    if is_press(path):
        return decompress(read_press(path))
    from scenepress.formats import table

    with named(path):
        return table.read(Path(path))


def save(scene: Splats, path: PathLike, *, preset: Preset = "balanced") -> None:
    """Write a scene to a file of the format that the suffix names; .press compresses with `preset`.

    The file appears whole or not at all. What the format cannot keep is said in a LossWarning.

    Raises:
        ValueError: no format that can be written has this suffix.
        FormatError: the format cannot hold the scene.
        OSError: the file cannot be written.
    """
    if is_press(path):
        write_whole(path, compress(scene, preset))
        return
    from scenepress.formats import table

    table.write(scene, Path(path))


def compress(
    scene: Splats,
    preset: Preset = "balanced",
    *,
    target_bytes: int | None = None,
    target_psnr: float | None = None,
    cameras: Sequence[Camera] | None = None,
    keep_order: bool = False,
    distill: Distillation | None = None,
    learned: bool | None = None,
    source: PathLike = "",
    measure: bool = True,
    progress: Progress | None = None,
) -> bytes:
    """Compress a scene; the bytes are a whole .press file.

    Args:
        scene: not changed.
        preset: how small, or how good; plays no role where a target is given, but must not be "lossless" then.
        target_bytes: make the file at most so large, and at least 99% of it. A scene may need less than that even
            at the finest: then a LossWarning says so.
        target_psnr: make the quality record (Quality.psnr) come out within 0.1 dB of this.
        cameras: where the scene will be seen from, in the scene's axes: they guide the allocation of
            bits and the measurement. None: cameras made up from the scene (docs/cameras.md).
        keep_order: decode the splats in their order here; costs bytes. "lossless" always does.
        distill: train what is left of the scene to look like it (docs/distillation.md), for minutes. Where that
            does not pay, a LossWarning says so and the splats are encoded as they are, as for None.
        learned: use the learned context model: 1 to 4% fewer bytes, for twice the time to decode
            (docs/context_model.md). None: with `distill` only. "lossless" has none.
        source: the file the scene came from, for the metadata: only its name and suffix are kept.
        measure: decode and render a few views, and store the quality found in the file. Without, a wanted size
            still leaves room for it (with_quality).
        progress: told how far the work is.

    Raises:
        TargetError: a target that is out of reach; the message says what is not.
        FormatError: a checkpoint of distillation that is damaged, or not of this run.
        TrainingError: distillation came upon numbers that are not finite.
        ValueError: two targets, or one that is not positive. Cameras that see nothing of the scene. Or a lossy
            preset, and splats with values that are not finite or absurdly large, such as scene_ops.audit() counts;
            the message says of which attributes and how many.
    """
    from scenepress import encoding
    from scenepress.quality import decibels, error

    goal = encoding.goal_of(preset, target_bytes, target_psnr)
    if distill is not None and preset == "lossless":
        raise ValueError("lossless keeps every bit: nothing to distill")
    if cameras:
        require_seen(scene, cameras)
    report = progress or _silent
    share = 0.8 if measure else 1.0  # Of the time, roughly.
    plan = encoding.Plan(
        preset, goal, cameras, keep_order, distill, learned=distill is not None if learned is None else learned,
        description=encoding.describe(scene, preset, source),
    )  # fmt: skip
    views = functools.cache(lambda count: _measured_views(scene, cameras, count))
    data = encoding.encode(
        scene,
        plan,
        lambda data: decibels(error(scene, decompress(data), views(MEASURED_VIEWS))),
        lambda data: decibels(error(scene, decompress(data), views(COMPARED_VIEWS))),
        lambda what, done: report(what, share * done),
    )
    if measure and len(scene):
        record = measure_quality(
            scene, decompress(data), cameras, lambda what, done: report(what, 0.8 + 0.2 * done)
        )
        data = with_quality(data, record)
    report("done", 1.0)
    return data


def decompress(
    data: container.Buffer,
    *,
    levels: int | None = None,
    allow_truncated: bool = False,
    max_splats: int | None = None,
) -> Splats:
    """Decode a .press file. Safe on untrusted input: nothing is believed before it was checked.

    A splat can take next to no bytes (a million equal ones take 2 kB), so a small file may need much memory, about
    400 bytes a splat: `max_splats` bounds it.

    Args:
        data: the bytes of the file.
        levels: decode only this many levels of detail, from the coarsest on: fewer splats, whole scene. All
            there are if the file has fewer.
        allow_truncated: accept a file that was cut short, and decode the levels that are complete; one at least.
        max_splats: refuse files of more splats.

    Raises:
        BitstreamError: the bytes break a rule of docs/spec; the message says which. Or too many splats.
        ValueError: levels < 1.
    """
    file = container.read(data, allow_truncated=allow_truncated)
    meta = metadata.of(file)
    if max_splats is not None and meta.count > max_splats:
        raise BitstreamError(f"{meta.count} splats; at most {max_splats} were to be accepted")
    if meta.codec == "lossless":
        from scenepress.codecs import lossless

        return lossless.decode(data, levels=levels, allow_truncated=allow_truncated)
    from scenepress.codecs import splats

    return splats.decode(data, levels=levels, allow_truncated=allow_truncated)


def inspect(path: PathLike) -> Inspection:
    """What a file is and holds; the whole file is read and decoded, so that damage is found.

    Raises:
        As load().
    """
    from scenepress.scene_ops import audit

    if is_press(path):
        data = read_press(path)
        kind, press, scene = "press", describe_press(data), decompress(data)
    else:
        from scenepress.formats import table

        kind, press, scene = table.identify(Path(path)).name, None, load(path)
    return describe(path, kind, scene, audit(scene).invalid, press)


def read_press(path: PathLike) -> bytes:
    """The bytes of a file.

    Raises:
        FormatError: a pipe or device.
        OSError: the file cannot be read.
    """
    require_regular(path)
    with named(path):
        return Path(path).read_bytes()


def is_press(path: PathLike) -> bool:
    """Whether the suffix says .press, or the file starts as one."""
    if Path(path).suffix.lower() == ".press":
        return True
    if not Path(path).is_file():  # A folder, or a pipe, which is refused later.
        return False
    with open(path, "rb") as file:
        return file.read(len(container.MAGIC)) == container.MAGIC


def measure_quality(
    source: Splats, decoded: Splats, cameras: Sequence[Camera] | None, progress: Progress | None = None,
    *, views: int = MEASURED_VIEWS,
) -> metadata.Quality:  # fmt: skip
    """The quality record: a few views of `source` against the same views of `decoded`.

    Args:
        source: the reference.
        decoded: what became of it.
        cameras: evenly chosen from these; None: synthesised from `source`.
        progress: told how far the work is.
        views: how many; all cameras if there are fewer.
    """
    from scenepress.quality import compare

    chosen = _measured_views(source, cameras, views)
    comparison = compare(source, decoded, chosen, perceptual=False, progress=progress)
    return metadata.Quality(
        psnr=comparison.psnr,
        ssim=comparison.ssim,
        views=len(chosen),
        width=chosen[0].width,
        cameras="given" if cameras else "synthesised",
    )


def _measured_views(source: Splats, cameras: Sequence[Camera] | None, views: int) -> list[Camera]:
    from scenepress.cameras import synthesize

    return choose(cameras, views) if cameras else synthesize(source, views, MEASURED_WIDTH)


def with_quality(data: bytes, record: metadata.Quality | None) -> bytes:
    """The same .press file with another quality record."""
    return metadata.replace(data, dataclasses.replace(metadata.of(container.read(data)), quality=record))


def require_seen(scene: Splats, cameras: Sequence[Camera]) -> None:
    """ValueError if none of the cameras sees anything of the scene: a wrong convention, scale or place."""
    from scenepress.cameras import anything_seen

    if len(scene) and not anything_seen(scene, cameras):
        raise ValueError(
            f"none of the {len(cameras)} cameras sees anything of the scene: they must be in its own coordinates"
            " (axes, unit of length, origin)"
        )


def camera_in_axes(camera: Camera, axes: Axes) -> Camera:
    """A camera given for a scene in RDF, the axes of the files cameras come with, for one in `axes`."""
    signs = [1.0 if ours == theirs else -1.0 for ours, theirs in zip(axes, "RDF", strict=True)]
    return dataclasses.replace(camera, world_to_camera=camera.world_to_camera @ np.diag([*signs, 1.0]))


def choose(cameras: Sequence[Camera], count: int) -> list[Camera]:
    """`count` of the cameras, evenly spread over the sequence; all of them if there are no more."""
    if count >= len(cameras):
        return list(cameras)
    return [cameras[(2 * k + 1) * len(cameras) // (2 * count)] for k in range(count)]


def _silent(_what: str, _done: float) -> None:
    pass
