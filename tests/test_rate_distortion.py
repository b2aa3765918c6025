"""The rate-distortion study: rows, table and plots; going on where it was; what is left out."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from splat_scenes import random_splats

from pipelines import measuring, rate_distortion, study_codecs, study_report
from pipelines.study_codecs import Outcome, Task
from scenepress import quality
from scenepress.cameras import look_at
from scenepress.formats import table
from scenepress.render import rasterize
from scenepress.scene import Camera

COUNT = 60


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Encode in this process, by two codecs of ours and one peer; returns what was made."""
    made: list[str] = []

    def run(task: Task, source: Path, cameras: list[Camera], file: Path) -> Outcome:
        made.append(f"{task.codec} {task.setting}".strip())
        study_codecs.write(task, table.read(source), cameras, file)
        return Outcome(1.0, 0.5, 1000, 2000)

    presets = {name: study_codecs.PRESETS[name] for name in ("tiny", "high")}
    missing = [study_codecs.Missing("ksplat", "no writer")]
    peers = [Task("spz v4", "", "spz 4", suffix=".spz")]
    monkeypatch.setattr(study_codecs, "PRESETS", presets | {"balanced": study_codecs.PRESETS["balanced"]})
    monkeypatch.setattr(study_codecs, "run", run)
    monkeypatch.setattr(study_codecs, "peer_tasks", lambda _path, _splats: (peers, missing))
    monkeypatch.setattr(study_codecs, "training_backend", lambda: "cpu")
    monkeypatch.setattr(measuring, "commit", lambda: "abc")
    monkeypatch.setattr("pipelines.study_scenes.VIEWS", 1)
    monkeypatch.setattr("pipelines.study_scenes.WIDTH", 48)
    return made


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "cloud.ply"
    table.write(random_splats(COUNT, 3), path)
    return path


def photographs(scene: Path, folder: Path) -> Path:
    """Renders of the scene from four sides, as a COLMAP model and pictures beside it."""
    from PIL import Image

    lines, side = [], 64
    folder.mkdir()
    for k, eye in enumerate(((0, 0, -20), (20, 0, 0.1), (-20, 0, 0.1), (0, 0.1, 20))):
        camera = look_at(eye, (0, 0, 0), (0, -1, 0), width=side, height=side, fov=0.8)
        image = rasterize(table.read(scene), camera).color.clip(0, 1)
        Image.fromarray(quality.to_8bit(image)).save(folder / f"{k}.png")
        pose = camera.world_to_camera
        lines.append({"id": k, "img_name": f"{k}.png", "width": side, "height": side, "fx": camera.fx,
                      "fy": camera.fy, "rotation": pose[:3, :3].T.tolist(),
                      "position": (-pose[:3, :3].T @ pose[:3, 3]).tolist()})  # fmt: skip
    (folder / "cameras.json").write_text(json.dumps(lines))
    return folder


