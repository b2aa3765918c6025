"""What `compress` does: which codec, with which settings, once or until a goal is met, trained before or not."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scenepress import __version__, metadata
from scenepress.errors import DistillationWarning, LossWarning, TargetError
from scenepress.files import PathLike
from scenepress.scene import Camera, Splats

if TYPE_CHECKING:
    from scenepress.allocation import Sensitivities
    from scenepress.codecs.presets import Settings
    from scenepress.distillation import Distillation
    from scenepress.stages.parameters import Parameters

MAX_PSNR = 200.0
"""dB; targets are below."""

Progress = Callable[[str, float], None]
"""Told what is being done and the fraction done, in [0, 1]."""
Judge = Callable[[bytes], float]
"""The PSNR of a file against its scene, in dB."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """What the file shall reach; one of the two, or none."""

    bytes: int | None
    psnr: float | None


NOTHING = Goal(None, None)


def goal_of(preset: str, target_bytes: int | None, target_psnr: float | None) -> Goal:
    """The goal. Raises ValueError for two, or one that makes no sense."""
    if target_bytes is not None and target_psnr is not None:
        raise ValueError("a target size and a target quality: only one of them can be met")
    if target_bytes is not None and target_bytes < 1:
        raise ValueError(f"a target of {target_bytes} bytes: at least 1")
    if target_psnr is not None and not 0 < target_psnr < MAX_PSNR:
        raise ValueError(f"a target of {target_psnr:g} dB: between 0 and {MAX_PSNR:g}")
    goal = Goal(target_bytes, target_psnr)
    if preset == "lossless" and goal != NOTHING:
        raise ValueError("lossless has one size and one quality: no target")
    return goal


def describe(scene: Splats, preset: str, source: PathLike) -> metadata.Metadata:
    """The metadata of a file that is about to be made; its count is that of the source."""
    from scenepress.formats import table

    kind = table.by_suffix(Path(source))
    name = "".join(c if c.isprintable() else "?" for c in Path(source).name)
    return metadata.Metadata(
        count=len(scene),
        sh_degree=scene.sh_degree,
        axes=scene.axes,
        antialiased=scene.antialiased,
        codec="lossless" if preset == "lossless" else "splats",
        preset=preset,
        source_name=name[: metadata.MAX_STRING],
        source_format=kind.name if kind else "",
        encoder=f"scenepress {__version__}",
    )


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a scene is to be encoded; see api.compress."""

    preset: str
    goal: Goal
    cameras: Sequence[Camera] | None
    keep_order: bool
    distill: Distillation | None
    learned: bool
    """Whether the learned context model may be used."""
    description: metadata.Metadata
    """Its count is that of the source."""


def encode(scene: Splats, plan: Plan, judge: Judge, compare: Judge, progress: Progress) -> bytes:
    """The file, without a quality record.

    Args:
        scene: see api.compress.
        plan: see Plan.
        judge: PSNR of a file against the scene, in dB, as its quality record will have it.
        compare: the same over more views, to tell which of two files is better.
        progress: told how far the work is.
    """
    if plan.preset == "lossless":
        from scenepress.codecs import lossless

        return lossless.encode(
            scene,
            source_name=plan.description.source_name,
            source_format=plan.description.source_format,
            progress=lambda done: progress("packing", done),
        )
    from scenepress.codecs import presets

    settings = presets.PRESETS[plan.preset]
    settings = dataclasses.replace(settings, keep_order=plan.keep_order, learned=plan.learned)
    if plan.goal != NOTHING and len(scene):
        settings = dataclasses.replace(settings, name="")  # A point of its own between the presets.
    if plan.distill is not None and len(scene):
        return _encode_distilled(scene, plan.distill, plan, settings, judge, compare, progress)
    return _encode_once(_Source(scene, settings), plan.goal, plan, judge, progress)


@dataclasses.dataclass(frozen=True)
class _Source:
    """What is encoded, and what is known of it."""

    scene: Splats
    settings: Settings
    sensitivities: Sensitivities | None = None
    """None: not measured yet."""
    start: float | None = None
    """Nominal quality in dB that a wanted size is tried with first; None: the usual one."""
    like: Parameters | None = None
    """Lattices that the scene was trained for, at that quality; None: none."""


