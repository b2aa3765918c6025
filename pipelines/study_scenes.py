"""The scenes of a rate-distortion study: where they are looked at from, and what is seen there.

docs/rate_distortion.md says which views are used for what.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress import api, quality
from scenepress.cameras import synthesize
from scenepress.errors import FormatError, LossWarning
from scenepress.formats import table
from scenepress.learned.train import View
from scenepress.photographs import find_images, load_views, split
from scenepress.quality import Background
from scenepress.render import rasterize
from scenepress.scene import Camera, Splats
from scenepress.scene_ops import convert_axes, drop_invalid, enlarge, enlarge_camera, viewing_scale

VIEWS, WIDTH = 12, 400
"""Views made up for scenes without photographs; the encoder makes up others for itself."""
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

Pixels = NDArray[np.float32]
"""float32 [H, W, 3] in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A scene file, and the photographs that it was trained from, if they are at hand."""

    path: Path
    cameras: Path | None = None
    """Of the photographs, which lie beside; any file or folder of docs/cameras.md."""

    @property
    def name(self) -> str:
        """The file's name without its suffixes."""
        return self.path.name.split(".")[0]


@dataclasses.dataclass(frozen=True)
class Viewing:
    """How photographs are used."""

    width: int = 494
    """Pixels; wider photographs are shrunk to this, by averaging."""
    hold_out: int = 8
    """Every so many-th photograph by name, from the first on, judges; the encoder sees the others' cameras."""


@dataclasses.dataclass(frozen=True)
class Study:
    """A scene, ready to judge copies of it."""

    source: Source
    splats: Splats
    """Without invalid ones."""
    kind: str
    """Format of the file."""
    file_bytes: int
    training: tuple[Camera, ...]
    """What an encoder may look through; empty without photographs."""
    cameras: tuple[Camera, ...]
    """What copies are judged from."""
    photographs: tuple[Pixels, ...]
    """Of every camera in `cameras`, or none at all."""
    backgrounds: tuple[Background, ...]

    @property
    def raw_bytes(self) -> int:
        """Of an uncompressed .ply: this file, or what one would hold without its header."""
        if self.kind == "ply":
            return self.file_bytes
        numbers = 17 + 3 * int(self.splats.shN.shape[1])
        return len(self.splats) * 4 * numbers

    def setup(self) -> str:
        """A short digest of the scene and of all that judging depends on."""
        digest = hashlib.sha256()
        for array in (self.splats.means, self.splats.sh0, *self.photographs):
            digest.update(zlib.crc32(np.ascontiguousarray(array).tobytes()).to_bytes(4, "big"))
        for camera in (*self.training, *self.cameras):
            digest.update(np.round(camera.world_to_camera, 6).tobytes())
            digest.update(f"{camera.fx:.6g} {camera.fy:.6g} {camera.width} {camera.height}".encode())
        digest.update(f"{len(self.training)} {self.backgrounds} {self.file_bytes}".encode())
        return digest.hexdigest()[:12]


@dataclasses.dataclass(frozen=True)
class Judgement:
    """How a copy looks."""

    psnr: float
    """dB against the source's renders, of the mean squared error over all views; inf for equal images."""
    ssim: float
    """Against the source's renders, mean over views; 1 is best."""
    flip: float | None
    """The same, 0 is best; None where flip-evaluator is not installed."""
    photo_psnr: float | None
    """dB against the photographs, mean over views; None without photographs."""


def prepare(source: Source, viewing: Viewing) -> Study:
    """Read a scene and its photographs.

    Raises:
        FormatError: a damaged file, no splats, or cameras without photographs or that see nothing.
        OSError: a file cannot be read.
    """
    splats = drop_invalid(api.load(source.path))
    if not len(splats):
        raise FormatError(f"{source.path}: no splats")
    training: tuple[Camera, ...] = ()
    photographs: tuple[Pixels, ...] = ()
    backgrounds = quality.BLACK_AND_WHITE
    if source.cameras is None:
        cameras = tuple(synthesize(splats, VIEWS, WIDTH))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LossWarning)
            kept, held, rear = _views(source.cameras, splats, viewing)
        training, cameras = (tuple(view.camera for view in views) for views in (kept, held))
        backgrounds = (rear,)
        photographs = tuple(view.image.astype(np.float32) / np.float32(255) for view in held)
    return Study(
        source, splats, table.identify(source.path).name, source.path.stat().st_size,
        training, cameras, photographs, backgrounds,
    )  # fmt: skip


def _views(path: Path, splats: Splats, viewing: Viewing) -> tuple[list[View], list[View], Background]:
    """Views for encoding, and held out, in the scene's axes; and what is behind them."""
    found = find_images(path)
    rear = WHITE if _has_alpha(found[0][1]) else BLACK
    width = min(viewing.width, max(camera.width for camera, _ in found))
    views = [
        dataclasses.replace(view, camera=api.camera_in_axes(view.camera, splats.axes))
        for view in load_views(path, width=width, background=rear)
    ]
    kept, held = split(views, viewing.hold_out)
    try:
        api.require_seen(splats, [view.camera for view in held])
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None
    return kept, held, rear


def _has_alpha(path: Path) -> bool:
    from PIL import Image

    with Image.open(path) as picture:
        return "A" in picture.getbands()


class Judge:
    """Renders of a scene, and what copies are like beside them."""

    def __init__(self, study: Study) -> None:
        """Renders the source from every camera."""
        self.study = study
        self._references = self._draw(study.splats)

    def source(self) -> Judgement:
        """Of the source itself."""
        return Judgement(math.inf, 1.0, 0.0, self._against_photographs(self._references))

    def copy(self, splats: Splats) -> Judgement:
        """Of a decoded copy; brought to the source's axes first."""
        images = self._draw(convert_axes(splats, self.study.splats.axes))
        pairs = list(zip(self._references, images, strict=True))
        errors = [quality.mse(a, b) for a, b in pairs]
        flips = [_flip(a, b) for a, b in pairs]
        known = [value for value in flips if value is not None]
        return Judgement(
            psnr=quality.decibels(math.fsum(errors) / len(errors)),
            ssim=math.fsum(quality.ssim(a, b) for a, b in pairs) / len(pairs),
            flip=math.fsum(known) / len(known) if known else None,
            photo_psnr=self._against_photographs(images),
        )

    def _against_photographs(self, images: Sequence[Pixels]) -> float | None:
        photographs = self.study.photographs
        if not photographs:
            return None
        return math.fsum(quality.psnr(a, b) for a, b in zip(photographs, images, strict=True)) / len(photographs)

    def _draw(self, splats: Splats) -> list[Pixels]:
        """Camera by camera, over every background."""
        factor = viewing_scale(self.study.splats)
        splats, images = enlarge(splats, factor), []
        for camera in self.study.cameras:
            image = rasterize(splats, enlarge_camera(camera, factor))
            for rear in self.study.backgrounds:
                through = (1 - image.alpha)[:, :, None] * np.asarray(rear, np.float32)
                images.append(np.clip(image.color + through, 0, 1, dtype=np.float32))
        return images


def _flip(a: Pixels, b: Pixels) -> float | None:
    try:
        return quality.flip(a, b)
    except ModuleNotFoundError:
        return None