def test_a_study_writes_rows_table_and_plots_and_goes_on_where_it_was(
    tmp_path: Path, scene: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [str(tmp_path), "-o", str(out), "--psnr", "33"]
    assert rate_distortion.main(command) == 0
    assert quick == [f"scenepress {x}" for x in ("tiny", "psnr 33", "balanced", "high")] + ["spz v4"]
    rows, left_out = study_report.load(out / "rows.jsonl")
    assert [(row.codec, row.setting) for row in rows[-2:]] == [("scenepress", "high"), ("spz v4", "")]
    assert all(row.splats == COUNT and row.raw_bytes == scene.stat().st_size and row.psnr for row in rows)
    assert (left_out[0].codec, left_out[0].reason) == ("ksplat", "no writer")
    text = (out / "README.md").read_text()
    assert "ksplat: no writer" in text
    assert text.count("| scenepress |") == 4
    assert "cloud-source.svg" in text
    assert ElementTree.parse(out / "cloud-source.svg").getroot().tag.endswith("svg")

    kept = (out / "rows.jsonl").read_text().splitlines(True)[:-2]  # As if stopped before the last row.
    (out / "rows.jsonl").write_text("".join(kept))
    quick.clear()
    assert rate_distortion.main(command) == 0
    assert quick == ["spz v4"]
    assert "kept" in capsys.readouterr().out
    assert len(study_report.load(out / "rows.jsonl")[0]) == 5


@pytest.mark.filterwarnings("ignore::scenepress.errors.LossWarning")
def test_distilled_files_stand_beside_others_of_their_size(
    tmp_path: Path, scene: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    usual = [str(scene), "-o", str(out), "--psnr"]
    assert rate_distortion.main(usual) == 0
    before = (out / "README.md").read_text()
    assert "istill" not in before
    quick.clear()

    command = [*usual, "--distill", "3", "--distill-shares", "4.5,80"]
    assert rate_distortion.main(command) == 0, "a size that cannot be had is no fault of the encoder"
    tried = ["scenepress 1/4.5", "scenepress 1/80"]
    assert quick == tried + [f"scenepress, distilled {name.split()[1]}, 3 steps" for name in tried]
    rows, left_out = study_report.load(out / "rows.jsonl")
    plain, distilled = rows[-2:]
    assert (plain.codec, plain.setting) == ("scenepress", "1/4.5")
    assert (distilled.codec, distilled.setting) == ("scenepress, distilled", "1/4.5, 3 steps")
    for row in (plain, distilled):
        assert row.bytes <= scene.stat().st_size / 4.5
        assert not row.peer
    assert [item.codec for item in left_out if "1/80" in item.reason] == ["scenepress", "scenepress, distilled"]
    text = (out / "README.md").read_text()
    assert "## Distillation" in text
    assert f"| cloud | 1/4.5, 3 steps | {plain.bytes:,} | {distilled.bytes:,} |" in text
    assert "too few for this scene" in text
    assert "scenepress, distilled" in (out / "cloud-source.svg").read_text()

    quick.clear()
    assert rate_distortion.main([*command[:-1], "4.5"]) == 0
    assert not quick, "all rows are there"
    assert rate_distortion.main([*command[:-3], "2", "--distill-shares", "4.5"]) == 0
    assert quick == ["scenepress, distilled 1/4.5, 2 steps"]


def test_shares_without_sense_are_bad_usage(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(scene), "-o", "out"]
    for words in (["--distill-shares", "80"], ["--distill", "5", "--distill-shares", "80,x"],
                  ["--distill", "5", "--distill-shares", "0.5"], ["--distill", "0"]):  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            rate_distortion.main([*command, *words])
        assert stop.value.code == 2
        assert "--distill" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::scenepress.errors.LossWarning")
def test_held_out_photographs_judge_and_the_others_guide(tmp_path: Path, scene: Path, quick: list[str]) -> None:
    cameras = photographs(scene, tmp_path / "photographs")
    out = tmp_path / "out"
    command = [str(scene), "-o", str(out), "--cameras", f"cloud={cameras}", "--hold-out", "2", "--psnr"]
    command += ["--distill", "2", "--distill-shares", "4"]
    assert rate_distortion.main(command) == 0
    rows, _ = study_report.load(out / "rows.jsonl")
    assert rows[0].source_photo_psnr is not None
    assert rows[0].source_photo_psnr > 50, "the photographs are the scene's own renders, in 8 bits"
    assert all(row.loss is not None and row.loss > 0 for row in rows)
    assert [row.codec for row in rows].count("scenepress, no cameras") == 3
    text = (out / "README.md").read_text()
    assert "## Targets" in text
    assert "| cloud | scenepress |" in text
    assert "| cloud | scenepress, distilled |" not in text, "the target is training-free"
    assert [row.loss is not None for row in rows if row.codec == study_report.DISTILLED] == [True]
    assert (out / "cloud-photographs.svg").is_file()


def test_what_cannot_be_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.ply"
    bad.write_bytes(b"ply\nnot really")
    for command in (
        [str(bad), "-o", str(tmp_path / "out")],
        [str(tmp_path / "none.ply"), "-o", str(tmp_path / "out")],
        [str(bad), "-o", str(tmp_path / "out"), "--scenes", "other"],
    ):
        assert rate_distortion.main(command) == 1
        said = capsys.readouterr().err
        assert said.startswith("rate_distortion: error: ")
        assert said.count("\n") == 1


def test_missing_peers_are_named_with_the_reason(
    scene: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(study_codecs, "ORACLE", tmp_path / "nowhere")
    tasks, missing = study_codecs.peer_tasks(scene, table.read(scene))
    assert [task.codec for task in tasks] == ["spz v3", "spz v4", "compressed.ply"]
    assert all(item.reason for item in missing)
    assert {"sog (splat-transform)", "ksplat", "gsplat PngCompression"} <= {item.codec for item in missing}


@pytest.mark.parametrize("distilled", [False, True])
def test_an_encoding_runs_in_a_process_of_its_own(scene: Path, tmp_path: Path, distilled: bool) -> None:
    sized = study_codecs.sized_tasks(scene.stat().st_size, [4], 2, False)
    task = sized[-1] if distilled else Task("spz v4", "", "spz 4", suffix=".spz")
    copy = tmp_path / f"copy{task.suffix}"
    outcome = study_codecs.run(task, scene, [], copy)
    assert outcome.encode_seconds is not None
    assert dataclasses.astuple(outcome) > (0, 0, 0, -1)
    assert 0 < len(study_codecs.decode(task, copy)) <= COUNT


def test_distilled_files_are_guided_by_cameras_and_name_what_trained_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for cameras in (False, True):
        assert {task.uses_cameras for task in study_codecs.sized_tasks(10_000, [10, 20], 5, cameras)} == {cameras}
    monkeypatch.setattr(study_codecs, "training_backend", lambda: "cuda")
    plain, distilled = study_codecs.sized_tasks(10_000, [10], 5, False)
    assert (plain.wanted, plain.distill, plain.setting) == (1000, None, "1/10")
    assert distilled.distill is not None
    assert (distilled.wanted, distilled.setting) == (1000, "1/10, 5 steps on cuda")
    assert distilled.distill.backend == "cuda"


def test_targets_are_told_honestly() -> None:
    assert study_report.judged([(10, 0.01), (40, 0.1), (50, 0.3)])[2] == "met"
    ratio, loss, result = study_report.judged([(10, 0.1), (20, 0.2), (40, 0.4)])
    assert (ratio, result) == ("20.0", "missed: 75% too many bytes")
    assert 0.2 < float(loss) < 0.4
    assert study_report.judged([(20, 0.3), (40, 0.5)])[2] == "missed: 0.300 dB lost even at 1/20.0"
    assert study_report.judged([(10, 0.1), (20, 0.1)])[2] == "no smaller file than 1/20.0 was tried"
