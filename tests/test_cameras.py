"""Cameras from files, and cameras made up for a scene."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenepress.cameras import look_at, read_cameras, resize, survey, synthesize
from scenepress.errors import FormatError, LossWarning
from scenepress.scene import Camera, Splats
from tests.inputs import shared
from tests.test_render import random_splats

VIEWS = [
    look_at((1, 2, -5), (0, 0.2, 0), (0, -1, 0), width=90, height=60, fx=80.0, fy=82.0, name="b.png"),
    look_at((-4, 0.5, 1), (0, 0, 0.3), (0, -1, 0.2), width=90, height=60, fx=80.0, fy=82.0, name="c.png"),
]


def quaternion(turn: np.ndarray) -> np.ndarray:
    w = np.sqrt(1 + np.trace(turn)) / 2
    v = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / (4 * w)
    return np.array([w, *v])


def write_transforms(folder: Path) -> Path:
    opengl = np.diag([1, -1, -1, 1])
    frames = [
        {"file_path": v.name, "transform_matrix": (np.linalg.inv(v.world_to_camera) @ opengl).tolist()}
        for v in VIEWS
    ]
    document = {"fl_x": 80, "fl_y": 82, "cx": 45, "cy": 30, "w": 90, "h": 60, "frames": frames}
    path = folder / "transforms.json"
    path.write_text(json.dumps(document))
    return path


def write_inria(folder: Path) -> Path:
    entries = []
    for v in VIEWS:
        pose = np.linalg.inv(v.world_to_camera)
        entry = {"img_name": v.name, "width": 90, "height": 60, "fx": 80, "fy": 82}
        entries.append(
            {**entry, "rotation": pose[:3, :3].tolist(), "position": pose[:3, 3].tolist()}
        )
    path = folder / "cameras.json"
    path.write_text(json.dumps(entries))
    return path


def write_colmap_text(folder: Path) -> Path:
    (folder / "cameras.txt").write_text("# comment\n7 PINHOLE 90 60 80 82 45 30\n")
    lines = ["# comment"]
    for i, v in enumerate(VIEWS):
        pose = [*quaternion(v.world_to_camera[:3, :3]), *v.world_to_camera[:3, 3]]
        lines += [f"{i + 1} {' '.join(map(repr, map(float, pose)))} 7 {v.name}", "1 2 3" if i else ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_colmap_binary(folder: Path) -> Path:
    model = folder / "sparse" / "0"
    model.mkdir(parents=True, exist_ok=True)
    (model / "cameras.bin").write_bytes(struct.pack("<QiiQQ4d", 1, 7, 1, 90, 60, 80, 82, 45, 30))
    data = struct.pack("<Q", len(VIEWS))
    for i, v in enumerate(VIEWS):
        pose = [*quaternion(v.world_to_camera[:3, :3]), *v.world_to_camera[:3, 3]]
        data += struct.pack("<i7di", i + 1, *pose, 7) + v.name.encode() + b"\0"
        data += struct.pack("<Q", 2 * i) + bytes(24 * 2 * i)
    (model / "images.bin").write_bytes(data)
    return folder


WRITERS = [write_transforms, write_inria, write_colmap_text, write_colmap_binary]


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_the_same_cameras(write, tmp_path: Path) -> None:  # noqa: ANN001
    for found, expected in zip(read_cameras(write(tmp_path)), VIEWS, strict=True):
        np.testing.assert_allclose(found.world_to_camera, expected.world_to_camera, atol=1e-9)
        assert dataclasses.replace(found, world_to_camera=None) == dataclasses.replace(  # type: ignore[arg-type]
            expected,
            world_to_camera=None,  # type: ignore[arg-type]
        )


def test_a_folder_is_searched_and_views_are_resized(tmp_path: Path) -> None:
    write_transforms(tmp_path)
    half = read_cameras(tmp_path, width=45)[0]
    assert (half.width, half.height, half.fx, half.fy, half.cx) == (45, 30, 40, 41, 22.5)


def test_distortion_is_reported_and_fisheye_refused(tmp_path: Path) -> None:
    write_colmap_text(tmp_path)
    (tmp_path / "cameras.txt").write_text("7 SIMPLE_RADIAL 90 60 80 45 30 0.1\n")
    with pytest.warns(LossWarning, match="distortion"):
        assert read_cameras(tmp_path)[0].fy == 80
    (tmp_path / "cameras.txt").write_text("7 OPENCV_FISHEYE 90 60 80 80 45 30 0 0 0 0\n")
    with pytest.raises(FormatError, match="not a pinhole"):
        read_cameras(tmp_path)


def test_a_blender_file_takes_the_size_of_its_images_or_the_width(tmp_path: Path) -> None:
    from PIL import Image

    frame = {"file_path": "./r_0", "transform_matrix": np.eye(4).tolist()}
    path = tmp_path / "transforms.json"
    path.write_text(json.dumps({"camera_angle_x": np.pi / 2, "frames": [frame]}))
    with pytest.raises(FormatError, match="give a width"):
        read_cameras(path)
    assert read_cameras(path, 64)[0].fx == pytest.approx(32)
    Image.new("RGB", (100, 80)).save(tmp_path / "r_0.png")
    camera = read_cameras(path)[0]
    assert (camera.width, camera.height, camera.fx) == (100, 80, pytest.approx(50))
    np.testing.assert_allclose(camera.world_to_camera, np.diag([1, -1, -1, 1]))


@pytest.mark.parametrize("write", WRITERS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_refused(write, tmp_path: Path, data: st.DataObject) -> None:  # noqa: ANN001
    root = write(tmp_path)
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    target = data.draw(st.sampled_from(files))
    raw = bytearray(target.read_bytes())
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    target.write_bytes(raw)
    with contextlib.suppress(FormatError), warnings.catch_warnings(action="ignore"):
        for camera in read_cameras(root):
            assert np.isfinite(camera.world_to_camera).all()
            assert camera.fx > 0


@pytest.mark.parametrize(
    "text",
    ["", "null", "[" * 100000, '{"frames": 3}', '{"frames": []}', '[{"rotation": [[1]]}]', "[1]", "\xff"],
)
def test_json_that_is_not_cameras_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError):
        read_cameras(path)


LENS = {"fl_x": 80.0, "fl_y": 80.0, "w": 90, "h": 60}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fl_y": 1e308}, "focal lengths"),
        ({"cx": -1e300}, "principal point"),
        ({"transform_matrix": [[1, 0, 0, 1e300], [0, 1, 0, 0], [0, 0, 1, 0]]}, "beyond 1e.30 units"),
        ({"w": None, "fl_x": None}, "not a number"),
    ],
)
def test_absurd_transforms_are_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    frame = {"file_path": "a.png", "transform_matrix": np.eye(4).tolist(), **LENS, **changes}
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": [frame]}))
    with pytest.raises(FormatError, match=message):
        read_cameras(tmp_path / "transforms.json")


@pytest.mark.filterwarnings("error")
def test_an_absurd_position_is_refused(tmp_path: Path) -> None:
    turn = np.eye(3)[[1, 0, 2]].tolist()
    entry = {"rotation": turn, "position": [1e308, -1e308, 1e308], "width": 9, "height": 9, "fx": 9, "fy": 9}
    entry["rotation"][0][0] = 1e10
    (tmp_path / "cameras.json").write_text(json.dumps([entry]))
    with pytest.raises(FormatError, match="the pose is not finite"):
        read_cameras(tmp_path / "cameras.json")


@pytest.mark.parametrize("name", [None, "", ".", "/", "a\0b", "\ud800"])
def test_a_frame_without_a_usable_image_name(name: str | None, tmp_path: Path) -> None:
    frame = {"transform_matrix": np.eye(4).tolist(), **({} if name is None else {"file_path": name})}
    path = tmp_path / "transforms.json"
    path.write_text(json.dumps({"camera_angle_x": 0.7, "frames": [frame]}))
    assert read_cameras(path, width=40)[0].width == 40
    with pytest.raises(FormatError, match="no image size"):
        read_cameras(path)


def test_a_claim_of_many_images_is_refused(tmp_path: Path) -> None:
    write_colmap_binary(tmp_path)
    path = tmp_path / "sparse" / "0" / "images.bin"
    path.write_bytes(struct.pack("<Q", 10**18) + path.read_bytes()[8:])
    with pytest.raises(FormatError, match="ends early"):
        read_cameras(tmp_path)


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_cameras(tmp_path / "none.json")
    with pytest.raises(FormatError, match="no transforms"):
        read_cameras(tmp_path)


def test_real_files_agree_with_each_other() -> None:
    photographs = read_cameras(shared("multiview/plush"))
    held_out = read_cameras(shared("splats/trained/plush_150k_sh3.cams.txt"))
    for camera in held_out:
        gap = min(np.abs(p.world_to_camera - camera.world_to_camera).max() for p in photographs)
        assert gap < 1e-5
    assert len(read_cameras(shared("multiview/lego"))) == 100


def test_look_at_points_where_it_should() -> None:
    camera = look_at((1, 2, 3), (4, 2, 3), (0, 0, 1), width=20, height=10, fov=np.pi / 2)
    np.testing.assert_allclose(camera.world_to_camera @ [4, 2, 3, 1], [0, 0, 3, 1], atol=1e-12)
    above = camera.world_to_camera @ [4, 2, 4, 1]
    assert above[1] < 0  # Up in the picture.
    right = camera.world_to_camera @ [4, 1, 3, 1]
    assert right[0] > 0
    assert camera.fx == pytest.approx(10)
    assert np.linalg.det(camera.world_to_camera) == pytest.approx(1)
    straight_up = look_at((0, 0, 0), (0, 0, 2), (0, 0, 1), width=4, height=4, fx=1.0)
    assert np.isfinite(straight_up.world_to_camera).all()
    with pytest.raises(ValueError, match="same point"):
        look_at((0, 0, 0), (0, 0, 0), (0, 0, 1), width=4, height=4, fx=1.0)
    with pytest.raises(ValueError, match="either fov or fx"):
        look_at((0, 0, 0), (0, 0, 1), (0, 1, 0), width=4, height=4)


def room(count: int = 30000) -> Splats:
    """The walls of a box around the origin."""
    rng = np.random.default_rng(0)
    means = rng.uniform(-1, 1, (count, 3)).astype("f4")
    axis = rng.integers(0, 3, count)
    means[np.arange(count), axis] = np.sign(means[np.arange(count), axis])
    return dataclasses.replace(
        random_splats(count, degree=0),
        means=means * np.array([3, 2, 4], "f4"),
        log_scales=np.full((count, 3), -3, "f4"),
        opacity_logits=np.full(count, 3, "f4"),
    )


def eye(camera: Camera) -> np.ndarray:
    return np.asarray(-camera.world_to_camera[:3, :3].T @ camera.world_to_camera[:3, 3])


def test_a_room_is_seen_from_inside_and_an_object_from_outside() -> None:
    inside, outside = room(), random_splats(3000, 1)
    assert survey(inside).inside
    for camera in synthesize(inside, 6, 64):
        assert (np.abs(eye(camera)) < [2, 1.5, 3]).all()
    assert not survey(outside).inside
    for camera in synthesize(outside, 6, 64):
        assert 2 < np.linalg.norm(eye(camera)) < 15
        assert (camera.width, camera.height) == (64, 48)


def test_far_splats_and_broken_ones_do_not_move_the_cameras() -> None:
    splats = random_splats(3000, 2)
    means = splats.means.copy()
    means[:150] = np.random.default_rng(0).normal(0, 1000, (150, 3))
    means[150:160] = np.nan
    before, after = survey(splats), survey(dataclasses.replace(splats, means=means))
    assert np.abs(before.center - after.center).max() < 0.2
    assert after.distance < 2.5 * before.distance


def test_made_up_cameras_are_deterministic_and_up_follows_the_axes() -> None:
    splats = random_splats(2000, 3)
    first, second = synthesize(splats, 5, 80), synthesize(splats, 5, 80)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.world_to_camera, b.world_to_camera)
    for axes, sign in (("RDF", 1), ("RUB", -1)):
        for camera in synthesize(dataclasses.replace(splats, axes=axes), 5, 80):
            assert sign * camera.world_to_camera[1, 1] > 0


def test_a_scene_of_nothing_still_gets_cameras() -> None:
    for splats in (random_splats(0), random_splats(1)):
        assert len(synthesize(splats, 3, 32)) == 3
    with pytest.raises(ValueError, match="cannot make"):
        synthesize(random_splats(1), 0, 32)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unit", [1e-6, 1, 1e6, 1e30])
@pytest.mark.parametrize("size", [-4, 0, 1e4])
def test_a_lone_splat_is_seen_from_outside(unit: float, size: float) -> None:
    one = random_splats(1, 0)
    means, sizes = one.means * np.float32(unit), np.full((1, 3), size, np.float32)
    for camera in synthesize(dataclasses.replace(one, means=means, log_scales=sizes), 4, 32):
        eye = -camera.world_to_camera[:3, :3].T @ camera.world_to_camera[:3, 3]
        distance = float(np.linalg.norm(eye - means[0]))
        assert distance > min(np.exp(min(size, 80)), 1e35) * 0.99
        assert np.isfinite(camera.world_to_camera).all()


def test_resize_keeps_the_view() -> None:
    camera = resize(VIEWS[0], 45)
    assert (camera.width, camera.height, camera.fx, camera.cy) == (45, 30, 40, 15)
