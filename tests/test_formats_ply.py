"""INRIA .ply: bits survive, any layout is read, damage is named."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from splat_scenes import (
    assert_bit_flips_are_harmless,
    assert_same_bits,
    assert_truncation_is_refused,
    random_splats,
    scenes,
    shared,
    with_arrays,
)

from scenepress.errors import FormatError, LossWarning
from scenepress.formats import table
from scenepress.formats.ply import FLAT_LOG_SCALE, ROWS, read_ply, write_ply
from scenepress.scene import Splats
from scenepress.scene_ops import convert_axes

ENCODINGS = ("binary_little_endian", "binary_big_endian", "ascii")
in_tmp = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(scene=scenes, encoding=st.sampled_from(ENCODINGS))
@in_tmp
def test_every_bit_survives(tmp_path: Path, scene: Splats, encoding: str) -> None:
    write_ply(scene, tmp_path / "a.ply", encoding)
    assert_same_bits(read_ply(tmp_path / "a.ply"), scene)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_special_values_survive(tmp_path: Path, encoding: str) -> None:
    odd = np.array([np.inf, -np.inf, np.nan, -0.0, 1e-45, 3.4028235e38], np.float32)
    scene = with_arrays(random_splats(6, 1), opacity_logits=odd, sh0=np.tile(odd[:, None], 3))
    write_ply(scene, tmp_path / "a.ply", encoding)
    assert_same_bits(read_ply(tmp_path / "a.ply"), scene)


def test_blocks_and_threads_meet_without_a_seam(tmp_path: Path) -> None:
    scene = random_splats(5 * ROWS + 3, 1)
    write_ply(scene, tmp_path / "a.ply")
    assert_same_bits(read_ply(tmp_path / "a.ply"), scene)


def shuffled_ply(scene: Splats, path: Path, seed: int, kinds: dict[str, str], order: str = "<") -> None:
    """Write with properties in random order, of given types, with extra elements and properties."""
    rng = np.random.default_rng(seed)
    columns = {f"f_rest_{i}": scene.shN.transpose(0, 2, 1).reshape(len(scene), -1)[:, i]
               for i in range(3 * scene.shN.shape[1])}  # fmt: skip
    for names, values in (
        (("x", "y", "z"), scene.means),
        (("f_dc_0", "f_dc_1", "f_dc_2"), scene.sh0),
        (("scale_0", "scale_1", "scale_2"), scene.log_scales),
        (("rot_0", "rot_1", "rot_2", "rot_3"), scene.quats),
    ):
        columns |= {name: values[:, i] for i, name in enumerate(names)}
    columns |= {"opacity": scene.opacity_logits, "nx": scene.means[:, 0], "label": scene.means[:, 1]}
    names = [str(name) for name in rng.permutation(sorted(columns))]
    records = np.zeros(len(scene), [(n, order + kinds.get(n, "f4")) for n in names])
    for name in names:
        records[name] = columns[name]
    words = {"f4": "float", "f8": "double", "u1": "uchar"}
    lines = ["ply", f"format binary_{'little' if order == '<' else 'big'}_endian 1.0", "obj_info x"]
    lines += ["element camera 2", "property double fx", "property uchar flag", "comment antialiased 1"]
    lines += [f"element vertex {len(scene)}"]
    lines += [f"property {words[kinds.get(n, 'f4')]} {n}" for n in names]
    lines += ["element face 3", "property list uchar int vertex_indices", "end_header", ""]
    path.write_bytes("\r\n".join(lines).encode() + bytes(18) + records.tobytes() + bytes(9))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kinds", [{}, {"x": "f8", "label": "u1"}])
def test_any_order_type_and_company(tmp_path: Path, order: str, kinds: dict[str, str]) -> None:
    scene = random_splats(50, 3)
    shuffled_ply(scene, tmp_path / "a.ply", 3, kinds, order)
    with pytest.warns(LossWarning) as caught:
        got = read_ply(tmp_path / "a.ply")
    messages = [str(w.message) for w in caught]
    assert any("left out: label" in m for m in messages)
    assert any("rounded to float32" in m for m in messages) == ("x" in kinds)
    assert got.antialiased
    assert_same_bits(got, random_splats(50, 3, antialiased=True))


def test_ascii_skips_other_elements(tmp_path: Path) -> None:
    write_ply(random_splats(3, 0), tmp_path / "a.ply", "ascii")
    text = (tmp_path / "a.ply").read_text()
    text = text.replace("element vertex", "element camera 2\nproperty list uchar int k\nelement vertex")
    (tmp_path / "a.ply").write_text(text.replace("end_header\n", "end_header\n1 5\n2 6 7\n"))
    assert_same_bits(read_ply(tmp_path / "a.ply"), random_splats(3, 0))


def test_flat_splats_and_degree_four_are_reported(tmp_path: Path) -> None:
    scene = random_splats(4, 3)
    write_ply(scene, tmp_path / "a.ply", "ascii")
    head, _, body = (tmp_path / "a.ply").read_text().partition("end_header\n")
    flat = head.replace("property float scale_2", "property float nz") + "end_header\n" + body
    (tmp_path / "flat.ply").write_text(flat)
    with pytest.warns(LossWarning, match="2DGS"):
        got = read_ply(tmp_path / "flat.ply")
    assert (got.log_scales[:, 2] == FLAT_LOG_SCALE).all()
    assert (got.log_scales[:, :2] == scene.log_scales[:, :2]).all()

    more = "".join(f"property float f_rest_{i}\n" for i in range(45, 72))
    # The 24 coefficients of a channel follow each other; number the columns to see which are kept.
    rows = [" ".join(row.split()[:6] + [str(i) for i in range(45)] + row.split()[51:59]
                     + [str(i) for i in range(45, 72)]) for row in body.splitlines()]  # fmt: skip
    (tmp_path / "four.ply").write_text(head + more + "end_header\n" + "\n".join(rows) + "\n")
    with pytest.warns(LossWarning, match="degree 4"):
        got = read_ply(tmp_path / "four.ply")
    expected = np.stack([np.arange(15), np.arange(24, 39), np.arange(48, 63)], axis=1)
    np.testing.assert_array_equal(got.shN, np.broadcast_to(expected, (4, 15, 3)))


def test_axes_are_converted_on_writing(tmp_path: Path) -> None:
    scene = convert_axes(random_splats(9, 3), "LUF")
    write_ply(scene, tmp_path / "a.ply")
    got = read_ply(tmp_path / "a.ply")
    assert got.axes == "RDF"
    assert_same_bits(got, random_splats(9, 3))


BAD_HEADERS = {
    b"ply\nformat binary_little_endian 2.0\nend_header\n": "2.0",
    b"ply\nformat binary_middle_endian 1.0\nend_header\n": "unknown encoding",
    b"ply\nend_header\n": "no format line",
    b"ply\nformat ascii 1.0\nend_header\n": "no element 'vertex'",
    b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0\n": "lack y, z",
    b"ply\nformat ascii 1.0\nelement vertex -1\nend_header\n": "bad element count",
    b"ply\nformat ascii 1.0\nelement vertex 99999999999\nend_header\n": "at most",
    b"ply\nformat ascii 1.0\nelement v 1\nproperty float x\nproperty float x\nend_header\n": "twice",
    b"ply\nformat ascii 1.0\nelement vertex 1\nproperty half x\nend_header\n": "bad property",
    b"ply\nformat ascii 1.0\nnonsense\nend_header\n": "bad header line",
    b"ply\nformat ascii 1.0\n" + b"comment a\n" * 200_000: "no end_header",
    b"": "does not start with 'ply'",
    b"solid": "does not start with 'ply'",
}


@pytest.mark.parametrize("data", BAD_HEADERS, ids=list(BAD_HEADERS.values()))
def test_bad_headers_are_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(FormatError, match=BAD_HEADERS[data]):
        read_ply(tmp_path / "a.ply")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_counts_beyond_the_file_are_refused_before_allocating(tmp_path: Path, encoding: str) -> None:
    write_ply(random_splats(2, 3), tmp_path / "a.ply", encoding)
    data = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "a.ply").write_bytes(data.replace(b"vertex 2\n", b"vertex 1000000000\n"))
    with pytest.raises(FormatError, match="1000000000 splats"):
        read_ply(tmp_path / "a.ply")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_truncation_and_bit_flips(tmp_path: Path, encoding: str) -> None:
    write_ply(random_splats(3, 1), tmp_path / "a.ply", encoding)
    data = (tmp_path / "a.ply").read_bytes()
    # The last number of an ascii file may be cut within its digits unnoticed.
    assert_truncation_is_refused(read_ply, data, tmp_path / "b.ply", 25 if encoding == "ascii" else 0)
    assert_bit_flips_are_harmless(read_ply, data, tmp_path / "b.ply", 300, head=600)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.ply").write_bytes(b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_ply(random_splats(3, 0), tmp_path / "a.ply")
    assert (tmp_path / "a.ply").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]


def test_real_file_of_brush_with_sorted_properties(tmp_path: Path) -> None:
    path = shared("leica_8k_sh3.ply")
    scene = table.read(path)
    assert (len(scene), scene.sh_degree) == (8192, 3)
    raw = path.read_bytes()
    names = [line.split()[-1] for line in raw[: raw.index(b"end_header")].decode().splitlines()
             if line.startswith("property")]  # fmt: skip
    rows = np.frombuffer(raw[raw.index(b"end_header") + 11 :], "<f4").reshape(8192, -1)
    column = {name: rows[:, i] for i, name in enumerate(names)}
    assert (scene.shN[:, 4, 2] == column["f_rest_34"]).all()  # Channel 2, coefficient 4: 2 * 15 + 4.
    assert (scene.quats[:, 3] == column["rot_3"]).all()
    assert (scene.log_scales[:, 1] == column["scale_1"]).all()
    table.write(scene, tmp_path / "a.ply")
    assert_same_bits(table.read(tmp_path / "a.ply"), scene)


@pytest.mark.parametrize(
    ("comments", "antialiased"),
    [
        (["SplatRenderMode: mip"], True),
        (["SplatRenderMode: default"], False),
        (["SplatRenderMode: mip", "SplatRenderMode: default"], False),
        (["antialiased 1"], True),
        (["antialiased 1", "antialiased 0"], False),
        (["antialiased 1 of many words", "mip"], False),
    ],
)
def test_comments_of_other_writers(tmp_path: Path, comments: list[str], antialiased: bool) -> None:
    write_ply(random_splats(1, 0), tmp_path / "a.ply", "ascii")
    text = (tmp_path / "a.ply").read_text()
    lines = "".join(f"comment {comment}\n" for comment in comments)
    (tmp_path / "a.ply").write_text(text.replace("comment scenepress\n", lines))
    assert read_ply(tmp_path / "a.ply").antialiased == antialiased
