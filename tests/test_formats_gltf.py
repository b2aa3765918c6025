"""KHR_gaussian_splatting: round trip, node transforms, SPZ inside, integer accessors, damage named."""

import base64
import copy
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from splat_scenes import (
    assert_bit_flips_are_harmless,
    assert_same_bits,
    assert_truncation_is_refused,
    random_splats,
    rotation_error,
    scenes,
)

from scenepress.errors import FormatError, LossWarning
from scenepress.formats import table
from scenepress.formats.gltf import EXTENSION, read_gltf, write_glb
from scenepress.formats.spz import read_spz, write_spz
from scenepress.scene import Splats
from scenepress.scene_ops import convert_axes, transform

in_tmp = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(scene=scenes)
@in_tmp
def test_round_trip(tmp_path: Path, scene: Splats) -> None:
    assume(len(scene))
    write_glb(scene, tmp_path / "a.glb")
    got = table.read(tmp_path / "a.glb")
    assert got.axes == "LUF"
    got = convert_axes(got, "RDF")
    for name in ("means", "sh0", "shN"):
        np.testing.assert_array_equal(getattr(got, name), getattr(scene, name))
    np.testing.assert_allclose(got.log_scales, scene.log_scales, atol=1e-6)
    np.testing.assert_allclose(got.opacity_logits, scene.opacity_logits, atol=1e-4)
    assert rotation_error(got, scene) < 1e-6
    assert got.antialiased == scene.antialiased


def test_an_empty_scene_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="without splats"):
        write_glb(random_splats(0, 0), tmp_path / "a.glb")
    assert not list(tmp_path.iterdir())


