"""What the viewer is given: `.press` bytes of any scene, a list of scenes, and views to start from."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress import api
from scenepress.files import PathLike, require_regular
from scenepress.scene import Camera

F64 = NDArray[np.float64]
APP = Path(__file__).resolve().parent / "web" / "dist"
"""The built viewer."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """A scene for the viewer: a `.press` file where it lies, or the bytes that another format was made into."""

    name: str
    """The name of the file that was given, without folders."""
    content: Path | bytes
    """A .press file, or its bytes."""
    label: str = ""
    """What it is called on the page."""


def app_files() -> dict[str, Path]:
    """The files of the built viewer by their names in URLs.

    Raises:
        FileNotFoundError: this installation has none.
    """
    if not (APP / "index.html").is_file():
        raise FileNotFoundError(
            2, "the viewer is not built: install a wheel of scenepress, or run `make web` in a checkout", str(APP)
        )
    return {path.relative_to(APP).as_posix(): path for path in sorted(APP.rglob("*")) if path.is_file()}


def shown(path: PathLike) -> Shown:
    """A scene file for the viewer. Formats other than `.press` become lossless `.press` bytes.

    A damaged .press file is none of its business: the viewer says what is wrong, and shows what is not.

    Raises:
        FormatError, BitstreamError, OSError: it cannot be read.
    """
    # Names that are no text, which file systems allow, have no place in addresses.
    name = os.fsencode(Path(path).name).decode("utf-8", "replace")
    if api.is_press(path):
        require_regular(path)
        return Shown(name, Path(path).resolve(), name)
    return Shown(name, api.compress(api.load(path), "lossless", source=path, measure=False), name)


def named_apart(files: Sequence[PathLike]) -> list[Shown]:
    """shown() of each; files of one name are told apart by the folders they are in, or by numbers."""
    held = [shown(path) for path in files]
    names = [scene.name for scene in held]
    labels = [
        f"{Path(path).resolve().parent.name}/{name}" if names.count(name) > 1 else name
        for path, name in zip(files, names, strict=True)
    ]
    made = []
    for i, (scene, label) in enumerate(zip(held, labels, strict=True)):
        number = f" ({labels[: i + 1].count(label)})" if labels.count(label) > 1 else ""
        made.append(dataclasses.replace(scene, label=os.fsencode(label + number).decode("utf-8", "replace")))
    return made


def listing(urls: Sequence[tuple[str, str]], cameras: Sequence[Camera]) -> bytes:
    """The viewer's scenes.json: names and URLs of scenes, and views in their order.

    Args:
        urls: name and URL of each scene.
        cameras: in RDF, the axes of the files that cameras come with.
    """
    document = {
        "scenes": [{"name": name, "url": url} for name, url in urls],
        "views": _views(cameras),
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def _views(cameras: Sequence[Camera]) -> list[dict[str, object]]:
    """As viewers/web/viewer/src/view.ts reads them: camera to world, column by column, x right, y up, z back."""
    flip = np.diag([1.0, -1.0, -1.0, 1.0])  # The viewer turns every scene so that x is right, y up and z back.
    poses = [flip @ np.linalg.inv(camera.world_to_camera) @ flip for camera in cameras]
    if not poses:
        return []
    eyes = np.array([pose[:3, 3] for pose in poses])
    ahead = np.array([-pose[:3, 2] / np.linalg.norm(pose[:3, 2]) for pose in poses])
    middle = _nearest_to_rays(eyes, ahead)
    views: list[dict[str, object]] = []
    for pose, eye, direction, camera in zip(poses, eyes, ahead, cameras, strict=True):
        distance = float((middle - eye) @ direction)
        reach = (
            distance
            if distance > 1e-3 * np.linalg.norm(middle - eye)
            else max(float(np.linalg.norm(middle - eye)), 1e-3)
        )
        views.append(
            {
                "matrix": pose.T.ravel().tolist(),
                "target": (eye + reach * direction).tolist(),
                "fov": math.degrees(2 * math.atan(camera.height / (2 * camera.fy))),
            }
        )
    return views


def _nearest_to_rays(eyes: F64, ahead: F64) -> F64:
    """The point whose squared distances from all lines of sight are least; the minimum-norm one if many are."""
    across = np.eye(3) - ahead[:, :, None] * ahead[:, None, :]
    return np.asarray(
        np.linalg.lstsq(across.sum(axis=0), (across @ eyes[:, :, None]).sum(axis=0)[:, 0], rcond=1e-9)[0]
    )
