"""Files of a wanted size or quality: which nominal quality to encode with, found in a few trials.

The measured quality rises almost in a straight line with the nominal quality (Settings.psnr), and so does the
size on a scale that is bent as SIZE_SLOPES says. So up to three trials go along that line and mostly end where
they should. What is still a little too much is trimmed: the splats that matter least are left out, and the rest is
coded anew as it stands. That can be dear in views that nobody measured (up to 1.9 dB, lego's held-out ones, when
every file was trimmed), so trials aim at the target itself, and above it only while none of them could be trimmed.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scenepress.codecs import encoder
from scenepress.codecs.encoder import Prepared
from scenepress.errors import LossWarning, TargetError

LOWEST, HIGHEST = 10.0, 90.0
"""Nominal qualities, in dB: below and above, files hardly change."""
TRIALS, MORE_TRIALS = 3, 8
"""Trials; and where they miss and nothing can be trimmed, because nothing was above or every splat is kept."""
TRIMS = 10
AIM = 0.8
"""Where trials aim between the ends of what is wanted: what lies above can be trimmed, what lies below cannot."""
BEND = 0.15
"""A step of 1 along the line through two trials may fall short by this, others by its square: added to the step
while there is nothing that could be trimmed."""
STEEPEST = 3.0
"""Slopes found are believed between so many times the usual one, and as little."""
PSNR_SLOPE = 0.9
"""Usual rise of the measured PSNR per dB of nominal quality."""
SIZE_LOGS = (-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.5)
SIZE_SLOPES = (0.16, 0.16, 0.165, 0.15, 0.129, 0.107, 0.091, 0.074, 0.061, 0.051, 0.044, 0.036)
"""Rise of ln(bytes per splat) per dB of nominal quality where it is SIZE_LOGS, with SH of degree 3; found."""
BARE_SLOPES = (0.16, 0.165, 0.165, 0.148, 0.121, 0.091, 0.062, 0.041, 0.03, 0.022, 0.018, 0.015)
"""The same without SH; degrees 1 and 2 are between."""
USUAL_PSNR = 38.0
"""Nominal quality in dB at which a scene has USUAL_LOG."""
USUAL_LOG = 1.5
SIZE_SHARE = 0.01
"""A file is at most so much smaller than wanted."""
SPARE = 48
"""Bytes of the reserve that may remain: it is for the longest that may be added."""
PSNR_NEAR = 0.1
"""dB that the quality may be off."""
COHERENT, POWER = 4.0, 1.5
"""Splats left out together do so many times the harm of each alone, and growing with this power."""
WORTH = 0.5
"""Bytes that a splat costs which matters little, next to the mean."""

F64 = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Window:
    """What is wanted of a value that rises with the nominal quality, and falls when splats are left out."""

    low: float
    high: float
    margin: float
    """Trials aim so far above `high` while there is nothing that could be trimmed."""
    reach: float
    """Trimming takes away at most so much."""
    slope: float
    """The usual rise per dB of nominal quality."""

    def at(self, share: float) -> float:
        """So far from the low end to the high one."""
        return self.low + share * (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class _Trial:
    setting: float
    """Nominal quality, dB."""
    value: float
    keep_order: bool
    scene: Prepared | None
    """None: nothing will be trimmed from it."""
    data: bytes


Prepare = Callable[[float], Prepared]
"""The scene at a nominal quality in dB."""
Code = Callable[[Prepared], bytes]
"""The whole file."""


def of_size(
    prepare: Prepare, code: Code, count: int, sh_degree: int, wanted: int, reserve: int, start: float | None = None
) -> bytes:
    """A file of at most `wanted` bytes, and at least 99% of it.

    Args:
        prepare, code: the encoder; prepare() is called for every trial.
        count, sh_degree: of the source.
        wanted: bytes, of the whole file.
        reserve: bytes that will be added to the file.
        start: nominal quality of the first trial, in dB, if there is reason to believe in one.

    Raises:
        TargetError: no file is that small.
    """
    most = max(wanted - reserve, 1)
    least = min((1 - SIZE_SHARE) * wanted - reserve + SPARE, 0.999 * most)
    least = max(least, (1 - SIZE_SHARE) * most)
    bent = _size_scale(count, sh_degree)
    high = bent(most)
    window = Window(bent(least), high, 0.15, 1.8, 1.0)

    def value(data: bytes) -> float:
        return bent(len(data))

    def trim(trial: _Trial) -> bytes | None:
        assert trial.scene is not None
        parts = np.arange(len(trial.scene.removal) + 1.0)
        cost = len(trial.data) / max(len(trial.scene.removal), 1)
        limits = np.array([least, most])
        return _trim(trial.scene, trial.data, code, parts, -WORTH * cost, 1.0, lambda d: float(len(d)), limits)

    first = float(np.clip(USUAL_PSNR + high, 15, 60)) if start is None else start
    trials = _search(prepare, code, value, window, first)
    lowest = trials[0]
    if (found := _within(trials, window) or _trimmed(trials, window, trim)) is not None:
        return found
    if lowest.value > high and lowest.setting > LOWEST:  # Nothing fits that was tried: say what would.
        lowest = _Trial(LOWEST, 0.0, lowest.keep_order, None, code(prepare(LOWEST)))
    if len(lowest.data) > most:
        smallest = len(lowest.data) + reserve
        raise TargetError(f"{wanted:,} bytes are too few for this scene: its smallest file has {smallest:,}")
    best = max((t for t in trials if t.value <= high), key=lambda t: t.value, default=lowest)
    if best.setting >= HIGHEST:
        warnings.warn(
            f"the scene needs no more than {len(best.data) + reserve:,} bytes: {wanted:,} were allowed",
            LossWarning,
            stacklevel=2,
        )
    elif best.value < window.low:
        message = f"{len(best.data) + reserve:,} bytes are the nearest below {wanted:,} that was found"
        warnings.warn(message, LossWarning, stacklevel=2)
    return best.data


def _size_scale(count: int, sh_degree: int) -> Callable[[float], float]:
    """From bytes to what rises by 1 a dB of nominal quality, mostly; 0 at USUAL_LOG."""
    logs = np.arange(SIZE_LOGS[0], SIZE_LOGS[-1], 0.01)
    slopes = np.array(BARE_SLOPES) + (np.array(SIZE_SLOPES) - BARE_SLOPES) * sh_degree / 3
    decibels = np.cumsum(0.01 / np.interp(logs, SIZE_LOGS, slopes))

    def bent(size: float) -> float:
        log = float(np.log(size / max(count, 1)))
        inside = float(np.clip(log, logs[0], logs[-1]))
        steepness = slopes[0] if log < inside else slopes[-1]
        value, usual = np.interp([inside, USUAL_LOG], logs, decibels)
        return float(value - usual + (log - inside) / steepness)

    return bent


def of_quality(prepare: Prepare, code: Code, judge: Callable[[bytes], float], wanted: float) -> bytes:
    """A file whose measured PSNR is within PSNR_NEAR of `wanted` dB.

    Args:
        prepare, code: as of_size().
        judge: the PSNR of a file in dB, infinite if nothing is lost.
        wanted: dB.

    Raises:
        TargetError: no file is that good.
    """
    near = 0.8 * PSNR_NEAR  # A little room for the views.
    window = Window(wanted - near, wanted + near, 0.1, 2.5, PSNR_SLOPE)

    def value(data: bytes) -> float:
        return min(judge(data), 200.0)

    def trim(trial: _Trial) -> bytes | None:
        assert trial.scene is not None
        errors = np.sort(trial.scene.removal)
        parts = np.concatenate([[0.0], np.cumsum(errors)])
        limits = 10 ** (np.array([window.high, window.low]) / -10)
        return _trim(
            trial.scene, trial.data, code, parts, COHERENT, POWER, lambda d: float(10 ** (value(d) / -10)), limits
        )

    trials = _search(prepare, code, value, window, wanted)
    if (found := _within(trials, window) or _trimmed(trials, window, trim)) is not None:
        return found
    nearest = min(trials, key=lambda t: abs(t.value - wanted))
    if max(t.value for t in trials) < window.low and any(t.setting >= HIGHEST for t in trials):
        best = max(t.value for t in trials)
        raise TargetError(f"{wanted:g} dB are out of reach, {best:.1f} are the most; lossless loses nothing")
    message = f"{nearest.value:.2f} dB are the nearest that was found to {wanted:g}"
    warnings.warn(message, LossWarning, stacklevel=2)
    return nearest.data


def _search(
    prepare: Prepare, code: Code, value: Callable[[bytes], float], window: Window, first: float
) -> list[_Trial]:
    """Trials in order of their value; the last one tried ends in the window or a little above it, mostly."""
    done: list[_Trial] = []
    setting = first
    while len(done) < MORE_TRIALS:
        setting = float(np.clip(setting, LOWEST, HIGHEST))
        if any(abs(trial.setting - setting) < 1e-6 for trial in done):
            break
        scene = prepare(setting)
        data = code(scene)
        done.append(_Trial(setting, value(data), scene.keep_order, scene, data))
        del scene
        done = [trial if trial is _lowest_above(done, window) else _light(trial) for trial in done]
        if _good(done, window):
            break
        setting = _next(done, window)
    return sorted(done, key=lambda trial: trial.value)


def _lowest_above(trials: list[_Trial], window: Window) -> _Trial | None:
    """What would be trimmed. The others' scenes, which take most of the memory, are not needed any more."""
    above = [t for t in trials if t.scene is not None and window.high < t.value <= window.high + window.reach]
    return min(above, key=lambda trial: trial.value, default=None)


