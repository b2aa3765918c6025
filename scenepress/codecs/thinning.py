"""Fewer splats before coding: those whose bits are worth more than they are go, and of two that nearly coincide
comes one.

encoder.prepare() leaves out what is not worth its bits all at once, by one measurement: right while it is little.
Here a part of the splats goes at a time and the rest is measured anew, for errors add up and what was hidden
shows; and holes are avoided where a splat can stand for two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress import merging
from scenepress.allocation import Sensitivities
from scenepress.codecs import encoder, sensitivity
from scenepress.codecs.presets import Settings
from scenepress.scene import Camera, Splats

READY = 1.5
"""How much more readily splats go here than in encoder.prepare(), where nothing stands in for them.

Source: lego and plush at 1/35 and 1/80 of their .ply files; 1 and 2 cost 0.1 to 0.6 dB.
"""
SHARE, LEAST = 0.2, 0.1
"""Of the splats so many at most are looked at to be left out in a round. After one that left out fewer than the
other share because no more were worth it, what is left is guessed, not measured, and it was the last."""
ROUNDS = 8
"""At most; where nothing weighs anything, splats would go on going."""
REMEMBERED = 2
"""What so many whole rounds left is kept for other settings."""

Mask = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Less:
    """What is left of a scene."""

    stays: Mask
    """[N]: which splats stay."""
    scene: Splats
    """[M]: those, in their order, some of them changed."""
    changed: Mask
    """[M]: which took the place of two; the others have the values that they had."""
    pairs: NDArray[np.intp]
    """[P, 2]: of which two, in the order of `changed`: rows of the scene before."""


def leave(scene: Splats, sens: Sensitivities, limit: float, most: int | None = None) -> Less:
    """Without the splats whose absence costs at most `limit`, and one for two where that gains more.

    Args:
        scene: not changed; finite.
        sens: of its splats.
        limit: mean squared error.
        most: pairs that become one; None: all that gain.
    """
    found = merging.candidates(scene, sens.removal, sens.color, limit)
    pairs = merging.worthwhile(found, sens.removal, limit, len(scene) if most is None else most)
    stays = sens.removal > limit
    stays[pairs[:, 0]], stays[pairs[:, 1]] = True, False
    changed = np.zeros(len(scene), np.bool_)
    changed[pairs[:, 0]] = True
    left = merging.merge(scene, pairs).take(np.delete(stays, pairs[:, 1]))
    return Less(stays, left, changed[stays], pairs[np.argsort(pairs[:, 0])])


def thin(
    scene: Splats, sens: Sensitivities, settings: Settings, views: Sequence[Camera] | None
) -> tuple[Splats, Sensitivities]:
    """What is left of a scene for coding with these settings, and its sensitivities.

    Args:
        scene: not changed; finite.
        sens: from sensitivity.measure() of it.
        settings: with prune 0 or keep_order everything stays.
        views: where it is seen from; None: made up, and less goes.
    """
    return Rounds(scene, sens, views).left(settings)


class Rounds:
    """thin() for a scene and several settings.

    The lower the quality the more rounds, but the way is the same: what is left does not depend on what was asked
    before, and no whole round is measured twice while it is remembered.
    """

    def __init__(self, scene: Splats, sens: Sensitivities, views: Sequence[Camera] | None) -> None:
        """For thin()'s scene, sensitivities and views."""
        self._views = views
        self._after: dict[int, tuple[Splats, Sensitivities]] = {0: (scene, sens)}
        self._caps: list[tuple[int, float]] = []  # Of every whole round: splats before, and its limit.

    def left(self, settings: Settings) -> tuple[Splats, Sensitivities]:
        """See thin()."""
        scene, sens = self._after[0]
        if settings.keep_order or not settings.prune or not len(scene):
            return scene, sens
        ready = READY * settings.prune * (1.0 if self._views else encoder.UNSURE)

        def limit(count: int) -> float:
            return ready * encoder.delta_of(settings, count) ** 2

        whole = next((k for k, (count, cap) in enumerate(self._caps) if limit(count) < cap), len(self._caps))
        first = max(k for k in self._after if k <= whole)
        scene, sens = self._after[first]
        for done in range(first, ROUNDS):
            before = len(scene)
            most = max(1, int(SHARE * before))
            cap = float(np.partition(sens.removal, most - 1)[most - 1])
            last = limit(before) < cap
            less = leave(scene, sens, min(cap, limit(before)), most)
            if not len(less.scene):
                break
            if last and before - len(less.scene) < LEAST * before:
                return less.scene, guess(scene, sens, less)
            scene, sens = less.scene, sensitivity.measure(less.scene, self._views)
            if not last and whole == done:
                whole += 1
                self._remember(whole, before, cap, scene, sens)
        return scene, sens

    def _remember(self, done: int, before: int, cap: float, scene: Splats, sens: Sensitivities) -> None:
        if done > len(self._caps):
            self._caps.append((before, cap))
        self._after[done] = scene, sens
        for old in sorted(self._after)[1:-REMEMBERED]:  # The first is the source, and others take memory.
            del self._after[old]


def guess(scene: Splats, sens: Sensitivities, less: Less) -> Sensitivities:
    """Sensitivities of what is left of a scene that had `sens`: merged splats count for what both did.

    What belongs to axes is that of both splats' axes of the same rank, thinnest first, next to their scales.
    """
    left = sens.take(np.flatnonzero(less.stays))
    if not len(less.pairs):
        return left
    a, b = less.pairs.T
    logs = less.scene.log_scales[less.changed]
    rank = np.argsort(scene.log_scales, axis=1, kind="stable")
    back = np.argsort(np.argsort(logs, axis=1, kind="stable"), axis=1, kind="stable")

    def both(values: NDArray[np.float64]) -> NDArray[np.float64]:
        if values.ndim == 1:
            return np.asarray(values[a] + values[b])
        of_a, of_b = (np.take_along_axis(values[rows], rank[rows], 1) for rows in (a, b))
        return np.asarray(np.take_along_axis(of_a + of_b, back, 1))

    def with_merged(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        array: NDArray[np.float64] = getattr(left, name).copy()
        array[less.changed] = values
        return array

    variance = np.exp(np.clip(2 * scene.log_scales.astype(np.float64), -200, 200))
    merged = np.exp(np.clip(2 * logs.astype(np.float64), -200, 200))
    return Sensitivities(
        removal=with_merged("removal", both(sens.removal)),
        color=with_merged("color", both(sens.color)),
        position=with_merged("position", both(sens.position * variance) / merged),
        log_scale=with_merged("log_scale", both(sens.log_scale)),
        rotation=with_merged("rotation", both(sens.rotation)),
    )
