"""Small scenes for tests."""

from __future__ import annotations

import numpy as np

from scenepress.scene import SH_COUNTS, Splats


def cloud(count: int = 600, sh_degree: int = 3, seed: int = 0) -> Splats:
    """Coloured splats on a sphere of radius 1, small enough that every view shows many."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    colours = directions * 0.8 + rng.normal(0, 0.2, (count, 3))
    return Splats(
        means=(directions * rng.uniform(0.9, 1.0, (count, 1))).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        log_scales=rng.normal(-3, 0.3, (count, 3)).astype(np.float32),
        opacity_logits=rng.normal(2, 1, count).astype(np.float32),
        sh0=colours.astype(np.float32),
        shN=rng.normal(0, 0.05, (count, SH_COUNTS[sh_degree], 3)).astype(np.float32),
    )
