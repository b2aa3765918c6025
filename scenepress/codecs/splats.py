"""The lossy codec of static splats: which stages, in which order, with which parameters.

A scene is cut into tiles, a tile into levels of falling importance. Tiles are coded independently of each
other; a level is predicted from the levels before it. docs/spec/splats.md tells the whole story.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

from scenepress import __version__, container, metadata
from scenepress.allocation import Sensitivities
from scenepress.codecs import decoder, encoder, sensitivity, targets, thinning
from scenepress.codecs.presets import PRESETS, Settings
from scenepress.container import Chunk, Container
from scenepress.errors import BitstreamError
from scenepress.metadata import Metadata
from scenepress.scene import Camera, Splats
from scenepress.stages import parameters, table, tiles
from scenepress.stages.parameters import Parameters

KEPT_NEAR, DEAD_ZONE_SLOPE = 0.5, 0.4
"""So near the nominal quality that a scene was trained for, in dB, its lattices are kept; and by how much the dead
zone of SH falls with each dB."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the fraction of the whole that is done, 0 to 1."""


def encode(
    splats: Splats,
    settings: Settings = PRESETS["balanced"],
    *,
    cameras: Sequence[Camera] | None = None,
    sensitivities: Sensitivities | None = None,
    like: Parameters | None = None,
    description: Metadata | None = None,
    progress: Progress | None = None,
) -> bytes:
    """A `.press` file of the scene.

    Args:
        splats: finite values (scene_ops.drop_invalid); opacities may be infinite logits.
        settings: how small, how good.
        cameras: where the scene is looked at from, to measure what matters; synthesised if None.
        sensitivities: of the splats, where they have been measured; None: measured here.
        like: lattices that the splats were made for (encoder.lattices_of); None: chosen here.
        description: metadata to carry; what the codec knows itself (count, axes, ...) is filled in.
        progress: told how far the work is.

    Raises:
        ValueError: values that are not finite.
    """
    report = progress or _silent
    encoder.require_valid(splats)
    report("measuring", 0.0)
    sens = sensitivity.measure(splats, cameras) if sensitivities is None else sensitivities
    report("thinning", 0.15)
    left, sens = thinning.thin(splats, sens, settings, cameras)
    report("quantising", 0.4)
    prepared = encoder.prepare(left, sens, settings, sure=bool(cameras), like=like)
    chunks = encoder.code(prepared, lambda what, done: report(what, 0.5 + 0.5 * done))
    return _file(splats, chunks, settings, description)


def encode_to_size(
    splats: Splats,
    wanted: int,
    settings: Settings = PRESETS["balanced"],
    *,
    cameras: Sequence[Camera] | None = None,
    sensitivities: Sensitivities | None = None,
    description: Metadata | None = None,
    reserve: int = 0,
    start: float | None = None,
    like: Parameters | None = None,
    progress: Progress | None = None,
) -> bytes:
    """A `.press` file of 99% to 100% of `wanted` - `reserve` bytes.

    `settings.psnr` plays no role.

    Args:
        splats, settings, cameras, sensitivities, description, progress: see encode().
        wanted: bytes.
        reserve: bytes that will be added to the file.
        start: nominal quality in dB to try first, if there is reason to believe in one.
        like: lattices that the splats were made for, at `start`; None: chosen here.

    Raises:
        ValueError: values that are not finite.
        TargetError: the scene cannot be made that small; the message says how small it can be.
    """
    prepare, code = _coder(splats, settings, cameras, sensitivities, description, progress or _silent, start, like)
    return targets.of_size(prepare, code, len(splats), splats.sh_degree, wanted, reserve, start)


def encode_to_quality(
    splats: Splats,
    wanted: float,
    judge: Callable[[bytes], float],
    settings: Settings = PRESETS["balanced"],
    *,
    cameras: Sequence[Camera] | None = None,
    sensitivities: Sensitivities | None = None,
    description: Metadata | None = None,
    progress: Progress | None = None,
) -> bytes:
    """A `.press` file with the measured quality `wanted`, to 0.1 dB; `settings.psnr` plays no role.

    Args:
        splats, settings, cameras, sensitivities, description, progress: see encode().
        wanted: dB.
        judge: the PSNR of a file, in dB.

    Raises:
        ValueError: values that are not finite.
        TargetError: the scene cannot be coded that well; the message says how well it can be.
    """
    prepare, code = _coder(splats, settings, cameras, sensitivities, description, progress or _silent)
    return targets.of_quality(prepare, code, judge, wanted)


def _coder(
    splats: Splats,
    settings: Settings,
    cameras: Sequence[Camera] | None,
    measured: Sensitivities | None,
    description: Metadata | None,
    progress: Progress,
    start: float | None = None,
    like: Parameters | None = None,
) -> tuple[targets.Prepare, targets.Code]:
    """What a search tries: the scene is measured once.

    Near the nominal quality `start`, lattices are `like`, if given: there only the dead zone of SH moves the size.
    """
    encoder.require_valid(splats)
    progress("measuring", 0.0)
    whole = sensitivity.measure(splats, cameras) if measured is None else measured
    rounds = thinning.Rounds(splats, whole, cameras)
    tries = itertools.count(1)

    def prepare(psnr: float) -> encoder.Prepared:
        progress("trying", 1 - 0.8 ** next(tries))  # Nobody knows how many there will be.
        chosen = dataclasses.replace(settings, psnr=psnr)
        scene, sensitivities = rounds.left(chosen)
        if like is None or start is None or abs(psnr - start) > KEPT_NEAR:
            return encoder.prepare(scene, sensitivities, chosen, sure=bool(cameras))
        chosen = dataclasses.replace(
            settings, psnr=start, dead_zone=settings.dead_zone - DEAD_ZONE_SLOPE * (psnr - start)
        )
        return encoder.prepare(scene, sensitivities, chosen, sure=bool(cameras), like=like)

    def code(scene: encoder.Prepared) -> bytes:
        return _file(splats, encoder.code(scene, _silent), settings, description)

    return prepare, code


