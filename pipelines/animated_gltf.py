"""Pictures of an animated glTF model from many places and times: a data set of a scene that moves, with its truth.

    python -m scenepress.pipelines.animated_gltf walking-robot.glb -o data/robot

The data set has the layout of D-NeRF: transforms_train.json, _val and _test with a time for every picture, and
pictures with transparency. Every training picture has a time and place of its own. three.js plays and renders the
model in a headless browser: npm ci --prefix pipelines/gltf_renderer, Node and Chromium are needed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress import checks
from scenepress.cameras import look_at
from scenepress.errors import FormatError
from scenepress.files import whole_folder

RENDERER = Path(__file__).parent / "gltf_renderer"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
RADIUS, DISTANCE, ANGLE_X = 1.3, 4.0, 0.6911112070083618
"""Of the model in all its poses, of cameras from its centre, and of the pictures' width in radians; as D-NeRF."""
SUPERSAMPLE = 2
GOLDEN = 0.6180339887498949


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is rendered."""

    width: int = 400
    """Pixels."""
    height: int = 400
    """Pixels."""
    train: int = 150
    """Pictures to train with, each of a time of its own."""
    val: int = 10
    """Pictures to choose by."""
    test: int = 20
    """Pictures to measure with, at times between those of training."""
    animation: str = ""
    """Its name; empty for the first."""

    def __post_init__(self) -> None:
        if not (1 <= self.width <= 4096 and 1 <= self.height <= 4096):
            raise ValueError(f"pictures of {self.width} x {self.height}: 1 to 4096 pixels a side")
        if self.train < 2 or self.val < 0 or self.test < 0:
            raise ValueError("at least 2 pictures to train with, and none less than none")


Frame = tuple[str, NDArray[np.float64], float]
"""File, camera to world [4, 4] (x right, y up, z back), and time."""


def frames_of(settings: Settings) -> dict[str, list[Frame]]:
    """Where from and when, by part. Directions spread evenly over the sphere but for its lowest third."""
    parts: dict[str, list[Frame]] = {}
    counts = {"train": settings.train, "val": settings.val, "test": settings.test}
    for number, (part, count) in enumerate(counts.items()):
        frames: list[Frame] = []
        for i in range(count):
            # Times in order, directions by the golden ratio: neighbours in time look from elsewhere.
            time = i / max(1, count - 1) if part == "train" else (i + 0.5) / count
            height = -0.35 + 1.25 * ((0.37 + 0.21 * number + GOLDEN * GOLDEN * i) % 1)
            turn = 2 * np.pi * ((0.11 * number + GOLDEN * i) % 1)
            flat = np.sqrt(1 - height * height)
            eye = DISTANCE * np.array([flat * np.sin(turn), height, flat * np.cos(turn)])
            camera = look_at(eye, [0, 0, 0], [0, 1, 0], width=settings.width, height=settings.height, fov=ANGLE_X)
            matrix = np.asarray(np.linalg.inv(camera.world_to_camera) @ np.diag([1.0, -1, -1, 1]), np.float64)
            frames.append((f"{part}/r_{i:03d}", matrix, time))
        parts[part] = frames
    return parts


def render(model: Path, out: Path, settings: Settings, progress: Callable[[float], None] | None = None) -> str:
    """Render a data set into the folder `out`, which appears whole or not at all; the animation's name.

    Raises:
        FormatError: the model cannot be rendered; the message says what is wrong with it, or missing here.
        OSError: the folder cannot be made, or holds something.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    node = shutil.which("node")
    if browser is None or node is None or not (RENDERER / "node_modules").is_dir():
        raise FormatError(f"rendering needs Node, Chromium and: npm ci --prefix {RENDERER}")
    if not model.is_file():
        raise FormatError(f"{model}: no such file")
    parts = frames_of(settings)
    fov = 2 * np.degrees(np.arctan(np.tan(ANGLE_X / 2) * settings.height / settings.width))
    every = [frame for frames in parts.values() for frame in frames]
    with whole_folder(out) as folder, tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "config.json"
        config.write_text(json.dumps({
            "chromium": browser, "model": str(model.resolve()), "out": str(folder.resolve()), "fov": fov,
            "clip_": settings.animation or 0, "width": settings.width, "height": settings.height, "radius": RADIUS,
            "supersample_": SUPERSAMPLE,
            "frames": [{"file": f"{f}.png", "matrix": m.T.ravel().tolist(), "time": t} for f, m, t in every],
        }))  # fmt: skip
        about = _run([node, str(RENDERER / "render.mjs"), str(config)], len(every), model, progress)
        for part, frames in parts.items():
            _write_transforms(folder / f"transforms_{part}.json", frames)
    return about


def _run(command: list[str], count: int, model: Path, progress: Callable[[float], None] | None) -> str:
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(json.loads(line))
                if progress:
                    progress((len(lines) - 1) / max(1, count))
        if process.returncode:
            errors.seek(0)
            said = next(iter(errors.read().strip().splitlines()), "the renderer failed")
            raise FormatError(f"{model}: {said}")
    return str(lines[0]["animation"])


def _write_transforms(path: Path, frames: list[Frame]) -> None:
    rows = [{"file_path": f"./{f}", "time": t, "transform_matrix": m.tolist()} for f, m, t in frames]
    path.write_text(json.dumps({"camera_angle_x": ANGLE_X, "frames": rows}, indent=1))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a .glb or .gltf file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder to make")
    helps = {
        "width": "pixels", "height": "pixels", "train": "pictures to train with", "val": "pictures to choose by",
        "test": "pictures to measure with", "animation": "its name; the first if not given",
    }  # fmt: skip
    for field in dataclasses.fields(Settings):
        kind = str if field.name == "animation" else int
        parser.add_argument(f"--{field.name}", type=kind, default=field.default, help=helps[field.name])
    given = vars(parser.parse_args())
    model, output = given.pop("model"), given.pop("output")
    settings = Settings(**given)
    try:
        with checks.progress() as progress:
            name = render(model, output, settings, lambda done: progress("rendering", done))
    except (FormatError, OSError, ValueError) as error:
        sys.exit(f"animated_gltf: {error}")
    print(f"{output}: {settings.train} + {settings.val} + {settings.test} pictures of the animation '{name}'")


if __name__ == "__main__":
    main()
