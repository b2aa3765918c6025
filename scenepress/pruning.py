"""Fewer splats: leave out those whose absence shows least, or make one of two, to a share or a loss of quality.

What a splat's absence does is measured: the error of the renders over given or made-up cameras (allocation.
Sensitivities.removal). What merging two does is guessed from that (merging.candidates).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress import api, merging, quality, scene_ops
from scenepress import cameras as made_up
from scenepress.codecs import sensitivity
from scenepress.scene import Camera, Splats

VIEWS, WIDTH = 8, 400
"""Views that a loss is measured in, and how wide made-up ones are."""
MODEL_PSNR = 30.0
"""dB that a trained scene is usually off its photographs."""
ROUND = 0.9
"""The share of the splats that is left after a round of measuring."""

F64 = NDArray[np.float64]
Rows = NDArray[np.intp]
Progress = Callable[[str, float], None]
"""Told what is being done and the fraction done, in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class Pruned:
    """What is left of a scene, and what that costs."""

    scene: Splats
    """Splats that are left, in the order of the source."""
    psnr: float
    """dB of renders against those of the source, over black and white; infinite if nothing shows."""
    loss: float
    """dB that a model of `model_psnr` dB against photographs loses, if both errors are independent."""
    views: int
    """How many were rendered."""
    merged: int = 0
    """Splats of `scene` that took the place of two or more of the source's."""


@dataclasses.dataclass(frozen=True)
class _Left:
    """A scene on its way to fewer splats."""

    scene: Splats
    stands: NDArray[np.intp]
    """[N]: for how many of the source's splats each one stands."""


@dataclasses.dataclass(frozen=True)
class _Round:
    """What can be done next, and what it costs."""

    left: _Left
    removal: F64
    """float64 [N]: of leaving out each; below 0 for what is not finite."""
    pairs: merging.Candidates


def judge(
    scene: Splats, kept: Splats, cameras: Sequence[Camera] | None = None, *, model_psnr: float = MODEL_PSNR
) -> Pruned:
    """What `kept`, however it was made of `scene`, costs; see to_share()."""
    _require_model(model_psnr)
    views = _views(scene, cameras)
    return _pruned(_whole(kept), _error(scene, kept, views), model_psnr, len(views))


def removal_order(
    scene: Splats, cameras: Sequence[Camera] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Which splats to leave out first, [N] indices, and the mean squared error that each adds, float64 [N].

    Splats that are not finite come first. cameras: None for made-up ones, which see all sides.
    """
    removal, _ = _measured(scene, cameras)
    order = np.argsort(removal, kind="stable")
    return order, np.maximum(removal[order], 0.0)


def to_share(
    scene: Splats,
    keep: float,
    cameras: Sequence[Camera] | None = None,
    *,
    model_psnr: float = MODEL_PSNR,
    progress: Progress | None = None,
    merge: bool = True,
) -> Pruned:
    """The share `keep` of the splats: those that matter most, some for two of the source; one at least.

    Args:
        scene: not changed.
        keep: above 0, at most 1.
        cameras: where it is seen from, in its own axes; None: made up.
        model_psnr: dB of the scene's renders against photographs, for Pruned.loss.
        progress: told how far the work is.
        merge: also make one of two where that costs less; without, splats keep their values.

    Raises:
        ValueError: a share or a quality out of range.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"a share of {keep:g} to keep: above 0 and at most 1")
    _require_model(model_psnr)
    report = progress or _silent
    goal = min(len(scene), max(1, round(keep * len(scene))))
    left = _whole(scene)
    while (count := len(left.scene)) > goal:
        report("measuring", 0.8 * (len(scene) - count) / (len(scene) - goal))
        fewer = count - max(goal, _next_count(count))
        left = _take(_measure(left, cameras, fewer, merge), fewer)
    views = _views(scene, cameras)
    report("comparing", 0.8)
    return _pruned(left, _error(scene, left.scene, views), model_psnr, len(views))