def split(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def glb(document: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body += bytes(-len(body) % 4)
    head = struct.pack("<4sIIII", b"glTF", 2, 28 + len(text) + len(body), len(text), 0x4E4F534A)
    return head + text + struct.pack("<II", len(body), 0x004E4942) + body


def small(tmp_path: Path, count: int = 5) -> tuple[dict[str, Any], bytes]:
    write_glb(random_splats(count, 1), tmp_path / "small.glb")
    return split(tmp_path / "small.glb")


def test_gltf_with_files_and_data_uris(tmp_path: Path) -> None:
    document, body = small(tmp_path)
    want = read_gltf(tmp_path / "small.glb")
    (tmp_path / "my data.bin").write_bytes(body)
    for uri in ("my%20data.bin", "data:application/octet-stream;base64," + base64.b64encode(body).decode()):
        document["buffers"][0]["uri"] = uri
        (tmp_path / "a.gltf").write_text(json.dumps(document))
        assert_same_bits(table.read(tmp_path / "a.gltf"), want)
    for uri in ("../a.bin", "/etc/passwd", "%2e%2e/x", "http://h/x", "missing.bin", "data:,abc", 3):
        document["buffers"][0]["uri"] = uri
        (tmp_path / "a.gltf").write_text(json.dumps(document))
        with pytest.raises(FormatError, match=r"buffer|data URI"):
            read_gltf(tmp_path / "a.gltf")


def test_nodes_move_turn_and_scale(tmp_path: Path) -> None:
    document, body = small(tmp_path)
    want = read_gltf(tmp_path / "small.glb")
    half = np.sqrt(0.5)
    document["nodes"] = [
        {"children": [1, 2], "translation": [1, 2, 3]},
        {"mesh": 0, "rotation": [0, half, 0, half], "scale": [2, 2, 2]},
        {"mesh": 0, "matrix": [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 5, 0, 0, 1]},
    ]
    (tmp_path / "a.glb").write_bytes(glb(document, body))
    got = read_gltf(tmp_path / "a.glb")
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    first = transform(want, turn, np.array([1.0, 2, 3]), 2.0)
    second = transform(want, np.diag([-1.0, 1, 1]), np.array([6.0, 2, 3]))
    for name in ("means", "log_scales", "shN", "sh0", "opacity_logits"):
        both = np.concatenate([getattr(first, name), getattr(second, name)])
        np.testing.assert_allclose(getattr(got, name), both, atol=1e-5)
    assert rotation_error(got.take(np.arange(5)), first) < 1e-6
    document["nodes"][1]["scale"] = [1, 2, 1]
    (tmp_path / "a.glb").write_bytes(glb(document, body))
    with pytest.raises(FormatError, match="unevenly"):
        read_gltf(tmp_path / "a.glb")


def test_spz_inside(tmp_path: Path) -> None:
    scene = random_splats(30, 2)
    write_spz(scene, tmp_path / "a.spz", 3)
    body = (tmp_path / "a.spz").read_bytes()
    document, _ = small(tmp_path)
    nested = {f"{EXTENSION}_compression_spz_2": {"bufferView": 0}}
    document["meshes"][0]["primitives"][0]["extensions"][EXTENSION] = {"extensions": nested}
    document["bufferViews"] = [{"buffer": 0, "byteLength": len(body)}]
    document["buffers"] = [{"byteLength": len(body)}]
    (tmp_path / "a.glb").write_bytes(glb(document, body))
    assert_same_bits(read_gltf(tmp_path / "a.glb"), convert_axes(read_spz(tmp_path / "a.spz"), "LUF"))
    nested["EXT_other"] = {}
    (tmp_path / "a.glb").write_bytes(glb(document, body))
    with pytest.raises(FormatError, match="EXT_other"):
        read_gltf(tmp_path / "a.glb")


def test_integer_accessors_and_strides(tmp_path: Path) -> None:
    document, body = small(tmp_path)
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    quats = np.array([[127, 0, 0, 0, 9, 9], [0, -128, 0, 0, 9, 9]] * 3, "i1")[:5]  # Stride 6.
    opacity = np.array([0, 65535, 32768, 1, 2], "<u2")
    for name, kind, data, view in (
        ("ROTATION", 5120, quats.tobytes(), {"byteStride": 6}),
        ("OPACITY", 5123, opacity.tobytes(), {}),
    ):
        accessor = document["accessors"][attributes[f"{EXTENSION}:{name}"]]
        accessor |= {"componentType": kind, "normalized": True, "bufferView": len(document["bufferViews"])}
        document["bufferViews"].append({"buffer": 0, "byteOffset": len(body), "byteLength": len(data), **view})
        body += data
    document["buffers"][0]["byteLength"] = len(body)
    (tmp_path / "a.glb").write_bytes(glb(document, body))
    got = read_gltf(tmp_path / "a.glb")
    np.testing.assert_array_equal(got.quats[:2], [[0, 1, 0, 0], [0, 0, -1, 0]])
    np.testing.assert_array_equal(got.opacity_logits[:2], [-np.inf, np.inf])


def primitive(document: dict[str, Any]) -> dict[str, Any]:
    return document["meshes"][0]["primitives"][0]


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "version 3.0": lambda d: d["asset"].update(version="3.0"),
    "version None": lambda d: d.pop("asset"),
    "no primitive uses": lambda d: primitive(d).pop("extensions"),
    "lacks the attribute": lambda d: primitive(d)["attributes"].pop(f"{EXTENSION}:SCALE"),
    "COEF_2": lambda d: primitive(d)["attributes"].pop(f"{EXTENSION}:SH_DEGREE_1_COEF_2"),
    "does not exist": lambda d: primitive(d)["attributes"].update(POSITION=99),
    "True.* does not exist": lambda d: primitive(d)["attributes"].update(POSITION=True),
    "1000000000 values do not fit": lambda d: d["accessors"][0].update(count=10**9),
    "differ in count": lambda d: d["accessors"][0].update(count=4),
    "must be a whole number": lambda d: d["accessors"][0].update(count=-1),
    "sparse": lambda d: d["accessors"][0].update(sparse={}),
    "cannot be read": lambda d: d["accessors"][0].update(type="VEC2"),
    "ends at byte": lambda d: d["bufferViews"][0].update(byteLength=10**9),
    "fewer bytes than": lambda d: d["buffers"][0].update(byteLength=10**9),
    "values do not fit": lambda d: d["bufferViews"][0].update(byteStride=0),
    "own folder": lambda d: d["buffers"][0].update(uri="\ud800"),
    "no tree": lambda d: d["nodes"][0].update(children=[0]),
    "must be 4 numbers": lambda d: d["nodes"][0].update(rotation=[0, 0, 1]),
    "without bounds": lambda d: (
        d["nodes"].extend([{"scale": [1e29] * 3, "children": [0]}])
        or d["nodes"][0].update(scale=[1e29] * 3)
        or d["scenes"][0].update(nodes=[1])
    ),
    "stretches": lambda d: d["nodes"][0].update(scale=[0, 0, 0]),
    "too many": lambda d: d["nodes"].extend([{"mesh": 0}] * 100) or d["scenes"][0].update(nodes=list(range(101))),
}


@pytest.mark.parametrize("why", EDITS)
def test_bad_documents_are_named(tmp_path: Path, why: str) -> None:
    document, body = small(tmp_path)
    document = copy.deepcopy(document)
    EDITS[why](document)
    (tmp_path / "a.glb").write_bytes(glb(document, body))
    with pytest.raises(FormatError, match=why):
        read_gltf(tmp_path / "a.glb")


def test_unknown_kernel_and_colour_space_are_said(tmp_path: Path) -> None:
    document, body = small(tmp_path)
    primitive(document)["extensions"][EXTENSION] |= {"kernel": "box", "colorSpace": "lin_rec709_display"}
    (tmp_path / "a.glb").write_bytes(glb(document, body))
    with pytest.warns(LossWarning, match="kernel") as caught:
        read_gltf(tmp_path / "a.glb")
    assert any("colour space" in str(w.message) for w in caught)


def test_truncation_and_bit_flips(tmp_path: Path) -> None:
    write_glb(random_splats(4, 1), tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    assert_truncation_is_refused(read_gltf, data, tmp_path / "b.glb")
    assert_bit_flips_are_harmless(read_gltf, data, tmp_path / "b.glb", 400)
    for text in (b"", b"{", b"[" * 100_000, b"null", b"\xff"):
        (tmp_path / "b.gltf").write_bytes(text)
        with pytest.raises(FormatError):
            read_gltf(tmp_path / "b.gltf")


def test_primitives_come_in_the_order_of_the_nodes(tmp_path: Path) -> None:
    document, body = small(tmp_path, count=1)
    document["nodes"] = [{"mesh": 0, "translation": [10 * i, 0, 0]} for i in range(4)]
    document["nodes"][1]["children"] = [3]
    document["scenes"][0]["nodes"] = [1, 0, 2]
    (tmp_path / "a.glb").write_bytes(glb(document, body))
    first = read_gltf(tmp_path / "small.glb").means[0, 0]
    got = read_gltf(tmp_path / "a.glb")
    np.testing.assert_allclose(got.means[:, 0] - first, [10, 40, 0, 20], atol=1e-5)