def _encode_once(source: _Source, goal: Goal, plan: Plan, judge: Judge, progress: Progress) -> bytes:
    from scenepress.codecs import splats

    scene, settings, sensitivities = source.scene, source.settings, source.sensitivities
    cameras, description = plan.cameras, plan.description
    if goal.bytes is not None and len(scene):
        return splats.encode_to_size(
            scene, goal.bytes, settings, cameras=cameras, sensitivities=sensitivities, description=description,
            reserve=_record_bytes(), start=source.start, like=source.like, progress=progress,
        )  # fmt: skip
    if goal.psnr is not None and len(scene):
        return splats.encode_to_quality(
            scene, goal.psnr, judge, settings,
            cameras=cameras, sensitivities=sensitivities, description=description, progress=progress,
        )  # fmt: skip
    return splats.encode(
        scene, settings, cameras=cameras, sensitivities=sensitivities, like=source.like, description=description,
        progress=progress,
    )  # fmt: skip


def _encode_distilled(
    scene: Splats, distill: Distillation, plan: Plan, settings: Settings, judge: Judge, compare: Judge,
    progress: Progress,
) -> bytes:  # fmt: skip
    """The better of the file of the trained scene and that of the scene itself."""
    from scenepress import distillation
    from scenepress.codecs import sensitivity

    goal, room = plan.goal, None
    if goal.psnr is not None:
        settings = dataclasses.replace(settings, psnr=goal.psnr)
    if goal.bytes is not None:
        room = max(1, goal.bytes - _record_bytes() - len(metadata.encode(plan.description)))
    data, told = None, _NOTHING_TOLD
    with contextlib.suppress(TargetError):  # Left to the encoder alone, which trims and can be smaller.
        found = distillation.distill(
            scene, distill, settings, plan.cameras, room, lambda what, done: progress(what, 0.9 * done)
        )
        progress("coding", 0.9)
        trained = _Source(found.scene, found.settings, found.sensitivities, found.settings.psnr, found.lattices)
        data, told = _encode_quietly(trained, goal, plan, judge)
    progress("comparing", 0.95)
    if data is None or distill.photographs is None:  # Else renders of the source are no measure of it.
        plain = _Source(scene, settings, sensitivity.measure(scene, plan.cameras))
        better = _better(data, plain, plan, judge, compare)
        if better is not None:
            _warn_of_distillation(distill.steps)
            return better
    assert data is not None
    _tell(told)
    return data


def _better(data: bytes | None, plain: _Source, plan: Plan, judge: Judge, compare: Judge) -> bytes | None:
    """A file of the scene as it is, if `data` is none, or a worse one of the same quality or size."""
    goal = plan.goal
    if data is None:
        return _encode_once(plain, goal, plan, judge, _silent)
    alike = goal if goal.psnr is not None else Goal(len(data) + _record_bytes(), None)
    other, told = _encode_quietly(plain, alike, plan, judge)
    if other is None or (len(data) <= len(other) if goal.psnr is not None else compare(data) >= compare(other)):
        return None
    if alike != goal:
        return _encode_once(plain, goal, plan, judge, _silent)
    _tell(told)
    return other


_NOTHING_TOLD: list[warnings.WarningMessage] = []


def _encode_quietly(
    source: _Source, goal: Goal, plan: Plan, judge: Judge
) -> tuple[bytes | None, list[warnings.WarningMessage]]:
    """A file that nobody asked for, or None where there is none of that goal; and what it would warn of."""
    data = None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", LossWarning)
        with contextlib.suppress(TargetError):
            data = _encode_once(source, goal, plan, judge, _silent)
    _tell([warning for warning in told if not issubclass(warning.category, LossWarning)])
    return data, [warning for warning in told if issubclass(warning.category, LossWarning)]


def _tell(told: Sequence[warnings.WarningMessage]) -> None:
    for warning in told:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _warn_of_distillation(steps: int) -> None:
    warnings.warn(
        f"distillation did not pay: after {steps} steps the encoder alone does better, so this is its file; more "
        "steps may help, or fewer bytes",
        DistillationWarning,
        stacklevel=2,
    )


def _record_bytes() -> int:
    """How much larger a quality record makes a file, at most."""
    record = metadata.Quality(-100 / 3, -1 / 3e5, 1_000_000, 1_000_000, "synthesised")
    bare = metadata.Metadata(0, 0, "RDF", False, "splats")
    return len(metadata.encode(dataclasses.replace(bare, quality=record))) - len(metadata.encode(bare)) + 16


def _silent(_what: str, _done: float) -> None:
    pass