def _light(trial: _Trial) -> _Trial:
    return dataclasses.replace(trial, scene=None)


def _good(done: list[_Trial], window: Window) -> bool:
    """No further trial is needed."""
    if window.low <= done[-1].value <= window.high:
        return True
    if done[-1].keep_order:
        return False
    return len(done) >= TRIALS and _lowest_above(done, window) is not None


def _next(done: list[_Trial], window: Window) -> float:
    """On the line through the two nearest trials, or through the only one with the usual slope."""
    missing = not done[0].keep_order and _lowest_above(done, window) is None
    aim = window.high + window.margin if missing else window.at(0.5 if done[0].keep_order else AIM)
    near = sorted(done, key=lambda trial: abs(trial.value - aim))
    if missing and len(done) > 1:
        aim += min(BEND * (near[0].value - aim) ** 2, window.reach / 2)
    slope = window.slope
    if len(near) > 1 and near[0].setting != near[1].setting:
        found = (near[0].value - near[1].value) / (near[0].setting - near[1].setting)
        slope = min(max(found, slope / STEEPEST), slope * STEEPEST)
    return near[0].setting + (aim - near[0].value) / slope


def _within(trials: list[_Trial], window: Window) -> bytes | None:
    return next((t.data for t in reversed(trials) if window.low <= t.value <= window.high), None)


