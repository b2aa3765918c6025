"""The demonstration that `make demo` runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scenes import cloud

from pipelines import demo
from scenepress import api
from scenepress.formats import table


def test_the_demo_compresses_shows_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "cloud.ply", tmp_path / "out"
    table.write(cloud(400, sh_degree=1), source)
    assert (
        demo.main(
            [
                str(source),
                "-o",
                str(out),
                "--views",
                "1",
                "--width",
                "96",
                "--presets",
                "balanced",
                "tiny",
            ]
        )
        == 0
    )
    text = capsys.readouterr().out
    for word in (
        "bytes",
        "ratio",
        "PSNR",
        "SSIM",
        "encode s",
        "decode s",
        "splats/s",
        "balanced",
        "tiny",
    ):
        assert word in text
    twin = json.loads((out / "report.json").read_text())
    balanced, tiny = (
        next(p for p in twin["points"] if p["label"] == name) for name in ("balanced", "tiny")
    )
    assert twin["points"][0] == balanced
    assert balanced["bytes"] == (out / "cloud.press").stat().st_size > tiny["bytes"]
    assert f"{balanced['bytes']:,}" in text
    assert balanced["quality"]["psnr"] > tiny["quality"]["psnr"]
    found = api.inspect(out / "cloud.press")
    assert found.press is not None
    assert found.press.metadata.quality is not None
    assert len(table.read(out / "cloud.decoded.ply")) == found.count
    for image in ("source.png", "decoded.png"):
        assert (out / image).read_bytes().startswith(b"\x89PNG")
    assert not list(out.glob("peer*"))


def test_peers_are_measured_alike(tmp_path: Path) -> None:
    found = demo.peer(cloud(200, sh_degree=1), "spz", tmp_path)
    assert found.peer
    assert found.label == ".spz"
    assert len(found.decoded) == 200
    assert found.data
    assert list(tmp_path.iterdir()) == []


def test_a_scene_that_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.ply").write_bytes(b"nonsense")
    assert demo.main([str(tmp_path / "bad.ply"), "-o", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("demo: error: ")
    assert len(captured.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
