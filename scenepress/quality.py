"""How good a scene is: image metrics, and the comparison of two scenes over cameras.

Images are float32 [H, W, 3] of sRGB values in [0, 1]. docs/quality.md says what each number means,
which constants it uses and how views are averaged. The perceptual metrics are optional: each
returns None from `compare` where its package (or its weights) is not installed, never a stand-in.

Sources: SSIM: Wang et al., "Image quality assessment: from error visibility to structural
similarity", 2004. MS-SSIM: Wang et al., "Multi-scale structural similarity for image quality
assessment", 2003.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scenepress.arrays import require
from scenepress.scene import Camera, Splats

if TYPE_CHECKING:
    import torch

SSIM_RADIUS, SSIM_SIGMA = 5, 1.5  # An 11-tap Gaussian, as in the papers.
SSIM_MIN_SIDE = 2 * SSIM_RADIUS + 1
"""11 pixels: one window."""
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Finest scale first.
MS_SSIM_MIN_SIDE = SSIM_MIN_SIDE << (len(MS_SSIM_WEIGHTS) - 1)
"""176 pixels: the coarsest of the five scales must still hold one window."""
SSIMULACRA2_MIN_SIDE = 225
"""Pixels: below this, fewer than six scales fit and the fitted weights lose their meaning."""

Image = NDArray[np.float32]
"""float32 [H, W, 3], sRGB values in [0, 1]."""
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A JSON value."""
Background = tuple[float, float, float]
"""r, g, b in [0, 1] behind the splats."""
BLACK_AND_WHITE: tuple[Background, ...] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Where the background is not known: what is dark shows over white, what is light over black."""
Progress = Callable[[str, float], None]
"""Told what is being done and the fraction done, in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class ViewQuality:
    """How one view of a scene differs from the same view of its reference."""

    name: str
    """The camera's name, or "view K"."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    mse: float
    """Mean squared error over pixels and channels; 0 means equal images. Over several backgrounds, this and all
    that follows are means over them."""
    ssim: float
    """At most 1; 1 means equal images."""
    ms_ssim: float | None = None
    """In [0, 1]; None if not asked for, or for images with a side under 176 pixels."""
    flip: float | None = None
    """Mean LDR-FLIP in [0, 1], 0 is best; None if not asked for or not installed."""
    ssimulacra2: float | None = None
    """At most 100; 90 is visually lossless. None as for flip, or if a side is under 225 pixels."""
    lpips: float | None = None
    """0 is best; None if not asked for, or without the package and its weights."""

    @property
    def psnr(self) -> float:
        """Decibels for a peak of 1; inf for equal images."""
        return decibels(self.mse)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Quality of a scene against its reference, per view and over all views."""

    views: tuple[ViewQuality, ...]
    """One per camera, in the order of the cameras; at least one."""

    @property
    def psnr(self) -> float:
        """PSNR of the mean MSE over views, in dB: the headline number. A single bad view counts."""
        return decibels(math.fsum(view.mse for view in self.views) / len(self.views))

    @property
    def mean_view_psnr(self) -> float:
        """Mean of the views' PSNRs, in dB, as papers print it; never below `psnr`."""
        return math.fsum(view.psnr for view in self.views) / len(self.views)

    @property
    def ssim(self) -> float:
        """Mean over views."""
        return math.fsum(view.ssim for view in self.views) / len(self.views)

    @property
    def ms_ssim(self) -> float | None:
        """Mean over views; None if any view has none."""
        return _mean([view.ms_ssim for view in self.views])

    @property
    def flip(self) -> float | None:
        """Mean over views; None if any view has none."""
        return _mean([view.flip for view in self.views])

    @property
    def ssimulacra2(self) -> float | None:
        """Mean over views; None if any view has none."""
        return _mean([view.ssimulacra2 for view in self.views])

    @property
    def lpips(self) -> float | None:
        """Mean over views; None if any view has none."""
        return _mean([view.lpips for view in self.views])

    def as_json(self) -> dict[str, Json]:
        """The means, then every view, as plain JSON values. Infinite PSNR becomes null."""
        means: dict[str, Json] = {
            "psnr": finite(self.psnr),
            "mean_view_psnr": finite(self.mean_view_psnr),
            "ssim": self.ssim,
            "ms_ssim": self.ms_ssim,
            "flip": self.flip,
            "ssimulacra2": self.ssimulacra2,
            "lpips": self.lpips,
        }
        views: list[Json] = [
            {**dataclasses.asdict(view), "psnr": finite(view.psnr)} for view in self.views
        ]
        return {**means, "views": views}


