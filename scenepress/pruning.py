"""Fewer splats: leave out those whose absence shows least, to a share of them or to a loss of quality.

What a splat's absence does is measured: the error of the renders over given or made-up cameras (allocation.
Sensitivities.removal).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress import api, quality, scene_ops
from scenepress import cameras as made_up
from scenepress.codecs import sensitivity
from scenepress.scene import Camera, Splats

VIEWS, WIDTH = 8, 400
"""Views that a loss is measured in, and how wide made-up ones are."""
MODEL_PSNR = 30.0
"""dB that a trained scene is usually off its photographs."""
ROUND = 0.9
"""The share of the splats that is left after a round of measuring."""

Rows = NDArray[np.intp]
Progress = Callable[[str, float], None]
"""Told what is being done and the fraction done, in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class Pruned:
    """What is left of a scene, and what that costs."""

    scene: Splats
    """Splats that were kept, in the order of the source."""
    psnr: float
    """dB of renders against those of the source, over black and white; infinite if nothing shows."""
    loss: float
    """dB that a model of `model_psnr` dB against photographs loses, if both errors are independent."""
    views: int
    """How many were rendered."""


def judge(
    scene: Splats, kept: Splats, cameras: Sequence[Camera] | None = None, *, model_psnr: float = MODEL_PSNR
) -> Pruned:
    """What `kept`, however it was made of `scene`, costs; see to_share()."""
    _require_model(model_psnr)
    views = _views(scene, cameras)
    return _pruned(kept, _error(scene, kept, views), model_psnr, len(views))


def removal_order(
    scene: Splats, cameras: Sequence[Camera] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Which splats to leave out first, [N] indices, and the mean squared error that each adds, float64 [N].

    Splats that are not finite come first. cameras: None for made-up ones, which see all sides.
    """
    finite = ~scene_ops.invalid_mask(scene)
    removal = np.zeros(len(scene))
    if finite.any():
        removal[finite] = sensitivity.measure(scene.take(np.flatnonzero(finite)), cameras).removal
    removal[~finite] = -1.0
    order = np.argsort(removal, kind="stable")
    return order, np.maximum(removal[order], 0.0)


def to_share(
    scene: Splats,
    keep: float,
    cameras: Sequence[Camera] | None = None,
    *,
    model_psnr: float = MODEL_PSNR,
    progress: Progress | None = None,
) -> Pruned:
    """The share `keep` of the splats that matter most; one at least.

    Args:
        scene: not changed.
        keep: above 0, at most 1.
        cameras: where it is seen from, in its own axes; None: made up.
        model_psnr: dB of the scene's renders against photographs, for Pruned.loss.
        progress: told how far the work is.

    Raises:
        ValueError: a share or a quality out of range.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"a share of {keep:g} to keep: above 0 and at most 1")
    _require_model(model_psnr)
    report = progress or _silent
    goal = min(len(scene), max(1, round(keep * len(scene))))
    left = np.arange(len(scene))
    while len(left) > goal:
        report("measuring", 0.8 * (len(scene) - len(left)) / (len(scene) - goal))
        order, _ = removal_order(scene.take(left), cameras)
        left = _drop(left, order, len(left) - max(goal, _next_count(len(left))))
    views = _views(scene, cameras)
    report("comparing", 0.8)
    kept = scene.take(left)
    return _pruned(kept, _error(scene, kept, views), model_psnr, len(views))


def to_loss(
    scene: Splats,
    max_loss: float,
    cameras: Sequence[Camera] | None = None,
    *,
    model_psnr: float = MODEL_PSNR,
    progress: Progress | None = None,
) -> Pruned:
    """As few splats as cost at most `max_loss` dB; renders of the pruned scene are measured, not guessed.

    The loss is that of a model which is `model_psnr` dB off its photographs, if pruning adds an error of its own:
    10 log10(1 + error of pruning / error of the model).

    Args:
        scene: not changed.
        max_loss: dB, above 0.
        cameras, model_psnr, progress: see to_share().

    Raises:
        ValueError: a loss or a quality out of range.
    """
    if not (0 < max_loss < math.inf):
        raise ValueError(f"a loss of {max_loss:g} dB: above 0")
    _require_model(model_psnr)
    report = progress or _silent
    report("measuring", 0.0)
    allowed = 10 ** (-model_psnr / 10) * (10 ** (max_loss / 10) - 1)
    views = _views(scene, cameras)
    left, error = np.arange(len(scene)), 0.0
    while len(left) > 1:
        report("measuring", 1 - len(left) / len(scene))  # Nobody knows how far it goes.
        order, _ = removal_order(scene.take(left), cameras)
        count = len(left) - max(1, _next_count(len(left)))
        fewer = _drop(left, order, count)
        reached = _error(scene, scene.take(fewer), views)
        if reached > allowed:
            found = _last_few(scene, left, order, count, error, allowed, views)
            return _pruned(scene.take(found[0]), found[1], model_psnr, len(views))
        left, error = fewer, reached
    return _pruned(scene.take(left), error, model_psnr, len(views))


def _last_few(
    scene: Splats, left: Rows, order: Rows, too_many: int, error: float, allowed: float, views: Sequence[Camera]
) -> tuple[Rows, float]:
    """The rows that are left, and their error, when as many more as are allowed were left out of `left`."""
    low, high, best = 0, too_many, (left, error)
    while high - low > max(1, len(left) // 500):
        count = (low + high) // 2
        fewer = _drop(left, order, count)
        reached = _error(scene, scene.take(fewer), views)
        if reached > allowed:
            high = count
        else:
            low, best = count, (fewer, reached)
    return best


def _next_count(count: int) -> int:
    """How many are left after a round: errors add up, and what was hidden shows, so all is measured anew."""
    return int(ROUND * count)


def _drop(left: Rows, order: Rows, count: int) -> Rows:
    """`left` without those that the first `count` of `order` point at, in the same order."""
    return np.sort(left[order[count:]])


def _pruned(kept: Splats, error: float, model_psnr: float, views: int) -> Pruned:
    loss = 10 * math.log10(1 + error * 10 ** (model_psnr / 10))
    return Pruned(kept, quality.decibels(error), loss, views)


def _views(scene: Splats, cameras: Sequence[Camera] | None) -> list[Camera]:
    if not cameras:
        return made_up.synthesize(scene, VIEWS, WIDTH) if len(scene) else []
    return api.choose(cameras, VIEWS)


def _error(scene: Splats, kept: Splats, views: Sequence[Camera]) -> float:
    """Mean squared error over all views."""
    if not views or kept is scene:
        return 0.0
    psnr = quality.compare(scene, kept, views, perceptual=False).psnr
    return 0.0 if psnr == math.inf else float(10 ** (-psnr / 10))


def _require_model(psnr: float) -> None:
    if not 0 < psnr < 100:
        raise ValueError(f"a model of {psnr:g} dB: between 0 and 100")


def _silent(_what: str, _done: float) -> None:
    pass
