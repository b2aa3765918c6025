"""Photographs of scenes that move, with cameras and times, in the layouts of the data sets in use.

D-NeRF (transforms_train.json with a time for each picture), HyperNeRF (dataset.json, metadata.json, a file for
each camera) and Neu3D (poses_bounds.npy, a folder of frames for each camera). docs/dynamic.md, "Training".
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenepress import camera_files, photographs
from scenepress.cameras import read_cameras
from scenepress.errors import FormatError
from scenepress.formats.files import read_bytes
from scenepress.learned.train import View
from scenepress.scene import Camera

Part = Literal["train", "test"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SCALES = ("1x", "2x", "4x", "8x", "16x")
"""Folders of HyperNeRF's photographs; the second is what its scenes are usually trained with."""
_MAX_JSON = 1 << 28


@dataclasses.dataclass(frozen=True)
class Shot:
    """A photograph that has not been opened."""

    camera: Camera
    image: Path
    time: float
    """0 to 1."""


def find(data: Path, part: Part) -> list[Shot]:
    """The photographs to train with, or to measure with.

    Args:
        data: the data set's folder.
        part: "test": transforms_test.json, HyperNeRF's val_ids, the first of Neu3D's cameras.

    Raises:
        FormatError: no such data set, or a damaged one; the message says what is missing.
        OSError: a file cannot be read.
    """
    if (data / "dataset.json").is_file():
        return _hypernerf(data, part)
    if (data / "poses_bounds.npy").is_file():
        return _neu3d(data, part)
    return _dnerf(data, part)


def load(shots: Sequence[Shot], width: int | None, background: tuple[float, float, float]) -> list[View]:
    """Open photographs: made `width` pixels wide, and laid over the background where they have alpha.

    Raises:
        FormatError: a photograph is damaged, or not of its camera's shape.
        OSError: a file cannot be read.
    """
    views = []
    for shot in shots:
        view = photographs.view_of(shot.camera, shot.image, width, background)
        views.append(dataclasses.replace(view, time=shot.time))
    return views


def _dnerf(data: Path, part: Part) -> list[Shot]:
    path = data / f"transforms_{part}.json"
    if not path.is_file():
        known = "transforms_train.json (D-NeRF), dataset.json (HyperNeRF), poses_bounds.npy (Neu3D)"
        raise FormatError(f"{data}: no {path.name}; a data set of a moving scene has one of {known}")
    document = camera_files.parse_json(read_bytes(path, "cameras", _MAX_JSON), str(path))
    frames = document.get("frames") if isinstance(document, dict) else None
    cameras = list(read_cameras(path))
    if not isinstance(frames, list) or len(frames) != len(cameras):
        raise FormatError(f"{path}: its frames cannot be read")
    shots = []
    for number, (frame, camera) in enumerate(zip(frames, cameras, strict=True)):
        time = camera_files.number(frame.get("time"), f"{path}: frame {number}: time")
        if not 0 <= time <= 1:
            raise FormatError(f"{path}: frame {number}: time {time} is not in 0 to 1")
        shots.append(Shot(camera, photographs.image_path(camera.name, data, None, path), time))
    return shots


def _hypernerf(data: Path, part: Part) -> list[Shot]:
    listing = _object(data / "dataset.json")
    about = _object(data / "metadata.json")
    scene = _object(data / "scene.json")
    ids = listing.get("val_ids" if part == "test" else "train_ids")
    every = listing.get("ids")
    if not isinstance(ids, list) or not isinstance(every, list) or not every:
        raise FormatError(f"{data / 'dataset.json'}: no lists ids, train_ids and val_ids")
    times = {name: _warp(about, name, data) for name in map(str, every)}
    last = max(1.0, *times.values())
    folder = next((data / "rgb" / s for s in (SCALES[1], *SCALES) if (data / "rgb" / s).is_dir()), None)
    if folder is None:
        raise FormatError(f"{data}: no folder rgb/2x, nor another scale")
    center = _vector(scene.get("center"), 3, f"{data / 'scene.json'}: center")
    scale = camera_files.number(scene.get("scale"), f"{data / 'scene.json'}: scale")
    shots = []
    for name in map(str, ids):
        if not re.fullmatch(r"[\w.-]+", name):
            raise FormatError(f"{data / 'dataset.json'}: {name[:40]!r} cannot be the name of a photograph")
        camera = _nerfies_camera(data / "camera" / f"{name}.json", name, center, scale)
        if name not in times:
            raise FormatError(f"{data / 'dataset.json'}: {name} is not among the ids")
        shots.append(Shot(camera, photographs.image_path(name, data, folder, data), times[name] / last))
    return shots


