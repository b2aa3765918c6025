"""Train the hidden layers of the learned context model: docs/context_model.md.

    python -m pipelines.context_model SCENE... -o model.bin

A scene counts at four qualities, like four scenes; all share the hidden layers, and each has heads of its own, as
files do. Needs torch; the same scenes, seed and torch give the same bytes.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import scenepress
from scenepress.codecs import encoder, sensitivity
from scenepress.codecs.heads import Sample
from scenepress.codecs.presets import PRESETS
from scenepress.kernels import learned as kernels
from scenepress.stages.context import CHANNELS

if TYPE_CHECKING:
    import torch

SAMPLES = 25_000
"""Splats of a scene at one quality that are looked at."""
SCALE = 32
"""What the integers count is so many to the float's one, on either side of a layer."""
BATCH, EPOCHS, RATE = 2048, 6, 4e-3
SPREADS = (-4.0, 8.0)
"""The natural logarithm of a spread in steps stays within these."""

F32 = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Examples:
    """Of one channel, from all scenes."""

    features: NDArray[np.int8]
    """int8 [n, FEATURES]."""
    residuals: F32
    """float32 [n]: distance from the linear prediction in steps."""
    scene: NDArray[np.int64]
    """int64 [n]: which heads."""


def gather(paths: Sequence[Path], seed: int) -> list[Examples]:
    """Examples of every channel."""
    rng = np.random.default_rng(seed)
    found: list[list[Sample]] = []
    for path in paths:
        splats = scenepress.load(path)
        sensitivities = sensitivity.measure(splats, None)
        for settings in PRESETS.values():
            found.append(encoder.channel_samples(encoder.prepare(splats, sensitivities, settings, sure=False)))
    return [_examples([f[c] for f in found if f], rng) for c in range(CHANNELS)]


def _examples(samples: Sequence[Sample], rng: np.random.Generator) -> Examples:
    features, residuals, scene = [], [], []
    for number, sample in enumerate(samples):
        some = rng.permutation(len(sample.indices))[:SAMPLES]
        features.append(sample.features[some])
        residuals.append(((8 * sample.indices - sample.eighths)[some] / 8).astype(np.float32))
        scene.append(np.full(len(some), number))
    return Examples(np.concatenate(features), np.concatenate(residuals), np.concatenate(scene))


def train(examples: Examples, seed: int) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Weights int8 [HIDDEN, FEATURES] and biases int32 [HIDDEN] of one channel."""
    import torch

    torch.manual_seed(seed)
    x = torch.from_numpy(examples.features.astype(np.float32) / SCALE)
    y, scene = torch.from_numpy(examples.residuals), torch.from_numpy(examples.scene)
    count, scenes = len(y), int(examples.scene.max()) + 1
    hidden = torch.nn.Linear(kernels.FEATURES, kernels.HIDDEN)
    direct = torch.nn.Parameter(torch.zeros(scenes, 2, kernels.FEATURES))
    constant = torch.nn.Parameter(torch.zeros(scenes, 2))
    shared = torch.nn.Parameter(torch.randn(2, kernels.HIDDEN) / 20)
    own = torch.nn.Parameter(torch.zeros(scenes, 2, kernels.HIDDEN))
    fast = [*hidden.parameters(), direct, constant, shared]
    rates, batches = [RATE, 0.3 * RATE], max(1, count // BATCH)
    optimiser = torch.optim.Adam([{"params": fast}, {"params": [own]}], RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=EPOCHS * batches + 1)
    for _ in range(EPOCHS):
        for rows in torch.randperm(count)[: batches * BATCH].chunk(batches):
            units = torch.clamp(hidden(x[rows]), 0, 127 / SCALE)
            heads = direct[scene[rows]], (shared + own)[scene[rows]]
            out = torch.einsum("bi,boi->bo", x[rows], heads[0]) + torch.einsum("bi,boi->bo", units, heads[1])
            out = out + constant[scene[rows]]
            # The heads of a scene should agree with those of the others unless they know better.
            loss = bits(out, y[rows]).clamp(max=40).mean() + 1e-4 * (own**2).sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return _integers(hidden)


def bits(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Bits of the integers nearest to y under logistic distributions: means out[:, 0], log scales out[:, 1]."""
    import torch

    inverse = torch.exp(-out[:, 1].clamp(*SPREADS))
    above, below = (y - out[:, 0] + 0.5) * inverse, (y - out[:, 0] - 0.5) * inverse
    between = torch.log1p(-torch.exp(-inverse).clamp(max=1 - 1e-6))
    nats = between + torch.nn.functional.logsigmoid(above) + torch.nn.functional.logsigmoid(-below)
    return -nats / float(np.log(2))


def _integers(layer: torch.nn.Linear) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """The layer for integer inputs and units; a unit with weights too large for a byte becomes a smaller one."""
    weights, bias = (p.detach().numpy().astype(np.float64) for p in (layer.weight, layer.bias))
    one = 1 << kernels.HIDDEN_SHIFT
    scale = np.minimum(1, 127 / one / np.maximum(np.abs(weights).max(1), 1e-9))
    return (
        np.round(one * weights * scale[:, None]).astype(np.int8),
        np.round(one * SCALE * bias * scale).astype(np.int32),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="+", type=Path, help="any files that scenepress reads")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)  # The order of sums, hence the result, follows from the number of threads.
    layers = [train(examples, options.seed) for examples in gather(options.scenes, options.seed)]
    data = np.stack([w for w, _ in layers]).tobytes() + np.stack([b for _, b in layers]).astype("<i4").tobytes()
    options.output.write_bytes(data)
    print(f"{options.output}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
