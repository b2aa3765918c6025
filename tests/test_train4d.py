"""Training of scenes that move: the field's gradients, that it learns, goes on where it stopped, and its input."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from dynamic_scenes import dynamic

from scenepress import cli, dynamics, moving_photographs, photographs, quality
from scenepress.cameras import look_at
from scenepress.codecs import field as field_codec
from scenepress.codecs.field import GridSettings
from scenepress.errors import FormatError, TrainingError
from scenepress.formats.gaussians4d import read_4dgaussians
from scenepress.kernels import deformation as kernels
from scenepress.learned import coded, field, initial, state4d
from scenepress.learned.coded import Coding
from scenepress.learned.field import FieldSettings, Roughness
from scenepress.learned.train import TrainSettings, View
from scenepress.learned.train4d import State4d, Train4dSettings, train_4d, tune
from scenepress.render import rasterize
from scenepress.scene import PLANE_AXES, Camera, DynamicSplats, Splats
from scenepress.stages import hexplane

SIDE, VIEWS = 48, 24
SMALL = FieldSettings(channels=4, resolution=(8, 8, 8), times=6, scales=(1, 2), width=16)
COMMON = {"max_splats": 300, "sh_degree": 0, "densify_from": 1000, "background": (1.0, 1.0, 1.0)}


def settings(coarse: int = 10, fine: int = 200) -> Train4dSettings:
    return Train4dSettings(
        TrainSettings(steps=coarse, **COMMON), TrainSettings(steps=fine, **COMMON), SMALL,
        planes_rate=0.1, networks_rate=1e-2,
    )  # fmt: skip


def ball(time: float) -> Splats:
    """A coloured ball that moves sideways."""
    points = np.random.default_rng(7).normal(size=(120, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    splats = initial.splats_at(0.5 * points, 0.5 + 0.5 * np.sin(3 * points))
    moved = splats.means + np.array([1.2 * time - 0.6, 0, 0], np.float32)
    return dataclasses.replace(splats, means=moved, opacity_logits=np.full(120, 3, np.float32))


def camera(number: int) -> Camera:
    angle = 2.4 * number
    eye = (4 * np.sin(angle), np.sin(2 * angle), 4 * np.cos(angle))
    return look_at(eye, (0, 0, 0), (0, -1, 0), width=SIDE, height=SIDE, fx=60.0, name=f"r_{number:03}")


def views(count: int = VIEWS, first: int = 0) -> list[View]:
    out = []
    for k in range(count):
        time = k / (count - 1)
        color = rasterize(ball(time), camera(first + k), background=(1, 1, 1)).color
        out.append(View(camera(first + k), quality.to_8bit(color), None, time))
    return out


def start() -> Splats:
    """The ball in the middle of its way."""
    return ball(0.5)


def psnr(scene: DynamicSplats | Splats, among: list[View]) -> float:
    errors = []
    for view in among:
        now = dynamics.at(scene, view.time) if isinstance(scene, DynamicSplats) else scene
        shown = np.clip(rasterize(now, view.camera, background=(1, 1, 1)).color, 0, 1, dtype=np.float32)
        errors.append(quality.mse(view.image.astype(np.float32) / np.float32(255), shown))
    return quality.decibels(float(np.mean(errors)))


def test_a_new_field_moves_nothing() -> None:
    means = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    state = field.begin(means, SMALL, 0)
    moved = dynamics.offsets(field.deformation_of(state), means, 0.5)
    assert all(not values.any() for values in moved.values())
    inside = (means < state.flat.bounds[0]) & (means > state.flat.bounds[1])
    assert inside.mean() > 0.95


def test_offsets_are_those_of_the_scene() -> None:
    random = np.random.default_rng(1)
    means = random.normal(size=(50, 3)).astype(np.float32)
    shape = FieldSettings(4, (8, 7, 6), 5, (1, 2), 16, 2, ("opacity", "position"))
    state = field.begin(means, shape, 3)
    noise = 0.1 * random.normal(size=state.flat.weights.shape)
    state.flat.weights[:] += noise.astype(np.float32)
    found = field.split(state, kernels.deform_flat(state.flat, means, 0.7))
    expected = dynamics.offsets(field.deformation_of(state), means, 0.7)
    assert list(found) == list(expected) == ["position", "opacity"]
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_roughness_is_the_slope_of_what_is_added_to_the_loss() -> None:
    shape = FieldSettings(2, (5, 4, 3), 6, (1,), 4)
    state = field.begin(np.ones((4, 3), np.float32), shape, 0)
    state.flat.planes[:] += np.random.default_rng(2).normal(size=state.flat.planes.shape).astype(np.float32)

    def added(planes: np.ndarray) -> float:
        total = 0.0
        (level,) = kernels.unflat(state.flat._replace(planes=planes)).planes
        for plane, (_, second) in zip(level, PLANE_AXES, strict=True):
            bend = plane[:, 2:] - 2 * plane[:, 1:-1] + plane[:, :-2]
            total += (0.3 if second == 3 else 0.4) * (bend**2).mean() if bend.size else 0
            total += 0.2 * np.abs(plane - 1).mean() if second == 3 else 0
        return float(total)

    slope = np.zeros_like(state.flat.planes)
    field.add_roughness(state, Roughness(0.2, 0.15, 0.1), 2, slope)
    planes = state.flat.planes.astype(np.float64)
    for at in range(0, planes.size, 17):
        step = np.zeros_like(planes)
        step[at] = 1e-6
        measured = (added(planes + step) - added(planes - step)) / 2e-6
        assert slope[at] == pytest.approx(measured, rel=1e-3, abs=1e-5)


def test_it_learns_to_move() -> None:
    held = views(6, 100)
    found = train_4d(views(), start(), settings())
    still = train_4d(views(), start(), settings(10, 1)).canonical
    assert psnr(found, held) > psnr(still, held) + 6
    moved = np.abs(dynamics.at(found, 1.0).means[:, 0] - dynamics.at(found, 0.0).means[:, 0])
    assert np.median(moved) > 0.3


def test_a_scene_is_trained_on() -> None:
    before = train_4d(views(), start(), settings(fine=100))
    after = tune(views(), before, settings(fine=100))
    held = views(6, 100)
    assert psnr(after, held) > psnr(before, held) + 1
    colored = dynamic(40, heads=("position", "opacity", "sh"))
    short = dataclasses.replace(settings(), fine=TrainSettings(steps=3, sh_degree=3))
    found = tune(views(3), colored, short)
    assert list(found.deformation.heads) == ["position", "opacity", "sh"]
    assert (found.deformation.sh.out.bias != colored.deformation.sh.out.bias).any()  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="without heads"):
        tune(views(3), dynamic(40, heads=()), settings())


class TestCoded:
    def test_the_field_is_on_its_grid(self) -> None:
        state = field.begin(ball(0).means, SMALL, 0)
        random = np.random.default_rng(3)
        state.flat.weights[:] += 0.1 * random.normal(size=state.flat.weights.shape).astype(np.float32)
        before = state.flat.planes.copy(), state.flat.weights.copy()
        grid = field_codec.grid_of(state.flat, GridSettings(0.1, 0.01, 0.25, 0.125))
        found = coded.begin(state, Coding(*field_codec.spread(grid, state.flat), 0.0))
        planes, weights = coded.numbers(found)
        assert (np.abs(state.flat.planes - before[0]) <= 0.5001 * found.grid.plane_step).all()
        assert (np.abs(state.flat.weights - before[1]) <= 0.5001 * found.grid.weight_step).all()
        of_time = found.grid.plane_step < 0.05
        assert (planes[of_time] == 0).all()  # All begin at one.
        numbers = field_codec.numbers_of(grid, state.flat, state.heads, planes, weights)
        decoded = field_codec.deformation_of(hexplane.decode(hexplane.encode(numbers), 0))
        expected = field.deformation_of(state)
        assert list(decoded.heads) == list(expected.heads)
        for a, b in zip(decoded.planes, expected.planes, strict=True):
            for x, y in zip(a, b, strict=True):
                np.testing.assert_array_equal(x, y)
        for name, head in decoded.heads.items():
            np.testing.assert_array_equal(head.hidden.weight, expected.heads[name].hidden.weight)
            np.testing.assert_array_equal(head.out.bias, expected.heads[name].out.bias)

    def test_the_pull_of_the_rate(self) -> None:
        state = field.begin(ball(0).means, SMALL, 0)
        found = coded.begin(state, coding(state, 1e-3))
        slope = np.zeros_like(found.planes)
        coded.add_rate(found, slope)
        off = found.planes / found.grid.plane_step - found.grid.plane_base
        for at in np.flatnonzero(np.abs(off) > 0.2)[::97]:
            by = [1e-3 * np.log2(coded.LEVEL_BITS + abs(off[at] + d)) for d in (-1e-3, 1e-3)]
            measured = (by[1] - by[0]) / (2e-3 * found.grid.plane_step[at])
            assert slope[at] == pytest.approx(measured, rel=2e-3)
        assert not slope[off == 0].any()

    def test_bits_cost(self) -> None:
        before = train_4d(views(), start(), settings())
        counts, sizes = [], []
        for rate in (0.0, 3e-5):
            states: list[State4d] = []
            state = field.go_on(before.deformation)
            grid = field_codec.grid_of(state.flat, GridSettings())
            how = Coding(*field_codec.spread(grid, state.flat), rate)
            after = tune(views(), before, settings(fine=60), coding=how, after=states.append)
            (last,) = states
            assert last.coded is not None
            planes, weights = coded.numbers(last.coded)
            counts.append(coded.bits(last.field.flat, planes, weights))
            numbers = field_codec.numbers_of(grid, last.field.flat, last.field.heads, planes, weights)
            sizes.append(len(hexplane.encode(numbers)))
            assert psnr(after, views(6, 100)) > 20
        assert counts[1] < 0.8 * counts[0]
        assert sizes[1] < sizes[0]

    def test_bits_are_those_of_an_ideal_code(self) -> None:
        state = field.begin(ball(0).means, SMALL, 0)
        nothing = np.zeros(state.flat.planes.shape, np.int32), np.zeros(state.flat.weights.shape, np.int32)
        assert coded.bits(state.flat, *nothing) == 0
        nothing[1][: len(nothing[1]) // 2] = 1
        assert coded.bits(state.flat, *nothing) == pytest.approx(len(nothing[1]), rel=1e-3)

    def test_settings_without_sense(self) -> None:
        for change in ({"space_step": 0.0}, {"bias_share": -1.0}):
            with pytest.raises(ValueError, match="above 0"):
                GridSettings(**change)
        state = field.begin(ball(0).means, SMALL, 0)
        with pytest.raises(ValueError, match="another field"):
            coded.begin(state, coding(state, -1.0))
        with pytest.raises(ValueError, match="steps beyond"):
            field_codec.grid_of(state.flat, GridSettings(space_step=1e9))


def coding(state: field.FieldState, rate: float) -> Coding:
    """The usual grid of a field."""
    grid = field_codec.grid_of(state.flat, GridSettings())
    return Coding(*field_codec.spread(grid, state.flat), rate)


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file = io.BytesIO()

    def stop(state: State4d) -> None:
        if state.splats.step == 20:
            state4d.save(state, file, "run")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_4d(views(), start(), settings(30, 40), after_step=stop)
    file.seek(0)
    state = state4d.load(file, "run", "x.npz", 300, SMALL)
    assert state.splats.step == 20
    resumed = train_4d(views(), start(), settings(30, 40), resume=state)
    whole = train_4d(views(), start(), settings(30, 40))
    np.testing.assert_array_equal(resumed.canonical.means, whole.canonical.means)
    np.testing.assert_array_equal(resumed.deformation.planes[1][2], whole.deformation.planes[1][2])


def test_checkpoints_of_others_are_refused() -> None:
    file = io.BytesIO()
    saved: list[State4d] = []
    train_4d(views(4), start(), settings(2, 2), after_step=saved.append)
    state4d.save(saved[-1], file, "run")
    data = file.getvalue()
    for change in ("name", "field", "cut", "rubbish"):
        given = {"cut": data[: len(data) // 2], "rubbish": b"PK" + data[2:40]}.get(change, data)
        other = dataclasses.replace(SMALL, channels=5) if change == "field" else SMALL
        with pytest.raises(FormatError, match=r"x\.npz"):
            state4d.load(io.BytesIO(given), "other" if change == "name" else "run", "x.npz", 300, other)


def test_views_it_cannot_be_trained_with() -> None:
    with pytest.raises(ValueError, match="not in 0 to 1"):
        train_4d([dataclasses.replace(view, time=1.5) for view in views(2)], start(), settings())
    with pytest.raises(ValueError, match="heads"):
        FieldSettings(heads=("sh",))
    with pytest.raises(ValueError, match="at least 1"):
        FieldSettings(times=0)
    strict = dataclasses.replace(settings().fine, densify_from=5, densify_every=5, prune_opacity=0.99)
    with pytest.raises(TrainingError, match="step 5: no splat is left"):
        train_4d(views(4), start(), dataclasses.replace(settings(), fine=strict))


def write_dnerf(folder: Path) -> Path:
    folder.mkdir()
    for part, first in (("train", 0), ("test", 100)):
        frames = []
        for view in views(8, first):
            name = f"./{part}/{view.camera.name}"
            (folder / part).mkdir(exist_ok=True)
            PIL.Image.fromarray(view.image).save(folder / f"{name}.png")
            pose = np.linalg.inv(view.camera.world_to_camera) @ np.diag([1, -1, -1, 1])
            frames.append({"file_path": name, "time": view.time, "transform_matrix": pose.tolist()})
        angle = 2 * np.arctan(SIDE / 2 / 60.0)
        (folder / f"transforms_{part}.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))
    return folder


class TestData:
    def test_dnerf(self, tmp_path: Path) -> None:
        data = write_dnerf(tmp_path / "data")
        found = moving_photographs.load(moving_photographs.find(data, "test"), None, (1, 1, 1))
        for got, expected in zip(found, views(8, 100), strict=True):
            assert got.time == pytest.approx(expected.time)
            np.testing.assert_array_equal(got.image, expected.image)
            np.testing.assert_allclose(got.camera.world_to_camera, expected.camera.world_to_camera, atol=1e-9)
            assert got.camera.fx == pytest.approx(60)

    @pytest.mark.parametrize("time", [None, "x", -0.1, 1.5])
    def test_dnerf_without_times(self, tmp_path: Path, time: object) -> None:
        data = write_dnerf(tmp_path / "data")
        path = data / "transforms_train.json"
        document = json.loads(path.read_text())
        document["frames"][3]["time"] = time
        path.write_text(json.dumps(document))
        with pytest.raises(FormatError, match="frame 3: time"):
            moving_photographs.find(data, "train")

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(FormatError, match="D-NeRF"):
            moving_photographs.find(tmp_path, "train")

    def test_hypernerf(self, tmp_path: Path) -> None:
        for folder in ("camera", "rgb/2x"):
            (tmp_path / folder).mkdir(parents=True)
        ids = [f"{k:06}" for k in range(6)]
        for k, name in enumerate(ids):
            view = camera(k).world_to_camera
            position = -view[:3, :3].T @ view[:3, 3] / 2 + 1  # (position - center) * scale
            (tmp_path / f"camera/{name}.json").write_text(json.dumps({
                "orientation": view[:3, :3].tolist(), "position": position.tolist(), "focal_length": 120,
                "principal_point": [SIDE, SIDE], "image_size": [2 * SIDE, 2 * SIDE],
            }))  # fmt: skip
            PIL.Image.new("RGB", (SIDE, SIDE), (10 * k, 0, 0)).save(tmp_path / f"rgb/2x/{name}.png")
        listing = {"ids": ids, "train_ids": ids[::2], "val_ids": ids[1::2]}
        (tmp_path / "dataset.json").write_text(json.dumps(listing))
        (tmp_path / "metadata.json").write_text(json.dumps({name: {"warp_id": k} for k, name in enumerate(ids)}))
        (tmp_path / "scene.json").write_text(json.dumps({"center": [1, 1, 1], "scale": 2}))
        found = moving_photographs.load(moving_photographs.find(tmp_path, "train"), None, (0, 0, 0))
        assert [view.time for view in found] == [0, 0.4, 0.8]
        assert found[1].camera.fx == pytest.approx(60)
        np.testing.assert_allclose(found[1].camera.world_to_camera, camera(2).world_to_camera, atol=1e-9)
        assert found[2].image[0, 0].tolist() == [40, 0, 0]
        for name in ("metadata.json", "scene.json", "camera/000002.json"):
            text = (tmp_path / name).read_text()
            (tmp_path / name).write_text("{}")
            with pytest.raises(FormatError, match=name.rpartition("/")[2]):
                moving_photographs.find(tmp_path, "train")
            (tmp_path / name).write_text(text)
        (tmp_path / "dataset.json").write_text(json.dumps({**listing, "train_ids": ["../x"]}))
        with pytest.raises(FormatError, match="cannot be the name"):
            moving_photographs.find(tmp_path, "train")

    def test_neu3d(self, tmp_path: Path) -> None:
        rows = []
        for k in range(3):
            (tmp_path / f"cam0{k}/images").mkdir(parents=True)
            for frame in range(4):
                PIL.Image.new("RGB", (SIDE, SIDE), (k, frame, 0)).save(tmp_path / f"cam0{k}/images/{frame:04}.png")
            pose = np.linalg.inv(camera(k).world_to_camera)
            # Down, right, back.
            columns = [pose[:3, 1], pose[:3, 0], -pose[:3, 2], pose[:3, 3], np.array([2 * SIDE, 2 * SIDE, 120])]
            rows.append(np.concatenate([np.stack(columns, axis=1).ravel(), [1, 10]]))
        np.save(tmp_path / "poses_bounds.npy", np.array(rows))
        found = moving_photographs.load(moving_photographs.find(tmp_path, "train"), None, (0, 0, 0))
        assert len(found) == 8
        assert [view.time for view in found[:4]] == pytest.approx([0, 1 / 3, 2 / 3, 1])
        np.testing.assert_allclose(found[0].camera.world_to_camera, camera(1).world_to_camera, atol=1e-9)
        assert found[0].camera.fx == pytest.approx(60)
        assert len(moving_photographs.find(tmp_path, "test")) == 4
        np.save(tmp_path / "poses_bounds.npy", np.array(rows)[:, :16])
        with pytest.raises(FormatError, match="17 numbers"):
            moving_photographs.find(tmp_path, "train")
        np.save(tmp_path / "poses_bounds.npy", np.array(rows)[:2])
        with pytest.raises(FormatError, match="2 cameras, and 3 folders"):
            moving_photographs.find(tmp_path, "train")


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


class TestCommand:
    def test_a_model_comes_out(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        pytest.importorskip("torch")
        data = write_dnerf(tmp_path / "data")
        words = ("train-4d", data, "-o", tmp_path / "model", "--steps", 6, "--coarse-steps", 4,
                 "--max-splats", 400, "--channels", 2, "--resolution", 8, "--times", 4, "--sh-degree", 0,
                 "--background", "white",
                 "--checkpoint", tmp_path / "c.npz", "--checkpoint-every", 3)  # fmt: skip
        assert run(*words, "--json") == 0
        said = json.loads(capsys.readouterr().out)
        assert said["views_held_out"] == 8
        assert said["psnr"] > 5
        scene = read_4dgaussians(tmp_path / "model")
        assert len(scene) == said["splats"]
        assert list(scene.deformation.heads) == ["position", "scale", "rotation"]
        assert (tmp_path / "c.npz").is_file()
        assert run(*words) == 2  # The model is there.
        assert "exists" in capsys.readouterr().err
        other = [tmp_path / "again" if word == tmp_path / "model" else word for word in words]
        assert run(*other, "--resume") == 0
        assert "trained" in capsys.readouterr().out

    @pytest.mark.parametrize("words", [("--steps", 0), ("--times", 0), ("--channels", 999), ("--resume",)])
    def test_arguments_without_sense(
        self, tmp_path: Path, words: tuple[object, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("train-4d", tmp_path, "-o", tmp_path / "model", *words) == 2
        assert str(words[0]) in capsys.readouterr().err

    def test_no_data(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("train-4d", tmp_path, "-o", tmp_path / "model") == 1
        assert "D-NeRF" in capsys.readouterr().err
        assert not (tmp_path / "model").exists()

    def test_nothing_held_out(self) -> None:
        assert photographs.evaluate(None, [], (0, 0, 0)) is None  # type: ignore[arg-type]
