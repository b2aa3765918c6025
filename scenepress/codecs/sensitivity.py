"""How much renders of a scene change with its values, over given or made-up cameras: encoding begins with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from scenepress import allocation, cameras, significance
from scenepress.allocation import Sensitivities
from scenepress.scene import Camera, Splats

SYNTHETIC_VIEWS = 24
SYNTHETIC_WIDTH = 240
SYNTHETIC_MAGNIFY = 2.0
"""Views are measured as if they were so many times as large: significance.measure."""
UNSEEN_GIVEN, UNSEEN_SYNTHETIC = 0.004, 0.02
"""What splats that no camera saw count for: allocation.lift_unseen."""
MAX_VIEWS, MAX_MEASURED_PIXELS = 64, 2_500_000
"""Given views that sensitivities are measured with: more of them, not larger ones, miss less."""


def measure(splats: Splats, views: Sequence[Camera] | None) -> Sensitivities:
    """Sensitivities of the mean squared error over the given or synthesised cameras.

    Given cameras are nearly believed: what they do not see gets coarse steps. Synthesised ones are believed less.
    """
    if views:
        kept, times = thin(views)
        chosen = [camera for _, camera in kept]
    else:
        chosen, times = cameras.surround(splats, SYNTHETIC_VIEWS, SYNTHETIC_WIDTH), SYNTHETIC_MAGNIFY
    return of_moments(
        [(splats, chosen)], splats, magnify=times, unseen=UNSEEN_GIVEN if views else UNSEEN_SYNTHETIC
    )


def of_moments(
    moments: Iterable[tuple[Splats, Sequence[Camera]]], splats: Splats, *, magnify: float, unseen: float
) -> Sensitivities:
    """Sensitivities over several moments of a scene that moves: each what it is then, and where it is seen from.

    Args:
        moments: scenes of the same splats in the same order; at least one.
        splats: as they are coded, for what no camera saw.
        magnify: as significance.measure().
        unseen: as allocation.lift_unseen()'s share.
    """
    pixels, parts = 0, []
    for now, cameras_then in moments:
        parts.append(significance.measure(now, cameras_then, magnify=magnify))
        pixels += sum(c.width * c.height for c in cameras_then)
    s = significance.total(parts)
    # Views mostly of nothing would make every error look small: a scene should fill half of what is counted.
    scale = 1 / (3 * max(1.0, min(pixels, 2 * float(s.weight.sum()))))
    wide = [np.asarray(a, np.float64) * scale for a in (s.opacity, s.position, s.log_scale, s.rotation)]
    # A step in one colour channel changes one of the three; weight_squared is per channel already.
    color = np.asarray(s.weight_squared, np.float64) * (scale * allocation.SH_C0**2)
    measured = Sensitivities(wide[0], color, wide[1], wide[2], wide[3])
    if not len(splats):
        return measured
    log_opacity = -np.logaddexp(0, -splats.opacity_logits.astype(np.float64))
    return allocation.lift_unseen(
        measured,
        splats.means.astype(np.float64),
        splats.log_scales.astype(np.float64),
        log_opacity,
        unseen,
    )


def thin(views: Sequence[Camera]) -> tuple[list[tuple[int, Camera]], float]:
    """At most MAX_VIEWS of the views, evenly chosen, and made smaller until they have MAX_MEASURED_PIXELS.

    Returns them with their places among `views`, and how many times as large they were.
    """
    count = min(len(views), MAX_VIEWS)
    places = [(2 * k + 1) * len(views) // (2 * count) for k in range(count)]
    pixels = sum(views[k].width * views[k].height for k in places)
    times = max(1.0, float(np.sqrt(pixels / MAX_MEASURED_PIXELS)))
    if times == 1.0:
        return [(k, views[k]) for k in places], times
    return [(k, cameras.resize(views[k], max(1, round(views[k].width / times)))) for k in places], times