def compare(
    a: Splats,
    b: Splats,
    cameras: Sequence[Camera],
    *,
    background: Background | None = None,
    perceptual: bool = True,
    progress: Progress | None = None,
    on_view: Callable[[Camera, Image, Image], None] | None = None,
) -> Comparison:
    """Render both scenes from every camera and measure how far `b` is from `a`.

    Args:
        a: the reference.
        b: the scene to judge; brought to the axes of `a` first if its own differ.
        cameras: at least one, in the axes of `a`.
        background: behind the splats. None: over black and over white, and the mean of both: a scene may be shown
            over anything.
        perceptual: also measure MS-SSIM, and FLIP, SSIMULACRA2 and LPIPS, where installed.
        progress: told how far the work is, after each view.
        on_view: called with the camera and both renders (float32 [H, W, 3] in [0, 1]) of each view; over black,
            if no background is given.

    Raises:
        ValueError: no camera.
    """
    views = []
    for k, (camera, pairs) in enumerate(_renders(a, b, cameras, background)):
        name = camera.name or f"view {k}"
        views.append(_mean_view([measure(x, y, name, perceptual=perceptual) for x, y in pairs]))
        if on_view:
            on_view(camera, *pairs[0])
        if progress:
            progress("rendering", (k + 1) / len(cameras))
    return Comparison(tuple(views))


def error(a: Splats, b: Splats, cameras: Sequence[Camera], *, background: Background | None = None) -> float:
    """The mean squared error of all views alone, in less time: compare().psnr is its decibels().

    Args:
        a, b, cameras, background: as compare().

    Raises:
        ValueError: no camera.
    """
    errors = [
        math.fsum(mse(x, y) for x, y in pairs) / len(pairs) for _, pairs in _renders(a, b, cameras, background)
    ]
    return math.fsum(errors) / len(errors)


def _renders(
    a: Splats, b: Splats, cameras: Sequence[Camera], background: Background | None
) -> Iterator[tuple[Camera, list[tuple[Image, Image]]]]:
    """Each camera with both scenes' renders over every background."""
    from scenepress.render import rasterize
    from scenepress.scene_ops import convert_axes, enlarge, enlarge_camera, viewing_scale

    if not cameras:
        raise ValueError("at least one camera is needed")
    if b.axes != a.axes:
        b = convert_axes(b, a.axes)
    factor = viewing_scale(a)
    a, b = enlarge(a, factor), enlarge(b, factor)
    backgrounds = BLACK_AND_WHITE if background is None else (background,)
    for camera in cameras:
        view = enlarge_camera(camera, factor)
        # Rendered once: only what shines through differs.
        left, right = rasterize(a, view), rasterize(b, view)
        yield camera, [
            (_over(left.color, left.alpha, rear), _over(right.color, right.alpha, rear)) for rear in backgrounds
        ]


def _over(color: Image, alpha: NDArray[np.float32], background: Background) -> Image:
    """What was rendered over black, over another background, and cut to [0, 1]."""
    rear = np.asarray(background, np.float32)
    if rear.any():
        color = color + (1 - alpha)[:, :, None] * rear
    clipped: Image = np.clip(color, 0, 1, dtype=np.float32)
    return clipped


def _mean_view(views: Sequence[ViewQuality]) -> ViewQuality:
    """One view's numbers over several backgrounds, averaged."""
    return dataclasses.replace(
        views[0],
        mse=math.fsum(view.mse for view in views) / len(views),
        ssim=math.fsum(view.ssim for view in views) / len(views),
        ms_ssim=_mean([view.ms_ssim for view in views]),
        flip=_mean([view.flip for view in views]),
        ssimulacra2=_mean([view.ssimulacra2 for view in views]),
        lpips=_mean([view.lpips for view in views]),
    )