def _trimmed(trials: list[_Trial], window: Window, trim: Callable[[_Trial], bytes | None]) -> bytes | None:
    """What trimming makes of the lowest trial that is too good."""
    found = _lowest_above(trials, window)
    return None if found is None or found.keep_order else trim(found)


def _trim(
    scene: Prepared, whole: bytes, code: Code, parts: F64, slope: float, power: float,
    value: Callable[[bytes], float], limits: F64,
) -> bytes | None:  # fmt: skip
    """The file with as few splats left out as bring it between the limits; None if that fails.

    Args:
        scene, whole: where to start, and its file.
        code: the encoder.
        parts: [N + 1] rising from 0: what leaving out the first k splats amounts to.
        slope, power: `value` changes by about slope * part, and near that like part ** power.
        value: of a file.
        limits: the least and the greatest wanted value.
    """
    start, middle = value(whole), float(limits.mean())
    wanted = (middle - start) / slope
    at = wanted
    lower, upper = (0.0, 0.0), (float(parts[-1]), float("inf"))
    for _ in range(TRIMS):
        count = int(np.clip(np.searchsorted(parts, at), 1, len(parts) - 2))
        data = code(encoder.trim(scene, count))
        reached = value(data)
        if limits[0] <= reached <= limits[1]:
            return data
        part, change = float(parts[count]), (reached - start) / slope
        if change > wanted:
            upper = min(upper, (part, change))
        else:
            lower = max(lower, (part, change))
        if lower[0] > 0 and np.isfinite(upper[1]) and upper[1] > lower[1]:
            at = lower[0] + (upper[0] - lower[0]) * (wanted - lower[1]) / (upper[1] - lower[1])
        else:
            at = part * (wanted / change) ** (1 / power) if change > 0 else 2 * part
            if not lower[0] < at < upper[0]:
                at = (lower[0] + upper[0]) / 2
    return None
