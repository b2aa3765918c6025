"""More splats where the image asks for them, none where they do not show: adaptive density control.

After B. Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering", 2023, section 5, with a
limit: where there are more candidates than room, those that are pulled hardest go first.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels.reference_render import rotation_matrices
from scenepress.learned.state import NAMES, State

SHRINK = 1.6
"""Halves of a splat are so many times smaller than it was."""


def prune(state: State, opacity: float) -> None:
    """Drop splats fainter than `opacity`, 0 to 1."""
    keep(state, ~_faint(state, opacity))


def multiply(state: State, threshold: float, small: float, opacity: float, limit: int, seed: list[int]) -> None:
    """Clone small splats and split large ones where the image pulls at them, and drop faint ones.

    Args:
        state: changed; its sums of pulls begin anew.
        threshold: mean length of the gradient of the centre, in units of half an image, from which on to act.
        small: scene units; splats whose longest standard deviation is no longer are cloned, others split.
        opacity: fainter ones are dropped.
        limit: splats there may be afterwards (but none is dropped for it).
        seed: of the places of the halves.
    """
    faint = _faint(state, opacity)
    pull = np.where(faint, 0, state.pull / np.maximum(state.shown, 1))
    order = np.argsort(-pull, kind="stable")
    chosen = order[: max(0, limit - int(np.count_nonzero(~faint)))]
    chosen = np.sort(chosen[pull[chosen] > threshold])
    longest = np.exp(state.values["log_scales"][chosen].max(axis=1))
    clones, splits = chosen[longest <= small], chosen[longest > small]
    added = [_rows(state, clones), *_halves(state, splits, seed)]
    stays = ~faint
    stays[splits] = False
    keep(state, stays)
    for rows in added:
        _append(state, rows)
    state.pull = np.zeros(len(state.values["means"]), np.float32)
    state.shown = np.zeros_like(state.pull)


def fade(state: State, opacity: float) -> None:
    """Let no splat be more opaque than `opacity`, and forget the moments of opacities."""
    logits = state.values["opacity_logits"]
    np.minimum(logits, np.float32(logit(opacity)), out=logits)
    state.first["opacity_logits"][:] = 0
    state.second["opacity_logits"][:] = 0


def logit(opacity: float) -> float:
    """The inverse of the sigmoid, of 0 < opacity < 1."""
    return math.log(opacity / (1 - opacity))


def _faint(state: State, opacity: float) -> NDArray[np.bool_]:
    return np.asarray(state.values["opacity_logits"] < logit(opacity))


def _rows(state: State, index: NDArray[np.intp]) -> dict[str, NDArray[np.float32]]:
    return {name: state.values[name][index] for name in NAMES}


def _halves(state: State, index: NDArray[np.intp], seed: list[int]) -> list[dict[str, NDArray[np.float32]]]:
    """Two smaller splats for each, at places drawn from the Gaussian it was."""
    random = np.random.default_rng(seed)
    out = []
    for _ in range(2):
        rows = _rows(state, index)
        offsets = random.standard_normal((len(index), 3)) * np.exp(rows["log_scales"].astype(np.float64))
        turns = rotation_matrices(rows["quats"].astype(np.float64))
        moved = rows["means"] + np.einsum("nij,nj->ni", turns, offsets)
        rows["means"] = moved.astype(np.float32)
        rows["log_scales"] = rows["log_scales"] - np.float32(np.log(SHRINK))
        out.append(rows)
    return out


def keep(state: State, mask: NDArray[np.bool_]) -> None:
    """Drop every splat that `mask`, [N], does not have."""
    for arrays in (state.values, state.first, state.second):
        for name in NAMES:
            arrays[name] = arrays[name][mask]
    state.pull, state.shown = state.pull[mask], state.shown[mask]


def _append(state: State, rows: dict[str, NDArray[np.float32]]) -> None:
    for name in NAMES:
        state.values[name] = np.concatenate([state.values[name], rows[name]])
        zeros = np.zeros_like(rows[name])
        for moments in (state.first, state.second):
            moments[name] = np.concatenate([moments[name], zeros])
