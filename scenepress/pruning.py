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

from scenepress import cameras as made_up
from scenepress import quality
from scenepress.codecs import encoder
from scenepress.scene import Camera, Splats

VIEWS, WIDTH = 8, 400
"""Views that a loss is measured in, and how wide made-up ones are."""
MODEL_PSNR = 30.0
"""dB that a trained scene is usually off its photographs."""
SEARCHES = 10
"""Rounds of measuring: each halves what is left to find, at worst."""
CLOSE = 0.05
"""An error so little below the allowed one is near enough."""

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


def removal_order(
    scene: Splats, cameras: Sequence[Camera] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Which splats to leave out first, [N] indices, and the mean squared error that each adds, float64 [N].

    Splats that are not finite come first. cameras: None for made-up ones, which see all sides.
    """
    finite = scene_is_finite(scene)
    removal = np.zeros(len(scene))
    if finite.any():
        removal[finite] = encoder.measure(scene.take(np.flatnonzero(finite)), cameras).removal
    removal[~finite] = -1.0
    order = np.argsort(removal, kind="stable")
    return order, np.maximum(removal[order], 0.0)


def scene_is_finite(scene: Splats) -> NDArray[np.bool_]:
    """Mask [N] of what can be drawn."""
    from scenepress.scene_ops import invalid_mask

    return ~invalid_mask(scene)


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
    report("measuring", 0.0)
    order, _ = removal_order(scene, cameras)
    kept = _without(scene, order, len(scene) - min(len(scene), max(1, round(keep * len(scene)))))
    views = _views(scene, cameras)
    report("comparing", 0.6)
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
    order, errors = removal_order(scene, cameras)
    views = _views(scene, cameras)
    total = np.concatenate([[0.0], np.cumsum(errors)])
    low, high, best = 0, len(scene), (scene, 0.0)
    guess = int(np.searchsorted(total, allowed / 2, side="right")) - 1
    for k in range(SEARCHES):
        report("comparing", 0.2 + 0.8 * k / SEARCHES)
        count = min(max(guess, low + 1), high - 1)
        if not low < count < high:
            break
        kept = _without(scene, order, count)
        error = _error(scene, kept, views)
        if error > allowed:
            high = count
        else:
            low, best = count, (kept, error)
            if error > (1 - CLOSE) * allowed:
                break
        guess = _between(total, low, high, count, error / allowed)
    return _pruned(best[0], best[1], model_psnr, len(views))


def _between(total: NDArray[np.float64], low: int, high: int, count: int, ratio: float) -> int:
    """Where to look next, after `count` gave `ratio` times what is allowed; errors add up faster than that."""
    wanted = total[count] / max(ratio, 1e-6) ** (2 / 3) if ratio > 0 else total[-1]
    found = int(np.searchsorted(total, wanted, side="right")) - 1
    return found if low < found < high and abs(found - count) > (high - low) // 64 else (low + high) // 2


def _pruned(kept: Splats, error: float, model_psnr: float, views: int) -> Pruned:
    loss = 10 * math.log10(1 + error * 10 ** (model_psnr / 10))
    return Pruned(kept, quality.decibels(error), loss, views)


def _without(scene: Splats, order: NDArray[np.intp], count: int) -> Splats:
    return scene.take(np.sort(order[count:]))


def _views(scene: Splats, cameras: Sequence[Camera] | None) -> list[Camera]:
    if not cameras:
        return made_up.synthesize(scene, VIEWS, WIDTH) if len(scene) else []
    count = min(len(cameras), VIEWS)
    return [cameras[(2 * k + 1) * len(cameras) // (2 * count)] for k in range(count)]


def _error(scene: Splats, kept: Splats, views: Sequence[Camera]) -> float:
    """Mean squared error over all views."""
    if not views or len(kept) == len(scene):
        return 0.0
    psnr = quality.compare(scene, kept, views, perceptual=False).psnr
    return 0.0 if psnr == math.inf else float(10 ** (-psnr / 10))


def _require_model(psnr: float) -> None:
    if not 0 < psnr < 100:
        raise ValueError(f"a model of {psnr:g} dB: between 0 and 100")


def _silent(_what: str, _done: float) -> None:
    pass
