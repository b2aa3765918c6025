"""Data sets of animated glTF models: the layout, cameras that see what the pictures show, and errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from scenepress import moving_photographs
from scenepress.errors import FormatError
from scenepress.pipelines import animated_gltf
from scenepress.pipelines.animated_gltf import Settings, frames_of

FOX = Path(__file__).resolve().parents[2] / "shared/data/dynamic/fox/Fox.gltf"
BROWSER = any(map(shutil.which, animated_gltf.BROWSERS)) and shutil.which("node")
pytestmark = pytest.mark.xdist_group("browser")
needs_renderer = pytest.mark.skipif(
    not FOX.is_file() or not BROWSER or not (animated_gltf.RENDERER / "node_modules").is_dir(),
    reason="needs ../shared, Node, Chromium, and npm ci --prefix pipelines/gltf_renderer",
)


def test_every_training_picture_has_a_time_and_place_of_its_own() -> None:
    parts = frames_of(Settings(train=50, test=9))
    times = [time for _, _, time in parts["train"]]
    assert times[0] == 0
    assert times[-1] == 1
    assert not set(times) & {time for _, _, time in parts["test"]}
    places = np.array([matrix[:3, 3] for _, matrix, _ in parts["train"]])
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), animated_gltf.DISTANCE)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 10 * np.eye(50)
    assert apart.min() > 0.2
    for _, matrix, _ in parts["test"]:
        np.testing.assert_allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3), atol=1e-12)
        np.testing.assert_allclose(matrix[:3, 2] * animated_gltf.DISTANCE, matrix[:3, 3], atol=1e-9)  # z is back.


@needs_renderer
def test_a_data_set(tmp_path: Path) -> None:
    seen: list[float] = []
    settings = Settings(width=96, height=64, train=5, val=1, test=2, animation="Run")
    assert animated_gltf.render(FOX, tmp_path / "fox", settings, seen.append) == "Run"
    assert seen[-1] == 1
    assert len(json.loads((tmp_path / "fox/transforms_val.json").read_text())["frames"]) == 1
    pictures = []
    for shot in moving_photographs.find(tmp_path / "fox", "train"):
        picture = np.asarray(PIL.Image.open(shot.image))
        assert picture.shape == (64, 96, 4)
        assert (shot.camera.width, shot.camera.height) == (96, 64)
        covered = picture[:, :, 3] > 128
        assert 0.01 < covered.mean() < 0.6
        # The model's box is around the origin, and the cameras look at it.
        rows, columns = np.nonzero(covered)
        assert abs(columns.mean() - 48) < 24
        assert abs(rows.mean() - 32) < 20
        red, green, blue = picture[covered][:, :3].mean(axis=0)
        assert red > green > blue  # A fox.
        pictures.append(picture)
    assert (pictures[0] != pictures[1]).any()


@needs_renderer
def test_models_that_cannot_be_rendered(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no animation Swim; there are 'Survey', 'Walk', 'Run'"):
        animated_gltf.render(FOX, tmp_path / "out", Settings(animation="Swim"))
    (tmp_path / "a.glb").write_bytes(b"glTF" + bytes(40))
    with pytest.raises(FormatError, match=r"a\.glb"):
        animated_gltf.render(tmp_path / "a.glb", tmp_path / "out", Settings())
    with pytest.raises(FormatError, match="no such file"):
        animated_gltf.render(tmp_path / "b.glb", tmp_path / "out", Settings())
    assert not (tmp_path / "out").exists()
