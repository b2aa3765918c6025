"""Cameras of other people's files: transforms.json, COLMAP models, INRIA cameras.json, .cams.txt.

docs/cameras.md says which conventions each has. Nothing here trusts a count or a number it reads.
"""

from __future__ import annotations

import json
import math
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError, LossWarning
from scenepress.scene import Camera

MAX_SIDE = 32768
MAX_PIXELS = 1e9
"""Largest focal lengths and offsets of principal points: more is absurd, and arithmetic must stay finite."""
MAX_DISTANCE = 1e30
"""The same for positions, in scene units."""
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Camera axes x right, y up, z back to ours: x right, y down, z forward."""
LENS_KEYS = ("k1", "k2", "k3", "k4", "p1", "p2")


class Lens(NamedTuple):
    """What all views of one physical camera share."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int


class ColmapModel(NamedTuple):
    """A COLMAP camera model: one or two focal lengths, cx, cy, then distortion."""

    name: str
    parameters: int
    focals: int


COLMAP_MODELS = {
    0: ColmapModel("SIMPLE_PINHOLE", 3, 1),
    1: ColmapModel("PINHOLE", 4, 2),
    2: ColmapModel("SIMPLE_RADIAL", 4, 1),
    3: ColmapModel("RADIAL", 5, 1),
    4: ColmapModel("OPENCV", 8, 2),
    6: ColmapModel("FULL_OPENCV", 12, 2),
}
"""The models that become a pinhole when their distortion is left out; fisheye models do not."""


def number(value: object, where: str) -> float:
    """A finite number from a parsed file, or FormatError."""
    try:
        parsed = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise FormatError(f"{where} is {str(value)[:40]!r}, not a number") from None
    if not math.isfinite(parsed):
        raise FormatError(f"{where} is {parsed}, not a finite number")
    return parsed


def camera(world_to_camera: NDArray[np.float64], lens: Lens, name: str, where: str) -> Camera:
    """A checked camera; the rotation is made exactly orthonormal. FormatError if it is far from that."""
    if not (np.abs(world_to_camera) <= MAX_DISTANCE).all():
        raise FormatError(f"{where}: the pose is not finite, or beyond {MAX_DISTANCE:.0e} units")
    u, sizes, vt = np.linalg.svd(world_to_camera[:3, :3])
    if np.abs(sizes - 1).max() > 0.01 or np.linalg.det(u @ vt) < 0:
        raise FormatError(f"{where}: the pose is not a rotation and a translation")
    if not (1 <= lens.width <= MAX_SIDE and 1 <= lens.height <= MAX_SIDE):
        raise FormatError(f"{where}: an image of {lens.width} x {lens.height} pixels")
    if not (0 < lens.fx <= MAX_PIXELS and 0 < lens.fy <= MAX_PIXELS):
        raise FormatError(f"{where}: focal lengths {lens.fx}, {lens.fy} must be in 0..{MAX_PIXELS:.0e}")
    if max(abs(lens.cx), abs(lens.cy)) > MAX_PIXELS:
        raise FormatError(f"{where}: principal point {lens.cx}, {lens.cy} is beyond {MAX_PIXELS:.0e} pixels")
    pose = np.eye(4)
    pose[:3, :3] = u @ vt
    pose[:3, 3] = world_to_camera[:3, 3]
    return Camera(pose, *lens, name=name)


def matrix(rows: object, height: int, width: int, where: str) -> NDArray[np.float64]:
    """Nested lists of at least `height` rows, or FormatError; rows beyond are dropped."""
    if not isinstance(rows, list) or not height <= len(rows) <= 4:
        raise FormatError(f"{where} must be a {height}x{width} matrix")
    for row in rows[:height]:
        if not isinstance(row, list) or len(row) != width:
            raise FormatError(f"{where} must be a {height}x{width} matrix")
    return np.array([[number(value, where) for value in row] for row in rows[:height]])


