"""Formats of scenes that change with time: 4DGaussians folders, SpacetimeGaussians .ply, .splatv, sequences."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from dynamic_scenes import HEADS, dynamic, polynomial, splats

from scenepress import dynamics
from scenepress.errors import FormatError, LossWarning
from scenepress.formats import dynamic_table, table
from scenepress.formats.gaussians4d import read_4dgaussians, write_4dgaussians
from scenepress.formats.ply import write_ply
from scenepress.formats.sequence import read_sequence, write_sequence
from scenepress.formats.spacetime import read_spacetime, write_spacetime
from scenepress.formats.splatv import read_splatv, write_splatv
from scenepress.scene import DynamicSplats, PolynomialSplats, Splats, SplatSequence

ARRAYS = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")


def assert_same_splats(a: Splats, b: Splats) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("torch")
    write_4dgaussians(dynamic(), tmp_path / "model")
    return tmp_path / "model"


def inner(model: Path) -> Path:
    return model / "point_cloud/iteration_20000"


class Test4DGaussians:
    @pytest.mark.parametrize("heads", [tuple(HEADS), ("position", "scale", "rotation"), ("opacity",), ()])
    @pytest.mark.parametrize("options", [{}, {"depth": 2, "scales": (1, 2, 4)}])
    def test_what_is_written_is_read(
        self, tmp_path: Path, heads: tuple[str, ...], options: dict[str, object]
    ) -> None:
        pytest.importorskip("torch")
        scene = dynamic(heads=heads, **options)
        write_4dgaussians(scene, tmp_path / "model", 14)
        assert dynamic_table.identify(tmp_path / "model") is dynamic_table.by_name("4DGaussians folder")
        for path in (tmp_path / "model", tmp_path / "model/point_cloud/iteration_14"):
            found = dynamic_table.read(path)
            assert isinstance(found, DynamicSplats)
            assert_same_splats(found.canonical, scene.canonical)
            assert tuple(found.deformation.heads) == tuple(scene.deformation.heads)
            assert_same_splats(dynamics.at(found, 0.3), dynamics.at(scene, 0.3))

    def test_the_trainer_finds_what_it_needs(self, model: Path) -> None:
        torch = pytest.importorskip("torch")
        state = torch.load(inner(model) / "deformation.pth", weights_only=True)
        net = "deformation_net."
        shapes = {name: list(tensor.shape) for name, tensor in state.items()}
        assert shapes[f"{net}grid.grids.1.2"] == [1, 4, 5, 16]
        assert shapes[f"{net}feature_out.0.weight"] == [16, 8]
        assert shapes[f"{net}shs_deform.3.weight"] == [48, 16]
        assert shapes["timenet.0.weight"] == [64, 9]
        assert shapes["pos_poc"] == [10]
        assert len(table.read(inner(model) / "point_cloud.ply")) == 300
        assert torch.load(inner(model) / "deformation_table.pth", weights_only=True).all()
        text = (model / "cfg_args").read_text()
        assert "'resolution': [8, 7, 6, 5]" in text
        assert "multires=[1, 2]" in text

    def test_the_last_iteration_is_read(self, model: Path) -> None:
        newer = model / "point_cloud/iteration_30000"
        write_4dgaussians(dynamic(40), model.parent / "other", 30_000)
        (model.parent / "other/point_cloud/iteration_30000").rename(newer)
        assert len(read_4dgaussians(model)) == 40
        assert len(read_4dgaussians(inner(model))) == 300

    def test_without_settings_the_trainer_s_defaults_hold(self, model: Path) -> None:
        (model / "cfg_args").unlink()
        with pytest.warns(LossWarning, match="no cfg_args"):
            found = read_4dgaussians(model)
        assert list(found.deformation.heads) == ["position", "scale", "rotation"]

    def test_settings_turn_heads_off_and_are_never_run(self, model: Path) -> None:
        (model / "cfg_args").write_text("Namespace(no_ds=True, no_do=False, x=__import__('os').abort(), b=[1, 2])")
        assert list(read_4dgaussians(model).deformation.heads) == ["position", "rotation", "opacity"]

    @pytest.mark.parametrize("text", ["Namespace(", "1 + 1", "\0", "(" * 5000, "Namespace(static_mlp=True)"])
    def test_bad_settings_are_refused(self, model: Path, text: str) -> None:
        (model / "cfg_args").write_text(text)
        with pytest.raises(FormatError, match=r"cfg_args|static_mlp"):
            read_4dgaussians(model)

    def test_lower_sh_degrees(self, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        scene = dynamic(20, heads=("position",))
        scene = dataclasses.replace(scene, canonical=splats(20, coefficients=3))
        write_4dgaussians(scene, tmp_path / "model")
        found = read_4dgaussians(tmp_path / "model")
        np.testing.assert_array_equal(found.canonical.shN[:, :3], scene.canonical.shN)
        assert not found.canonical.shN[:, 3:].any()

    @pytest.mark.parametrize("change", [
        {"deformation_net.grid.aabb": None}, {"deformation_net.pos_deform.3.bias": None},
        {"deformation_net.grid.grids.0.4": None}, {"deformation_net.feature_out.0.weight": None},
        {"deformation_net.pos_deform.1.weight": (16, 15)}, {"deformation_net.grid.grids.0.0": (1, 4, 7, 9)},
        {"deformation_net.grid.grids.0.0": (4, 7, 8)}, {"deformation_net.rotations_deform.3.weight": (3, 16)},
        {"deformation_net.feature_out.0.weight": (16, 9)}, {"deformation_net.grid.grids.1.0": (1, 0, 14, 16)},
        {"deformation_net.shs_deform.3.weight": (47, 16), "deformation_net.shs_deform.3.bias": (47,)},
    ])  # fmt: skip
    def test_missing_tensors_and_other_shapes(
        self, model: Path, change: dict[str, tuple[int, ...] | None]
    ) -> None:
        torch = pytest.importorskip("torch")
        path = inner(model) / "deformation.pth"
        state = torch.load(path, weights_only=True)
        for name, shape in change.items():
            state.pop(name)
            if shape is not None:
                state[name] = torch.ones(shape)
        torch.save(state, path)
        with pytest.raises(FormatError, match=r"deformation\.pth"):
            read_4dgaussians(model)

    def test_what_is_not_a_model(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(FormatError, match="neither"):
            read_4dgaussians(tmp_path / "empty")
        with pytest.raises(FormatError, match="not a folder"):
            read_4dgaussians(model / "cfg_args")
        inner(model).rename(model / "point_cloud/coarse_iteration_3000")
        with pytest.raises(FormatError, match="coarse"):
            read_4dgaussians(model / "point_cloud/coarse_iteration_3000")

    def test_a_missing_cloud_is_named(self, model: Path) -> None:
        (inner(model) / "point_cloud.ply").unlink()
        with pytest.raises(FormatError, match=r"point_cloud\.ply is missing"):
            read_4dgaussians(model)

    def test_damaged_weights(self, model: Path) -> None:
        path = inner(model) / "deformation.pth"
        data = path.read_bytes()
        rng = np.random.default_rng(1)
        for _ in range(60):
            damaged = bytearray(data)
            for at in rng.integers(0, len(data), rng.integers(1, 5)):
                damaged[at] ^= 1 << rng.integers(8)
            path.write_bytes(damaged[: rng.integers(1, len(data))] if rng.random() < 0.3 else damaged)
            with contextlib.suppress(FormatError):
                read_4dgaussians(model)

    def test_code_in_a_pickle_does_not_run(self, model: Path, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch")

        class Evil:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.mkdir, (str(tmp_path / "ran"),)

        torch.save({"deformation_net.grid.aabb": Evil()}, inner(model) / "deformation.pth")
        with pytest.raises(FormatError):
            read_4dgaussians(model)
        assert not (tmp_path / "ran").exists()

    def test_other_axes_are_refused(self, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        scene = dynamic(5)
        turned = dataclasses.replace(scene, canonical=dataclasses.replace(scene.canonical, axes="RUB"))
        with pytest.raises(FormatError, match="RUB"):
            write_4dgaussians(turned, tmp_path / "model")
        assert not (tmp_path / "model").exists()


class TestSpacetime:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        scene = polynomial()
        write_spacetime(scene, tmp_path / "a.ply")
        assert dynamic_table.identify(tmp_path / "a.ply") is dynamic_table.by_name("SpacetimeGaussians ply")
        found = read_spacetime(tmp_path / "a.ply")
        for name in ("motion", "spin", "center", "log_duration"):
            np.testing.assert_array_equal(getattr(found, name), getattr(scene, name))
        for name in ("means", "quats", "log_scales", "opacity_logits"):
            np.testing.assert_array_equal(getattr(found.splats, name), getattr(scene.splats, name))
        np.testing.assert_allclose(found.splats.sh0, scene.splats.sh0, atol=1e-6)

    def test_colours_are_not_coefficients(self, tmp_path: Path) -> None:
        scene = polynomial(4)
        white = dataclasses.replace(scene.splats, sh0=np.full((4, 3), 0.5 / 0.28209479177387814, np.float32))
        write_spacetime(dataclasses.replace(scene, splats=white), tmp_path / "a.ply")
        assert b"f_dc_2" in (tmp_path / "a.ply").read_bytes()
        row = np.frombuffer((tmp_path / "a.ply").read_bytes().partition(b"end_header\n")[2], "<f4")
        np.testing.assert_allclose(row[17:20], 1, atol=1e-6)

    def test_the_full_model_and_others_are_refused(self, tmp_path: Path) -> None:
        write_spacetime(polynomial(4), tmp_path / "a.ply")
        data = (tmp_path / "a.ply").read_bytes()
        (tmp_path / "full.ply").write_bytes(data.replace(b"property float nz", b"property float f_dc_3"))
        with pytest.raises(FormatError, match="full model"):
            read_spacetime(tmp_path / "full.ply")
        (tmp_path / "less.ply").write_bytes(data.replace(b"omega_2", b"omega_9"))
        with pytest.raises(FormatError, match="omega_2"):
            read_spacetime(tmp_path / "less.ply")
        for cut in (10, 200, len(data) - 1):
            (tmp_path / "cut.ply").write_bytes(data[:cut])
            with pytest.raises(FormatError):
                read_spacetime(tmp_path / "cut.ply")

    def test_a_static_ply_is_none(self, tmp_path: Path) -> None:
        write_ply(splats(3), tmp_path / "a.ply")
        assert dynamic_table.identify(tmp_path / "a.ply") is None
        with pytest.raises(FormatError, match="known are"):
            dynamic_table.read(tmp_path / "a.ply")


class TestSplatv:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        scene = polynomial(300)
        write_splatv(scene, tmp_path / "a.splatv")
        found = dynamic_table.read(tmp_path / "a.splatv")
        assert isinstance(found, PolynomialSplats)
        assert len(found) == 300
        order = np.lexsort(found.splats.means.T)
        expected = np.lexsort(scene.splats.means.T)
        np.testing.assert_array_equal(found.splats.means[order], scene.splats.means[expected])
        for name in ("motion", "spin", "center", "log_duration"):
            a, b = getattr(found, name)[order], getattr(scene, name)[expected]
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)
        for name in ("quats", "log_scales"):
            a, b = getattr(found.splats, name)[order], getattr(scene.splats, name)[expected]
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)

    def test_damage_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.splatv"
        write_splatv(polynomial(5), path)
        data = path.read_bytes()
        length = int.from_bytes(data[4:8], "little")
        text = json.loads(data[8 : 8 + length])
        cases = [data[:3], data[:8], data[:40], data[:-1], b"\0" + data[1:], data[:4] + b"\xff" * 4 + data[8:]]
        for change in ({"size": -1}, {"size": 65}, {"size": 2**40}, {"size": "x"}, {"type": "magic"}):
            new = json.dumps([text[0] | change]).encode()
            cases.append(data[:4] + len(new).to_bytes(4, "little") + new + data[8 + length :])
        for new in (b"[", b"{}", b"[]", b"[1]", b"[[" * 4000):
            cases.append(data[:4] + len(new).to_bytes(4, "little") + new + data[8 + length :])
        for case in cases:
            path.write_bytes(case)
            with pytest.raises(FormatError, match=r"a\.splatv"):
                read_splatv(path)


class TestSequence:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        scene = dynamic(50)
        seen: list[float] = []
        write_sequence(dynamics.sampled(scene, 12), tmp_path / "frames", progress=seen.append)
        assert seen[-1] == 1
        found = dynamic_table.read(tmp_path / "frames")
        assert isinstance(found, SplatSequence)
        assert len(found) == 12
        for number, time in enumerate(found.times):
            assert_same_splats(dynamics.at(found, float(time)), dynamics.at(scene, number / 11))
        assert len(found.frames[2:5]) == 3

    def test_frames_come_in_the_order_of_their_numbers(self, tmp_path: Path) -> None:
        for number in (10, 9, 100):
            write_ply(splats(number), tmp_path / f"frame{number}.ply")
        (tmp_path / "notes.txt").write_text("")
        table.write(splats(3, coefficients=0), tmp_path / "preview.splat")
        found = read_sequence(tmp_path)
        assert [len(frame) for frame in found.frames] == [9, 10, 100]

    def test_a_damaged_frame_is_named_when_it_is_asked_for(self, tmp_path: Path) -> None:
        for number in range(3):
            write_ply(splats(5), tmp_path / f"{number}.ply")
        (tmp_path / "1.ply").write_bytes(b"ply\n")
        found = read_sequence(tmp_path)
        assert len(dynamics.at(found, 0)) == len(dynamics.at(found, 1)) == 5
        with pytest.raises(FormatError, match=r"1\.ply"):
            dynamics.at(found, 0.5)

    def test_too_few_frames(self, tmp_path: Path) -> None:
        write_ply(splats(5), tmp_path / "0.ply")
        for name in ("ckpt_1.pt", "ckpt_2.pt"):
            (tmp_path / name).write_bytes(b"")
        assert dynamic_table.identify(tmp_path) is None
        with pytest.raises(FormatError, match="0 scenes"):
            read_sequence(tmp_path)
        with pytest.raises(ValueError, match="1 frames"):
            write_sequence(dynamics.sampled(dynamic(5), 1), tmp_path / "out")
        with pytest.raises(ValueError, match="cannot write"):
            write_sequence(dynamics.sampled(dynamic(5), 3), tmp_path / "out", ".ksplat")
        assert not (tmp_path / "out").exists()
