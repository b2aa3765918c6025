"""Photographs with cameras and points, as training takes them, and how like a scene is (docs/training.md)."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scenepress import camera_files, dynamics, quality
from scenepress.cameras import read_cameras, resize
from scenepress.errors import FormatError
from scenepress.files import require_regular
from scenepress.formats.ply_header import read_header
from scenepress.learned.train import MIN_SIDE, View
from scenepress.render import rasterize
from scenepress.scene import Camera, Dynamic, Splats

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

F64 = NDArray[np.float64]

SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".JPG", ".PNG", ".webp")
"""What a camera's name may lack to be the name of a file."""
FOLDERS = (".", "images", "..", "../images", "../..", "../../images")
"""Where images are, seen from the folder of the cameras: a COLMAP model may be in sparse/0 beside them."""
SLACK = 1.5
"""Pixels that an image may be higher or lower than the shape of its camera says: sizes are rounded."""
MAX_POINT = 1e6
"""Scene units; points farther out are left out."""


@dataclasses.dataclass(frozen=True)
class Points:
    """Where surfaces are, as structure from motion found them."""

    path: Path
    positions: F64
    """float64 [N, 3], scene units."""
    colors: F64
    """float64 [N, 3], r, g, b, 0 to 1."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """How well a scene shows photographs it was not trained with."""

    views: int
    mse: float
    """Mean squared error of pixels, over all views."""
    mean_view_psnr: float
    """dB; mean of the views'."""
    ssim: float

    @property
    def psnr(self) -> float:
        """dB, of the mean squared error."""
        return quality.decibels(self.mse)


def load_views(
    data: Path,
    *,
    images: Path | None = None,
    width: int | None = None,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    most_pixels: int | None = None,
    least_views: int = 2,
) -> list[View]:
    """Cameras and their photographs, sorted by name.

    Args:
        data: a camera file or folder as read_cameras() takes it, with names of images.
        images: folder of the images; None for where the cameras say.
        width: pixels, of the images used; None for those they have.
        background: r, g, b, 0 to 1, behind images with an alpha channel.
        most_pixels: images of more are made smaller.
        least_views: fewer are refused.

    Raises:
        FormatError: no cameras or too few, an image that is missing, damaged, or not of its camera's shape.
        OSError: a file cannot be read.
    """
    found = find_images(data, images, least_views)
    return [view_of(camera, path, width, background, most_pixels) for camera, path in found]


def find_images(data: Path, images: Path | None = None, least_views: int = 2) -> list[tuple[Camera, Path]]:
    """Cameras and the files of their photographs, sorted by name; as load_views(), but nothing is opened."""
    if images is not None and not images.is_dir():
        raise FormatError(f"{images}: no folder of images")
    cameras = sorted(read_cameras(_camera_source(data)), key=lambda camera: camera.name)
    if len(cameras) < least_views:
        raise FormatError(f"{data}: {len(cameras)} cameras; training needs at least {least_views}")
    folder = data if data.is_dir() else data.parent
    return [(camera, image_path(camera.name, folder, images, data)) for camera in cameras]


def split(views: Sequence[View], hold_out: int) -> tuple[list[View], list[View]]:
    """Views to train with, and those held out: every `hold_out`-th from the first on; 0 for none.

    Raises:
        FormatError: fewer than two are left to train with.
    """
    held = [view for k, view in enumerate(views) if hold_out and k % hold_out == 0]
    kept = [view for k, view in enumerate(views) if not (hold_out and k % hold_out == 0)]
    if len(kept) < 2:
        raise FormatError(f"{len(kept)} of {len(views)} views left to train with: at least 2 are needed")
    return kept, held