def parse_json(data: bytes, where: str) -> object:
    """JSON, or FormatError."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is not JSON: {str(error)[:80]}") from None


def read_transforms(path: Path, document: dict[str, object], width: int | None) -> list[Camera]:
    """Nerfstudio's and Blender NeRF's transforms.json. Poses: camera to world, OpenGL camera axes."""
    frames = document.get("frames")
    if not isinstance(frames, list):
        raise FormatError(f"{path} has no list of frames")
    out = []
    for i, frame in enumerate(frames):
        where = f"{path}: frame {i}"
        if not isinstance(frame, dict):
            raise FormatError(f"{where} is not an object")
        pose = np.eye(4)
        pose[:3] = matrix(frame.get("transform_matrix"), 3, 4, f"{where}: transform_matrix")
        name = str(frame.get("file_path", ""))
        lens = _transforms_lens({**document, **frame}, path.parent / name, width, where)
        if abs(np.linalg.det(pose)) < 1e-6:
            raise FormatError(f"{where}: the pose cannot be inverted")
        world_to_camera = np.asarray(np.linalg.inv(pose @ OPENGL), np.float64)
        out.append(camera(world_to_camera, lens, name, where))
    return out


def _transforms_lens(keys: dict[str, object], image: Path, width: int | None, where: str) -> Lens:
    if str(keys.get("camera_model", "PINHOLE")).upper().endswith(("FISHEYE", "EQUIRECTANGULAR")):
        raise FormatError(f"{where}: camera model {keys['camera_model']} is not a pinhole")
    if any(number(keys.get(key, 0), f"{where}: {key}") for key in LENS_KEYS):
        warnings.warn(f"{where}: lens distortion is left out", LossWarning, stacklevel=4)
    if "w" in keys and "h" in keys:
        size = (number(keys["w"], f"{where}: w"), number(keys["h"], f"{where}: h"))
    else:
        size = _image_size(image, width, where)
    if "fl_x" in keys:
        fx = number(keys["fl_x"], f"{where}: fl_x")
    else:
        angle = number(keys.get("camera_angle_x"), f"{where}: camera_angle_x (there is no fl_x either)")
        if not 0 < angle < math.pi:
            raise FormatError(f"{where}: camera_angle_x must be between 0 and pi, is {angle}")
        fx = 0.5 * size[0] / math.tan(0.5 * angle)
    fy = number(keys.get("fl_y", fx), f"{where}: fl_y")
    cx = number(keys.get("cx", size[0] / 2), f"{where}: cx")
    cy = number(keys.get("cy", size[1] / 2), f"{where}: cy")
    return Lens(fx, fy, cx, cy, _side(size[0], where), _side(size[1], where))


def _side(value: float, where: str) -> int:
    if not 1 <= value <= MAX_SIDE:
        raise FormatError(f"{where}: images have 1 to {MAX_SIDE} pixels a side, got {value}")
    return int(value)


def _image_size(image: Path, width: int | None, where: str) -> tuple[float, float]:
    """Blender's files do not say: ask the image, else assume a square one."""
    from PIL import Image as Picture
    from PIL import UnidentifiedImageError

    for candidate in (image, Path(f"{image}.png"), Path(f"{image}.jpg")):
        if candidate.is_file():
            try:
                with Picture.open(candidate) as picture:
                    return picture.size
            except (UnidentifiedImageError, OSError, Picture.DecompressionBombError) as error:
                raise FormatError(f"{where}: cannot read the size of {candidate}: {error}") from None
    if width is None:
        raise FormatError(f"{where}: no image size (w, h) and no image {image.name}: give a width")
    return width, width


def read_inria(path: Path, entries: list[object]) -> list[Camera]:
    """INRIA's cameras.json: camera-to-world rotation and position, x right, y down, z forward."""
    out = []
    for i, entry in enumerate(entries):
        where = f"{path}: camera {i}"
        if not isinstance(entry, dict):
            raise FormatError(f"{where} is not an object")
        turn = matrix(entry.get("rotation"), 3, 3, f"{where}: rotation")
        position = matrix([entry.get("position")], 1, 3, f"{where}: position")[0]
        width, height = (number(entry.get(key), f"{where}: {key}") for key in ("width", "height"))
        lens = Lens(
            number(entry.get("fx"), f"{where}: fx"),
            number(entry.get("fy"), f"{where}: fy"),
            width / 2,
            height / 2,
            _side(width, where),
            _side(height, where),
        )
        pose = np.eye(4)
        pose[:3, :3] = turn.T
        with np.errstate(over="ignore", invalid="ignore"):  # camera() refuses what is not finite.
            pose[:3, 3] = -turn.T @ position
        out.append(camera(pose, lens, str(entry.get("img_name", "")), where))
    return out


def read_cams_txt(path: Path) -> list[Camera]:
    """A line a camera: world-to-camera rotation (9), translation (3), fx, fy for a 400 x 400 image."""
    out = []
    for i, line in enumerate(_text(path).splitlines()):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}: line {i + 1}"
        values = [number(word, where) for word in line.split()]
        if len(values) != 14:
            raise FormatError(f"{where} has {len(values)} numbers, not 14")
        pose = np.eye(4)
        pose[:3, :3] = np.reshape(values[:9], (3, 3))
        pose[:3, 3] = values[9:12]
        lens = Lens(values[12], values[13], 200.0, 200.0, 400, 400)
        out.append(camera(pose, lens, f"{path.name}:{i + 1}", where))
    return out


