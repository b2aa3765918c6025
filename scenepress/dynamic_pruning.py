"""Fewer splats for scenes that move: leave out those whose absence shows least over all the time.

As pruning.py does for scenes that keep still: in rounds of a tenth, everything measured anew. A field moves what
is left as it moved it before.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenepress import cameras as made_up
from scenepress import dynamics, quality, scene_ops, significance
from scenepress.codecs import sensitivity
from scenepress.dynamics import Moment
from scenepress.scene import Camera, DynamicSplats

MODEL_PSNR, ROUND = 30.0, 0.9
"""As in pruning.py."""
VIEWS, WIDTH = 24, 400
"""Made-up moments that a loss is measured at, and how wide they are."""

F64 = NDArray[np.float64]
Score = Literal["measured", "published"]
"""What tells which splats go: the error of the renders without them, or Light4GS's score."""
Progress = Callable[[str, float], None]


@dataclasses.dataclass(frozen=True)
class DynamicPruned:
    """What is left of a scene, and what that costs."""

    scene: DynamicSplats
    kept: NDArray[np.intp]
    """Indices of the source's splats that are left, ascending."""
    psnr: float
    """dB of renders against those of the source, over black and white; infinite if nothing shows."""
    loss: float
    """dB that a model of `model_psnr` dB against photographs loses, if both errors are independent."""
    moments: int
    """How many were rendered."""


def made_up_moments(scene: DynamicSplats, count: int = VIEWS, width: int = WIDTH) -> list[Moment]:
    """Cameras around what the scene is in the middle of its time, spread() over it."""
    return spread(made_up.surround(dynamics.at(scene, 0.5), count, width))


def spread(cameras: Sequence[Camera]) -> list[Moment]:
    """A time for each camera, evenly spread from 0 to 1 in leaps of the golden ratio: any few of them see most."""
    ranks = np.argsort(np.argsort((np.arange(len(cameras)) * 0.6180339887498949) % 1))
    times = ranks / max(1, len(cameras) - 1)
    return [Moment(camera, float(time)) for camera, time in zip(cameras, times, strict=True)]


