"""The learned context model: a small integer network that corrects predictions and tells how far they may be off.

Its hidden layer ships with the package; its output layer, the heads, is fitted to each scene and is part of the
file. Normative text: docs/spec/learned_context.md.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import learned as kernels

CHANNELS = 10
MODELS = {1: "181774ee2bde12e69b4421b3c6a9f8b465dea1ae6d20028f3f395c40bc9af078"}
"""SHA-256 of the weights of every model that a file can name."""
MAX_SPREADS = 16
UNITS = kernels.FEATURES + kernels.HIDDEN
"""What a head weighs: features, then hidden units."""
OUTPUTS = 2
"""Of a head: a correction, and a spread."""


@dataclasses.dataclass(frozen=True, eq=False)
class Head:
    """The output layer of one channel."""

    weights: NDArray[np.int8]
    """int8 [OUTPUTS, UNITS]."""
    bias: NDArray[np.int32]
    """int32 [OUTPUTS]."""


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """The shipped hidden layers of all channels."""

    weights: NDArray[np.int8]
    """int8 [CHANNELS, HIDDEN, FEATURES]."""
    bias: NDArray[np.int32]
    """int32 [CHANNELS, HIDDEN]."""


@dataclasses.dataclass(frozen=True, eq=False)
class Learned:
    """What a file says of the model."""

    model: int
    """Which of MODELS."""
    heads: tuple[Head | None, ...]
    """One per channel; None where the tables do without."""

    def listens(self, channel: int) -> bool:
        """Whether this channel or one after it has a head, so that features matter."""
        return any(head is not None for head in self.heads[channel:])

    @property
    def network(self) -> Network:
        """The hidden layers."""
        return load(self.model)


@dataclasses.dataclass(eq=False)
class Seen:
    """What the network sees of one level; its features fill up channel by channel."""

    learned: Learned
    spreads: int
    """Bins of spread in a context of a channel with a head."""
    near: NDArray[np.int32]
    """int32 [n, 4]: columns of the neighbours, or [0, 4]."""
    far: NDArray[np.int32]
    """int32 [n, 4]: logarithms of their distances, or [0, 4]."""
    features: NDArray[np.int8] = dataclasses.field(
        default_factory=lambda: np.zeros((kernels.FEATURES, 0), np.int8)
    )
    """int8 [FEATURES, n]."""


def spreads_of(classes: int) -> int:
    """Bins of spread of a scene with so many classes: all contexts of a channel have to fit one table set."""
    return min(MAX_SPREADS, 80 // classes)


@functools.cache
def load(model: int) -> Network:
    """The network of this number.

    Raises:
        ValueError: the package's file is not the one that the number stands for.
    """
    data = resources.files(__package__).joinpath(f"learned_context_{model}.bin").read_bytes()
    if hashlib.sha256(data).hexdigest() != MODELS[model]:
        raise ValueError(f"the weights of context model {model} are damaged: install scenepress again")
    return parse(data)


def parse(data: bytes) -> Network:
    """A network of the bytes of its file: all weights, then all biases, little-endian."""
    shape = (CHANNELS, kernels.HIDDEN, kernels.FEATURES)
    count = int(np.prod(shape))
    weights = np.frombuffer(data, np.int8, count).reshape(shape)
    bias = np.frombuffer(data, "<i4", CHANNELS * kernels.HIDDEN, count).astype(np.int32)
    return Network(weights, bias.reshape(CHANNELS, kernels.HIDDEN))
