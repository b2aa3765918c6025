"""One update of a state: what training and distillation, which differ in their losses and rates, share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import TrainingError
from scenepress.kernels import training
from scenepress.learned.state import F32, NAMES, State
from scenepress.render import SplatGradients, TrainingBackend

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15


def turn(step: int, count: int, seed: int) -> int:
    """Which of `count` views step `step` looks at: all in turn, in an order drawn anew each time."""
    order = np.random.default_rng([seed, 0, step // count]).permutation(count)
    return int(order[step % count])


@contextlib.contextmanager
def device_at_work(backend: TrainingBackend, step: int) -> Iterator[None]:
    """Within it, errors of a device (no memory left, or worse) become one line. `step` is for the message.

    Raises:
        TrainingError: the device failed.
    """
    try:
        yield
    except RuntimeError as error:
        if backend == "cpu" or isinstance(error, TrainingError):
            raise
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise TrainingError(f"step {step}: backend {backend} failed: {said}") from error


def require_finite(step: int, view: str, gradients: SplatGradients, *losses: float) -> None:
    """Refuse to go on with numbers that are not finite; `step` and the name of the view are for the message.

    Looks at sums of squares of the gradients, which are not finite if any of them is not.

    Raises:
        TrainingError: a loss or a gradient is not finite.
    """
    arrays = (getattr(gradients, name) for name in NAMES)
    if not all(math.isfinite(x) for x in (*losses, *(float(np.vdot(array, array)) for array in arrays))):
        raise TrainingError(f"step {step}: the loss or its gradient is not finite (view {view})")


def shown(gradients: SplatGradients) -> NDArray[np.bool_]:
    """Which splats were drawn, [N]: the others' gradients are 0, and not even -0."""
    drawn: NDArray[np.bool_] = gradients.opacity_logits.view(np.uint32) != 0
    return drawn


def descend(state: State, gradients: SplatGradients, more: Mapping[str, F32], rates: Mapping[str, float]) -> None:
    """Adam's update of all values of the splats that were drawn; changes values and moments of the state.

    Args:
        state: its step counts this update already.
        gradients: of the loss of one view; finite.
        more: what is added to them, by NAMES, shaped as the values; nothing where a name is missing.
        rates: of Adam, by NAMES.
    """
    drawn = shown(gradients).astype(np.uint8)
    for name in NAMES:
        values = state.values[name]
        if not values.size:
            continue
        slopes = getattr(gradients, name)
        if name in more:
            slopes = slopes + more[name]
        training.adam(
            _rows(values), _rows(slopes), _rows(state.first[name]), _rows(state.second[name]),
            drawn, rates[name], BETA1, BETA2, EPSILON, state.step,
        )  # fmt: skip


def _rows(array: F32) -> F32:
    """A view of [N, ...] as [N, D]: changes in it are changes of the array."""
    return array.reshape(len(array), -1)
