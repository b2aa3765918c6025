"""Training from photographs: it learns, repeats itself, goes on where it stopped, names faults of its input."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import json
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from scenepress import cli, photographs, render, train_command
from scenepress.cameras import look_at
from scenepress.errors import FormatError, TrainingError
from scenepress.formats import table
from scenepress.kernels import raster
from scenepress.learned import densify, initial, state
from scenepress.learned import train as training
from scenepress.learned.train import TrainSettings, View, identify, train
from scenepress.quality import to_8bit
from scenepress.render import rasterize
from scenepress.scene import Camera, Splats

WIDTH, HEIGHT, VIEWS = 64, 48, 10
GREY = (0.5, 0.5, 0.5)
SHORT = TrainSettings(
    steps=80, max_splats=400, sh_degree=1, sh_every=20, densify_from=20, densify_every=20, background=GREY,
    sh0_rate=7.5e-3, opacity_logits_rate=0.15, log_scales_rate=0.015,
)  # fmt: skip


def original() -> Splats:
    """A ball of coloured splats."""
    random = np.random.default_rng(7)
    points = random.normal(size=(150, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    splats = initial.splats_at(points, 0.5 + 0.5 * np.sin(3 * points))
    return dataclasses.replace(splats, opacity_logits=np.full(150, 3, np.float32))


def around() -> list[Camera]:
    angles = np.linspace(0, 2 * np.pi, VIEWS, endpoint=False)
    return [
        look_at((4 * np.sin(a), np.sin(2 * a), 4 * np.cos(a)), (0, 0, 0), (0, -1, 0), width=WIDTH, height=HEIGHT,
                fx=70.0, name=f"images/{k:03}.png")
        for k, a in enumerate(angles)
    ]  # fmt: skip


def write_data(folder: Path, points: bool = True) -> Path:
    """transforms.json, images, and the centres of the splats moved a little."""
    (folder / "images").mkdir(parents=True)
    splats, frames = original(), []
    for camera in around():
        color = rasterize(splats, camera, background=GREY).color
        PIL.Image.fromarray(to_8bit(color)).save(folder / camera.name)
        pose = np.linalg.inv(camera.world_to_camera) @ np.diag([1, -1, -1, 1])
        frames.append({"file_path": camera.name, "transform_matrix": pose.tolist()})
    lens = {"fl_x": 70, "fl_y": 70, "cx": WIDTH / 2, "cy": HEIGHT / 2, "w": WIDTH, "h": HEIGHT}
    document = {**lens, "frames": frames}
    if points:
        moved = splats.means + np.random.default_rng(1).normal(scale=0.05, size=splats.means.shape)
        rows = "".join(f"{x:.6f} {y:.6f} {z:.6f} 128 128 128\n" for x, y, z in moved)
        names = "".join(f"property float {n}\n" for n in "xyz")
        names += "".join(f"property uchar {n}\n" for n in ("red", "green", "blue"))
        (folder / "points.ply").write_text(f"ply\nformat ascii 1.0\nelement vertex 150\n{names}end_header\n{rows}")
        document["ply_file_path"] = "points.ply"
    (folder / "transforms.json").write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("photographs") / "data")


@pytest.fixture(scope="module")
def views(data: Path) -> list[View]:
    return photographs.load_views(data)


@pytest.fixture(scope="module")
def scene(data: Path) -> Splats:
    points = photographs.read_points(data / "points.ply")
    return initial.splats_at(points.positions, points.colors)


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def same(a: Splats, b: Splats) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in state.NAMES)


def test_training_raises_the_quality_of_views_it_has_not_seen(views: list[View], scene: Splats) -> None:
    kept, held = photographs.split(views, 8)
    assert [view.camera.name for view in held] == ["images/000.png", "images/008.png"]
    assert len(kept) == VIEWS - 2
    settings = dataclasses.replace(SHORT, steps=200)
    trained = train(kept, scene, settings)
    before, after = (photographs.evaluate(splats, held, GREY) for splats in (scene, trained))
    assert before is not None
    assert after is not None
    assert after.mean_view_psnr > before.mean_view_psnr + 5
    assert after.ssim > before.ssim + 0.05
    assert len(scene) < len(trained) <= settings.max_splats
    assert trained.sh_degree == 1
    assert np.abs(trained.shN).max() > 0
    assert trained.opacity_logits.max() <= np.float32(densify.logit(settings.max_opacity))


def test_the_same_seed_gives_the_same_scene_and_another_another(views: list[View], scene: Splats) -> None:
    first, second = (train(views, scene, SHORT) for _ in range(2))
    assert same(first, second)
    assert not same(first, train(views, scene, dataclasses.replace(SHORT, seed=1)))


def test_views_may_have_backgrounds_of_their_own(views: list[View], scene: Splats) -> None:
    other = dataclasses.replace(SHORT, background=(1.0, 0.0, 0.0))
    own = [dataclasses.replace(view, background=GREY) for view in views]
    assert same(train(own, scene, other), train(views, scene, SHORT))
    assert identify(own, other) != identify(views, other)


def test_a_resumed_run_equals_an_uninterrupted_one(views: list[View], scene: Splats) -> None:
    name, files = identify(views, SHORT), {}

    def keep(now: state.State) -> None:
        stream = io.BytesIO()
        state.save(now, stream, name)
        files[now.step] = stream

    whole = train(views, scene, SHORT, after_step=keep)
    for step in (1, 45, 60, 80):
        files[step].seek(0)
        resumed = state.load(files[step], name, "file", 400)
        assert resumed.step == step
        assert same(train(views, scene, SHORT, resume=resumed), whole)


def test_the_input_is_not_changed(views: list[View], scene: Splats) -> None:
    before = dataclasses.replace(scene, **{name: getattr(scene, name).copy() for name in state.NAMES})
    train(views, scene, dataclasses.replace(SHORT, steps=5))
    assert same(scene, before)


def test_gradients_that_are_not_finite_stop_the_run_and_name_the_step(
    views: list[View], scene: Splats, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def loss(image: np.ndarray, target: np.ndarray, weight: float) -> tuple[float, float, np.ndarray]:
        calls.append(weight)
        return 0.1, 0.9, np.full_like(image, np.nan if len(calls) == 3 else 1e-5)

    monkeypatch.setattr(training.training, "image_loss", loss)
    with pytest.raises(TrainingError, match=r"^step 3: .*not finite"):
        train(views, scene, SHORT)


def test_no_splats_left_is_an_error(views: list[View], scene: Splats) -> None:
    faint = dataclasses.replace(scene, opacity_logits=np.full(len(scene), -9, np.float32))
    with pytest.raises(TrainingError, match="step 20: no splat is left"):
        train(views, faint, SHORT)


@pytest.mark.parametrize(
    "change",
    [{"steps": 0}, {"max_splats": 0}, {"sh_degree": 4}, {"ssim_weight": 2}, {"prune_opacity": 0}, {"seed": -1}],
)
def test_settings_without_sense_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(SHORT, **change)


def test_views_and_scenes_without_sense_are_refused(views: list[View], scene: Splats) -> None:
    with pytest.raises(ValueError, match="at least 2 views"):
        train(views[:1], scene, SHORT)
    with pytest.raises(ValueError, match="1 to 100 splats"):
        train(views, scene, dataclasses.replace(SHORT, max_splats=100))
    with pytest.raises(ValueError, match=r"images/000.png: an image"):
        train([View(views[0].camera, views[0].image[1:]), views[1]], scene, SHORT)


# Densification


def pulled(scene: Splats, pull: np.ndarray) -> state.State:
    now = state.start(scene)
    now.pull[:], now.shown[:] = pull, 1
    return now


def test_small_splats_are_cloned_large_ones_split_and_faint_ones_dropped() -> None:
    scene = original().take(slice(0, 4))
    scene.log_scales[:] = np.log(np.array([0.01, 0.5, 0.01, 0.01], np.float32))[:, None]
    scene.opacity_logits[2] = -9
    now = pulled(scene, np.array([1, 1, 1, 0]))
    densify.multiply(now, threshold=0.5, small=0.1, opacity=0.005, limit=100, seed=[0])
    means = now.values["means"]
    assert np.array_equal(means[:3], scene.means[[0, 3, 0]])  # 1 was split, 2 dropped, 0 cloned.
    assert len(now) == 5
    assert np.allclose(np.exp(now.values["log_scales"][3:]), 0.5 / densify.SHRINK)
    assert (np.linalg.norm(means[3:] - scene.means[1], axis=1) < 3).all()
    assert not now.pull.any()
    assert all(len(array) == 5 for arrays in (now.values, now.first, now.second) for array in arrays.values())


def test_the_hardest_pulled_come_first_where_room_is_short() -> None:
    scene = original().take(slice(0, 10))
    now = pulled(scene, np.arange(10))
    densify.multiply(now, threshold=0.5, small=1e9, opacity=0.005, limit=12, seed=[0])
    assert np.array_equal(now.values["means"][10:], scene.means[[8, 9]])


def test_fading_holds_opacities() -> None:
    now = state.start(original())
    densify.fade(now, 0.01)
    assert np.allclose(1 / (1 + np.exp(-now.values["opacity_logits"])), 0.01)


def test_halves_follow_the_shape_of_the_splat() -> None:
    scene = original().take(slice(0, 1))
    quats = np.tile(np.array([1, 0, 0, 1], np.float32), (4000, 1))
    many = dataclasses.replace(scene.take(np.zeros(4000, int)), quats=quats)
    many.log_scales[:] = np.log([1, 0.1, 0.01])
    now = pulled(many, np.ones(4000))
    densify.multiply(now, threshold=0.5, small=1e-3, opacity=0.005, limit=10**6, seed=[0])
    spread = np.std(now.values["means"] - scene.means, axis=0)  # A quarter turn about z: x becomes y.
    assert np.allclose(spread, [0.1, 1, 0.01], rtol=0.05)


# Photographs and points


def test_images_are_resized_and_laid_over_the_background(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "data")
    for camera in around():
        picture = np.zeros((2 * HEIGHT, 2 * WIDTH, 4), np.uint8)
        picture[:, WIDTH:] = 200, 100, 50, 255
        PIL.Image.fromarray(picture).save(folder / camera.name)
    view = photographs.load_views(folder, width=32, background=(1, 1, 1))[0]
    assert (view.camera.width, view.camera.height, view.camera.fx) == (32, 24, 35)
    assert (view.image[:, :16] == 255).all()
    assert (view.image[:, 16:] == (200, 100, 50)).all()
    assert photographs.load_views(folder)[0].image.shape == (2 * HEIGHT, 2 * WIDTH, 3)


def test_blender_folders_are_trained_with_their_training_views(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "data", points=False)
    document = json.loads((folder / "transforms.json").read_text())
    (folder / "transforms.json").unlink()
    frames = [{**f, "file_path": f["file_path"][:-4]} for f in document["frames"]]
    (folder / "transforms_train.json").write_text(json.dumps({"camera_angle_x": 0.9, "frames": frames[1:]}))
    (folder / "transforms_test.json").write_text(json.dumps({"camera_angle_x": 0.9, "frames": frames[:1]}))
    assert len(photographs.load_views(folder)) == VIEWS - 1
    assert photographs.find_points(folder) is None


def write_colmap(folder: Path, points: bytes) -> Path:
    """A model as text, with points3D.bin; images where `write_data` has them."""
    write_data(folder, points=False)
    (folder / "transforms.json").unlink()
    (folder / "sparse/0").mkdir(parents=True)
    (folder / "sparse/0/cameras.txt").write_text(f"1 PINHOLE {WIDTH} {HEIGHT} 70 70 {WIDTH / 2} {HEIGHT / 2}\n")
    lines = [f"{k} 1 0 0 0 0 0 4 1 {camera.name[7:]}\n\n" for k, camera in enumerate(around())]
    (folder / "sparse/0/images.txt").write_text("".join(lines))
    (folder / "sparse/0/points3D.bin").write_bytes(points)
    return folder


def test_colmap_models_bring_points(tmp_path: Path) -> None:
    point = struct.pack("<Q3d3BdQ", 5, 1, 2, 3, 255, 0, 51, 0.5, 2) + bytes(16)
    folder = write_colmap(tmp_path / "data", struct.pack("<Q", 2) + 2 * point)
    for data in (folder, folder / "sparse/0"):
        assert len(photographs.load_views(data)) == VIEWS
        found = photographs.find_points(data)
        assert found is not None
        points = photographs.read_points(found)
        assert points.positions.tolist() == [[1, 2, 3], [1, 2, 3]]
        assert points.colors.tolist() == [[1, 0, 0.2], [1, 0, 0.2]]
    text = folder / "points3D.txt"
    text.write_text("# id x y z r g b error track\n5 1 2 3 255 0 51 0.5 1 2\n")
    assert photographs.read_points(text).positions.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("points3D.bin", b""),
        ("points3D.bin", struct.pack("<Q", 1 << 60)),
        ("points3D.bin", struct.pack("<Q", 0)),
        ("points3D.bin", struct.pack("<Q", 2) + bytes(100)),
        ("points3D.bin", struct.pack("<Q", 1) + struct.pack("<Q3d3BdQ", 5, np.nan, 2, 3, 255, 0, 51, 0.5, 2)),
        ("points3D.txt", b"1 2 3\n"),
        ("points3D.txt", b"1 a b c d e f\n"),
        ("points3D.txt", b""),
        ("p.ply", b"solid"),
        ("p.ply", b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nend_header\n1\n2\n"),
        ("p.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 2\nproperty float x\nproperty float y\n"
                  b"property float z\nend_header\n1234"),
        ("p.ply", b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\n"
                  b"property float z\nend_header\n1 2 3\n4 5\n"),
    ],
)  # fmt: skip
def test_damaged_points_are_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=name):
        photographs.read_points(tmp_path / name)


def test_random_points_lie_where_the_cameras_look() -> None:
    points, colors = initial.random_points(around(), 1000, 0)
    assert 300 < len(points) <= 1000
    assert np.abs(points).max() < 3
    assert np.linalg.norm(points.mean(axis=0)) < 0.3
    assert colors.shape == points.shape


# The command


OPTIONS = ("--steps", 60, "--max-splats", 300, "--background", "grey", "--sh-degree", 1)


def test_the_command_trains_measures_and_writes(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "ball.ply"
    assert run("train", data, "-o", output, *OPTIONS, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["splats"] == len(table.read(output))
    assert said["views_trained"] == VIEWS - 2
    assert said["views_held_out"] == 2
    assert said["started_from"] == "points.ply"
    assert said["mean_view_psnr"] > 12
    assert said["backend"] == render.training_backend()
    assert (said["width"], said["height"], said["steps"]) == (WIDTH, HEIGHT, 60)
    assert list(tmp_path.iterdir()) == [output]
    press = tmp_path / "ball.spz"
    arguments = (*OPTIONS, "--hold-out", 0, "--init", "random", "--width", 32)
    assert run("train", data / "transforms.json", "-o", press, *arguments) == 0
    text = capsys.readouterr().out
    assert "random points" in text
    assert "not measured" in text
    assert f"backend {render.training_backend()}" in text


def test_the_command_goes_on_from_a_checkpoint(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts, file = tmp_path / "whole.ply", tmp_path / "parts.ply", tmp_path / "state.npz"
    options = (*OPTIONS, "--checkpoint", file, "--checkpoint-every", 20)
    assert run("train", data, "-o", whole, *OPTIONS) == 0
    step = training._step

    def interrupted(now: state.State, *arguments: object) -> None:
        if now.step == 47:
            raise KeyboardInterrupt
        step(now, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(training, "_step", interrupted)
        assert run("train", data, "-o", parts, *options) == 130
    assert sorted(tmp_path.iterdir()) == [file, whole]
    assert run("train", data, "-o", parts, *options, "--resume") == 0
    assert parts.read_bytes() == whole.read_bytes()
    capsys.readouterr()
    for arguments in (("--seed", 1), ("--width", 32), ("--init", "random")):
        assert run("train", data, "-o", parts, *options, *arguments, "--resume") == 1
        assert "other photographs or settings" in capsys.readouterr().err
    for damaged in (b"", b"PK\3\4 no archive", file.read_bytes()[:3000]):
        file.write_bytes(damaged)
        assert run("train", data, "-o", parts, *options, "--resume") == 1
        assert "not a checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("-o scene.press", "written by `scenepress compress`"),
        ("-o scene.xyz", "cannot write this file type"),
        ("-o a.ply --steps 0", "--steps 0"),
        ("-o a.ply --steps many", "'many' is not a whole number"),
        ("-o a.ply --max-splats 0", "--max-splats 0"),
        ("-o a.ply --sh-degree 4", "--sh-degree 4"),
        ("-o a.ply --hold-out 1", "--hold-out 1"),
        ("-o a.ply --seed -1", "--seed"),
        ("-o a.ply --width 0", "--width 0"),
        ("-o a.ply --resume", "--resume needs --checkpoint"),
        ("-o a.ply --checkpoint {data}/transforms.json", "must end in .npz"),
        ("-o {data}/points.ply", "is the input"),
        ("-o a.ply --backend vulkan", "'vulkan'"),
    ],
)
def test_bad_usage(
    arguments: str, words: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run("train", data, *arguments.format(data=data).split()) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without one, where neither a CUDA module was built nor gsplat installed."""
    for backends in (raster.BACKENDS, raster.FRAMES):
        monkeypatch.delitem(backends, "cuda", raising=False)
    monkeypatch.setitem(sys.modules, "gsplat", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)


