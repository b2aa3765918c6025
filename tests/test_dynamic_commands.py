"""The command line with scenes that change with time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from dynamic_scenes import polynomial, splats

from scenepress import cli, dynamics
from scenepress.formats import dynamic_table, table
from scenepress.formats.gaussians4d import write_4dgaussians
from scenepress.formats.sequence import write_sequence
from scenepress.formats.spacetime import write_spacetime
from tests.dynamic_scenes import dynamic


def run(*words: object) -> int:
    try:
        return cli.main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 99


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("dynamic")
    found = {name: folder / name for name in ("path.ply", "frames", "still.ply")}
    write_spacetime(polynomial(), found["path.ply"])
    write_sequence(dynamics.sampled(polynomial(), 4), found["frames"])
    table.write(splats(50), found["still.ply"])
    try:
        write_4dgaussians(dynamic(), folder / "model")
        found["model"] = folder / "model"
    except ModuleNotFoundError:
        pass
    return found


def test_inspect(paths: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", paths["path.ply"], "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["kind"] == "polynomial"
    assert said["count"] == 200
    assert said["format"] == "SpacetimeGaussians ply"
    assert run("inspect", paths["frames"]) == 0
    assert "frames" in capsys.readouterr().out
    assert run("inspect", paths["still.ply"], "--json") == 0
    assert json.loads(capsys.readouterr().out)["format"] == "ply"
    if "model" in paths:
        assert run("inspect", paths["model"], "--json") == 0
        said = json.loads(capsys.readouterr().out)
        assert said["planes"] == [[4, 8, 7, 6, 5], [4, 16, 14, 12, 5]]
        assert said["heads"] == ["position", "scale", "rotation", "opacity", "sh"]
        assert run("inspect", paths["model"]) == 0
        assert "4 x (16, 14, 12; 5)" in capsys.readouterr().out


def test_render_at_a_time(paths: dict[str, Path], tmp_path: Path) -> None:
    pictures = []
    for time in ("0.2", "0.8"):
        out = tmp_path / f"{time}.png"
        assert run("render", paths["path.ply"], "-o", out, "--size", 60, "--time", time) == 0
        pictures.append(np.asarray(PIL.Image.open(out)))
    assert pictures[0].shape[1] == 60
    assert (pictures[0] != pictures[1]).any()


def test_convert(paths: dict[str, Path], tmp_path: Path) -> None:
    scene = dynamic_table.read(paths["path.ply"])
    assert run("convert", paths["path.ply"], tmp_path / "now.ply", "--time", 0.5) == 0
    np.testing.assert_array_equal(table.read(tmp_path / "now.ply").means, dynamics.at(scene, 0.5).means)
    assert run("convert", paths["path.ply"], tmp_path / "out", "--frames", 3) == 0
    found = dynamic_table.read(tmp_path / "out")
    np.testing.assert_array_equal(dynamics.at(found, 1).means, dynamics.at(scene, 1).means)
    assert run("convert", paths["path.ply"], tmp_path / "a.splatv") == 0
    assert run("convert", tmp_path / "a.splatv", tmp_path / "b.ply") == 0
    assert dynamic_table.identify(tmp_path / "b.ply") is dynamic_table.by_name("SpacetimeGaussians ply")


def test_compare(paths: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--size", 40, "--views", 2, "--times", 3, "--json")
    assert run("compare", paths["path.ply"], paths["path.ply"], *words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["psnr"] is None
    assert [view["name"].rpartition(" ")[2] for view in said["views"]] == ["0.000", "0.500", "1.000"]
    assert run("compare", paths["path.ply"], paths["frames"], *words) == 0
    near = json.loads(capsys.readouterr().out)["psnr"]
    assert run("compare", paths["path.ply"], paths["still.ply"], *words) == 0
    assert near is None or near > json.loads(capsys.readouterr().out)["psnr"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("render", "path.ply", "-o", "x.png", "--time", 1.5), "0..1"),
        (("render", "still.ply", "-o", "x.png", "--time", 0.5), "does not change"),
        (("convert", "path.ply", "x.ply", "--time", 0.5, "--frames", 3), "one or the other"),
        (("convert", "path.ply", "x.spz"), "--time T"),
        (("convert", "frames", "x.splatv"), "--time T"),
        (("convert", "path.ply", "frames", "--frames", 3), "exists"),
        (("convert", "path.ply", "x", "--frames", 1), "2..65536"),
        (("convert", "still.ply", "x", "--frames", 3), "does not change"),
        (("compare", "still.ply", "still.ply", "--times", 3), "neither"),
    ],
)
def test_arguments_without_sense(
    paths: dict[str, Path], words: tuple[object, ...], message: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(*(paths.get(str(word), word) for word in words)) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