def read_colmap(folder: Path) -> list[Camera]:
    """A COLMAP model: cameras and images, .bin if they are there, else .txt."""
    if (folder / "cameras.bin").is_file() and (folder / "images.bin").is_file():
        lenses, images = _lenses_bin(folder / "cameras.bin"), list(_images_bin(folder / "images.bin"))
    elif (folder / "cameras.txt").is_file() and (folder / "images.txt").is_file():
        lenses, images = _lenses_txt(folder / "cameras.txt"), list(_images_txt(folder / "images.txt"))
    else:
        raise FormatError(f"{folder} needs cameras.bin and images.bin, or both as .txt")
    out = []
    for values, lens_id, name in sorted(images, key=lambda image: image[2]):
        where = f"{folder}: image {name[:80]}"
        if lens_id not in lenses:
            raise FormatError(f"{where} wants camera {lens_id}, which is not there")
        w, x, y, z = np.asarray(values[:4]) / (np.linalg.norm(values[:4]) or np.nan)
        pose = np.eye(4)
        pose[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        pose[:3, 3] = values[4:7]
        out.append(camera(pose, lenses[lens_id], name, where))
    return out


def _colmap_lens(model: ColmapModel, values: list[float], width: int, height: int, where: str) -> Lens:
    if len(values) != model.parameters:
        raise FormatError(f"{where}: {model.name} has {model.parameters} parameters, got {len(values)}")
    if any(values[model.focals + 2 :]):
        warnings.warn(f"{where}: the distortion of {model.name} is left out", LossWarning, stacklevel=5)
    cx, cy = values[model.focals : model.focals + 2]
    return Lens(values[0], values[model.focals - 1], cx, cy, width, height)


def _lenses_txt(path: Path) -> dict[int, Lens]:
    by_name = {model.name: model for model in COLMAP_MODELS.values()}
    lenses = {}
    for i, line in enumerate(_text(path).splitlines()):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        where = f"{path}: line {i + 1}"
        if len(words) < 5:
            raise FormatError(f"{where} is too short for a camera")
        if words[1] not in by_name:
            raise FormatError(f"{where}: camera model {words[1][:40]} is not a pinhole")
        values = [number(word, where) for word in words[4:]]
        size = [_side(number(word, where), where) for word in words[2:4]]
        lens = _colmap_lens(by_name[words[1]], values, size[0], size[1], where)
        lenses[int(number(words[0], where))] = lens
    return lenses


def _images_txt(path: Path) -> Iterator[tuple[list[float], int, str]]:
    """Every image takes two lines; the second, of points, may be empty."""
    lines = [line for line in _text(path).splitlines() if not line.startswith("#")]
    at = 0
    while at < len(lines):
        words = lines[at].split(maxsplit=9)
        if words:
            where = f"{path}: {lines[at][:40]!r}"
            if len(words) < 10:
                raise FormatError(f"{where} is too short for an image")
            values = [number(word, where) for word in words[1:8]]
            yield values, int(number(words[8], where)), words[9]
        at += 2 if words else 1


class _Bytes:
    """Reads a binary file from front to back."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, path.read_bytes(), 0

    def unpack(self, layout: str) -> tuple[float, ...]:
        end = self.at + struct.calcsize(layout)
        if end > len(self.data):
            raise FormatError(f"{self.path} ends early, at byte {len(self.data)} of at least {end}")
        values = struct.unpack_from(layout, self.data, self.at)
        self.at = end
        return values

    def name(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise FormatError(f"{self.path}: the name at byte {self.at} does not end")
        text = self.data[self.at : end].decode("utf-8", "replace")
        self.at = end + 1
        return text

    def skip(self, count: int) -> None:
        if count > len(self.data) - self.at:
            raise FormatError(f"{self.path} ends early: {count} bytes should follow byte {self.at}")
        self.at += count


def _lenses_bin(path: Path) -> dict[int, Lens]:
    source = _Bytes(path)
    lenses = {}
    for _ in range(int(source.unpack("<Q")[0])):
        lens_id, model_id, width, height = (int(value) for value in source.unpack("<iiQQ"))
        where = f"{path}: camera {lens_id}"
        if model_id not in COLMAP_MODELS:
            raise FormatError(f"{where}: camera model {model_id} is not a pinhole")
        model = COLMAP_MODELS[model_id]
        values = [number(value, where) for value in source.unpack(f"<{model.parameters}d")]
        lenses[lens_id] = _colmap_lens(model, values, _side(width, where), _side(height, where), where)
    return lenses


def _images_bin(path: Path) -> Iterator[tuple[list[float], int, str]]:
    source = _Bytes(path)
    for _ in range(int(source.unpack("<Q")[0])):
        source.skip(4)
        values = list(source.unpack("<7d"))
        (lens_id,) = source.unpack("<i")
        name = source.name()
        source.skip(24 * int(source.unpack("<Q")[0]))
        yield values, int(lens_id), name


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not text: {error}") from None
