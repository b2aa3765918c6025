"""`import scenepress`: cheap, complete, and the same as its documentation says."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scenes import cloud

import scenepress
from scenepress import api, container, metadata
from scenepress.errors import BitstreamError
from scenepress.scene import Camera

ROOT = Path(__file__).parents[1]


def test_import_is_cheap() -> None:
    code = "import sys, scenepress; print([m for m in ('numpy', 'torch', 'tyro') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", scenepress.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(scenepress, name)
    assert name in dir(scenepress)
    if name != "__version__":
        assert inspect.getdoc(value)


def test_type_checkers_see_the_names_that_exist() -> None:
    source = (ROOT / "scenepress/__init__.py").read_text()
    block = source[source.index("if TYPE_CHECKING:") : source.index("_HOMES")]
    typed = {
        (home, name.strip())
        for home, names in re.findall(r"from (\S+) import (.+)", block)
        for name in names.split(",")
    }
    assert typed == {(home, name) for home, names in scenepress._HOMES.items() for name in names}
    assert {name for _, name in typed} | {"__version__"} == set(scenepress.__all__)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'explode'"):
        scenepress.explode  # noqa: B018


def test_version_is_the_projects() -> None:
    assert f'version = "{scenepress.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_save_load_inspect(tmp_path: Path) -> None:
    scene = cloud(300)
    for name in ("a.ply", "a.press"):
        scenepress.save(scene, tmp_path / name)
        assert len(scenepress.load(tmp_path / name)) <= 300
        found = scenepress.inspect(tmp_path / name)
        assert found.bytes == (tmp_path / name).stat().st_size
        assert found.sh_degree == 3
        assert (found.press is not None) == (name == "a.press")
    with pytest.raises(ValueError, match=r"a\.xyz"):
        scenepress.save(scene, tmp_path / "a.xyz")


def test_compress_measures_unless_told_not_to() -> None:
    scene, steps = cloud(300), []
    measured = scenepress.compress(
        scene, "small", source="folder/cloud.ply", progress=lambda _, done: steps.append(done)
    )
    bare = scenepress.compress(scene, "small", source="folder/cloud.ply", measure=False)
    record = metadata_of(measured).quality
    assert record is not None
    assert record.psnr > 20
    assert metadata_of(bare).quality is None
    assert metadata_of(bare).source_name == "cloud.ply"
    assert metadata_of(bare).source_format == "ply"
    assert steps == sorted(steps)
    assert steps[-1] == 1
    a, b = scenepress.decompress(measured), scenepress.decompress(bare)
    np.testing.assert_array_equal(a.means, b.means)


def metadata_of(data: bytes) -> object:
    from scenepress import container, metadata

    return metadata.of(container.read(data))


def test_lossless_round_trip() -> None:
    scene = cloud(200, sh_degree=1)
    data = scenepress.compress(scene, "lossless")
    assert metadata_of(data).quality.psnr == math.inf
    decoded = scenepress.decompress(data)
    np.testing.assert_array_equal(decoded.shN, scene.shN)


@pytest.mark.filterwarnings("error")
def test_absurd_values_are_refused_by_lossy_presets_only(tmp_path: Path) -> None:
    scene = cloud(20, sh_degree=1)
    shN = scene.shN.copy()
    shN[:3, 0, 0] = 1e10
    scene = dataclasses.replace(scene, shN=shN)
    with pytest.raises(ValueError, match=r"3 of 20 .*shN too large: 3.*scene_ops\.drop_invalid"):
        scenepress.compress(scene)
    with pytest.raises(ValueError, match="scene_ops"):
        scenepress.save(scene, tmp_path / "a.press")
    assert list(tmp_path.iterdir()) == []
    whole = scenepress.decompress(scenepress.compress(scene, "lossless", measure=False))
    np.testing.assert_array_equal(whole.shN, shN)


def test_damaged_files_are_bitstream_errors(tmp_path: Path) -> None:
    data = bytearray(scenepress.compress(cloud(100), measure=False))
    data[-1] ^= 1
    with pytest.raises(scenepress.BitstreamError, match="checksum"):
        scenepress.decompress(bytes(data))
    (tmp_path / "a.press").write_bytes(data)
    for read in (scenepress.load, scenepress.inspect):
        with pytest.raises(scenepress.BitstreamError, match="checksum"):
            read(tmp_path / "a.press")


def test_choose_spreads_evenly() -> None:
    assert api.choose(list(range(10)), 2) == [2, 7]  # type: ignore[arg-type, comparison-overlap]
    assert api.choose(list(range(3)), 5) == [0, 1, 2]  # type: ignore[arg-type, comparison-overlap]
    assert api.choose(list(range(97)), 4) == [12, 36, 60, 84]  # type: ignore[arg-type, comparison-overlap]


def test_cameras_follow_the_axes_of_the_scene() -> None:
    from scenepress import quality, scene_ops

    scene = cloud(300)
    turned = scene_ops.convert_axes(scene, "LUF")
    camera = next(iter(scenepress.synthesize(scene, 1, 64)))
    same = quality.compare(turned, turned, [api.camera_in_axes(camera, "LUF")], perceptual=False)
    view = scenepress.rasterize(scene, camera).color
    other = scenepress.rasterize(turned, api.camera_in_axes(camera, "LUF")).color
    np.testing.assert_allclose(view, other, atol=1e-5)
    assert same.psnr == math.inf


def test_odd_file_names_fit_the_metadata() -> None:
    for preset in ("lossless", "small"):
        data = scenepress.compress(cloud(10), preset, source="a\n\udc80é.ply", measure=False)
        assert metadata_of(data).source_name == "a??é.ply"


def test_a_bound_on_splats() -> None:
    data = api.compress(cloud(20, 0), measure=False)
    assert len(api.decompress(data, max_splats=20)) <= 20
    count = metadata.of(container.read(data)).count
    with pytest.raises(BitstreamError, match=f"{count} splats; at most {count - 1}"):
        api.decompress(data, max_splats=count - 1)


def test_cameras_that_see_nothing_are_refused() -> None:
    away = Camera(np.eye(4) + 1e4 * np.eye(4, k=3), 50.0, 50.0, 20.0, 20.0, 40, 40)  # Far to the side.
    with pytest.raises(ValueError, match="none of the 2 cameras"):
        api.compress(cloud(50, 0), cameras=[away] * 2)
    invisible = dataclasses.replace(cloud(50, 0), opacity_logits=np.full(50, -20, np.float32))
    api.compress(invisible, cameras=[away])  # Nobody could see it: no fault of the camera's.
