"""Training what is left of a scene that moves to look like the whole of it, at all times."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scenepress import dynamic_pruning, dynamics, quality
from scenepress.dynamics import Moment
from scenepress.learned.train import TrainSettings, View
from scenepress.learned.train4d import Train4dSettings, tune
from scenepress.render import TrainingBackend, rasterize
from scenepress.scene import DynamicSplats

MOMENTS, WIDTH = 96, 400
"""Made-up moments to train with, and how wide their views are."""
BACKGROUNDS = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
NEVER = 1 << 60

Progress = Callable[[str, float], None]


def settings(steps: int, sh_degree: int, count: int, seed: int) -> Train4dSettings:
    """Those of training's last tenth or so: the scene is near to what it is to be, and nothing is multiplied."""
    fine = TrainSettings(
        steps=steps, max_splats=count, sh_degree=sh_degree, seed=seed, sh_every=1, densify_from=NEVER,
        means_rate=1.6e-5, means_rate_end=1.6e-6, quats_rate=3e-4, log_scales_rate=1.5e-3,
        opacity_logits_rate=1.5e-2, sh0_rate=1e-3, shN_rate=5e-5, prune_opacity=1e-6,
    )  # fmt: skip
    return Train4dSettings(TrainSettings(), fine, planes_rate=1e-3, networks_rate=1e-4)


def restore(
    left: DynamicSplats,
    source: DynamicSplats,
    steps: int,
    moments: Sequence[Moment] | None = None,
    *,
    backend: TrainingBackend = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> DynamicSplats:
    """Train `left` to look like `source`, splats and field together, over black and over white.

    Args:
        left: what is left of the source; not changed.
        source: of the same axes.
        steps: updates, each from one render.
        moments: where and when it is seen; None: made up.
        backend: what renders and gives the gradients.
        seed: of the order of the views.
        progress: told how far the work is.

    Returns:
        The trained scene, or `left` itself where training made it no better.

    Raises:
        ValueError, TrainingError: as learned.train4d.tune().
    """
    chosen = list(moments or dynamic_pruning.made_up_moments(source, MOMENTS, WIDTH))
    views = []
    for k, moment in enumerate(chosen):
        now = dynamics.at(source, moment.time)
        for background in BACKGROUNDS:
            image = quality.to_8bit(rasterize(now, moment.camera, background=background).color)
            views.append(View(moment.camera, image, background, moment.time))
        if progress:
            progress("rendering the source", 0.1 * (k + 1) / len(chosen))
    told = None if progress is None else lambda what, done: progress(what, 0.1 + 0.9 * done)
    how = settings(steps, left.canonical.sh_degree, len(left), seed)
    trained = tune(views, left, how, backend=backend, progress=told)
    judged = chosen[:: max(1, len(chosen) // dynamic_pruning.VIEWS)]
    before, after = (dynamic_pruning.error(source, scene, judged) for scene in (left, trained))
    return trained if after < before else left