def _warp(about: dict[str, object], name: str, data: Path) -> float:
    entry = about.get(name)
    where = f"{data / 'metadata.json'}: {name}"
    if not isinstance(entry, dict):
        raise FormatError(f"{where} is missing")
    time = camera_files.number(entry.get("warp_id", entry.get("time_id")), f"{where}: warp_id")
    if time < 0:
        raise FormatError(f"{where}: warp_id {time} is negative")
    return time


def _nerfies_camera(path: Path, name: str, center: NDArray[np.float64], scale: float) -> Camera:
    """World to camera rotation and position, x right, y down, z forward, in pixels of the whole photograph."""
    where = str(path)
    entry = _object(path)
    rotation = camera_files.matrix(entry.get("orientation"), 3, 3, f"{where}: orientation")
    position = (_vector(entry.get("position"), 3, f"{where}: position") - center) * scale
    focal = camera_files.number(entry.get("focal_length"), f"{where}: focal_length")
    aspect = camera_files.number(entry.get("pixel_aspect_ratio", 1.0), f"{where}: pixel_aspect_ratio")
    cx, cy = _vector(entry.get("principal_point"), 2, f"{where}: principal_point")
    width, height = _vector(entry.get("image_size"), 2, f"{where}: image_size")
    if not (1 <= width <= camera_files.MAX_SIDE and 1 <= height <= camera_files.MAX_SIDE):
        raise FormatError(f"{where}: image_size {width} x {height}")
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = -rotation @ position
    lens = camera_files.Lens(focal, focal * aspect, cx, cy, int(width), int(height))
    return camera_files.camera(pose, lens, name, where)


def _neu3d(data: Path, part: Part) -> list[Shot]:
    path = data / "poses_bounds.npy"
    try:
        table = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise FormatError(f"{path}: cannot be read: {str(error)[:80]}") from None
    if table.ndim != 2 or table.shape[1] != 17 or not np.issubdtype(table.dtype, np.floating):
        raise FormatError(f"{path}: {table.dtype} {list(table.shape)}, not a row of 17 numbers for each camera")
    folders = sorted(folder for folder in data.glob("cam*") if folder.is_dir())
    if len(folders) != len(table):
        videos = ", extract the frames of each video first" if any(data.glob("*.mp4")) else ""
        raise FormatError(f"{data}: {len(table)} cameras, and {len(folders)} folders cam00, cam01, ...{videos}")
    shots = []
    for number, (row, folder) in enumerate(zip(table, folders, strict=True)):
        if (number == 0) != (part == "test"):
            continue
        where = f"{path}: camera {number}"
        pose = np.asarray(row[:15], np.float64).reshape(3, 5)
        height, width, focal = pose[:, 4]
        # Columns are down, right, back; x right, y down, z forward are wanted.
        rotation = np.stack([pose[:, 1], pose[:, 0], -pose[:, 2]], axis=1)
        world_to_camera = np.eye(4)
        world_to_camera[:3, :3] = rotation.T
        world_to_camera[:3, 3] = -rotation.T @ pose[:, 3]
        if not (1 <= width <= camera_files.MAX_SIDE and 1 <= height <= camera_files.MAX_SIDE):
            raise FormatError(f"{where}: an image of {width} x {height} pixels")
        lens = camera_files.Lens(focal, focal, width / 2, height / 2, int(width), int(height))
        camera = camera_files.camera(world_to_camera, lens, folder.name, where)
        inner = folder / "images" if (folder / "images").is_dir() else folder
        frames = sorted(p for p in inner.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not frames:
            raise FormatError(f"{inner}: no frames")
        shots += [Shot(camera, frame, i / max(1, len(frames) - 1)) for i, frame in enumerate(frames)]
    return shots


def _object(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise FormatError(f"{path} is missing")
    found = camera_files.parse_json(read_bytes(path, "settings", _MAX_JSON), str(path))
    if not isinstance(found, dict):
        raise FormatError(f"{path} holds no JSON object")
    return found


def _vector(value: object, length: int, where: str) -> NDArray[np.float64]:
    if not isinstance(value, list) or len(value) != length:
        raise FormatError(f"{where} must be {length} numbers")
    return np.array([camera_files.number(x, where) for x in value])