def find_points(data: Path) -> Path | None:
    """The file of points that belongs to cameras: `ply_file_path` of a transforms.json, or COLMAP's points3D."""
    if data.suffix == ".json":
        return _named_points(data)
    folder = data if data.is_dir() else data.parent
    if (folder / "transforms.json").is_file():
        return _named_points(folder / "transforms.json")
    places = (folder, folder / "sparse/0", folder / "sparse")
    files = [place / f"points3D.{kind}" for place in places for kind in ("bin", "txt", "ply")]
    return next((file for file in files if file.is_file()), None)


def read_points(path: Path) -> Points:
    """Read COLMAP's points3D.bin or .txt, or the vertices of a .ply with red, green, blue (grey without).

    Raises:
        FormatError: a damaged file, or none with points.
        OSError: it cannot be read.
    """
    reader = {".bin": _points_bin, ".txt": _points_txt}.get(path.suffix, _points_ply)
    rows = reader(path)
    rows = rows[np.isfinite(rows).all(axis=1) & (np.abs(rows[:, :3]) <= MAX_POINT).all(axis=1)]
    if not len(rows):
        raise FormatError(f"{path}: holds no points")
    return Points(path, rows[:, :3].copy(), np.clip(rows[:, 3:] / 255, 0, 1))


def evaluate(scene: Splats | Dynamic, views: Sequence[View], background: Sequence[float]) -> Fit | None:
    """Render the views, at their times if the scene moves, and compare with photographs; None without views."""
    if not views:
        return None
    errors, likeness = [], []
    for view in views:
        now = scene if isinstance(scene, Splats) else dynamics.at(scene, view.time)
        shown = np.clip(rasterize(now, view.camera, background=background).color, 0, 1, dtype=np.float32)
        photograph = view.image.astype(np.float32) / np.float32(255)
        errors.append(quality.mse(photograph, shown))
        likeness.append(quality.ssim(photograph, shown))
    psnr = math.fsum(quality.decibels(error) for error in errors) / len(views)
    return Fit(len(views), math.fsum(errors) / len(views), psnr, math.fsum(likeness) / len(views))


def _camera_source(data: Path) -> Path:
    """Of a folder that has several sets of cameras, those meant for training."""
    train = data / "transforms_train.json"
    others = ("transforms.json", "cameras.json", "sparse", "cameras.bin", "cameras.txt")
    return train if train.is_file() and not any((data / name).exists() for name in others) else data


def image_path(name: str, folder: Path, images: Path | None, data: Path) -> Path:
    """The file of a camera's photograph, by its name. FormatError: there is none."""
    if not name:
        raise FormatError(f"{data}: a camera has no name of an image")
    starts = [images / name, images / Path(name).name] if images else [folder / place / name for place in FOLDERS]
    for start in starts:
        for suffix in SUFFIXES:
            file = Path(f"{start}{suffix}")
            if file.is_file():
                return file
    raise FormatError(f"{data}: no image {name} in {images or folder}")


def view_of(
    camera: Camera, path: Path, width: int | None, background: Sequence[float], most_pixels: int | None = None
) -> View:
    """A camera and its photograph, as load_views() reads them."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            size = picture.size
            high = size[0] * camera.height / camera.width
            if abs(high - size[1]) > SLACK:
                raise FormatError(
                    f"{path}: {size[0]} x {size[1]} pixels, not of the shape of its camera, "
                    f"{camera.width} x {camera.height}"
                )
            width = width or size[0]
            if most_pixels is not None:
                width = min(width, max(1, math.floor(math.sqrt(most_pixels * size[0] / size[1]))))
            camera = resize(camera, width)
            if min(camera.width, camera.height) < MIN_SIDE:
                raise FormatError(
                    f"{path}: {camera.width} x {camera.height} pixels are too few: {MIN_SIDE} a side are needed"
                )
            return View(camera, _pixels(picture, (camera.width, camera.height), background))
    except FormatError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path}: cannot read this image: {str(error)[:100]}") from None


def _pixels(picture: Picture, size: tuple[int, int], background: Sequence[float]) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of that (width, height), over the background if there is alpha."""
    from PIL import Image

    seen = "A" in picture.getbands() or "transparency" in picture.info
    levels = np.asarray(picture.convert("RGBA" if seen else "RGB"), np.float32) / np.float32(255)
    if seen:
        alpha = levels[:, :, 3:]
        levels = levels[:, :, :3] * alpha + (1 - alpha) * np.asarray(background, np.float32)
    flat = Image.fromarray(quality.to_8bit(levels))
    if flat.size != size:
        flat = flat.resize(size, Image.Resampling.BOX)
    return np.array(flat)


