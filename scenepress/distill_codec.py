"""What learned/distill asks of a codec: of the one for splats, or of none."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress import allocation, container
from scenepress.allocation import Sensitivities
from scenepress.codecs import encoder, placement, rates, reconstruction, sensitivity, thinning
from scenepress.codecs.presets import Settings
from scenepress.errors import BitstreamError
from scenepress.learned.distill import Coded, Fewer, Memory
from scenepress.scene import Camera, Splats
from scenepress.stages import parameters, rotation
from scenepress.stages.parameters import Parameters

ROUND_VIEWS = 24
"""Given cameras that a round measures with, at most."""
PRICE = 1.0
"""Of a bit, next to the error that quantisation accepts to save one."""
HEADROOM = 6.5
"""dB of nominal quality; with more of it the scenes tried came out worse, and with less as well."""
LOWEST, HIGHEST = 12.0, 70.0
"""Nominal qualities, in dB, that are looked at for a wanted size."""
SEARCHES, NEAR = 6, 0.004
"""Files made to find the nominal quality of a wanted size, at most; and how near, in ln(bytes)."""
FAR = 0.02
"""In ln(bytes): as long as the size is so near, lattices stay, for splats are trained for where they stand."""
STEER = 10.0
"""ln(price of a bit) that an excess of ln(bytes) adds: bits for nothing would be some 8% more."""
PRICES = (0.25, 4.0)
"""What the price is multiplied with, at least and at most."""
LOG_SLOPES = (0.04, 0.12, 0.36)
"""ln(bytes) per dB of nominal quality: least, usual, most."""

MOST = 1000.0
"""dB; nominal qualities are below."""
SHAPES: dict[str, tuple[int, ...]] = {
    "removal": (), "color": (), "position": (3,), "log_scale": (3,), "rotation": (3,),
}  # fmt: skip
"""Of the arrays of Sensitivities, by splat."""

Measured = tuple[Splats, Sensitivities]
"""A scene and its sensitivities."""

LATTICES = "lattices"
"""The bytes of encoder.lattices_of(), once they are fixed."""


@dataclasses.dataclass(frozen=True)
class Lossy:
    """The codec of splats: prunes, and quantises as its encoder does."""

    settings: Settings
    """Of the first round."""
    views: Sequence[Camera] | None
    """Given cameras; None: made up for every measurement."""
    strength: float
    """Pruning's limit grows by this factor over the rounds."""
    wanted: float | None
    """Bytes of the file; None: the nominal quality stays as it is."""

    def fewer(self, scene: Splats, done: float, memory: Memory) -> Fewer:
        """Those that are missed more than their bits are worth, and one for two that nearly coincide where that
        gains more; the standard rises from round to round.

        All, once what is left would be coded finer by HEADROOM than the file was to be: its bits had better go to
        more splats.
        """
        sens = self._measure(scene)
        limit = self.settings.prune * self.strength**done * encoder.delta_of(self.settings, len(scene)) ** 2
        stays = sens.removal > limit
        start = fine = self.settings.psnr
        if self.wanted is not None and memory:
            quick = dataclasses.replace(self._whole(float(memory["psnr"])), learned=False)
            fine, _ = nominal(lambda _: (scene, sens), quick, self.wanted, quick.psnr)
        numbers = {"psnr": np.array(fine), "price": np.array(1.0)}
        if self.settings.keep_order or not stays.any() or fine > start + HEADROOM:
            everything, nothing = np.ones(len(scene), np.bool_), np.zeros(len(scene), np.bool_)
            return Fewer(everything, scene, nothing, {**_remembered(sens), **numbers})
        less = thinning.leave(scene, sens, limit)
        sens = self._measure(less.scene) if less.changed.any() else sens.take(np.flatnonzero(less.stays))
        return Fewer(less.stays, less.scene, less.changed, {**_remembered(sens), **numbers})

    def _measure(self, scene: Splats) -> Sensitivities:
        views = self.views[:: -(-len(self.views) // ROUND_VIEWS)] if self.views else None
        return sensitivity.measure(scene, views)

    def _whole(self, psnr: float) -> Settings:
        return dataclasses.replace(self.settings, prune=0.0, psnr=psnr)

    def remembers(self, memory: Memory, scene: Splats) -> bool:
        """Whether that is a memory of the scene."""
        shapes = {name: (len(scene), *tail) for name, tail in SHAPES.items()} | {"psnr": (), "price": ()}
        rest = {name: array.shape for name, array in memory.items() if name != LATTICES}
        if rest != shapes or not all(0 < float(memory[name]) < MOST for name in ("psnr", "price")):
            return False
        return all((memory[name] >= 0).all() for name in SHAPES) and _fit(memory, scene)

    def fix(self, scene: Splats, memory: Memory) -> Memory:
        """Choose the lattices for what is left; later see to the size.

        Lattices stay, and the price of a bit brings the size back to what is wanted. Where it is far off, they are
        chosen anew.
        """
        sens, chosen = recalled(memory), self._whole(float(memory["psnr"]))
        known = fixed(memory)
        if known is not None:
            if self.wanted is None:
                return memory
            prepared = encoder.prepare(scene, sens, chosen, sure=True, like=known)
            excess = math.log(_size(prepared) / self.wanted)
            if abs(excess) < FAR:
                price = np.clip(float(memory["price"]) * math.exp(STEER * excess), *PRICES)
                return {**memory, "price": np.array(price)}
        if self.wanted is not None:
            chosen = self._whole(nominal(lambda _: (scene, sens), chosen, self.wanted, chosen.psnr)[0])
        found = parameters.encode(encoder.lattices_of(encoder.prepare(scene, sens, chosen, sure=True)))
        as_numbers = np.frombuffer(found, np.uint8).astype(np.float64)
        return {**memory, "psnr": np.array(chosen.psnr), "price": np.array(1.0), LATTICES: as_numbers}

    def code(self, scene: Splats, memory: Memory) -> Coded:
        """Quantise for the quality that is remembered, on the lattices that are fixed, if they are."""
        chosen = dataclasses.replace(self._whole(float(memory["psnr"])), learned=False)
        prepared = encoder.prepare(scene, recalled(memory), chosen, sure=True, like=fixed(memory))
        rows, decoded = reconstruction.reconstruct(prepared)
        back = np.empty(len(rows), np.intp)
        back[rows] = np.arange(len(rows))
        quats, renamed = rotation.canonical(scene.quats)
        logs = np.take_along_axis(scene.log_scales, renamed, 1)
        named = dataclasses.replace(scene, quats=quats.astype(np.float32), log_scales=logs)
        price = PRICE * float(memory["price"]) * encoder.delta_of(chosen, len(scene)) ** 2 * math.log(2) / 6
        return Coded(named, decoded.take(back), _slopes(prepared, named, price))


def fixed(memory: Memory) -> Parameters | None:
    """The lattices that are fixed; None: none yet.

    Raises:
        BitstreamError: they make no sense.
    """
    if LATTICES not in memory:
        return None
    return parameters.decode(memory[LATTICES].astype(np.uint8).tobytes())


def _fit(memory: Memory, scene: Splats) -> bool:
    """Whether lattices that are remembered, if any, are some for the scene."""
    numbers = memory.get(LATTICES, np.zeros(0))
    if numbers.ndim != 1 or not ((numbers >= 0) & (numbers < 256)).all():
        return False
    try:
        found = fixed(memory)
    except BitstreamError:
        return False
    bounds = placement.plan_levels(allocation.classify(memory["color"]))
    return found is None or (found.bounds == bounds and found.sh_count == scene.shN.shape[1])


def _slopes(prepared: encoder.Prepared, named: Splats, price: float) -> dict[str, NDArray[np.float32]]:
    """rates.slopes() times the price of a bit, for splats in an order of their own."""
    found = rates.slopes(prepared, named.take(prepared.source))
    back = np.empty(len(named), np.intp)
    back[prepared.source] = np.arange(len(named))
    return {name: array[back] * np.float32(price) for name, array in found.items()}


def _remembered(sens: Sensitivities) -> Memory:
    return {field.name: getattr(sens, field.name) for field in dataclasses.fields(sens)}


def recalled(memory: Memory) -> Sensitivities:
    """The sensitivities that a codec remembers."""
    return Sensitivities(**{field.name: memory[field.name] for field in dataclasses.fields(Sensitivities)})


class Whole:
    """A codec that changes nothing and keeps everything."""

    settings = Settings(psnr=math.inf)
    """For names of runs."""

    def fewer(self, scene: Splats, _done: float, memory: Memory) -> Fewer:
        """All stay."""
        return Fewer(np.ones(len(scene), np.bool_), scene, np.zeros(len(scene), np.bool_), memory)

    def remembers(self, memory: Memory, _scene: Splats) -> bool:
        """Nothing."""
        return not memory

    def fix(self, _scene: Splats, memory: Memory) -> Memory:
        """Nothing to choose."""
        return memory

    def code(self, scene: Splats, _memory: Memory) -> Coded:
        """As it is."""
        return Coded(scene, scene, {})


def nominal(
    scenes: Callable[[Settings], Measured], settings: Settings, wanted: float, start: float
) -> tuple[float, float]:
    """The nominal quality, in dB, of a file of about `wanted` bytes, and ln(its bytes / wanted).

    Args:
        scenes: what is to be coded with some settings.
        settings: for the encoder; its psnr plays no role.
        wanted: bytes.
        start: nominal quality to begin with, in dB.
    """

    def excess(psnr: float) -> float:
        chosen = dataclasses.replace(settings, psnr=psnr)
        prepared = encoder.prepare(*scenes(chosen), chosen, sure=True)
        return math.log(_size(prepared) / wanted)

    at, slope = start, LOG_SLOPES[1]
    found = excess(at)
    for _ in range(SEARCHES - 1):
        to = float(np.clip(at - found / slope, LOWEST, HIGHEST))
        if abs(found) < NEAR or to == at:
            break
        reached = excess(to)
        slope = float(np.clip((reached - found) / (to - at), LOG_SLOPES[0], LOG_SLOPES[2]))
        at, found = to, reached
    return at, found


def _size(scene: encoder.Prepared) -> int:
    """Bytes of the file, without its metadata."""
    return len(container.write(encoder.code(scene, _silent)))


def _silent(_what: str, _done: float) -> None:
    pass