@pytest.mark.usefixtures("no_device")
def test_without_a_device_auto_is_the_cpu() -> None:
    assert render.training_backend() == render.training_backend("cpu") == "cpu"


@pytest.mark.usefixtures("no_device")
@pytest.mark.parametrize(
    ("backend", "words"),
    [("cuda", "--backend cuda needs the CUDA module"), ("gsplat", "--backend gsplat needs the extra scenepress")],
)
def test_backends_that_cannot_run_are_bad_usage(
    backend: str, words: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, out = data / "points.ply", tmp_path / "out.ply"
    for command in (
        ("train", data, "-o", out),
        ("compress", scene, "-o", tmp_path / "out.press", "--distill", 5),
        ("prune", scene, out, "--keep", 0.5, "--distill", 5),
    ):
        assert run(*command, "--backend", backend) == 2
        error = capsys.readouterr().err
        assert words in error
        assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=f"backend '{backend}' needs"):
        training.train([], original(), SHORT, backend=backend)  # type: ignore[arg-type]


def test_a_module_without_a_device_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(raster.FRAMES, "cuda", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    with pytest.raises(ValueError, match="'cuda' needs a CUDA device"):
        render.training_backend("cuda")


def damage(folder: Path, how: str) -> None:
    image, cameras = folder / "images/003.png", folder / "transforms.json"
    document = json.loads(cameras.read_text())
    match how:
        case "missing":
            image.unlink()
        case "no image":
            image.write_bytes(b"not a picture")
        case "cut":
            image.write_bytes(image.read_bytes()[:600])
        case "shape":
            PIL.Image.new("RGB", (WIDTH, HEIGHT + 9)).save(image)
        case "tiny":
            for path in folder.glob("images/*"):
                PIL.Image.new("RGB", (8, 6)).save(path)
        case "no cameras":
            document["frames"] = []
        case "one":
            document["frames"] = document["frames"][:1]
        case "few":
            document["frames"] = document["frames"][:2]
        case "no points":
            (folder / "points.ply").unlink()
    if how in ("no cameras", "one", "few"):
        cameras.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing", "no image images/003.png"),
        ("no image", "003.png: cannot read this image"),
        ("cut", "003.png: cannot read this image"),
        ("shape", "003.png: 64 x 57 pixels, not of the shape of its camera, 64 x 48"),
        ("tiny", "8 x 6 pixels are too few"),
        ("no cameras", "has no cameras"),
        ("one", "at least 2"),
        ("few", "1 of 2 views left to train with"),
        ("no points", "points.ply, which is not there"),
    ],
)
def test_damaged_data_is_one_line(
    how: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_data(tmp_path / "data")
    damage(folder, how)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run("train", folder, "-o", tmp_path / "a.ply") == 1
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "a.ply").exists()


def test_missing_folders_and_points_are_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "a.ply"
    assert run("train", tmp_path / "none", "-o", output) == 1
    assert "does not exist" in capsys.readouterr().err
    assert run("train", data, "-o", output, "--images", tmp_path / "none") == 1
    assert "no folder of images" in capsys.readouterr().err
    assert run("train", data, "-o", output, "--checkpoint", tmp_path / "c.npz", "--resume") == 1
    assert "c.npz" in capsys.readouterr().err
    other = write_data(tmp_path / "data", points=False)
    assert run("train", other, "-o", output, "--init", "points") == 1
    assert "no points came with the cameras" in capsys.readouterr().err


def test_an_interrupt_leaves_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_command, "run", interrupt)
    assert run("train", data, "-o", tmp_path / "a.ply") == 130
    assert not list(tmp_path.iterdir())