def to_loss(
    scene: Splats,
    max_loss: float,
    cameras: Sequence[Camera] | None = None,
    *,
    model_psnr: float = MODEL_PSNR,
    progress: Progress | None = None,
    merge: bool = True,
) -> Pruned:
    """As few splats as cost at most `max_loss` dB; renders of the pruned scene are measured, not guessed.

    The loss is that of a model which is `model_psnr` dB off its photographs, if pruning adds an error of its own:
    10 log10(1 + error of pruning / error of the model).

    Args:
        scene: not changed.
        max_loss: dB, above 0.
        cameras, model_psnr, progress, merge: see to_share().

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
    left, error = _whole(scene), 0.0
    while (size := len(left.scene)) > 1:
        report("measuring", 1 - size / len(scene))  # Nobody knows how far it goes.
        count = size - max(1, _next_count(size))
        measured = _measure(left, cameras, count, merge)
        fewer = _take(measured, count)
        reached = _error(scene, fewer.scene, views)
        if reached > allowed:
            left, error = _last_few(scene, measured, count, error, allowed, views)
            break
        left, error = fewer, reached
    return _pruned(left, error, model_psnr, len(views))


def _last_few(
    scene: Splats, measured: _Round, too_many: int, error: float, allowed: float, views: Sequence[Camera]
) -> tuple[_Left, float]:
    """What is left, and its error, when there are as many fewer as are allowed than before the round."""
    low, high, best = 0, too_many, (measured.left, error)
    while high - low > max(1, len(measured.removal) // 500):
        count = (low + high) // 2
        fewer = _take(measured, count)
        reached = _error(scene, fewer.scene, views)
        if reached > allowed:
            high = count
        else:
            low, best = count, (fewer, reached)
    return best


def _next_count(count: int) -> int:
    """How many are left after a round: errors add up, and what was hidden shows, so all is measured anew."""
    return int(ROUND * count)


def _whole(scene: Splats) -> _Left:
    return _Left(scene, np.ones(len(scene), np.intp))


def _measured(scene: Splats, cameras: Sequence[Camera] | None) -> tuple[F64, F64]:
    """Of every splat the error without it, -1 if it is not finite, and Sensitivities.color: float64 [N]."""
    finite = ~scene_ops.invalid_mask(scene)
    removal, color = np.full(len(scene), -1.0), np.zeros(len(scene))
    if finite.any():
        found = sensitivity.measure(scene.take(np.flatnonzero(finite)), cameras)
        removal[finite], color[finite] = found.removal, found.color
    return removal, color


def _measure(left: _Left, cameras: Sequence[Camera] | None, count: int, merge: bool) -> _Round:
    """What steps to `count` fewer splats cost, 0 < count < N."""
    removal, color = _measured(left.scene, cameras)
    limit = float(np.partition(removal, count - 1)[count - 1]) if merge else -1.0
    return _Round(left, removal, merging.candidates(left.scene, removal, color, limit))


def _take(measured: _Round, count: int) -> _Left:
    """`count` fewer splats, 0 < count < N, by the cheapest steps."""
    merged, dropped = _steps(measured, count)
    stands = measured.left.stands.copy()
    stands[merged[:, 0]] += stands[merged[:, 1]]
    gone = np.zeros(len(stands), np.bool_)
    gone[dropped] = True
    scene = merging.merge(measured.left.scene, merged)
    gone_now = np.delete(gone, merged[:, 1])
    return _Left(scene.take(~gone_now), np.delete(stands, merged[:, 1])[~gone_now])


def _steps(measured: _Round, count: int) -> tuple[Rows, Rows]:
    """Pairs [P, 2] to merge and rows to leave out, `count` in all; no splat twice.

    Where every splat less is worth `price`, splats go whose absence costs less, and a pair is merged if that gains
    more than leaving out one of both, or both. The price is sought that `count` splats go for.
    """
    removal = measured.removal
    rising = np.argsort(removal, kind="stable")
    most = min(count, len(removal) - count)

    def merged_for(price: float) -> Rows:
        return merging.worthwhile(measured.pairs, removal, price, most)

    low, high = 0, count - 1
    while len(measured.pairs.cost) and high - low > count // 100:
        middle = (low + high) // 2
        chosen = merged_for(float(removal[rising[middle]]))
        dropped = middle + 1 - np.count_nonzero(np.isin(rising[: middle + 1], chosen))
        low, high = (low, middle) if len(chosen) + dropped >= count else (middle + 1, high)
    chosen = merged_for(float(removal[rising[high]]))
    rest = rising[~np.isin(rising, chosen)]
    return chosen, rest[: count - len(chosen)]


def _pruned(left: _Left, error: float, model_psnr: float, views: int) -> Pruned:
    loss = 10 * math.log10(1 + error * 10 ** (model_psnr / 10))
    return Pruned(left.scene, quality.decibels(error), loss, views, int((left.stands > 1).sum()))


def _views(scene: Splats, cameras: Sequence[Camera] | None) -> list[Camera]:
    if not cameras:
        return made_up.synthesize(scene, VIEWS, WIDTH) if len(scene) else []
    return api.choose(cameras, VIEWS)


def _error(scene: Splats, kept: Splats, views: Sequence[Camera]) -> float:
    """Mean squared error over all views."""
    if not views or kept is scene:
        return 0.0
    return quality.error(scene, kept, views)


def _require_model(psnr: float) -> None:
    if not 0 < psnr < 100:
        raise ValueError(f"a model of {psnr:g} dB: between 0 and 100")


def _silent(_what: str, _done: float) -> None:
    pass