def measure(reference: Image, test: Image, name: str = "", *, perceptual: bool = True) -> ViewQuality:
    """Every metric that is at hand, on one pair of images; see compare().

    Raises:
        ValueError: not float32 [H, W, 3] of one size, or a side under 11 pixels.
    """
    _require_pair(reference, test)
    side = min(reference.shape[:2])
    return ViewQuality(
        name=name,
        width=reference.shape[1],
        height=reference.shape[0],
        mse=mse(reference, test),
        ssim=ssim(reference, test),
        ms_ssim=ms_ssim(reference, test) if perceptual and side >= MS_SSIM_MIN_SIDE else None,
        flip=flip(reference, test) if perceptual and _installed("flip_evaluator") else None,
        ssimulacra2=ssimulacra2(reference, test)
        if perceptual and side >= SSIMULACRA2_MIN_SIDE and _installed("ssimulacra2")
        else None,
        lpips=lpips(reference, test) if perceptual and lpips_weights() else None,
    )


def mse(a: Image, b: Image) -> float:
    """Mean squared error over pixels and channels, summed in float64."""
    _require_pair(a, b)
    return float(np.mean(np.square(a.astype(np.float64) - b)))


def decibels(error: float) -> float:
    """PSNR for a mean squared error and a peak of 1; inf for 0."""
    return -10 * math.log10(error) if error > 0 else math.inf


def finite(value: float) -> float | None:
    """None for infinities and NaN, which JSON cannot say."""
    return value if math.isfinite(value) else None