def _silent(_what: str, _done: float) -> None:
    pass


def _file(splats: Splats, chunks: Sequence[Chunk], settings: Settings, description: Metadata | None) -> bytes:
    meta = dataclasses.replace(
        description or Metadata(0, 0, splats.axes, False, "splats"),
        count=sum(c.count for c in chunks if c.stage == table.POSITION),
        sh_degree=splats.sh_degree,
        axes=splats.axes,
        antialiased=splats.antialiased,
        codec="splats",
        preset=settings.name,
        encoder=f"scenepress {__version__}",
    )
    return container.write([metadata.chunk(meta), *chunks])


def decode(data: container.Buffer, *, levels: int | None = None, allow_truncated: bool = False) -> Splats:
    """The scene of a `.press` file of this codec.

    Args:
        data: the file, or its beginning if `allow_truncated`.
        levels: decode only so many levels: fewer splats, the most important ones first.
        allow_truncated: accept a file that was cut short and decode its complete levels; one at least.

    Returns:
        Splats in order of level, tile, and position; or of the source, if the file keeps it.

    Raises:
        BitstreamError: the bytes break a rule of docs/spec.
        ValueError: levels below 1.
    """
    if levels is not None and levels < 1:
        raise ValueError(f"levels must be at least 1, got {levels}")
    file = container.read(data, allow_truncated=allow_truncated)
    meta = metadata.of(file)
    if meta.codec != "splats":
        raise BitstreamError(f"the file's codec is {meta.codec!r}, not 'splats'")
    p = parameters.decode(bytes(_only(file, table.SPLAT_PARAMETERS, 1).payload))
    if {0: 0, 3: 1, 8: 2, 15: 3}[p.sh_count] != meta.sh_degree:
        raise BitstreamError(
            f"SH degree {meta.sh_degree} in the metadata, {p.sh_count} coefficients in the parameters"
        )
    if file.truncated and not file.complete_levels and meta.count:
        raise BitstreamError("cut off before its first level of detail is complete: nothing can be shown yet")
    boxes_chunk = _only(file, table.TILES)
    boxes = tiles.decode(bytes(boxes_chunk.payload), boxes_chunk.count)
    available = min(len(p.bounds), file.complete_levels) if file.truncated else len(p.bounds)
    wanted = available if levels is None else min(levels, available)
    by_place = _payloads(file, len(boxes), p)
    _check_total(file, memoryview(data).nbytes, meta.count)
    scene = decoder.decode(p, boxes, by_place, wanted, meta.count)
    return dataclasses.replace(scene, antialiased=meta.antialiased, axes=meta.axes)


STAGES = (
    table.ORDER, table.POSITION, table.OPACITY, table.SCALE, table.ROTATION, table.COLOUR, table.SH,
    table.POSITION_REFINEMENT,
)  # fmt: skip
"""What a level of a tile has a chunk of; sh only if the basis has columns."""


def _only(file: Container, stage: int, count: int | None = None) -> Chunk:
    """The one chunk of a stage that holds for the whole scene."""
    chunk, others = file.find(stage), len(file.select(stage)) - 1
    if others or count not in (None, chunk.count):
        raise BitstreamError(f"{table.describe(stage)}: {others + 1} chunks, the first of {chunk.count} elements")
    return chunk


def _payloads(file: Container, tile_count: int, p: Parameters) -> dict[tuple[int, int, int], Chunk]:
    """Chunks by (tile, level, stage), after checking that each level of a tile has all of them, or none."""
    result: dict[tuple[int, int, int], Chunk] = {}
    counts: dict[tuple[int, int], int] = {}
    for chunk in file.chunks:
        if chunk.stage < table.FIRST_LEVEL_STAGE:
            continue
        where = f"{table.describe(chunk.stage)} chunk for level {chunk.level}, tile {chunk.tile}"
        if chunk.tile >= tile_count or chunk.level >= len(p.bounds):
            raise BitstreamError(f"{where}: no such place")
        if chunk.stage not in STAGES or (chunk.stage == table.SH and not p.basis.shape[1]):
            raise BitstreamError(f"{where}: not a part of this scene")
        if not chunk.count or counts.setdefault((chunk.tile, chunk.level), chunk.count) != chunk.count:
            raise BitstreamError(f"{where}: {chunk.count} splats, other chunks say otherwise")
        result[chunk.tile, chunk.level, chunk.stage] = chunk
    for tile, level in counts:
        for stage in STAGES:
            if (tile, level, stage) not in result and (stage != table.SH or p.basis.shape[1]):
                raise BitstreamError(f"{table.describe(stage)} chunk for level {level}, tile {tile}: missing")
    return result


def _check_total(file: Container, available: int, claimed: int) -> None:
    """Refuse more splats than the metadata or the bytes that are here (not those promised) allow."""
    total = sum(c.count for c in file.select(table.POSITION))
    if total > claimed or (total < claimed and not file.truncated):
        raise BitstreamError(f"{total} splats in the chunks, {claimed} in the metadata")
    limit = container.FREE_COUNT + container.COUNT_PER_BYTE * available
    if total > limit:
        raise BitstreamError(f"{total} splats in {available} bytes; the limit is {limit}")