def removal(scene: DynamicSplats, moments: Sequence[Moment] | None, score: Score = "measured") -> F64:
    """What leaving out each splat does, float64 [N]: the mean squared error that it adds, or the published score.

    Below 0 for splats that are not finite.

    Args:
        scene: not changed.
        moments: where and when it is seen; None: made up.
        score: see Score.
    """
    finite = np.flatnonzero(~scene_ops.invalid_mask(scene.canonical))
    found = np.full(len(scene), -1.0)
    if not len(finite):
        return found
    whole = take(scene, finite)
    chosen = thin(moments) if moments else made_up_moments(whole, VIEWS, WIDTH // 2)
    pairs = [(dynamics.at(whole, moment.time), [moment.camera]) for moment in chosen]
    if score == "published":
        parts = [(significance.measure(now, cameras), now) for now, cameras in pairs]
        found[finite] = significance.spatio_temporal_score(parts)
        return found
    unseen = sensitivity.UNSEEN_GIVEN if moments else sensitivity.UNSEEN_SYNTHETIC
    magnify = 1.0 if moments else 2.0
    found[finite] = sensitivity.of_moments(pairs, whole.canonical, magnify=magnify, unseen=unseen).removal
    return found


def thin(moments: Sequence[Moment]) -> list[Moment]:
    """At most sensitivity.MAX_VIEWS of them, evenly chosen, and made smaller where they have many pixels."""
    chosen, _ = sensitivity.thin([moment.camera for moment in moments])
    return [Moment(camera, moments[k].time) for k, camera in chosen]


def take(scene: DynamicSplats, index: NDArray[np.intp]) -> DynamicSplats:
    """The splats at `index`, and the same field."""
    return DynamicSplats(scene.canonical.take(index), scene.deformation)


def to_share(
    scene: DynamicSplats,
    keep: float,
    moments: Sequence[Moment] | None = None,
    *,
    model_psnr: float = MODEL_PSNR,
    score: Score = "measured",
    progress: Progress | None = None,
) -> DynamicPruned:
    """The share `keep` of the splats: those that matter most; one at least.

    Args:
        scene: not changed.
        keep: above 0, at most 1.
        moments: where and when it is seen, in its own axes; None: made up.
        model_psnr: dB of the scene's renders against photographs, for DynamicPruned.loss.
        score: see Score.
        progress: told how far the work is.

    Raises:
        ValueError: a share or a quality out of range.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"a share of {keep:g} to keep: above 0 and at most 1")
    _require_model(model_psnr)
    goal = min(len(scene), max(1, round(keep * len(scene))))
    kept = np.arange(len(scene))
    while len(kept) > goal:
        if progress:
            progress("measuring", 0.8 * (len(scene) - len(kept)) / (len(scene) - goal))
        kept = _fewer(scene, kept, max(goal, int(ROUND * len(kept))), moments, score)
    views = list(moments or made_up_moments(scene))
    if progress:
        progress("comparing", 0.8)
    return _pruned(scene, kept, error(scene, take(scene, kept), views), model_psnr, len(views))


def to_loss(
    scene: DynamicSplats,
    max_loss: float,
    moments: Sequence[Moment] | None = None,
    *,
    model_psnr: float = MODEL_PSNR,
    score: Score = "measured",
    progress: Progress | None = None,
) -> DynamicPruned:
    """As few splats as cost at most `max_loss` dB; renders of the pruned scene are measured, not guessed.

    Args:
        scene: not changed.
        max_loss: dB, above 0; as pruning.to_loss().
        moments, model_psnr, score, progress: see to_share().

    Raises:
        ValueError: a loss or a quality out of range.
    """
    if not 0 < max_loss < math.inf:
        raise ValueError(f"a loss of {max_loss:g} dB: above 0")
    _require_model(model_psnr)
    allowed = 10 ** (-model_psnr / 10) * (10 ** (max_loss / 10) - 1)
    views = list(moments or made_up_moments(scene))
    kept, cost, step = np.arange(len(scene)), 0.0, ROUND
    while len(kept) > 1:
        if progress:
            progress("measuring", 1 - len(kept) / len(scene))  # Nobody knows how far it goes.
        fewer = _fewer(scene, kept, max(1, min(len(kept) - 1, int(step * len(kept)))), moments, score)
        reached = error(scene, take(scene, fewer), views)
        if reached <= allowed:
            kept, cost = fewer, reached
        elif 1 - step < 0.005:
            break
        else:
            step = 1 - (1 - step) / 2  # Too far: half as many.
    return _pruned(scene, kept, cost, model_psnr, len(views))


def judge(
    scene: DynamicSplats,
    left: DynamicSplats,
    kept: NDArray[np.intp],
    moments: Sequence[Moment] | None = None,
    *,
    model_psnr: float = MODEL_PSNR,
) -> DynamicPruned:
    """What `left`, made of the splats at `kept`, costs; see to_share()."""
    _require_model(model_psnr)
    views = list(moments or made_up_moments(scene))
    cost = error(scene, left, views)
    return dataclasses.replace(_pruned(scene, kept, cost, model_psnr, len(views)), scene=left)


def error(a: DynamicSplats, b: DynamicSplats, moments: Sequence[Moment]) -> float:
    """The mean squared error of renders of `b` against those of `a`, over black and white."""
    errors = [
        quality.error(dynamics.at(a, moment.time), dynamics.at(b, moment.time), [moment.camera])
        for moment in moments
    ]
    return math.fsum(errors) / len(errors)


def _fewer(
    scene: DynamicSplats, kept: NDArray[np.intp], count: int, moments: Sequence[Moment] | None, score: Score
) -> NDArray[np.intp]:
    cost = removal(take(scene, kept), moments, score)
    return kept[np.sort(np.argsort(-cost, kind="stable")[:count])]


def _pruned(
    scene: DynamicSplats, kept: NDArray[np.intp], cost: float, model_psnr: float, moments: int
) -> DynamicPruned:
    loss = 10 * math.log10(1 + cost / 10 ** (-model_psnr / 10))
    return DynamicPruned(take(scene, kept), kept, quality.decibels(cost), loss, moments)


def _require_model(psnr: float) -> None:
    if not 0 < psnr < 100:
        raise ValueError(f"a model of {psnr:g} dB: above 0 and below 100")