def psnr(a: Image, b: Image) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 1; inf for equal images."""
    return decibels(mse(a, b))


def ssim(a: Image, b: Image) -> float:
    """Structural similarity: Gaussian window of 11 taps and sigma 1.5, K1 0.01, K2 0.03.

    Population variances; mean over channels and the positions where the whole window fits the image.

    Raises:
        ValueError: not float32 [H, W, 3] of one size, or a side under 11 pixels.
    """
    _require_pair(a, b)
    _require_side("SSIM", a, SSIM_MIN_SIDE)
    return float(np.mean([_ssim_means(a[..., c], b[..., c])[0] for c in range(3)]))


def ms_ssim(a: Image, b: Image) -> float:
    """Multi-scale SSIM, five scales, 2x2 averages between them; in [0, 1].

    Each scale's term is averaged over positions and channels, and cut off at 0, before the product.

    Raises:
        ValueError: not float32 [H, W, 3] of one size, or a side under 176 pixels.
    """
    _require_pair(a, b)
    _require_side("MS-SSIM", a, MS_SSIM_MIN_SIDE)
    product = 1.0
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        means = np.mean([_ssim_means(a[..., c], b[..., c]) for c in range(3)], axis=0)
        is_last = scale == len(MS_SSIM_WEIGHTS) - 1
        product *= max(0.0, float(means[0 if is_last else 1])) ** weight
        a, b = _halve(a), _halve(b)
    return product


def flip(a: Image, b: Image) -> float:
    """Mean LDR-FLIP error at 67 pixels per degree, in [0, 1]. Needs the package flip-evaluator."""
    return float(flip_map(a, b).mean(dtype=np.float64))


def flip_map(a: Image, b: Image) -> NDArray[np.float32]:
    """LDR-FLIP error per pixel, float32 [H, W] in [0, 1]. Needs the package flip-evaluator."""
    import flip_evaluator

    _require_pair(a, b)
    images = (np.ascontiguousarray(image) for image in (a, b))
    error, _, _ = flip_evaluator.evaluate(*images, "LDR", applyMagma=False, computeMeanError=False)
    return np.asarray(error, np.float32)[..., 0]


def ssimulacra2(a: Image, b: Image) -> float:
    """SSIMULACRA 2.1 score of the images rounded to 8 bits, at most 100. Needs the package ssimulacra2.

    Raises:
        ValueError: a side under 225 pixels: not all six scales fit.
    """
    import PIL.Image
    from ssimulacra2 import compute_ssimulacra2

    _require_pair(a, b)
    _require_side("SSIMULACRA2", a, SSIMULACRA2_MIN_SIDE)
    files = []
    for image in (a, b):  # The package reads files; an uncompressed one in memory costs little.
        files.append(io.BytesIO())
        PIL.Image.fromarray(to_8bit(image)).save(files[-1], "BMP")
    return float(compute_ssimulacra2(*files))


def lpips_weights() -> Path | None:
    """Where the AlexNet weights that LPIPS needs lie (torch's own cache), or None.

    LPIPS is measured only where the package lpips is installed and these weights were downloaded
    before, because a network with random weights gives numbers that look right and mean nothing.
    """
    if not _installed("lpips") or not _installed("torch"):
        return None
    home = os.environ.get("TORCH_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "torch"
    )
    return next(iter(sorted(Path(home, "hub", "checkpoints").glob("alexnet-owt-*.pth"))), None)


def lpips(a: Image, b: Image) -> float:
    """LPIPS (AlexNet, version 0.1), 0 is best.

    Raises:
        FileNotFoundError: the package or its weights are not at hand; see `lpips_weights`.
    """
    import torch

    _require_pair(a, b)
    if lpips_weights() is None:
        raise FileNotFoundError("LPIPS needs the package lpips, and AlexNet's weights in torch's cache")
    tensors = (torch.from_numpy(image.transpose(2, 0, 1)[None] * 2 - 1) for image in (a, b))
    with torch.inference_mode():
        return float(_lpips_network()(*tensors))


def to_8bit(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Values in [0, 1] to 0..255, rounded to nearest; out-of-range values are clipped."""
    levels: NDArray[np.uint8] = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return levels


def _lpips_network() -> torch.nn.Module:
    import lpips as package

    return package.LPIPS(net="alex", verbose=False).eval()  # type: ignore[no-any-return]


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


def _require_pair(a: Image, b: Image) -> None:
    require("a", a, "float32", (None, None, 3))
    require("b", b, "float32", a.shape)


def _require_side(metric: str, image: Image, side: int) -> None:
    height, width = image.shape[:2]
    if min(height, width) < side:
        raise ValueError(f"{metric} needs at least {side} pixels a side, got {width} x {height}")


def _ssim_means(channel_a: NDArray[np.float32], channel_b: NDArray[np.float32]) -> tuple[float, float]:
    """Mean SSIM and mean contrast-structure term of one channel, [H, W] each."""
    a, b = channel_a.astype(np.float64), channel_b.astype(np.float64)
    mean_a, mean_b = _window_mean(a), _window_mean(b)
    cross = mean_a * mean_b
    squares = mean_a * mean_a + mean_b * mean_b
    covariance = _window_mean(a * b) - cross
    variances = _window_mean(a * a + b * b) - squares  # Only their sum is ever needed.
    structure = (2 * covariance + SSIM_C2) / (variances + SSIM_C2)
    luminance = (2 * cross + SSIM_C1) / (squares + SSIM_C1)
    return float((luminance * structure).mean()), float(structure.mean())


def _window_mean(channel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian-weighted mean of [H, W] around every pixel whose window fits: [H - 10, W - 10]."""
    taps = np.exp(-0.5 * (np.arange(SSIM_RADIUS + 1) / SSIM_SIGMA) ** 2)
    taps /= taps[0] + 2 * taps[1:].sum()
    for _ in range(2):  # Rows, then columns of the transposed result.
        size = len(channel) - 2 * SSIM_RADIUS
        total = taps[0] * channel[SSIM_RADIUS : SSIM_RADIUS + size]
        for k in range(1, SSIM_RADIUS + 1):
            above, below = channel[SSIM_RADIUS - k :][:size], channel[SSIM_RADIUS + k :][:size]
            total += taps[k] * (above + below)
        channel = np.ascontiguousarray(total.T)
    return channel


def _halve(image: Image) -> Image:
    """Mean of 2x2 blocks; an odd last row or column is dropped."""
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    blocks = image[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
    half: Image = blocks.mean(axis=(1, 3), dtype=np.float32)
    return half
