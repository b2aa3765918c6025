"""The rasteriser for torch: renders that autograd differentiates, on the CPU.

    color, alpha = rasterize(parameters, camera)
    loss = (color - photograph).abs().mean()
    loss.backward()
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scenepress import render
from scenepress.scene import Camera, Splats


@dataclasses.dataclass(frozen=True)
class Parameters:
    """The arrays of a scene as float32 tensors on the CPU; those that require a gradient get one."""

    means: Tensor
    """[N, 3], scene units."""
    quats: Tensor
    """[N, 4], (w, x, y, z), of any length."""
    log_scales: Tensor
    """[N, 3], natural logarithms."""
    opacity_logits: Tensor
    """[N]."""
    sh0: Tensor
    """[N, 3]."""
    shN: Tensor
    """[N, K, 3], K = 0, 3, 8 or 15."""

    @staticmethod
    def of(splats: Splats) -> Parameters:
        """Copies of a scene's arrays, each a leaf that requires a gradient."""
        arrays = [getattr(splats, field.name) for field in dataclasses.fields(Parameters)]
        return Parameters(*(torch.from_numpy(array.copy()).requires_grad_() for array in arrays))

    def splats(self, antialiased: bool = False) -> Splats:
        """A scene that shares the memory of the tensors where it can. ValueError: dtype or shape is another."""
        arrays = {f.name: getattr(self, f.name).detach().cpu().numpy() for f in dataclasses.fields(self)}
        return dataclasses.replace(Splats(**arrays), antialiased=antialiased)


def rasterize(
    parameters: Parameters,
    camera: Camera,
    *,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    antialiased: bool = False,
) -> tuple[Tensor, Tensor]:
    """Render one view: color [H, W, 3] over the background, and alpha [H, W], float32.

    Until backward() has run the tensors must not be changed in place: torch says so if they are.

    Args:
        parameters: the scene, in the camera's axes.
        camera: where from.
        background: r, g, b behind the scene; no gradient.
        antialiased: with the opacity-compensated filter.

    Raises:
        ValueError: a camera, background or tensor that makes no sense.
    """
    tensors = [getattr(parameters, field.name) for field in dataclasses.fields(parameters)]
    color, alpha = _Rasterize.apply(*tensors, camera, tuple(background), antialiased)  # type: ignore[no-untyped-call]
    return color, alpha


class _Rasterize(torch.autograd.Function):
    # torch keeps whatever is set on `ctx`, hence its type.
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        means: Tensor,
        quats: Tensor,
        log_scales: Tensor,
        opacity_logits: Tensor,
        sh0: Tensor,
        shN: Tensor,
        camera: Camera,
        background: tuple[float, ...],
        antialiased: bool,
    ) -> tuple[Tensor, Tensor]:
        parameters = Parameters(means, quats, log_scales, opacity_logits, sh0, shN)
        frame = render.differentiable(parameters.splats(antialiased), camera, background=background)
        # For torch to notice changes in place.
        ctx.save_for_backward(means, quats, log_scales, opacity_logits, sh0, shN)
        ctx.frame = frame
        return torch.from_numpy(frame.image.color), torch.from_numpy(frame.image.alpha)

    @staticmethod
    def backward(ctx: Any, by_color: Tensor, by_alpha: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        inputs = ctx.saved_tensors  # Raises if one was changed.
        found = ctx.frame.backward(np.asarray(by_color.detach()), np.asarray(by_alpha.detach()))
        gradients = [getattr(found, field.name) for field in dataclasses.fields(Parameters)]
        wanted = [
            torch.from_numpy(gradient) if needed else None
            for gradient, needed in zip(gradients, ctx.needs_input_grad[: len(inputs)], strict=True)
        ]
        return (*wanted, None, None, None)
