"""Where to look at a scene from: cameras from files, or made up from the splats themselves.

docs/cameras.md describes the conventions and how cameras are made up.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scenepress import camera_files
from scenepress.arrays import distances, weighted_quantile
from scenepress.errors import FormatError
from scenepress.files import require_regular
from scenepress.kernels import raster
from scenepress.render import raster_input, rasterize
from scenepress.scene import Axes, Camera, Splats
from scenepress.scene_ops import enlarge, enlarge_camera, viewing_scale

F64 = NDArray[np.float64]

ORBIT_FOV = math.radians(50)
"""Horizontal field of view of cameras that look at the scene from outside."""
INSIDE_FOV = math.radians(75)
"""Horizontal field of view of cameras that look around from inside."""
CANDIDATES = 2
"""Places tried for each camera made up."""
SURVEYED = 30_000
"""Splats looked at to place cameras: at least so many of a larger scene, and less than twice."""
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
ALL = 0.998
"""Share of the weight beyond which there are only outliers."""
FAR = 1.6
"""Views that are not near are at least so many times as far."""
FARTHEST, FARTHEST_OUTSIDE = 30.0, 5.0
"""Views that show all are at most so many times as far: of an object, and of a scene with a background, which they
see from behind."""
ENCLOSED = 0.25
"""Share of directions, from the centre, in which a background lies."""


def look_at(
    eye: ArrayLike,
    target: ArrayLike,
    up: ArrayLike,
    *,
    width: int,
    height: int,
    fov: float | None = None,
    fx: float | None = None,
    fy: float | None = None,
    name: str = "",
) -> Camera:
    """A camera at `eye` that looks at `target`, with `up` upwards in the picture.

    Args:
        eye, target: points in the scene, 3 numbers each.
        up: a direction in the scene; any other is taken if it runs along the line of sight.
        width, height: pixels; the principal point is in the centre.
        fov: horizontal field of view in radians. Give it or fx.
        fx, fy: focal lengths in pixels; fy is fx unless given.
        name: for reports.

    Raises:
        ValueError: eye and target coincide, or not exactly one of fov and fx is given.
    """
    if (fov is None) == (fx is None):
        raise ValueError("give either fov or fx")
    focal = fx if fx is not None else 0.5 * width / math.tan(0.5 * (fov or 0.0))
    origin = np.asarray(eye, np.float64)
    forward = np.asarray(target, np.float64) - origin
    length = np.linalg.norm(forward)
    if not length > 0:
        raise ValueError("eye and target are the same point")
    forward = forward / length
    right = np.cross(forward, np.asarray(up, np.float64))
    if np.linalg.norm(right) < 1e-6 * np.linalg.norm(up):
        right = np.cross(forward, np.eye(3)[np.abs(forward).argmin()])
    right = right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = [right, np.cross(forward, right), forward]
    pose[:3, 3] = -pose[:3, :3] @ origin
    return Camera(
        pose, focal, fy if fy is not None else focal, width / 2, height / 2, width, height, name
    )


def resize(camera: Camera, width: int) -> Camera:
    """The same view, `width` pixels wide; the height keeps the shape, to a whole pixel."""
    scale = width / camera.width
    height = max(1, round(camera.height * scale))
    return dataclasses.replace(
        camera,
        fx=camera.fx * scale,
        fy=camera.fy * height / camera.height,
        cx=camera.cx * scale,
        cy=camera.cy * height / camera.height,
        width=width,
        height=height,
    )


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """The shape of a scene, as far as placing cameras needs it. Lengths are in scene units."""

    center: F64
    """float64 [3]: the middle of the densest part, or of the room."""
    distance: float
    """From outside: how far from the centre a camera should be. Inside: the median distance of the walls."""
    clearance: float
    """Distance from the centre within which only 2% of what is seen from there lies."""
    inside: bool
    """True if the scene surrounds its centre at a distance, as a room does."""
    background: bool
    """True if the scene lies around a much smaller densest part, on many sides of it."""
    reach: float
    """Distance from the centre within which all but a few far outliers lie."""


def survey(splats: Splats) -> Surroundings:
    """Find the centre of a scene, and whether to look at it from inside or from outside.

    Every splat counts by opacity times area (of its two longer axes, held to the median area: the few huge
    splats of a background must not decide).
    """
    splats = _thinned(splats)
    finite = np.isfinite(splats.means).all(axis=1) & np.isfinite(splats.log_scales).all(axis=1)
    finite &= ~np.isnan(splats.opacity_logits)
    means = splats.means[finite].astype(np.float64)
    if not len(means):
        return Surroundings(np.zeros(3), 1.0, 1.0, False, False, 1.0)
    longer = np.sort(splats.log_scales[finite].astype(np.float64), axis=1)[:, 1:].sum(axis=1)
    opacity = 0.5 + 0.5 * np.tanh(0.5 * splats.opacity_logits[finite].astype(np.float64))
    weights = opacity * np.exp(np.minimum(longer - np.median(longer), 0)) + 1e-12

    center = np.array([weighted_quantile(means[:, k], weights, 0.5) for k in range(3)])
    near = distances(means, center)
    # What an eye at the centre sees of each splat, next to the whole sphere.
    solid = opacity * _solid_angles(longer, near)
    clearance, middle = weighted_quantile(near, solid + 1e-12, 0.02), weighted_quantile(near, weights, 0.5)
    if clearance > 0.3 * middle and _covered(means - center, solid) > 0.8:
        return Surroundings(center, middle, clearance, True, True, weighted_quantile(near, weights, ALL))

    # From the median towards the mode: the mean of the nearest quarter, again and again.
    for _ in range(20):
        held = np.where(near <= weighted_quantile(near, weights, 0.25), weights, 0)
        center = held @ means / held.sum()
        near = distances(means, center)
    # Not from inside of a lone splat, nor from so near that eye and target are one in float64.
    least = max(math.exp(min(0.5 * float(np.median(longer)), 80)), 1e-6 * float(np.abs(center).max()), 1e-6)
    core, whole, reach = (max(weighted_quantile(near, weights, share), least) for share in (0.25, 0.95, ALL))
    # A compact object is framed whole; of others, as of scenes with a background, the core.
    compact = whole < 3 * core
    around = np.where(near > 2 * core, opacity * _solid_angles(longer, near), 0)
    background = not compact and _covered(means - center, around) > ENCLOSED
    return Surroundings(
        center, (whole if compact else core) / math.sin(ORBIT_FOV / 2), clearance, False, background, reach
    )


def _solid_angles(log_area: F64, distance: F64) -> F64:
    """Steradians of splats of ln(longest * middle deviation) that are so far away."""
    area = np.pi * np.exp(np.minimum(log_area, 300))
    return np.asarray(np.minimum(area / np.maximum(distance, 1e-9) ** 2, 2 * np.pi))


def _thinned(splats: Splats) -> Splats:
    """Every k-th splat, grown to cover what the others did."""
    step = max(1, len(splats) // SURVEYED)
    some = splats.take(np.arange(0, len(splats), step))
    return dataclasses.replace(some, log_scales=some.log_scales + np.float32(0.5 * math.log(step)))


def _covered(offsets: F64, solid: F64) -> float:
    """Share of directions in which splats of these solid angles (steradian) could hide what is behind."""
    size = 6  # 6x6 directions on each face of a cube
    largest = np.abs(offsets).argmax(axis=1)
    rows = np.arange(len(offsets))
    depth = np.maximum(np.abs(offsets[rows, largest]), 1e-12)
    face = 2 * largest + (offsets[rows, largest] < 0)
    across = np.stack([offsets[rows, (largest + k) % 3] / depth for k in (1, 2)])
    cell = np.clip(((across + 1) * (size / 2)).astype(int), 0, size - 1)
    bins = np.bincount(
        (face * size + cell[0]) * size + cell[1], weights=solid, minlength=6 * size * size
    )
    return float((bins > 0.5 * 4 * math.pi / len(bins)).mean())


def synthesize(splats: Splats, count: int, width: int) -> list[Camera]:
    """Cameras for a scene that came without any: `count` views, `width` pixels wide and 3/4 as high.

    Outside-in, cameras circle the densest part of the scene and look at it from 10 degrees below to 50
    degrees above the horizon. Where the scene surrounds its centre, they look outwards from around it
    instead. Of two places for each camera those that see more detail are kept: behind a wall or in a fog
    there is little. Which way is up comes from `splats.axes`. Deterministic.

    Raises:
        ValueError: count or width is not positive.
    """
    if count < 1 or not 1 <= width <= camera_files.MAX_SIDE:
        raise ValueError(f"cannot make {count} cameras {width} pixels wide")
    factor = viewing_scale(splats)
    splats = enlarge(splats, factor)
    shape = survey(splats)
    thinned = _thinned(splats)
    candidates = [_candidate(shape, up_direction(splats.axes), k, width) for k in range(CANDIDATES * count)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        detail = list(pool.map(lambda camera: _visible_detail(thinned, resize(camera, 96)), candidates))
    best = [max(range(k, k + CANDIDATES), key=detail.__getitem__) for k in range(0, len(candidates), CANDIDATES)]
    return [enlarge_camera(candidates[k], 1 / factor) for k in best]


def surround(splats: Splats, count: int, width: int) -> list[Camera]:
    """Cameras that miss as little of a scene as can be: `count` square views, `width` pixels wide.

    Unlike those of synthesize(), which look where a person would, they look from and to all sides, whichever
    way is up: at the centre from all directions, near, far, and from where all can be seen, and, if the scene has
    a background or is a room, from around its centre outwards. Deterministic.

    Raises:
        ValueError: count or width is not positive.
    """
    if count < 1 or not 1 <= width <= camera_files.MAX_SIDE:
        raise ValueError(f"cannot make {count} cameras {width} pixels wide")
    factor = viewing_scale(splats)
    shape = survey(enlarge(splats, factor))
    outwards = count if shape.inside else count // 3 if shape.background else 0
    steps = _distances(shape)
    views = []
    for k in range(count):
        height = 1 - (2 * k + 1) / count
        flat = math.sqrt(1 - height * height)
        away = np.array([flat * math.cos(k * GOLDEN_ANGLE), flat * math.sin(k * GOLDEN_ANGLE), height])
        up = np.eye(3)[np.abs(away).argmin()]
        if k * outwards // count != (k + 1) * outwards // count:
            eye, fov = shape.center - 0.5 * min(shape.clearance, shape.distance) * away, INSIDE_FOV
            target = eye + _ahead(shape) * away
        else:
            eye, fov = shape.center + shape.distance * steps[k % len(steps)] * away, ORBIT_FOV
            target = shape.center
        views.append(look_at(eye, target, up, width=width, height=width, fov=fov, name=f"surround {k}"))
    return [enlarge_camera(view, 1 / factor) for view in views]


def _times_to_see_all(shape: Surroundings) -> float:
    """How many times as far as `distance` a camera must be for the scene to fit its view."""
    times = 1.1 * shape.reach / (shape.distance * math.sin(ORBIT_FOV / 2))
    return min(times, FARTHEST_OUTSIDE if shape.background else FARTHEST)


def _distances(shape: Surroundings) -> tuple[float, ...]:
    """Of the views of surround(), in turn, times `distance`: near, far, and where all can be seen."""
    everything = _times_to_see_all(shape)
    if shape.background:
        return (1.0, max(everything, FAR), 1.0, FAR, 1.0, FAR)
    if everything <= FAR:
        return (1.0, FAR)
    return (1.0, math.sqrt(everything), everything)


def _ahead(shape: Surroundings) -> float:
    """How far ahead a target must be to differ from the eye in float64."""
    return max(1.0, 1e-6 * float(np.abs(shape.center).max()))


def _candidate(shape: Surroundings, up: F64, k: int, width: int) -> Camera:
    ahead = np.roll(up, 1)
    aside = np.cross(ahead, up)
    # The golden angle spreads any number of azimuths evenly; the golden ratio does so for the heights.
    azimuth, level = k * GOLDEN_ANGLE, (0.5 + k * (math.sqrt(5) - 1) / 2) % 1
    flat = math.cos(azimuth) * ahead + math.sin(azimuth) * aside
    if shape.inside:
        eye = shape.center + 0.3 * shape.clearance * (flat if k % 2 else -flat)
        elevation = math.radians(-20 + 40 * level)
        target = eye + _ahead(shape) * (math.cos(elevation) * flat + math.sin(elevation) * up)
    else:
        elevation = math.radians(-10 + 60 * level)
        away = math.cos(elevation) * flat + math.sin(elevation) * up
        # Of what sticks out of views of the core, every other view shows all.
        whole = not shape.background and k // CANDIDATES % 2 == 1
        times = max(_times_to_see_all(shape), 1.0) if whole else 1.0
        eye, target = shape.center + shape.distance * times * away, shape.center
    fov = INSIDE_FOV if shape.inside else ORBIT_FOV
    height = max(1, round(0.75 * width))
    return look_at(eye, target, up, width=width, height=height, fov=fov, name=f"synthetic {k}")


def _visible_detail(splats: Splats, camera: Camera) -> int:
    """The number of splats that make up at least a tenth of some pixel."""
    scene = raster_input(splats, camera)
    sizes = np.array([[camera.width, camera.height]], np.int32)
    black = np.zeros(3, np.float32)
    table = raster.measure(scene, scene.view[None], scene.intrinsics[None], sizes, black, threads=1)
    return int((table[:, 2] >= 0.1).sum())


def anything_seen(splats: Splats, cameras: Sequence[Camera]) -> bool:
    """Whether at least one of the cameras sees something of the scene.

    True too for scenes that nobody could see anything of. cameras: at least one, in the scene's axes.
    """
    if not (splats.opacity_logits > np.log(1 / 254)).any():
        return True
    factor = viewing_scale(splats)
    large = enlarge(splats, factor)
    step = -(-len(cameras) // 16)
    return any(
        rasterize(large, enlarge_camera(resize(camera, min(camera.width, 64)), factor)).alpha.max() > 0.01
        for first in range(step)  # Those far apart come first: mostly the first of all will do.
        for camera in cameras[first::step]
    )


def up_direction(axes: Axes) -> F64:
    """float64 [3]: the unit vector that points up in these axes."""
    return np.array([0.0, 1.0 if axes[1] == "U" else -1.0, 0.0])


def read_cameras(path: str | Path, width: int | None = None) -> list[Camera]:
    """Read cameras, in the axes of the scene that they were made for.

    Understands nerfstudio's and Blender's transforms.json, INRIA's cameras.json, a COLMAP model (its folder,
    a folder with sparse/0, or one of its files; text or binary), and .cams.txt. A folder may also hold one of
    the .json files. Distortion is left out with a LossWarning; fisheye cameras are refused.

    Args:
        path: file or folder.
        width: resize the views to this many pixels; also the size of Blender's views where neither the file
            nor an image beside it says.

    Raises:
        FormatError: a damaged file, or one that this function does not understand.
        FileNotFoundError: nothing there.
    """
    if width is not None and not 1 <= width <= camera_files.MAX_SIDE:
        raise ValueError(f"width must be in [1, {camera_files.MAX_SIDE}], got {width}")
    cameras = _read(Path(path), width)
    if not cameras:
        raise FormatError(f"{path} has no cameras")
    return cameras if width is None else [resize(camera, width) for camera in cameras]


def _read(path: Path, width: int | None) -> list[Camera]:
    if path.is_dir():
        return _read_folder(path, width)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    require_regular(path)
    if path.suffix == ".json":
        document = camera_files.parse_json(path.read_bytes(), str(path))
        if isinstance(document, dict):
            return camera_files.read_transforms(path, document, width)
        if isinstance(document, list):
            return camera_files.read_inria(path, document)
        raise FormatError(f"{path} holds neither transforms nor a list of cameras")
    if path.stem in ("cameras", "images") and path.suffix in (".bin", ".txt"):
        return camera_files.read_colmap(path.parent)
    if path.suffix == ".txt":
        return camera_files.read_cams_txt(path)
    raise FormatError(f"{path}: cameras come as .json, .txt, or a COLMAP folder")


def _read_folder(path: Path, width: int | None) -> list[Camera]:
    for folder in (path, path / "sparse" / "0", path / "colmap" / "sparse" / "0"):
        if any((folder / f"cameras{suffix}").is_file() for suffix in (".bin", ".txt")):
            return camera_files.read_colmap(folder)
    for name in ("transforms.json", "cameras.json", "transforms_test.json", "transforms_train.json"):
        if (path / name).is_file():
            return _read(path / name, width)
    raise FormatError(f"{path} has no transforms.json, no cameras.json and no COLMAP model")
