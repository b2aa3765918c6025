"""Checkpoints: both trainers', back in the cameras' world; nothing in them runs; damage named."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from splat_scenes import assert_same_bits, assert_truncation_is_refused, random_splats, rotation_error, sigmoid

from scenepress.errors import FormatError, LossWarning
from scenepress.formats import table
from scenepress.formats.checkpoint import read_checkpoint
from scenepress.scene import Splats
from scenepress.scene_ops import transform

torch = pytest.importorskip("torch")

IDENTITY = {"transform": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], "scale": 1.0}


def splatfacto(scene: Splats, run: Path, prefix: str = "_model.gauss_params.", step: int = 10) -> Path:
    tensors = {
        "means": scene.means,
        "scales": scene.log_scales,
        "quats": scene.quats,
        "features_dc": scene.sh0,
        "features_rest": scene.shN,
        "opacities": scene.opacity_logits[:, None],
    }
    pipeline = {prefix + k: torch.from_numpy(v.copy()) for k, v in tensors.items()}
    (run / "nerfstudio_models").mkdir(parents=True, exist_ok=True)
    path = run / "nerfstudio_models" / f"step-{step:09d}.ckpt"
    torch.save({"step": step, "pipeline": pipeline, "optimizers": {"lr": 0.1}}, path)
    (run / "dataparser_transforms.json").write_text(json.dumps(IDENTITY))
    return path


def gsplat(scene: Splats, path: Path) -> Path:
    tensors = {
        "means": scene.means,
        "scales": scene.log_scales,
        "quats": scene.quats,
        "sh0": scene.sh0[:, None],
        "shN": scene.shN,
        "opacities": scene.opacity_logits,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    splats = {k: torch.nn.Parameter(torch.from_numpy(v.copy())) for k, v in tensors.items()}
    torch.save({"step": 1, "splats": splats}, path)
    return path


@pytest.mark.parametrize("prefix", ["_model.gauss_params.", "_model."])
@pytest.mark.parametrize("degree", [1, 3])
def test_splatfacto(tmp_path: Path, prefix: str, degree: int) -> None:
    scene = random_splats(20, degree)
    path = splatfacto(scene, tmp_path, prefix)
    assert_same_bits(read_checkpoint(path), scene)
    splatfacto(random_splats(5, degree), tmp_path, prefix, step=9)
    assert_same_bits(table.read(tmp_path), scene)  # The latest.
    (tmp_path / "config.yml").write_text("a: !!python/object:os.system\n    rasterize_mode: antialiased\n")
    assert table.read(tmp_path).antialiased


def test_splatfacto_without_sh_stores_logits_of_colours(tmp_path: Path) -> None:
    scene = random_splats(20, 0)
    got = read_checkpoint(splatfacto(scene, tmp_path))
    np.testing.assert_allclose(got.sh0 * 0.28209479 + 0.5, sigmoid(scene.sh0), atol=1e-6)


def test_dataparser_transform_is_undone(tmp_path: Path) -> None:
    scene = random_splats(20, 3)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    shift = np.array([1.0, -2, 3])
    moved = transform(scene, turn, 0.25 * shift, 0.25)
    path = splatfacto(moved, tmp_path)
    matrix = np.concatenate([turn, shift[:, None]], axis=1).tolist()
    (tmp_path / "dataparser_transforms.json").write_text(json.dumps({"transform": matrix, "scale": 0.25}))
    got = read_checkpoint(path)
    for name in ("means", "log_scales", "shN", "sh0", "opacity_logits"):
        np.testing.assert_allclose(getattr(got, name), getattr(scene, name), atol=2e-5)
    assert rotation_error(got, scene) < 1e-5
    for bad in ("[]", "{}", '{"transform": [[1]], "scale": 1}', '{"transform": null, "scale": null}', "x"):
        (tmp_path / "dataparser_transforms.json").write_text(bad)
        with pytest.raises(FormatError, match="dataparser_transforms"):
            read_checkpoint(path)
    (tmp_path / "dataparser_transforms.json").unlink()
    with pytest.warns(LossWarning, match="is missing"):
        assert_same_bits(read_checkpoint(path), moved)


def test_gsplat(tmp_path: Path) -> None:
    scene = random_splats(20, 3)
    path = gsplat(scene, tmp_path / "ckpts" / "ckpt_29999_rank0.pt")
    assert_same_bits(table.read(path), scene)
    (tmp_path / "cfg.yml").write_text("absgrad: false\nantialiased: true\n")
    assert table.read(tmp_path).antialiased
    gsplat(scene, tmp_path / "ckpts" / "ckpt_29999_rank1.pt")
    with pytest.warns(LossWarning, match="several GPUs"):
        table.read(path)


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_nothing_in_a_checkpoint_runs(tmp_path: Path) -> None:
    torch.save({"splats": Evil(tmp_path / "ran")}, tmp_path / "a.pt")
    with pytest.raises(FormatError, match=r"not a checkpoint of tensors and plain containers: .*system") as caught:
        read_checkpoint(tmp_path / "a.pt")
    assert "weights_only" not in str(caught.value)  # Torch's advice would run it.
    (tmp_path / "b.pt").write_bytes(pickle.dumps({"splats": Evil(tmp_path / "ran")}))
    with pytest.raises(FormatError, match=r"1\.6 or later"):
        read_checkpoint(tmp_path / "b.pt")
    assert not (tmp_path / "ran").exists()


def test_wrong_content_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    good = torch.load(gsplat(random_splats(4, 1), path), weights_only=True)["splats"]
    cases: list[tuple[object, str]] = [
        ({"other": 1}, "neither"),
        ([1, 2], "holds a list"),
        ({"pipeline": {"_model.field": torch.zeros(1)}}, "another model"),
        ({"splats": {k: v for k, v in good.items() if k != "quats"}}, "without quats"),
        ({"splats": {**good, "means": torch.zeros(4, 2)}}, "'means' is"),
        ({"splats": {**good, "means": torch.zeros(5, 3)}}, "differ in length"),
        ({"splats": {**good, "means": torch.zeros(4, 3, dtype=torch.int64)}}, "'means' is"),
        ({"splats": {**good, "means": torch.zeros(4, 3).to_sparse()}}, "no tensor"),
        ({"splats": {**good, "shN": torch.zeros(4, 5, 3)}}, "5 SH coefficients"),
        ({"splats": {**good, "means": torch.zeros(1).expand(10**9, 3)}}, "repeats its values"),
    ]
    for content, why in cases:
        torch.save(content, path)
        with pytest.raises(FormatError, match=why):
            read_checkpoint(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="folder without"):
        table.read(tmp_path / "empty")


def test_truncation_and_bombs(tmp_path: Path) -> None:
    data = gsplat(random_splats(4, 1), tmp_path / "a.pt").read_bytes()
    assert_truncation_is_refused(read_checkpoint, data, tmp_path / "b.pt", limit=30)
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as source,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(FormatError, match="compressed or overlap"):
        read_checkpoint(tmp_path / "b.pt")