def _named_points(path: Path) -> Path | None:
    document = camera_files.parse_json(path.read_bytes(), str(path))
    name = document.get("ply_file_path") if isinstance(document, dict) else None
    if not isinstance(name, str) or not name:
        return None
    if not (path.parent / name).is_file():
        raise FormatError(f"{path}: ply_file_path names {name[:80]}, which is not there")
    return path.parent / name


def _points_bin(path: Path) -> F64:
    data = path.read_bytes()
    head = struct.Struct("<Q3d3BdQ")  # id, x, y, z, r, g, b, error, length of the track
    if len(data) < 8:
        raise FormatError(f"{path} ends early, at byte {len(data)}")
    (count,) = struct.unpack_from("<Q", data)
    if count * head.size > len(data):
        raise FormatError(f"{path}: too short for {count} points")
    rows, at = np.empty((count, 6)), 8
    for k in range(count):
        if at + head.size > len(data):
            raise FormatError(f"{path} ends early, within point {k} of {count}")
        fields = head.unpack_from(data, at)
        rows[k] = fields[1:7]
        at += head.size + 8 * fields[8]
    return rows


def _points_txt(path: Path) -> F64:
    rows = []
    for k, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        try:
            rows.append([float(word) for word in words[1:7]])
        except ValueError:
            raise FormatError(f"{path}: line {k + 1} holds something that is not a number") from None
        if len(rows[-1]) != 6:
            raise FormatError(f"{path}: line {k + 1} is too short for a point")
    return np.array(rows, np.float64).reshape(-1, 6)


def _points_ply(path: Path) -> F64:
    require_regular(path)
    with open(path, "rb") as stream:
        header = read_header(stream, str(path))
        vertex = header.element("vertex")
        if vertex is None or not {"x", "y", "z"} <= set(vertex.names):
            raise FormatError(f"{path}: no vertices with x, y, z")
        if header.encoding == "ascii":
            if vertex is not header.elements[0]:
                raise FormatError(f"{path}: an ascii .ply whose first element is not vertex")
            table = _ascii_columns(path, header.data_start, vertex.count, vertex.names)
        else:
            dtype = header.dtype(vertex)
            stream.seek(header.offset(vertex))
            data = stream.read(vertex.count * dtype.itemsize)
            if len(data) < vertex.count * dtype.itemsize:
                raise FormatError(f"{path}: too short for {vertex.count} vertices")
            records = np.frombuffer(data, dtype)
            table = {name: records[name].astype(np.float64) for name in vertex.names}
    names = ("red", "green", "blue")
    colors = [table[name] for name in names] if set(names) <= set(table) else [np.full(vertex.count, 127.5)] * 3
    return np.stack([table["x"], table["y"], table["z"], *colors], axis=1)


def _ascii_columns(path: Path, start: int, count: int, names: Sequence[str]) -> dict[str, F64]:
    lines = path.read_bytes()[start:].splitlines()[:count]
    try:
        rows = np.array([[float(word) for word in line.split()[: len(names)]] for line in lines], np.float64)
    except ValueError:
        raise FormatError(f"{path}: a vertex holds something that is not a number, or too few of them") from None
    if rows.shape != (count, len(names)):
        raise FormatError(f"{path}: too short for {count} vertices")
    return {name: rows[:, k] for k, name in enumerate(names)}
